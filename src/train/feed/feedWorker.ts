// Worker thread of the feed: makes the samples it is asked for and says what it is at, so that a hang has a name.
import { parentPort, workerData } from 'node:worker_threads';
import { placeOf } from './batchMemory.js';
import { type Phase, Sampler, type SampleSource } from './sample.js';

const { source, now } = workerData as { source: SampleSource; now: SharedArrayBuffer };
const status = new Uint8Array(now);

/** Stage and case as text in shared memory: readable from outside even while this thread is stuck. */
function tell(stage: string, caseId: string): void {
  const text = Buffer.from(`${stage}\0${caseId}`).subarray(0, status.length - 1);
  status.set(text);
  status[text.length] = 10;
}

const sampler = new Sampler(source, tell);

/** A sample that is asked for, and the memory of its batch. */
interface Asked {
  id: number;
  phase: Phase;
  index: number;
  position: number;
  memory: SharedArrayBuffer;
}

parentPort!.on('message', ({ id, phase, index, position, memory }: Asked) => {
  try {
    parentPort!.postMessage({ id, caseId: sampler.sample(phase, index, position, placeOf(source, memory, position)) });
  } catch (error) {
    parentPort!.postMessage({ id, error: { message: (error as Error).message, stack: (error as Error).stack } });
  }
});
parentPort!.postMessage({ ready: true });
