import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import type { VoxelbookError } from '../../src/base/errors.js';
import { nodeArguments } from '../../src/base/workers.js';
import { prepareFolder } from '../../src/run/folder.js';
import { list, start, stateOf } from '../../src/run/index.js';
import { readLease, takeLease } from '../../src/run/lease.js';
import { type Experiment, runFolderOf } from '../../src/train/index.js';
import { finalWeights, leaveWorkplace, timelessLog, tinyExperiment, workplace } from './tiny.js';

const quiet = { display: null } as const;
const [d, e, k] = [
  [2, 2, 2],
  [1, 1, 1],
  [3, 3, 3],
];

/** Runs `work` with another runs folder, on the same data. */
async function elsewhere(name: string, work: () => Promise<void>): Promise<void> {
  const before = process.env.VOXELBOOK_RUNS!;
  process.env.VOXELBOOK_DATA = path.join(before, 'data');
  process.env.VOXELBOOK_RUNS = path.join(before, '..', name);
  try {
    await work();
  } finally {
    process.env.VOXELBOOK_RUNS = before;
  }
}

/** Starts a run and kills its process with SIGKILL once at each of the steps, a sitting each. */
async function killAt(experiment: Experiment, steps: number[]): Promise<void> {
  const folder = runFolderOf(experiment, 0, 1);
  for (const step of steps) {
    let killed = false;
    const dying = start(experiment, {
      ...quiet,
      onProgress(line) {
        if (line.step < step || killed) return;
        killed = true;
        process.kill(readLease(folder)!.pid, 'SIGKILL');
      },
    });
    await assert.rejects(dying, (error: VoxelbookError) => {
      assert.match(error.message, /run [\w.-]+_fold0_seed1-[0-9a-f]{12} died at step \d+: killed by SIGKILL/);
      return true;
    });
    assert.equal(stateOf(folder), 'stopped');
  }
}

