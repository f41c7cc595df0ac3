import assert from 'node:assert';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { casesIn, type DatasetJson, loadCase } from '../../src/dataset/index.js';
import { configuration, type Fingerprint, type Plan } from '../../src/plan/index.js';
import {
  ensembleFolders,
  type PredictionModel,
  predictCase,
  readProbabilities,
  run,
  writeProbabilities,
} from '../../src/predict/index.js';
import { preprocessCase } from '../../src/preprocess/index.js';
import { tf } from '../../src/tensor/tf.js';
import { readVolume, type Volume, writeVolume } from '../../src/volume/index.js';

const golden = fileURLToPath(new URL('../golden/nnunet/preprocessing/Dataset721_CTaniso', import.meta.url));
const read = <T>(file: string): T => JSON.parse(fs.readFileSync(path.join(golden, file), 'utf8'));
const dataset = read<DatasetJson>('raw/dataset.json');
const plan = read<Plan>('nnUNetPlans.json');
const cases = casesIn(path.join(golden, 'raw', 'imagesTr'), dataset.file_ending);
const heads = 4;

/** Head c answers x·c - c²/2: label by intensity. Counts its calls. */
function model(rest: Partial<PredictionModel> = {}) {
  const counter = { calls: 0 };
  const forward = (x: tf.Tensor) => {
    counter.calls++;
    return tf.tidy(() => {
      const c = tf.tensor1d([0, 1, 2, 3]);
      const first = tf.slice(x, new Array(x.rank).fill(0), [...x.shape.slice(0, -1), 1]);
      return tf.sub(tf.mul(first, c), tf.div(tf.square(c), 2));
    });
  };
  const settings = { stepSize: 0.5, gaussian: true, mirrorAxes: [], average: 'logits' as const };
  const patchSize = [8, 16, 16];
  return { counter, model: { forwards: [forward], plan, configuration: '3d_custom', dataset, settings, patchSize, ...rest } };
}

