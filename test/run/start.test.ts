import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import type { VoxelbookError } from '../../src/base/errors.js';
import { list, start, stateOf } from '../../src/run/index.js';
import { readLease } from '../../src/run/lease.js';
import { type Experiment, runFolderOf } from '../../src/train/index.js';
import { finalWeights, timelessLog, tinyExperiment, workplace } from './tiny.js';

const quiet = { display: null } as const;

describe('run.start', () => {
  let root: string;
  let experiment: Experiment;
  let expected: Record<string, string>;
  let log: unknown[];

  before(() => {
    root = workplace();
    experiment = tinyExperiment(root);
  });

  it('trains, predicts and scores in a process of its own, and shows progress', async () => {
    const steps: number[] = [];
    const run = await start(experiment, { ...quiet, onProgress: (l) => steps.push(l.step) });
    assert.deepEqual(
      steps,
      Array.from({ length: 12 }, (_, i) => i + 1),
    );
    assert.equal(run.scores.cases.length, 2);
    assert.ok(run.scores.cost.parameters > 0 && run.scores.cost.flops > 0 && run.scores.cost.peakBytes > 1e8);
    assert.deepEqual(Object.keys(run.scores.cases[0].classes), ['shell', 'core']);
    for (const { id } of run.scores.cases) assert.ok(fs.existsSync(path.join(run.folder, 'predictions', `${id}.nii.gz`)));
    assert.equal(stateOf(run.folder), 'finished');
    expected = finalWeights(run.folder);
    log = timelessLog(run.folder);
  });

  it('never computes a finished run twice', async () => {
    const begin = performance.now();
    await start({ ...experiment, name: 'the same under another name', folds: [0, 1] }, quiet);
    assert.ok(performance.now() - begin < 1000);
    assert.equal(list().length, 1);
  });

  it('killed in training: rejects within 5 s naming run, step and cause; started again, equals the uninterrupted run bit for bit', async () => {
    const other = process.env.VOXELBOOK_RUNS;
    process.env.VOXELBOOK_DATA = path.join(other!, 'data');
    process.env.VOXELBOOK_RUNS = path.join(root, 'killed');
    const folder = runFolderOf(experiment, 0, 1);
    for (const killAt of [2, 6, 9]) {
      let killed = 0;
      const dying = start(experiment, {
        ...quiet,
        onProgress(line) {
          if (line.step < killAt || killed) return;
          killed = performance.now();
          process.kill(readLease(folder)!.pid, 'SIGKILL');
        },
      });
      await assert.rejects(dying, (error: VoxelbookError) => {
        assert.ok(performance.now() - killed < 5000);
        assert.match(error.message, /run tiny-k3_fold0_seed1-[0-9a-f]{12} died at step \d+: killed by SIGKILL/);
        return true;
      });
    }
    assert.equal(stateOf(folder), 'stopped');
    await start(experiment, quiet);
    assert.deepEqual(finalWeights(folder), expected);
    assert.deepEqual(timelessLog(folder), log);
    process.env.VOXELBOOK_RUNS = other;
  });

  it('aborted: ends within 2 s with a checkpoint of the very step, and goes on from it to the same bits', async () => {
    const other = process.env.VOXELBOOK_RUNS;
    process.env.VOXELBOOK_RUNS = path.join(root, 'aborted');
    const folder = runFolderOf(experiment, 0, 1);
    const stop = new AbortController();
    let asked = 0;
    const stopping = start(experiment, {
      ...quiet,
      signal: stop.signal,
      onProgress(line) {
        if (line.step !== 6) return;
        asked = performance.now();
        stop.abort(new Error('stopped by the person'));
      },
    });
    await assert.rejects(stopping, /stopped by the person/);
    assert.ok(performance.now() - asked < 2000);
    const newest = JSON.parse(fs.readFileSync(path.join(folder, 'checkpoints.json'), 'utf8')).checkpoints.at(-1);
    assert.ok(Number(newest.slice(3)) >= 8, newest);
    await start(experiment, quiet);
    assert.deepEqual(finalWeights(folder), expected);
    assert.deepEqual(timelessLog(folder), log);
    process.env.VOXELBOOK_RUNS = other;
  });

  it('attaches to a run that is already going', async () => {
    const other = process.env.VOXELBOOK_RUNS;
    process.env.VOXELBOOK_RUNS = path.join(root, 'attached');
    const [a, b] = await Promise.all([
      start(experiment, quiet),
      new Promise((resolve) => setTimeout(resolve, 3000)).then(() => start(experiment, quiet)),
    ]);
    assert.equal(a.folder, b.folder);
    assert.deepEqual(timelessLog(a.folder), log);
    process.env.VOXELBOOK_RUNS = other;
  });

  it('says what was wrong when the child throws', async () => {
    const wrong = tinyExperiment(root, {
      recipe: { ...experiment.recipe, loss: { ...experiment.recipe.loss, kind: 'dice+bce' } },
    });
    await assert.rejects(start(wrong, quiet), (error: VoxelbookError) => {
      assert.match(error.message, /died at preprocess, step 0: this loss does not fit the data set/);
      assert.equal(error.code, 'loss-needs-regions');
      return true;
    });
  });

  it('refuses a run that will not fit, with the setting that would', async () => {
    const env = { VOXELBOOK_MEMORY_BYTES: '480000000' };
    const big = tinyExperiment(root, { recipe: { ...experiment.recipe, batchSize: 64 } });
    await assert.rejects(start(big, { ...quiet, env }), (error: VoxelbookError) => {
      assert.equal(error.code, 'too-little-memory');
      assert.match(error.message, /With batch size 1 it needs 0\.\d+ GB/);
      return true;
    });
  });
});
