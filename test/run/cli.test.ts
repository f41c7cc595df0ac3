import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { nodeArguments } from '../../src/base/workers.js';
import { finishedRun, list, listText, trainedModel } from '../../src/run/index.js';
import { LiveView, type MimeBundle, picture, statusLine } from '../../src/run/live.js';
import { type Experiment, type ProgressLine, runFolderOf, runHash, runName } from '../../src/train/index.js';
import { readVolume, writeVolume } from '../../src/volume/index.js';
import { leaveWorkplace, tinyExperiment, workplace, writeTinySet } from './tiny.js';

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
  gradientNorm: null,
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
      'fetch',
      'convert',
      'dicom-seg',
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
    assert.match(unknown.stderr, /there is no command trian; there are setup, .*, run, /);
    const missing = voxelbook('run', '/no/such.json');
    assert.equal(missing.status, 2);
    assert.match(missing.stderr, /\/no\/such\.json; expected an existing JSON file/);
  });

  it('runs an experiment, lists it, and predicts a folder with it', function () {
    this.timeout(240_000);
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

describe('the command line agrees with itself', () => {
  let root: string;
  let file: string;
  let experiment: Experiment;
  const said = (...args: string[]) => {
    const { status, stdout, stderr } = voxelbook(...args);
    return { status, text: stdout + stderr };
  };

  after(leaveWorkplace);
  before(() => {
    root = workplace();
    experiment = tinyExperiment(root, { recipe: { ...tinyExperiment(root).recipe, epochs: 1 } });
    file = path.join(root, 'tiny.json');
    fs.writeFileSync(file, JSON.stringify({ ...experiment, dataset: './Dataset042_Balls' }));
  });

  it('after train, list says trained and where; run goes on from there', function () {
    this.timeout(240_000);
    const train = said('train', file);
    assert.equal(train.status, 0, train.text);
    const weights = path.join(runFolderOf(experiment, 0, 1), 'checkpoints', 'final.safetensors');
    assert.match(train.text, new RegExp(`trained: ${weights}`));
    assert.match(said('list').text, new RegExp(`tiny k3 +0 +1 +trained +4 +4 .* ${weights}`));
    assert.equal(said('run', file).status, 0);
    assert.match(said('list').text, /tiny k3 +0 +1 +finished/);
  });

  it('predict, evaluate, ensemble and find-best take a run, a study or a folder', function () {
    this.timeout(480_000);
    const folder = runFolderOf(experiment, 0, 1);
    const set = path.join(root, 'Dataset042_Balls');
    for (const [i, name] of [file, path.basename(folder), path.dirname(folder)].entries()) {
      const predict = said('predict', path.join(set, 'imagesTr'), path.join(root, `out${i}`), '--run', name);
      assert.match(predict.text, /6 cases written/, predict.text);
    }
    const evaluate = said('evaluate', file);
    assert.match(evaluate.text, /shell: Dice [\d.]+\ncore: Dice [\d.]+\nforeground mean: Dice/, evaluate.text);
    assert.match(said('ensemble', file, folder).text, /tiny k3.*: DSC .* on 2 cases/);
    const best = said('find-best', path.dirname(folder), path.join(set, 'labelsTr'), '-c', '3d_fullres');
    assert.equal(best.status, 0, best.text);
    assert.match(best.text, /foreground mean Dice [\d.]+\nbest: /);
    // The advice can be run as printed.
    const [predict, postprocess] = [...best.text.matchAll(/npx voxelbook (.*)/g)].map(([, line]) =>
      line.replace('INPUT_FOLDER', path.join(set, 'imagesTr')).replaceAll('OUTPUT_FOLDER', path.join(root, 'best')).split(' '),
    );
    assert.equal(said(...predict).status, 0);
    const done = said(...postprocess);
    assert.equal(done.status, 0, done.text);
    assert.equal(fs.readdirSync(path.join(root, 'best_PP')).filter((f) => f.endsWith('.nii.gz')).length, 6);
  });

  it('nothing to predict, no such run and runs of two experiments are errors', function () {
    this.timeout(240_000);
    const folder = runFolderOf(experiment, 0, 1);
    const nowhere = said('predict', path.join(root, 'nowhere'), path.join(root, 'o'), '--run', folder);
    assert.equal(nowhere.status, 1);
    assert.ok(!fs.existsSync(path.join(root, 'o')));
    assert.match(said('predict', root, path.join(root, 'o'), '--run', 'nobody').text, /nobody: neither a file nor a folder/);
    assert.match(said('find-best', '/dev/null').text, /null: neither a file nor a folder/);
    const other = path.join(root, 'other.json');
    const gentler = { ...experiment, name: 'other', recipe: { ...experiment.recipe, gradientClip: 5 } };
    fs.writeFileSync(other, JSON.stringify(gentler));
    assert.equal(said('train', other).status, 0);
    const both = said('predict', root, path.join(root, 'o'), '--run', file, '--run', other);
    assert.match(both.text, /these runs belong to different experiments\n.*"tiny k3".*"other"/);
  });

  it('a data set with faults is refused by every command that would use it, all faults at once, before any work', function () {
    this.timeout(240_000);
    const set = path.join(root, 'Dataset044_Faulty');
    writeTinySet(set);
    fs.rmSync(path.join(set, 'labelsTr', 'ball_2.nii.gz'));
    const odd = readVolume(path.join(set, 'labelsTr', 'ball_1.nii.gz'));
    writeVolume(path.join(set, 'labelsTr', 'ball_1.nii.gz'), { ...odd, data: odd.data.map((v, i) => (i === 0 ? 17 : v)) });
    fs.rmSync(path.join(set, 'imagesTr', 'ball_4_0000.nii.gz'));
    writeVolume(path.join(set, 'imagesTr', 'ball_4_0001.nii.gz'), odd);
    const own = path.join(root, 'faulty.json');
    fs.writeFileSync(own, JSON.stringify({ ...experiment, name: 'faulty', dataset: set }));
    for (const command of [
      ['check', set],
      ['plan', set],
      ['preprocess', set, '-c', '3d_fullres'],
      ['train', own],
      ['run', own],
    ]) {
      const { status, text } = said(...command);
      assert.equal(status, 1, `${command[0]}: ${text}`);
      assert.match(text, /labelsTr\/ball_2\.nii\.gz/);
      assert.match(text, /labelsTr\/ball_1\.nii\.gz.*\b17 \(1 voxels\)/);
      assert.match(text, /ball_4.*_0001/);
    }
    assert.ok(!fs.existsSync(path.join(runFolderOf({ ...experiment, name: 'faulty', dataset: set }, 0, 1), 'progress.jsonl')));
  });

  it('find-best takes from a folder of runs those that the labels belong to', function () {
    this.timeout(240_000);
    const set = path.join(root, 'Dataset043_Other');
    writeTinySet(set);
    const own = path.join(root, 'elsewhere.json');
    fs.writeFileSync(own, JSON.stringify({ ...experiment, name: 'elsewhere', dataset: set }));
    assert.equal(said('run', own).status, 0);
    const runs = path.dirname(runFolderOf(experiment, 0, 1));
    const best = said('find-best', runs, path.join(set, 'labelsTr'), '--no-ensembles');
    assert.match(best.text, /^elsewhere: foreground mean Dice [\d.]+\nbest: elsewhere/, best.text);
    const none = said('find-best', runs, path.join(set, 'imagesTr'));
    assert.equal(none.status, 2);
    assert.match(none.text, /imagesTr; expected the labels of these runs: /);
  });

  it('evaluate does not score a run whose data set has changed since', function () {
    this.timeout(240_000);
    const label = path.join(root, 'Dataset042_Balls', 'labelsTr', 'ball_3.nii.gz');
    const kept = fs.readFileSync(label);
    const volume = readVolume(label);
    writeVolume(label, { ...volume, data: volume.data.map((v, i) => (i === 0 ? 1 : v)) });
    const { status, text } = said('evaluate', file);
    assert.equal(status, 1, text);
    assert.match(text, /labels changed of ball_3/);
    assert.match(text, /a result of inputs that changed since; expected a run of the data set as it is/);
    fs.writeFileSync(label, kept);
  });

  it('numbers that make no sense are errors, before any work', function () {
    this.timeout(120_000);
    for (const args of [
      ['run', file, '--at-once', '0'],
      ['study', file, '--at-once=-1'],
      ['reproduce', 'mednext', '--at-once', '1.5'],
      ['preprocess', path.join(root, 'Dataset042_Balls'), '--workers', '0'],
      ['run', file, '--seed', ''],
    ]) {
      const { status, text } = said(...args);
      assert.equal(status, 2, `${args.join(' ')}: ${text}`);
      assert.match(text, /expected a whole number of at least [01]/);
    }
  });

  it('is a program: npx starts the built file itself', () => {
    fs.accessSync(new URL('../../dist/run/cli.js', import.meta.url), fs.constants.X_OK);
  });

  it('plan keeps an edited plan unless it is told to overwrite it', function () {
    this.timeout(120_000);
    const set = path.join(root, 'Dataset042_Balls');
    const plan = path.join(root, 'runs/data/preprocessed/Dataset042_Balls/nnUNetPlans.json');
    assert.equal(said('plan', set).status, 0);
    const value = JSON.parse(fs.readFileSync(plan, 'utf8'));
    value.configurations['3d_fullres'].batch_size = 7;
    fs.writeFileSync(plan, JSON.stringify(value));
    const kept = said('plan', set);
    assert.equal(kept.status, 1);
    assert.match(kept.text, /is not as it was planned, and stays\n.*configurations\.3d_fullres\.batch_size: 7 instead of 2/);
    assert.equal(JSON.parse(fs.readFileSync(plan, 'utf8')).configurations['3d_fullres'].batch_size, 7);
    assert.equal(said('plan', set, '--overwrite').status, 0);
    assert.equal(JSON.parse(fs.readFileSync(plan, 'utf8')).configurations['3d_fullres'].batch_size, 2);
  });

  it('experiment writes the whole form of the short one, the same runs', function () {
    this.timeout(120_000);
    const set = path.join(root, 'Dataset042_Balls');
    const out = path.join(root, 'whole.json');
    const made = said('experiment', set, '--network', 'mednext', '--scale', 'demo', '--out', out);
    assert.equal(made.status, 0, made.text);
    const whole = JSON.parse(fs.readFileSync(out, 'utf8'));
    assert.deepEqual([whole.model.width, whole.model.grn, whole.seeds, whole.scale], [32, false, [0], 'demo']);
    assert.ok(fs.existsSync(whole.$schema));
    const short = path.join(root, 'short.json');
    const keys = { dataset: set, model: { network: 'mednext', size: 'S', kernel: 3 }, scale: 'demo' };
    fs.writeFileSync(short, JSON.stringify(keys));
    const scripts = [out, short].map((f) => /scripts in (.*)/.exec(said('submit', f, '--dry-run').text)![1]);
    assert.equal(scripts[0], scripts[1]);
    assert.equal(said('experiment', set, '--network', 'mednext', '--out', out).status, 2);
    assert.match(said('experiment', set, '--network', 'mednxt').text, /model\.network: "mednxt"; .* Did you mean mednext\?/);
  });

  it('a terminal gets no control characters', () => {
    const { text } = said('run', path.join(root, 'no\u001b[2Jwhere.json'));
    assert.ok(!text.includes('\u001b'), JSON.stringify(text));
    assert.match(text, /no\\u001b\[2Jwhere/);
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
