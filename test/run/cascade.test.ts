// The cascade end to end: five folds at a low resolution, then a network that sees their labels.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import type { VoxelbookError } from '../../src/base/errors.js';
import { readSafetensors } from '../../src/base/safetensors.js';
import { nodeArguments } from '../../src/base/workers.js';
import { open, split } from '../../src/dataset/index.js';
import type { Plan } from '../../src/plan/index.js';
import { predictCase } from '../../src/predict/index.js';
import { loadStageLabels, loadStored, preprocessedShape, withPreviousStage } from '../../src/preprocess/index.js';
import { ensemble, type FinishedRun, finishedRun, graph, start, study, trainedModel } from '../../src/run/index.js';
import { readLease } from '../../src/run/lease.js';
import { submit } from '../../src/run/slurm.js';
import { type Experiment, nextStageFolder, runFolderOf } from '../../src/train/index.js';
import { readVolume } from '../../src/volume/index.js';
import { finalWeights, leaveWorkplace, timelessLog, tinyExperiment, workplace, writeTinySet } from './tiny.js';

const quiet = { display: null } as const;
const folds = [0, 1, 2, 3, 4];
const cli = nodeArguments(new URL('../../src/run/cli.js', import.meta.url));
const voxelbook = (...args: string[]) => spawnSync(process.execPath, [...cli, ...args], { encoding: 'utf8' });