describe('run.start', () => {
  let root: string;
  let experiment: Experiment;
  let expected: Record<string, string>;
  let log: unknown[];

  after(leaveWorkplace);
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
    const folder = runFolderOf(experiment, 0, 1);
    const written = () =>
      fs
        .readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .map((name) => [name, fs.statSync(path.join(folder, name)).mtimeMs]);
    const before = written();
    await start({ ...experiment, name: 'the same under another name', folds: [0, 1] }, quiet);
    assert.deepEqual(written(), before);
    assert.equal(list().length, 1);
  });

  it('killed in training: rejects naming run, step and cause; started again, equals the uninterrupted run bit for bit', async () => {
    await elsewhere('killed', async () => {
      await killAt(experiment, [2, 9]);
      await start(experiment, quiet);
      assert.deepEqual(finalWeights(runFolderOf(experiment, 0, 1)), expected);
      assert.deepEqual(timelessLog(runFolderOf(experiment, 0, 1)), log);
    });
  });

  const others: Record<string, object> = {
    'STU-Net': { network: 'stunet', widths: [2, 2, 2, 4, 4, 4], blocks: [1, 1, 1, 1, 1, 1], strides: [d, d, d, e, e] },
    'U-Mamba': { network: 'umamba-bot', widths: [4, 8], kernels: [k, k], strides: [e, d], blocks: [1, 1], decoderBlocks: [1] },
  };
  for (const [name, model] of Object.entries(others))
    it(`the same holds for ${name}`, async () => {
      const recipe = { ...experiment.recipe, epochs: 2 };
      const other = tinyExperiment(root, { name, model: model as Experiment['model'], recipe });
      const whole = await start(other, quiet);
      await elsewhere(`killed ${name}`, async () => {
        await killAt(other, [2, 6]);
        const again = await start(other, quiet);
        assert.deepEqual(finalWeights(again.folder), finalWeights(whole.folder));
        assert.deepEqual(timelessLog(again.folder), timelessLog(whole.folder));
      });
    });

  it('aborted: ends with a checkpoint of the very step, and goes on from it to the same bits', async () => {
    await elsewhere('aborted', async () => {
      const folder = runFolderOf(experiment, 0, 1);
      const stop = new AbortController();
      const stopping = start(experiment, {
        ...quiet,
        signal: stop.signal,
        onProgress(line) {
          if (line.step !== 6) return;
          stop.abort(new Error('stopped by the person'));
        },
      });
      await assert.rejects(stopping, /stopped by the person/);
      while (stateOf(folder) === 'running') await new Promise((resolve) => setTimeout(resolve, 50));
      const newest = JSON.parse(fs.readFileSync(path.join(folder, 'checkpoints.json'), 'utf8')).checkpoints.at(-1);
      const logged = (timelessLog(folder).at(-1) as { step: number }).step;
      assert.ok(logged >= 6 && Number(newest.slice(3)) >= logged, `${newest}, logged to step ${logged}`);
      await start(experiment, quiet);
      assert.deepEqual(finalWeights(folder), expected);
      assert.deepEqual(timelessLog(folder), log);
    });
  });

  it('closing the notebook does not stop the run; opening it again attaches', async () => {
    await elsewhere('attached', async () => {
      const folder = runFolderOf(experiment, 0, 1);
      const file = path.join(root, 'experiment-of-the-notebook.json');
      fs.writeFileSync(file, JSON.stringify(experiment));
      const opener = nodeArguments(new URL('./opener.js', import.meta.url));
      const { status, stderr } = spawnSync(process.execPath, [...opener, file], { encoding: 'utf8' });
      assert.equal(status, 0, stderr);
      assert.equal(stateOf(folder), 'running');
      const steps: number[] = [];
      await start(experiment, { ...quiet, onProgress: (l) => steps.push(l.step) });
      assert.deepEqual(
        steps,
        Array.from({ length: 12 }, (_, i) => i + 1),
      );
      assert.deepEqual(finalWeights(folder), expected);
    });
  });

  it('two notebooks that start it at the same moment share one run', async () => {
    await elsewhere('shared', async () => {
      const [a, b] = await Promise.all([start(experiment, quiet), start(experiment, quiet)]);
      assert.equal(a.folder, b.folder);
      assert.deepEqual(timelessLog(a.folder), log);
      assert.deepEqual(finalWeights(a.folder), expected);
    });
  });

  it('a person’s own session inside a Slurm job does not take a run from the process that works on it', async () => {
    await elsewhere('session', async () => {
      const folder = prepareFolder({ experiment, fold: 0, seed: 1 });
      const lease = takeLease(folder);
      const child = nodeArguments(new URL('../../src/run/child.js', import.meta.url));
      const inside = (VOXELBOOK_JOB: string) =>
        spawnSync(process.execPath, [...child, folder], {
          encoding: 'utf8',
          env: { ...process.env, SLURM_JOB_ID: '12', VOXELBOOK_JOB },
        });
      assert.match(inside('').stderr, /this run is being worked on/);
      lease.check();
      // The job script itself does: Slurm has started it again.
      assert.equal(inside('1').status, 0);
      assert.throws(() => lease.check(), /taken over/);
      lease.release();
      assert.deepEqual(finalWeights(folder), expected);
    });
  });

  it('refuses paper scale where there is no GPU, unless told otherwise', async () => {
    const recipe = { ...experiment.recipe, epochs: 1, iterationsPerEpoch: 1 };
    const paper = tinyExperiment(root, { recipe, scale: 'paper' });
    await assert.rejects(start(paper, quiet), (error: VoxelbookError) => {
      assert.equal(error.code, 'no-gpu');
      assert.match(error.message, /TensorFlow found no GPU.*VOXELBOOK_PAPER_ON_CPU=1/);
      return true;
    });
    await start(paper, { ...quiet, env: { VOXELBOOK_PAPER_ON_CPU: '1' } });
  });

  it('says what was wrong when the child throws', async () => {
    // Which parameters there are is known where the network is built.
    const wrong = tinyExperiment(root, {
      recipe: { ...experiment.recipe, groups: [{ prefixes: ['nothing.'], learningRate: 0.1 }] },
    });
    await assert.rejects(start(wrong, quiet), (error: VoxelbookError) => {
      assert.match(error.message, /died at forecast, step 0: this recipe does not fit the network/);
      assert.equal(error.code, 'no-such-parameter');
      return true;
    });
  });

  it('refuses a run that will not fit, with the setting that would', async () => {
    const env = { VOXELBOOK_MEMORY_BYTES: '760000000' };
    const big = tinyExperiment(root, { recipe: { ...experiment.recipe, batchSize: 512 } });
    await assert.rejects(start(big, { ...quiet, env }), (error: VoxelbookError) => {
      assert.equal(error.code, 'too-little-memory');
      assert.match(error.message, /With batch size 1 it needs 0\.\d+ GB|With checkpointing on it needs/);
      return true;
    });
  });
});
