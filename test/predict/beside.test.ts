// Cases read and written in threads beside the network: the same files, whatever fails or is stopped.
import assert from 'node:assert';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Random } from '../../src/base/random.js';
import { withBuiltInAlone } from '../../src/base/registry.js';
import { casesIn, type DatasetJson } from '../../src/dataset/index.js';
import type { Plan } from '../../src/plan/index.js';
import { Beside } from '../../src/predict/beside.js';
import { type PredictionModel, run } from '../../src/predict/index.js';
import { networksOf } from '../../src/predict/slidingWindow.js';
import { tf } from '../../src/tensor/tf.js';
import { identityDirection, readVolume, writeVolume } from '../../src/volume/index.js';

const golden = fileURLToPath(new URL('../golden/nnunet/preprocessing/Dataset721_CTaniso', import.meta.url));
const dataset: DatasetJson = JSON.parse(fs.readFileSync(path.join(golden, 'raw/dataset.json'), 'utf8'));
const plan: Plan = JSON.parse(fs.readFileSync(path.join(golden, 'nnUNetPlans.json'), 'utf8'));
const ending = dataset.file_ending;

/** Head c answers x·c - c²/2: label by intensity. */
const forward = (x: tf.Tensor) =>
  tf.tidy(() => {
    const c = tf.tensor1d([0, 1, 2, 3]);
    return tf.sub(tf.mul(x, c), tf.div(tf.square(c), 2));
  });
const model: PredictionModel = {
  ...{ forwards: [forward], plan, configuration: '3d_custom', dataset, identity: 'one' },
  settings: { stepSize: 1, gaussian: false, mirrorAxes: [], average: 'logits' },
  patchSize: [32, 128, 128],
};

describe('predicting cases beside one another', () => {
  let root: string;
  let images: string;
  before(() => {
    root = fs.mkdtempSync(path.join(os.tmpdir(), 'beside-'));
    images = path.join(root, 'images');
    fs.mkdirSync(images);
    const { spacing } = plan.configurations['3d_custom'];
    const back = plan.transpose_backward;
    // Large enough for a thread, at the plan's spacing.
    const shape = [64, 180, 180 + 4];
    for (let i = 0; i < 3; i++) {
      const random = new Random(i).split('beside');
      const data = Int16Array.from({ length: shape[0] * shape[1] * shape[2] }, (_, v) => (v % 300) + random.int(0, 100));
      writeVolume(path.join(images, `case_${i}_0000${ending}`), {
        ...{ data, channels: 1, originMm: [1, 2, i], direction: identityDirection },
        shape: back.map((a) => shape[a]) as [number, number, number],
        spacingMm: back.map((a) => spacing[a]) as [number, number, number],
      });
    }
  });
  after(() => fs.rmSync(root, { recursive: true }));

  const files = (folder: string) =>
    Object.fromEntries(
      fs
        .readdirSync(folder)
        .sort()
        .map((name) => [name, fs.readFileSync(path.join(folder, name)).toString('base64')]),
    );

  it('leaves the same bytes as one after the other', async () => {
    const cases = casesIn(images, ending);
    const found = [];
    for (const besideBytes of [0, Number.POSITIVE_INFINITY]) {
      const output = path.join(root, `bytes-${besideBytes}`);
      await run(model, cases, output, { besideBytes, keepProbabilities: true });
      found.push(files(output));
    }
    assert.equal(Object.keys(found[0]).filter((name) => name.endsWith(ending) || name.endsWith('.safetensors')).length, 6);
    assert.deepEqual(found[1], found[0]);
  });

  it('waits where memory does not hold two cases', () => {
    const [first, next] = casesIn(images, ending);
    const fits = (keep: boolean, bytes: number) => {
      const beside = new Beside({ ...model, networks: networksOf(model.forwards) }, keep, () => bytes);
      return beside.fits(beside.read(first), next);
    };
    const found = withBuiltInAlone(() => [fits(false, 1e9), fits(false, 3e8), fits(true, 5e8), fits(true, 1e9)]);
    assert.deepEqual(found, [true, false, false, true]);
  });

  it('a case that cannot be prepared does not stop the others', async () => {
    const some = path.join(root, 'vanishing');
    fs.cpSync(images, some, { recursive: true });
    const file = path.join(some, `case_1_0000${ending}`);
    writeVolume(file, { ...readVolume(file), spacingMm: [1e-3, 1e-3, 1e-3] });
    for (const besideBytes of [0, Number.POSITIVE_INFINITY]) {
      const output = path.join(root, `vanishing-${besideBytes}`);
      const failing = run(model, casesIn(some, ending), output, { besideBytes, onWarning: () => {} });
      await assert.rejects(failing, /predict failed for 1 of 3 cases[\s\S]*case_1.* become 0×0×0/);
      assert.deepEqual(
        fs.readdirSync(output).filter((name) => name.startsWith('case')),
        [`case_0${ending}`, `case_2${ending}`],
      );
    }
  });

  it('stopped, it leaves whole cases and nothing else, and goes on from there', async () => {
    const cases = casesIn(images, ending);
    const output = path.join(root, 'stopped');
    const stop = new AbortController();
    const onProgress = ({ done }: { done: number }) => done > 1.3 && stop.abort(new Error('enough'));
    await assert.rejects(run(model, cases, output, { signal: stop.signal, onProgress }), /enough/);
    const left = fs.readdirSync(output).sort();
    assert.deepEqual(left, [`case_0${ending}`, 'dataset.json', 'plans.json', 'predictions.record.json']);
    let kept: string[] = [];
    await run(model, cases, output, { onKept: (ids) => (kept = ids) });
    assert.deepEqual(kept, ['case_0']);
    const { [`case_2${ending}`]: last } = files(output);
    assert.equal(last, files(path.join(root, 'bytes-0'))[`case_2${ending}`]);
  });
});
