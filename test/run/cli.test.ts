import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { nodeArguments } from '../../src/base/workers.js';
import { finishedRun, list, listText, trainedModel } from '../../src/run/index.js';
import { LiveView, type MimeBundle, picture, statusLine } from '../../src/run/live.js';
import { type Experiment, type ProgressLine, runFolderOf, runHash, runName } from '../../src/train/index.js';
import { leaveWorkplace, tinyExperiment, workplace } from './tiny.js';

const cli = nodeArguments(new URL('../../src/run/cli.js', import.meta.url));
const voxelbook = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...cli, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
};

const line = (step: number, extra: Partial<ProgressLine> = {}): ProgressLine => ({
  epoch: 0,
  epochs: 2,
  step,
  steps: 20,
  loss: 1 / step,
  validationLoss: null,
  pseudoDsc: null,
  pseudoDscPerClass: null,
  lr: 1e-3,
  seconds: step,
  waitingShare: 0,
  rssBytes: 2 ** 30,
  etaSeconds: 100,
  ...extra,
});

describe('voxelbook in a terminal', () => {
  let root: string;
  let file: string;
  let experiment: Experiment;

  after(leaveWorkplace);
  before(() => {
    root = workplace();
    experiment = tinyExperiment(root, { recipe: { ...tinyExperiment(root).recipe, epochs: 1 } });
    file = path.join(root, 'tiny.json');
    fs.writeFileSync(file, JSON.stringify(experiment));
  });

  it('helps: every command with an example', () => {
    const { stdout, status } = voxelbook('--help');
    assert.equal(status, 0);
    for (const name of [
      'run',
      'check',
      'plan',
      'preprocess',
      'train',
      'predict',
      'evaluate',
      'ensemble',
      'find-best',
      'model',
      'reproduce',
      'submit',
      'list',
    ])
      assert.match(stdout, new RegExp(`^  ${name} `, 'm'));
    assert.match(voxelbook('run', '--help').stdout, /--fold … .*\n(.*\n)*example: npx voxelbook run mednext\.json --fold 0/);
  });

  it('says what is wrong with a command line, with exit code 2', () => {
    const unknown = voxelbook('trian');
    assert.equal(unknown.status, 2);
    assert.match(unknown.stderr, /there is no command trian; there are run, /);
    const missing = voxelbook('run', '/no/such.json');
    assert.equal(missing.status, 2);
    assert.match(missing.stderr, /\/no\/such\.json; expected an existing JSON file/);
  });

  it('runs an experiment, lists it, and predicts a folder with it', () => {
    const run = voxelbook('run', file, '--fold', '0');
    assert.equal(run.status, 0, run.stderr);
    assert.match(run.stdout, /epoch 1\/1 · step 4\/4 · loss \d/);
    assert.match(run.stdout, /_fold0_seed1-[0-9a-f]{12}: DSC .* on 2 cases/);
    const folder = runFolderOf(experiment, 0, 1);
    assert.match(voxelbook('list').stdout, /tiny k3 +0 +1 +finished +4 +4 /);
    const out = path.join(root, 'out');
    const predict = voxelbook('predict', path.join(root, 'Dataset042_Balls', 'imagesTr'), out, '--run', folder);
    assert.equal(predict.status, 0, predict.stderr);
    assert.equal(fs.readdirSync(out).filter((f) => f.endsWith('.nii.gz')).length, 6);
    const evaluate = voxelbook('evaluate', out, path.join(root, 'Dataset042_Balls', 'labelsTr'));
    assert.equal(evaluate.status, 0, evaluate.stderr);
    assert.match(evaluate.stdout, /foreground mean: Dice /);
    // What the run predicted for its validation cases and what its weights predict now are the same files.
    for (const { id } of finishedRun(folder).scores.cases)
      assert.deepEqual(
        fs.readFileSync(path.join(out, `${id}.nii.gz`)),
        fs.readFileSync(path.join(folder, 'predictions', `${id}.nii.gz`)),
      );
    trainedModel([folder, folder]).dispose();
  });
});

describe('run folders and what they show', () => {
  after(leaveWorkplace);
  it('the hash changes with every setting, and not with the name or the list of folds', () => {
    const e = tinyExperiment('/x');
    const hash = runHash(e, 0, 1);
    assert.equal(runHash({ ...e, name: 'other', folds: [0, 1], seeds: [7] }, 0, 1), hash);
    assert.equal(runHash(JSON.parse(JSON.stringify(e)), 0, 1), hash);
    const changed = [
      runHash(e, 1, 1),
      runHash(e, 0, 2),
      runHash({ ...e, recipe: { ...e.recipe, gradientClip: 11 } }, 0, 1),
      runHash({ ...e, init: { upkernFrom: e } }, 0, 1),
      runHash({ ...e, init: { from: e } }, 0, 1),
      runHash({ ...e, prediction: { ...e.prediction, stepSize: 0.4 } }, 0, 1),
    ];
    assert.equal(new Set([hash, ...changed]).size, 7);
    assert.match(runName({ ...e, name: '../Ünï <k3> & co' }, 0, 1), /^Uni-k3-co_fold0_seed1-[0-9a-f]{12}$/);
  });

  it('the live view redraws one display, as picture and text, with outside strings escaped', () => {
    const shown: MimeBundle[] = [];
    let updates = 0;
    const display = (bundle: MimeBundle) => {
      shown.push(bundle);
      return {
        update(next: MimeBundle) {
          updates++;
          shown.push(next);
        },
      };
    };
    const view = new LiveView('<script>alert(1)</script>', 'a folder', display);
    view.update([line(1)]);
    view.update([line(1), line(2)]);
    view.update([line(1), line(2), line(10, { pseudoDsc: 0.5 })]);
    view.end();
    assert.equal(updates, shown.length - 1);
    const last = shown.at(-1)!;
    assert.match(last['text/plain'], /epoch 1\/2 · step 10\/20 · loss 0\.100 · pseudo-DSC 0\.500 · 1 min 40 s left · 1\.0 GB/);
    assert.match(last['image/svg+xml'], /^<svg /);
    assert.ok(!last['image/svg+xml'].includes('<script'));
    assert.ok(!/NaN|Infinity/.test(picture('x', [], '')['image/svg+xml']));
    assert.equal(statusLine([]), 'starting');
  });

  it('an empty list says so', () => {
    workplace();
    assert.equal(listText(list()), 'no runs yet');
  });
});
