// The worker's side of `runJobs`.
import { parentPort } from 'node:worker_threads';
import { VoxelbookError } from './errors.js';
import type { Job } from './pool.js';

/**
 * Answers every job with what `work` returns; a fault goes back as data, any other error with its text.
 * `work` gets `stage(name)` to say what it is at, for the message if the thread dies.
 */
export function answerJobs<J extends Job>(work: (job: J, stage: (name: string) => void) => unknown): void {
  const port = parentPort!;
  port.postMessage({ ready: true });
  port.on('message', async (job: J) => {
    const { id } = job;
    let stage = 'start';
    try {
      const result = await work(job, (name) => {
        stage = name;
        port.postMessage({ id, stage: name });
      });
      port.postMessage({ id, result }, buffersOf(result));
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      const faults =
        error instanceof VoxelbookError
          ? error.faults
          : [
              {
                code: 'case-failed',
                path: id,
                given: `an error in stage ${stage}: ${text}`,
                expected: 'a readable case',
                fix: 'Look at this case; the others are done.',
              },
            ];
      port.postMessage({ id, faults });
    }
  });
}

/** Below this many bytes an array may share its memory with others, and a copy costs nothing. */
const shared = 1 << 16;

/** Memory of a result's large arrays, which is handed over instead of copied: those that are all there is in theirs. */
function buffersOf(result: unknown): ArrayBuffer[] {
  const arrays = Object.values(Object(result)).filter((value): value is Uint8Array => ArrayBuffer.isView(value));
  const own = arrays.filter(({ buffer, byteLength }) => byteLength >= shared && byteLength === buffer.byteLength);
  return [...new Set(own.map(({ buffer }) => buffer as ArrayBuffer))].filter((buffer) => buffer instanceof ArrayBuffer);
}