describe('a cascade', function () {
  this.timeout(900_000);
  let root: string;
  let dataset: string;
  let ids: string[];
  let lowres: Experiment;
  let cascade: Experiment;
  let second: FinishedRun;

  const preprocessed = (configuration: string) =>
    path.join(process.env.VOXELBOOK_DATA!, 'preprocessed', 'Dataset043_LargeBalls', `nnUNetPlans_0.008GB_${configuration}`);
  const stageOf = (fold: number) => nextStageFolder(runFolderOf(lowres, fold, 1), '3d_cascade_fullres');
  const foldOf = (id: string) => folds.find((k) => split(ids, k).val.includes(id))!;

  after(leaveWorkplace);
  before(async () => {
    root = workplace();
    process.env.VOXELBOOK_DATA = path.join(root, 'data');
    dataset = path.join(root, 'Dataset043_LargeBalls');
    // With so little memory planned for, a patch sees less than a quarter of these images: the planner itself adds the cascade.
    writeTinySet(dataset, 28);
    ids = open(dataset).cases.map((c) => c.id);
    const { recipe } = tinyExperiment(root);
    const common = { dataset, gpuMemoryGb: 0.008 };
    lowres = tinyExperiment(root, { ...common, name: 'low', configuration: '3d_lowres', recipe: { ...recipe, epochs: 1 } });
    cascade = tinyExperiment(root, {
      ...common,
      name: 'cascade',
      configuration: '3d_cascade_fullres',
      recipe: { ...recipe, epochs: 2 },
      previousStage: lowres,
    });
    const { runs, failures } = await study([cascade], { ...quiet, threads: 1 });
    assert.deepEqual(failures, []);
    [second] = runs;
  });

  it('is planned as five runs and one that needs them all, also on a cluster', async () => {
    const runs = graph([cascade]);
    assert.deepEqual(
      runs.map((r) => [r.experiment.name, r.fold, r.seed, r.level, r.finished]),
      [...folds.map((k) => ['low', k, 1, 0, true]), ['cascade', 0, 1, 1, true]],
    );
    assert.deepEqual(
      runs[5].needs,
      runs.slice(0, 5).map((r) => r.hash),
    );
    const { folder } = await submit(runs, { dryRun: true });
    const grid = fs.readFileSync(path.join(folder, 'grid.jsonl'), 'utf8').trim().split('\n');
    assert.deepEqual(
      grid.map((line) => JSON.parse(line).level),
      [0, 0, 0, 0, 0, 1],
    );
  });

  it('every case has labels of the fold that held it out, at the next stage’s shape: what that fold’s weights say', async () => {
    for (const fold of folds)
      assert.deepEqual(
        fs.readdirSync(stageOf(fold)).sort(),
        split(ids, fold).val.map((id) => `${id}.safetensors`),
      );
    const found = new Set<number>();
    const plan: Plan = JSON.parse(fs.readFileSync(path.join(runFolderOf(lowres, 0, 1), 'plan.json'), 'utf8'));
    for (const id of ids) {
      const { shape, properties } = loadStored(preprocessed('3d_fullres'), id);
      assert.deepEqual(preprocessedShape(properties, plan, '3d_cascade_fullres'), shape);
      const stored = loadStageLabels(stageOf(foldOf(id)), id, shape);
      for (const label of stored) found.add(label);
      const { model, dispose } = trainedModel([runFolderOf(lowres, foldOf(id), 1)]);
      try {
        const again = await predictCase(model, loadStored(preprocessed('3d_lowres'), id), { nextStage: shape });
        assert.deepEqual(again.nextStage, stored);
      } finally {
        dispose();
      }
    }
    assert.ok(found.size > 1, 'labels other than background');
  });

  it('the second stage shares the preprocessed data of the full resolution, and its network takes image and labels', () => {
    const folder = path.dirname(preprocessed('3d_fullres'));
    const folders = fs.readdirSync(folder, { withFileTypes: true }).filter((e) => e.isDirectory());
    assert.deepEqual(folders.map((e) => e.name).sort(), ['nnUNetPlans_0.008GB_3d_fullres', 'nnUNetPlans_0.008GB_3d_lowres']);
    const inputs = (run: string) =>
      readSafetensors(path.join(run, 'checkpoints', 'final.safetensors')).tensors['stem.weight'].shape[1];
    assert.equal(inputs(runFolderOf(lowres, 0, 1)), 1);
    assert.equal(inputs(second.folder), 1 + 2);
    const forecast = (run: string) => JSON.parse(fs.readFileSync(path.join(run, 'forecast.json'), 'utf8')).bytes;
    // Three batches ahead, as arrays and as tensors: two channels more of two patches.
    const more = forecast(second.folder).batches - forecast(runFolderOf(lowres, 0, 1)).batches;
    assert.equal(more, 3 * 2 * 4 * 2 * 2 * 16 ** 3);
  });

  it('held-out cases are predicted with the labels of the first stage, and other labels give another answer', async () => {
    const { model, dispose } = trainedModel([second.folder]);
    try {
      for (const { id } of second.scores.cases) {
        const done = loadStored(preprocessed('3d_fullres'), id);
        const labels = loadStageLabels(stageOf(0), id, done.shape);
        const answer = async (previous: ArrayLike<number>) =>
          predictCase(model, withPreviousStage(done, previous, [1, 2]), { keepProbabilities: true });
        const first = await answer(labels);
        assert.deepEqual(first.labels, readVolume(path.join(second.folder, 'predictions', `${id}.nii.gz`)).data);
        const other = await answer(labels.map((v) => (v + 1) % 3));
        assert.notDeepEqual(other.probabilities, first.probabilities);
      }
    } finally {
      dispose();
    }
  });

  it('an ensemble of the second stage alone is the second stage; with the first, each member sees its own data', async () => {
    const alone = await ensemble('alone', [second]);
    assert.deepEqual(alone.cases, second.scores.cases);
    const both = await ensemble('both', [finishedRun(runFolderOf(lowres, 0, 1)), second]);
    assert.deepEqual(
      both.cases.map((c) => c.id),
      split(ids, 0).val,
    );
    assert.equal(
      both.cost.parameters,
      second.scores.cost.parameters + finishedRun(runFolderOf(lowres, 0, 1)).scores.cost.parameters,
    );
  });

  it('killed in either stage, it ends with the same bits, with any number of workers', async () => {
    const expected = { weights: finalWeights(second.folder), log: timelessLog(second.folder) };
    const answers = (folder: string) =>
      second.scores.cases.map(({ id }) => fs.readFileSync(path.join(folder, 'predictions', `${id}.nii.gz`)));
    const expectedAnswers = answers(second.folder);
    const stored = split(ids, 2).val.map((id) => fs.readFileSync(path.join(stageOf(2), `${id}.safetensors`)));
    const home = process.env.VOXELBOOK_RUNS!;
    process.env.VOXELBOOK_RUNS = path.join(root, 'killed');
    try {
      fs.cpSync(home, process.env.VOXELBOOK_RUNS, { recursive: true });
      const folder = runFolderOf(cascade, 0, 1);
      fs.rmSync(folder, { recursive: true });
      // The first stage as a kill between two files of a case leaves it: trained, the labels for the next stage not yet written.
      const first = runFolderOf(lowres, 2, 1);
      fs.rmSync(path.join(first, 'scores.json'));
      fs.rmSync(stageOf(2), { recursive: true });
      let killed = false;
      const dying = start(cascade, {
        ...quiet,
        threads: 1,
        env: { VOXELBOOK_WORKERS: '2' },
        onProgress(line) {
          const lease = readLease(folder);
          if (killed || !lease || line.step < 6) return;
          killed = true;
          process.kill(lease.pid, 'SIGKILL');
        },
      });
      await assert.rejects(dying, /run cascade_fold0_seed1-[0-9a-f]{12} died at step \d: killed by SIGKILL/);
      assert.deepEqual(
        split(ids, 2).val.map((id) => fs.readFileSync(path.join(stageOf(2), `${id}.safetensors`))),
        stored,
      );
      await start(cascade, { ...quiet, threads: 1, env: { VOXELBOOK_WORKERS: '0' } });
      assert.deepEqual({ weights: finalWeights(folder), log: timelessLog(folder) }, expected);
      assert.deepEqual(answers(folder), expectedAnswers);

      // A first stage that is finished but has no labels is named, not passed over.
      fs.rmSync(folder, { recursive: true });
      fs.rmSync(path.join(stageOf(1), `${split(ids, 1).val[0]}.safetensors`));
      await assert.rejects(start(cascade, quiet), (error: VoxelbookError) => {
        assert.equal(error.code, 'previous-stage-missing');
        assert.match(error.message, /fold 1 of "low", seed 1: no labels of ball_4 in .*predicted_next_stage.3d_cascade_fullres/);
        return true;
      });
    } finally {
      process.env.VOXELBOOK_RUNS = home;
    }
  });

  it('runs from one file in a terminal, and predicts new images: first stage, then the second with its folder', () => {
    const file = path.join(root, 'cascade.json');
    fs.writeFileSync(file, JSON.stringify(cascade));
    const run = voxelbook('run', file);
    assert.equal(run.status, 0, run.stderr);
    assert.match(run.stdout, /^cascade_fold0_seed1-[0-9a-f]{12}: DSC .* on 2 cases\n$/);
    const images = path.join(dataset, 'imagesTr');
    const [low, high] = ['low', 'high'].map((name) => path.join(root, name));
    const first = voxelbook('predict', images, low, '--run', runFolderOf(lowres, 0, 1));
    assert.equal(first.status, 0, first.stderr);
    const without = voxelbook('predict', images, high, '--run', second.folder);
    assert.equal(without.status, 1);
    assert.match(without.stderr, /3d_cascade_fullres needs the previous stage\n.*expected labels predicted by 3d_lowres/);
    const done = voxelbook('predict', images, high, '--run', second.folder, '--previous', low);
    assert.equal(done.status, 0, done.stderr);
    assert.equal(fs.readdirSync(high).filter((f) => f.endsWith('.nii.gz')).length, 6);
  });
});
