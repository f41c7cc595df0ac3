// W1: threads that throw, reject, exit, run out of memory or loop.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { getEventListeners } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
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

  it('a job that gives no sign of life is tried once more, and then named; the others finish', async () => {
    const flag = path.join(os.tmpdir(), `pool-${process.pid}`);
    const said: string[] = [];
    const options = { what: 'test', workers: 2, hangSeconds: 1.5, onProgress: (p: { what: string }) => said.push(p.what) };
    try {
      assert.deepEqual(await runJobs(url, jobs(`once ${flag}`, 'ok', 'slow'), options), [
        'case0 done',
        'case1 done',
        'case2 done',
      ]);
    } finally {
      fs.rmSync(flag, { force: true });
    }
    assert.ok(
      said.some((text) => /case0: gave no answer for 1\.5 s in stage act, tried once more/.test(text)),
      said.join('\n'),
    );
    await assert.rejects(runJobs(url, jobs('ok', 'loop', 'ok'), options), (error: VoxelbookError) => {
      assert.equal(error.code, 'worker-hung');
      assert.match(error.message, /failed for 1 of 3 cases\n {2}case1: its thread gave no answer for 1\.5 s in stage act, twice/);
      return true;
    });
  });

  it('threads end with their process, also in the middle of a job', () => {
    const script = `
      import { runJobs } from ${JSON.stringify(new URL('../../src/base/pool.ts', import.meta.url).href)};
      setTimeout(() => process.exit(7), 2500);
      await runJobs(new URL(${JSON.stringify(new URL('./poolJobs.js', import.meta.url).href)}), [{ id: 'a', act: 'loop' }], { what: 'test' });`;
    const { status, signal } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      timeout: 30_000,
    });
    assert.deepEqual([status, signal], [7, null]);
  });

  it('an abort stops threads in an endless loop', async () => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 1500);
    await assert.rejects(runJobs(url, jobs('loop', 'loop', 'ok'), { what: 'test', workers: 2, signal: stop.signal }), {
      name: 'AbortError',
    });
  });

  it('a signal that outlives the jobs keeps nothing of them', async () => {
    const { signal } = new AbortController();
    await runJobs(url, jobs('ok', 'ok'), { what: 'test', signal });
    await assert.rejects(runJobs(url, jobs('throw'), { what: 'test', signal }));
    assert.equal(getEventListeners(signal, 'abort').length, 0);
  });

  it('no job, no thread', async () => assert.deepEqual(await runJobs(url, [], { what: 'test' }), []));
});
