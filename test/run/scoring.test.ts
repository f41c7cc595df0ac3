// Scores belong to a rule, not to a run: stored predictions scored again; runs on all training cases and their test sets.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { check, open } from '../../src/dataset/index.js';
import { baseline, ensemble, finishedRun, list, listText, rowBy, scoreBy, start, study } from '../../src/run/index.js';
import type { Rule } from '../../src/score/index.js';
import { type Experiment, runFolderOf, runHash, splitOf } from '../../src/train/index.js';
import { readVolume, writeVolume } from '../../src/volume/index.js';
import { finalWeights, leaveWorkplace, timelessLog, tinyExperiment, workplace } from './tiny.js';

/** One step: what is learnt plays no part here. */
const brief = (root: string, changes: Partial<Experiment>) => {
  const tiny = tinyExperiment(root, changes);
  return { ...tiny, recipe: { ...tiny.recipe, epochs: 1, iterationsPerEpoch: 1, validationIterationsPerEpoch: 1, batchSize: 1 } };
};

const rule = (changes: Partial<Rule>): Rule => ({
  label: 'a rule of the test',
  metrics: ['dsc', 'nsd'],
  order: 'cases within class',
  source: 'this test',
  ...changes,
});

describe('scoring apart from training', () => {
  after(leaveWorkplace);

  it('another scoring is no other run, and a folder named when it was one is still found', () => {
    const root = workplace();
    const plain = tinyExperiment(root);
    const strict = { ...plain, scoring: { nsdToleranceMm: 2 }, labels: { size: 'S' } };
    assert.equal(runHash(plain, 0, 1), runHash(strict, 0, 1));
    assert.notEqual(runHash(plain, 0, 1), runHash(plain, 'all', 1));
    const earlier = path.join(root, 'runs', 'tiny-k3_fold0_seed1-0123456789ab');
    fs.mkdirSync(earlier, { recursive: true });
    fs.writeFileSync(path.join(earlier, 'experiment.json'), JSON.stringify({ experiment: strict, fold: 0, seed: 1 }));
    assert.equal(runFolderOf(plain, 0, 1), earlier);
    assert.notEqual(runFolderOf(plain, 0, 2), earlier);
  });

  it('a published split is fold 0, with every fault named', () => {
    const root = workplace();
    const data = open(path.join(root, 'Dataset042_Balls'));
    const given = { train: ['ball_0', 'ball_1', 'ball_2', 'ball_3'], val: ['ball_4', 'ball_5'] };
    assert.deepEqual(splitOf(tinyExperiment(root, { split: given }), data, 0), given);
    const wrong = { train: ['ball_0', 'ball_9'], val: ['ball_0'] };
    assert.throws(
      () => splitOf(tinyExperiment(root, { split: wrong }), data, 1),
      /folds: 1; expected 0[\s\S]*ball_9; expected cases of the data set[\s\S]*ball_0 in both parts/,
    );
  });

  it('trained on all, tested on the test set; the same predictions by two rules, computed once each', async function () {
    this.timeout(240_000);
    const root = workplace();
    const raw = path.join(root, 'Dataset042_Balls');
    // Two test cases: one with a reference, one without.
    for (const part of ['imagesTs', 'labelsTs']) fs.mkdirSync(path.join(raw, part));
    for (const id of ['ball_4', 'ball_5']) {
      fs.renameSync(path.join(raw, 'imagesTr', `${id}_0000.nii.gz`), path.join(raw, 'imagesTs', `${id}_0000.nii.gz`));
      const label = path.join(raw, 'labelsTr', `${id}.nii.gz`);
      if (id === 'ball_4') fs.renameSync(label, path.join(raw, 'labelsTs', `${id}.nii.gz`));
      else fs.rmSync(label);
    }
    fs.writeFileSync(
      path.join(raw, 'dataset.json'),
      JSON.stringify({ ...JSON.parse(fs.readFileSync(path.join(raw, 'dataset.json'), 'utf8')), numTraining: 4 }),
    );
    const data = open(raw);
    assert.deepEqual(
      data.testCases.map((c) => [c.id, Boolean(c.label)]),
      [
        ['ball_4', true],
        ['ball_5', false],
      ],
    );
    assert.deepEqual((await check(data)).faults, []);
    fs.copyFileSync(path.join(raw, 'imagesTr/ball_0_0000.nii.gz'), path.join(raw, 'imagesTs/ball_0_0000.nii.gz'));
    assert.match((await check(open(raw))).faults[0].given, /also a training case/);
    fs.rmSync(path.join(raw, 'imagesTs/ball_0_0000.nii.gz'));

    const { runs, failures } = await study([brief(root, { folds: 'all' })], { display: null });
    assert.deepEqual(
      failures.map(({ error }) => error.message),
      [],
    );
    const [run] = runs;
    assert.equal(run.fold, 'all');
    assert.equal(run.scores.on, 'test');
    assert.deepEqual(
      run.scores.cases.map((c) => c.id),
      ['ball_4'],
    );
    assert.deepEqual(run.scores.unscored, ['ball_5']);
    for (const id of ['ball_4', 'ball_5']) assert.ok(fs.existsSync(path.join(run.folder, 'predictions', `${id}.nii.gz`)));

    const weights = fs.statSync(path.join(run.folder, 'checkpoints', 'final.safetensors')).mtimeMs;
    // Another ball as the answer, so that the surfaces lie apart.
    fs.copyFileSync(path.join(raw, 'labelsTr/ball_0.nii.gz'), path.join(run.folder, 'predictions/ball_4.nii.gz'));
    const wide = await scoreBy(run, rule({ nsdToleranceMm: 30 }));
    const narrow = await scoreBy(run, rule({ nsdToleranceMm: { shell: 0, core: 0 } }));
    assert.equal(wide.cases[0].classes.shell.nsd, 1);
    assert.ok(narrow.cases[0].classes.shell.nsd < 0.5);
    assert.equal(wide.cases[0].classes.shell.dsc, narrow.cases[0].classes.shell.dsc);
    assert.equal(fs.statSync(path.join(run.folder, 'checkpoints', 'final.safetensors')).mtimeMs, weights);
    assert.deepEqual(finishedRun(run.folder).scores, run.scores);
    const stored = fs.readdirSync(path.join(run.folder, 'scored')).map((name) => path.join(run.folder, 'scored', name));
    assert.equal(stored.length, 2);
    const times = stored.map((file) => fs.statSync(file).mtimeMs);
    assert.deepEqual(await scoreBy(run, rule({ nsdToleranceMm: 30 })), wide);
    assert.deepEqual(
      stored.map((file) => fs.statSync(file).mtimeMs),
      times,
    );
    // A changed prediction is scored again.
    fs.copyFileSync(path.join(raw, 'labelsTs/ball_4.nii.gz'), path.join(run.folder, 'predictions/ball_4.nii.gz'));
    assert.equal((await scoreBy(run, rule({ nsdToleranceMm: 30 }))).cases[0].classes.shell.dsc, 1);

    // The same run under another scoring: no training, its own numbers.
    const again = await study([brief(root, { folds: 'all', scoring: { nsdToleranceMm: 0, metrics: ['iou'] } })], {
      display: null,
    });
    assert.equal(again.runs[0].folder, run.folder);
    assert.equal(again.runs[0].scores.nsd.toleranceMm, 0);
    assert.equal(again.runs[0].scores.cases[0].classes.shell.iou, 1);

    const joined = await ensemble('twice', [run, run], { rule: rule({}) });
    assert.deepEqual(
      joined.cases.map((c) => c.id),
      ['ball_4'],
    );
    const row = await rowBy('tiny', [run], rule({}));
    const floor = await baseline(brief(root, { folds: 'all' }), row.rule);
    assert.deepEqual(
      floor.scores.map((s) => [s.on, s.cases.map((c) => c.id).join()]),
      [['test', 'ball_4']],
    );
    // A changed test set outdates the scores alone: scored again is what changed, and only a changed image is predicted again.
    const [trained, log] = [finalWeights(run.folder), timelessLog(run.folder)];
    const plainAll = brief(root, { folds: 'all' });
    const prediction = (id: string) => path.join(run.folder, 'predictions', `${id}.nii.gz`);
    const made = (id: string) => fs.statSync(prediction(id)).mtimeMs;
    const before = [made('ball_4'), made('ball_5')];
    fs.copyFileSync(path.join(raw, 'labelsTr/ball_1.nii.gz'), path.join(raw, 'labelsTs/ball_5.nii.gz'));
    assert.match(listText(list()), /out of date: test labels changed of ball_5; starting it scores it again/);
    const said: string[] = [];
    const rescored = await start(plainAll, { display: null, onNotice: (text) => said.push(text) });
    assert.match(said[0], /test labels changed of ball_5 since it was scored; it is scored again, its training stays/);
    assert.deepEqual(
      rescored.scores.cases.map((c) => c.id),
      ['ball_4', 'ball_5'],
    );
    assert.equal(rescored.scores.unscored, undefined);
    assert.deepEqual([made('ball_4'), made('ball_5')], before);
    assert.equal(rescored.outdated, undefined);
    const image = path.join(raw, 'imagesTs/ball_5_0000.nii.gz');
    const volume = readVolume(image);
    writeVolume(image, { ...volume, data: Float32Array.from(volume.data, (v) => v + 1) });
    assert.deepEqual(finishedRun(run.folder).outdated, ['test images changed of ball_5']);
    await start(plainAll, { display: null, onNotice: () => {} });
    assert.equal(made('ball_4'), before[0]);
    assert.notEqual(made('ball_5'), before[1]);
    assert.deepEqual(finalWeights(run.folder), trained);
    assert.deepEqual(timelessLog(run.folder), log);

    await assert.rejects(scoreBy(run, rule({ nsdToleranceMm: { shell: 1 } })), /none for core; expected shell, core/);
    fs.rmSync(path.join(run.folder, 'predictions/ball_4.nii.gz'));
    await assert.rejects(scoreBy(run, rule({})), /ball_4\.nii\.gz: no file; expected the prediction of every scored case/);
  });
});
