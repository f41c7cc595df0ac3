// W1: threads that throw, reject, exit, run out of memory or loop.
import assert from 'node:assert/strict';
import { VoxelbookError } from '../../src/base/errors.js';
import { runJobs } from '../../src/base/pool.js';
import { startWorker } from '../../src/base/workers.js';

const url = new URL('./poolJobs.js', import.meta.url);
const jobs = (...acts: string[]) => acts.map((act, i) => ({ id: `case${i}`, act }));

describe('jobs in worker threads', function () {
  this.timeout(60_000);

  it('results come in the order of the jobs, whatever order they finish in', async () => {
    const done = await runJobs(url, jobs('ok', 'ok', 'ok', 'ok', 'ok'), { what: 'test', workers: 2 });
    assert.deepEqual(
      done,
      [0, 1, 2, 3, 4].map((i) => `case${i} done`),
    );
  });

  for (const [act, message] of [
    ['throw', /case1: an error in stage act: broken/],
    ['reject', /case1: an error in stage act: rejected/],
    ['fault', /case1 file: a; expected b\. Do c\./],
    ['exit', /case1: its thread died in stage act \(exit 0\)/],
    ['unhandled', /case1: its thread died in stage act \(late\)/],
  ] as const)
    it(`a job that ends by ${act} is named; the others finish`, async () => {
      const seen: string[] = [];
      const work = runJobs(url, jobs('ok', act, 'ok', 'ok'), {
        what: 'test',
        workers: 2,
        onProgress: (p) => seen.push(`${p.done}`),
      });
      await assert.rejects(work, (error) => {
        assert.ok(error instanceof VoxelbookError);
        assert.match(error.message, /test failed for 1 of 4 cases/);
        assert.match(error.message, message);
        return true;
      });
      assert.ok(seen.includes('3'));
    });

  it('a job that runs out of memory kills its thread, not the process, and is named', async () => {
    const before = process.execArgv;
    const worker = startWorker(url, { resourceLimits: { maxOldGenerationSizeMb: 64 } });
    const message = await new Promise<string>((resolve) => {
      worker.on('error', (error) => resolve(error.message));
      worker.postMessage({ id: 'a', act: 'memory' });
    });
    assert.match(message, /memory/);
    assert.equal(process.execArgv, before);
  });

  it('an abort stops threads in an endless loop', async () => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 1500);
    await assert.rejects(runJobs(url, jobs('loop', 'loop', 'ok'), { what: 'test', workers: 2, signal: stop.signal }), {
      name: 'AbortError',
    });
  });

  it('no job, no thread', async () => assert.deepEqual(await runJobs(url, [], { what: 'test' }), []));
});