describe('predicting cases', () => {
  let folder: string;
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'predict-'));
  });
  afterEach(() => fs.rmSync(folder, { recursive: true }));

  it('writes labels in the geometry of the image, and what is finished is not computed again', async () => {
    const { counter, model: m } = model();
    const before = tf.memory().numTensors;
    const progress: string[] = [];
    const files = await run(m, cases, folder, { onProgress: (p) => progress.push(`${p.what} ${p.done.toFixed(2)}/${p.total}`) });
    assert.equal(tf.memory().numTensors, before);
    assert.deepEqual(
      files,
      cases.map((c) => path.join(folder, c.id + dataset.file_ending)),
    );
    assert.ok(progress.includes(`predict ${cases[0].id} 0.00/${cases.length}`));
    assert.equal(progress.at(-1), `predict ${cases.length}.00/${cases.length}`);
    for (const [i, file] of files.entries()) {
      const [label, image] = [readVolume(file), readVolume(cases[i].images[0])];
      assert.deepEqual(label.shape, image.shape);
      assert.deepEqual(label.spacingMm, image.spacingMm);
      assert.deepEqual(label.originMm, image.originMm);
      assert.ok(label.data.some((v) => v > 0));
    }
    const calls = counter.calls;
    fs.rmSync(files[1]);
    await run(m, cases, folder);
    assert.ok(counter.calls > calls && counter.calls < 2 * calls, 'only the missing case again');
    assert.deepEqual(
      fs.readdirSync(folder).sort(),
      [...cases.map((c) => c.id + dataset.file_ending), 'dataset.json', 'plans.json', 'predictions.record.json'].sort(),
    );
  });

  it('a folder with files of others is refused, by name; --continue keeps what can be read, --overwrite replaces it', async () => {
    const { counter, model: m } = model({ identity: 'one' });
    await run(m, cases.slice(0, 2), folder);
    const [first, second] = cases.map((c) => path.join(folder, c.id + dataset.file_ending));
    const bytes = fs.readFileSync(first);
    // Another model.
    const other = model({ identity: 'two' });
    await assert.rejects(run(other.model, cases.slice(0, 2), folder), (error: Error) => {
      assert.match(error.message, /ct_00\.nii\.gz, ct_01\.nii\.gz: predicted by another model.*Give --overwrite/);
      return true;
    });
    await assert.rejects(run(other.model, cases.slice(0, 2), folder, { continue: true }), /predicted by another model/);
    // Its plan would stand beside labels of the first for other cases.
    await assert.rejects(
      run(other.model, cases.slice(2), folder, { overwrite: true }),
      /ct_00\.nii\.gz, ct_01\.nii\.gz: predicted by another model, for other cases.*Give another output folder/,
    );
    assert.equal(other.counter.calls, 0);
    // Half a file of ours is made again; an edited one is somebody's.
    fs.writeFileSync(first, bytes.subarray(0, 100));
    const kept: string[] = [];
    await run(m, cases.slice(0, 2), folder, { onKept: (ids) => kept.push(...ids) });
    assert.deepEqual(fs.readFileSync(first), bytes);
    assert.deepEqual(kept, [cases[1].id]);
    fs.copyFileSync(first, second);
    await assert.rejects(
      run(m, cases.slice(0, 2), folder),
      /ct_01\.nii\.gz: nothing says that this model wrote them.*--continue/,
    );
    const calls = counter.calls;
    await run(m, cases.slice(0, 2), folder, { continue: true });
    assert.equal(counter.calls, calls);
    await run(m, cases.slice(0, 2), folder, { overwrite: true });
    assert.notDeepEqual(fs.readFileSync(second), bytes);
    assert.ok(counter.calls > calls);
    await assert.rejects(run(m, [], folder), /no case; expected images named <case>_0000\.nii\.gz/);
  });

  it('images of another kind are predicted with a warning; damaged ones and other channels are refused before work', async () => {
    const image = readVolume(cases[0].images[0]);
    const own = path.join(folder, 'images');
    const put = (id: string, changed: Partial<Volume>, channel = 0) => {
      fs.mkdirSync(own, { recursive: true });
      writeVolume(path.join(own, `${id}_000${channel}.nii.gz`), { ...image, ...changed });
    };
    put('far', { spacingMm: [image.spacingMm[0] * 10, image.spacingMm[1], image.spacingMm[2]] });
    put('grey', { data: Float32Array.from(image.data, (_, i) => (i % 97) / 97) });
    const fingerprint = read<Fingerprint>('dataset_fingerprint.json');
    const warnings: string[] = [];
    const { model: m } = model({ fingerprint });
    await run(m, casesIn(own, '.nii.gz'), path.join(folder, 'out'), { onWarning: (text) => warnings.push(text) });
    assert.equal(warnings.length, 2);
    assert.match(warnings[0], /far: voxels of \d.* mm along depth; expected .* as in training/);
    assert.match(warnings[1], /grey CT: values from 0 to 0\.9\d+; expected about/);
    const record = JSON.parse(fs.readFileSync(path.join(folder, 'out', 'predictions.record.json'), 'utf8'));
    assert.deepEqual(
      record.grey.warnings.map((w: { code: string }) => w.code),
      ['trained-intensity'],
    );
    put('two', {});
    put('two', {}, 1);
    put('holes', { data: Float32Array.from(image.data, (v, i) => (i === 3 ? Number.NaN : v)) });
    await assert.rejects(run(m, casesIn(own, '.nii.gz'), path.join(folder, 'other')), (error: Error) => {
      assert.match(error.message, /two: 2 files \(_0000, _0001\); expected 1 channel \(_0000 CT\)/);
      assert.match(error.message, /holes_0000\.nii\.gz: 1 voxels are NaN/);
      return true;
    });
    assert.ok(!fs.existsSync(path.join(folder, 'other')));
  });

  it('from images and from the preprocessed case is the same, and the images stay as they were', async () => {
    const loaded = loadCase({ id: cases[0].id, images: cases[0].images });
    const before = loaded.image.data.slice();
    const a = await predictCase(model().model, loaded);
    assert.deepEqual(loaded.image.data, before);
    const b = await predictCase(model().model, preprocessCase(loadCase(cases[0]), plan, '3d_custom'));
    assert.deepEqual(a, b);
  });

  it('averaged as probabilities, regions or labels, the result has no logits in it', async () => {
    const settings = { ...model().model.settings, average: 'probabilities' as const };
    const restored = await predictCase(model({ settings }).model, loadCase(cases[0]), { keepProbabilities: true });
    const p = restored.probabilities!;
    for (let i = 0; i < p.length; i += heads) assert.ok(Math.abs(p[i] + p[i + 1] + p[i + 2] + p[i + 3] - 1) < 1e-5);
  });

  it('an ensemble of twice the same model is the model', async () => {
    const [a, b, c] = ['a', 'b', 'c'].map((name) => path.join(folder, name));
    for (const output of [a, b]) await run(model().model, cases.slice(0, 2), output, { keepProbabilities: true });
    ensembleFolders([a, b], c, dataset, { keepProbabilities: true });
    for (const { id } of cases.slice(0, 2)) {
      assert.deepEqual(readVolume(path.join(c, `${id}.nii.gz`)).data, readVolume(path.join(a, `${id}.nii.gz`)).data);
      assert.deepEqual(readProbabilities(c, id), readProbabilities(a, id));
    }
    // As many values, on another grid.
    const { data, shape } = readProbabilities(b, cases[0].id);
    const turned = [shape[1], shape[0], shape[2], shape[3]];
    writeProbabilities(b, cases[0].id, data, shape[0] === shape[1] ? [shape[0] * shape[1], 1, shape[2], shape[3]] : turned);
    assert.throws(
      () => ensembleFolders([a, b], c, dataset),
      /b\/ct_00: probabilities \[.*\]; expected \[.*\]: the voxels of the label file/,
    );
    fs.rmSync(path.join(b, `${cases[1].id}.nii.gz`));
    assert.throws(() => ensembleFolders([a, b], c, dataset), {
      message: `these folders cannot be ensembled\n  ${b}: 1 cases; expected the 2 cases of ${a}. Predict the same cases with every member.`,
    });
    fs.rmSync(path.join(b, `${cases[0].id}.safetensors`));
    assert.throws(() => readProbabilities(b, cases[0].id), {
      message: `this case has no probabilities\n  ${path.join(b, `${cases[0].id}.safetensors`)}: no such file, nor <case>.npz; expected the probabilities of the prediction. Predict again with --probabilities (nnU-Net: --save_probabilities, or nnUNetv2_train --val --npz).`,
    });
  });

  it('a cascade sees the previous stage as one channel for each label, and asks for it', async () => {
    const cascade = { ...plan.configurations['3d_custom'], previous_stage: '3d_lowres' };
    const cascadePlan = { ...plan, configurations: { ...plan.configurations, cascade } };
    let seen: number[] = [];
    const { model: m } = model({ plan: cascadePlan, configuration: 'cascade' });
    const watching = (x: tf.Tensor) => {
      seen = x.shape;
      const flat = tf.tidy(() => tf.sum(tf.slice(x, [0, 0, 0, 0, 1], [...x.shape.slice(0, 4), 3]), -1).dataSync());
      assert.ok(flat.every((v) => v === 0 || v === 1));
      return m.forwards[0](x);
    };
    const loaded = loadCase({ id: cases[0].id, images: cases[0].images });
    const label = loadCase({ ...cases[0], label: path.join(golden, 'raw', 'labelsTr', `${cases[0].id}.nii.gz`) }).label!;
    await predictCase({ ...m, forwards: [watching] }, loaded, { previous: label });
    assert.deepEqual(seen.slice(1), [8, 16, 16, 1 + 3]);
    await assert.rejects(predictCase(m, loaded), {
      message: `cascade needs the previous stage\n  ${cases[0].id}: images only; expected labels predicted by 3d_lowres. Predict with 3d_lowres first and give its output folder.`,
    });
    assert.equal(configuration(cascadePlan, 'cascade').previous_stage, '3d_lowres');
    await assert.rejects(predictCase(model().model, loaded, { previous: label }), {
      message: `3d_custom has no previous stage\n  ${cases[0].id}: labels of a previous stage; expected images only. Leave them out, or predict with the second stage of a cascade.`,
    });
    // From a folder: the same, and what is missing there is named before anything is predicted.
    const [stage, output] = [path.join(folder, 'stage'), path.join(folder, 'out')];
    fs.mkdirSync(stage);
    fs.copyFileSync(path.join(golden, 'raw', 'labelsTr', `${cases[0].id}.nii.gz`), path.join(stage, `${cases[0].id}.nii.gz`));
    await run({ ...m, forwards: [watching] }, cases.slice(0, 1), output, { previousFolder: stage });
    await assert.rejects(run(m, cases.slice(0, 2), output, { previousFolder: stage }), {
      message: `cascade needs the previous stage of every case\n  ${stage}: no labels of ${cases[1].id}; expected <case>.nii.gz as 3d_lowres predicted it. Predict these cases into this folder with 3d_lowres first.`,
    });
    assert.equal(fs.readdirSync(output).filter((f) => f.endsWith('.nii.gz')).length, 1);
  });
});
