// Results belong to their inputs: what changed is said and computed again, what did not is not.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { hashed } from '../../src/dataset/content.js';
import { loadCase, open } from '../../src/dataset/index.js';
import { preprocessedFolder } from '../../src/preprocess/index.js';
import { changesOf, settled } from '../../src/run/fresh.js';
import { finishedRun, list, listText, start, study } from '../../src/run/index.js';
import { type Experiment, inputsOf, prepare, runFolderOf } from '../../src/train/index.js';
import { readVolume, writeVolume } from '../../src/volume/index.js';
import { leaveWorkplace, tinyExperiment, workplace } from './tiny.js';

const quiet = { display: null } as const;

describe('results belong to their inputs', function () {
  this.timeout(300_000);
  let root: string;
  let raw: string;
  let experiment: Experiment;
  const file = (part: string, id: string) => path.join(raw, part, `${id}${part === 'imagesTr' ? '_0000' : ''}.nii.gz`);
  /** Another label on one voxel. */
  const relabel = (id: string) => {
    const volume = readVolume(file('labelsTr', id));
    const data = (volume.data as Uint8Array).slice();
    data[7] = data[7] === 1 ? 0 : 1;
    writeVolume(file('labelsTr', id), { ...volume, data });
  };
  const time = (name: string, folder = runFolderOf(experiment, 0, 1)) => fs.statSync(path.join(folder, name)).mtimeMs;
  /** What stands in a run folder for a result, as if it had been computed now. */
  const pretend = async (e: Experiment, fold: number) => {
    const folder = runFolderOf(e, fold, 1);
    fs.mkdirSync(folder, { recursive: true });
    const prepared = await prepare(e);
    fs.writeFileSync(path.join(folder, 'inputs.json'), JSON.stringify(inputsOf(e, fold, 1, prepared)));
    fs.writeFileSync(path.join(folder, 'scores.json'), JSON.stringify({ cases: [] }));
    return folder;
  };

  after(leaveWorkplace);
  before(() => {
    root = workplace();
    raw = path.join(root, 'Dataset042_Balls');
    experiment = tinyExperiment(root, { recipe: { ...tinyExperiment(root).recipe, epochs: 1 } });
  });

  it('nothing changed: nothing is computed, and not one file is read again; touched files that hold the same neither', async () => {
    const first = await start(experiment, quiet);
    const scores = time('scores.json');
    const { files } = hashed;
    const again = await start(experiment, quiet);
    assert.deepEqual(again.scores, first.scores);
    assert.equal(hashed.files, files);
    for (const part of ['imagesTr', 'labelsTr'])
      for (const name of fs.readdirSync(path.join(raw, part))) fs.utimesSync(path.join(raw, part, name), new Date(), new Date());
    await start(experiment, quiet);
    assert.equal(time('scores.json'), scores);
    assert.ok(hashed.files > files);
  });

  it('a changed label: said, the old result moved aside, and exactly what depends on it made again', async () => {
    const folder = runFolderOf(experiment, 0, 1);
    const base = preprocessedFolder(open(raw));
    const where = path.join(base, 'nnUNetPlans_3d_fullres');
    const made = Object.fromEntries(fs.readdirSync(where).map((name) => [name, fs.statSync(path.join(where, name)).mtimeMs]));
    const old = fs.readFileSync(path.join(folder, 'scores.json'));
    relabel('ball_1');
    assert.deepEqual(await changesOf({ experiment, fold: 0, seed: 1 }), ['labels changed of ball_1']);
    assert.match(listText(list()), /DSC .* · out of date: labels changed of ball_1; starting it computes it again/);
    assert.deepEqual(finishedRun(folder).outdated, ['labels changed of ball_1']);
    const said: string[] = [];
    const { runs } = await study([experiment], { ...quiet, onEvent: (text) => said.push(text) });
    assert.match(said[0], /_fold0_seed1-[0-9a-f]{12}: labels changed of ball_1 since it was computed; it is computed again/);
    assert.equal(runs.length, 1);
    assert.equal(runs[0].outdated, undefined);
    assert.deepEqual(fs.readFileSync(path.join(folder, 'superseded', '1', 'scores.json')), old);
    const renewed = fs.readdirSync(where).filter((name) => fs.statSync(path.join(where, name)).mtimeMs !== made[name]);
    assert.ok(renewed.length > 0 && renewed.every((name) => name.startsWith('ball_1.')), renewed.join());
    assert.deepEqual(await changesOf({ experiment, fold: 0, seed: 1 }), []);
  });

  it('a run that does not see the case stays; a half-trained one does not go on with other data', async () => {
    const base = preprocessedFolder(open(raw));
    const hand = [
      { train: ['ball_0', 'ball_1', 'ball_2'], val: ['ball_3'] },
      { train: ['ball_1', 'ball_2', 'ball_3'], val: ['ball_4'] },
    ];
    const splits = path.join(base, 'splits_final.json');
    const before = fs.readFileSync(splits);
    fs.writeFileSync(splits, JSON.stringify(hand));
    assert.deepEqual(await changesOf({ experiment, fold: 0, seed: 1 }), [
      `no longer in this fold: ${['ball_4', 'ball_5'].join(', ')}`,
    ]);
    await pretend(experiment, 0);
    const other = await pretend(experiment, 1);
    relabel('ball_0');
    assert.deepEqual(await changesOf({ experiment, fold: 0, seed: 1 }), ['labels changed of ball_0']);
    assert.deepEqual(await changesOf({ experiment, fold: 1, seed: 1 }), []);
    assert.equal(await settled({ experiment, fold: 1, seed: 1 }, other), true);
    // The same cases on other sides.
    fs.writeFileSync(splits, JSON.stringify([hand[0], { train: ['ball_1', 'ball_2', 'ball_4'], val: ['ball_3'] }]));
    assert.deepEqual(await changesOf({ experiment, fold: 1, seed: 1 }), [
      'splits_final.json changed: other cases are trained on',
    ]);
    fs.writeFileSync(splits, before);
  });

  it('a case less, a case more, another dataset.json, plan, weights file or start: each is named', async () => {
    await pretend(experiment, 0);
    const order = { experiment, fold: 0, seed: 1 } as const;
    const kept = ['imagesTr', 'labelsTr'].map((part) => [file(part, 'ball_5'), fs.readFileSync(file(part, 'ball_5'))] as const);
    for (const [name] of kept) fs.rmSync(name);
    assert.match((await changesOf(order)).join('; '), /no longer in this fold: ball_5/);
    for (const [name, bytes] of kept) fs.writeFileSync(name, bytes);
    assert.deepEqual(await changesOf(order), []);
    fs.copyFileSync(file('imagesTr', 'ball_5'), file('imagesTr', 'ball_6'));
    fs.copyFileSync(file('labelsTr', 'ball_5'), file('labelsTr', 'ball_6'));
    assert.match((await changesOf(order)).join('; '), /new in this fold: ball_6/);
    for (const part of ['imagesTr', 'labelsTr']) fs.rmSync(file(part, 'ball_6'));

    const json = path.join(raw, 'dataset.json');
    const text = fs.readFileSync(json, 'utf8');
    fs.writeFileSync(json, text.replace('"shell"', '"rind"'));
    assert.match((await changesOf(order)).join(), /^dataset\.json changed: labels .*shell.* is now .*rind/);
    fs.writeFileSync(json, text);

    const weights = path.join(root, 'start.safetensors');
    fs.writeFileSync(weights, 'one');
    const tuned = { ...experiment, init: { weights } };
    await pretend(tuned, 0);
    fs.writeFileSync(weights, 'two');
    assert.deepEqual(await changesOf({ experiment: tuned, fold: 0, seed: 1 }), [`what it starts from changed: ${weights}`]);
    const child = { ...experiment, name: 'child', init: { upkernFrom: experiment } };
    await pretend(child, 0);
    assert.deepEqual(await changesOf({ experiment: child, fold: 0, seed: 1 }), []);
    relabel('ball_2');
    assert.match(
      (await changesOf({ experiment: child, fold: 0, seed: 1 })).join('; '),
      /"tiny k3", which it starts from: labels changed of ball_2; labels changed of ball_2/,
    );
    fs.rmSync(path.join(runFolderOf(experiment, 0, 1), 'inputs.json'));
    assert.deepEqual(await changesOf(order), ['nothing says what it was made from']);
  });

  it('two hundred cases with nothing changed cost a look at their folder', async () => {
    const many = path.join(root, 'Dataset043_Many');
    for (const part of ['imagesTr', 'labelsTr']) fs.mkdirSync(path.join(many, part), { recursive: true });
    const like = loadCase(open(raw).cases[0]);
    for (let k = 0; k < 200; k++) {
      const data = like.image.data.map((v) => v + k);
      writeVolume(path.join(many, 'imagesTr', `case_${k}_0000.nii.gz`), { ...like.image, data });
      writeVolume(path.join(many, 'labelsTr', `case_${k}.nii.gz`), like.label!);
    }
    const json = JSON.parse(fs.readFileSync(path.join(raw, 'dataset.json'), 'utf8'));
    fs.writeFileSync(path.join(many, 'dataset.json'), JSON.stringify({ ...json, numTraining: 200 }));
    const large = { ...experiment, dataset: many };
    const folder = await pretend(large, 0);
    const { files } = hashed;
    const begin = performance.now();
    assert.equal(await settled({ experiment: large, fold: 0, seed: 1 }, folder), true);
    console.log(`      ${(performance.now() - begin).toFixed(0)} ms`);
    assert.equal(hashed.files, files);
  });
});
