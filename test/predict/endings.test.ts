// A data set walks from its files to scores in every file ending of nnU-Net's SimpleITKIO, with the numbers of .nii.gz.
import assert from 'node:assert';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { check, labels, open } from '../../src/dataset/index.js';
import { fingerprint, plan } from '../../src/plan/index.js';
import { ensembleFolders, run } from '../../src/predict/index.js';
import { forecastBytes, loadStored, run as preprocess } from '../../src/preprocess/index.js';
import { evaluateFolder } from '../../src/score/index.js';
import { tf } from '../../src/tensor/tf.js';
import { readVolume, writeVolume } from '../../src/volume/index.js';

const raw = fileURLToPath(new URL('../golden/nnunet/preprocessing/Dataset721_CTaniso/raw', import.meta.url));

/** The golden data set with files of another ending; all of them along ITK's axes, which GIPL cannot turn. */
function converted(folder: string, ending: string): string {
  const json = JSON.parse(fs.readFileSync(path.join(raw, 'dataset.json'), 'utf8'));
  for (const part of ['imagesTr', 'labelsTr']) {
    fs.mkdirSync(path.join(folder, part), { recursive: true });
    for (const name of fs.readdirSync(path.join(raw, part))) {
      const volume = readVolume(path.join(raw, part, name), { onWarning: () => {} });
      const file = path.join(folder, part, name.replace(/\.nii\.gz$/, ending));
      writeVolume(file, { ...volume, direction: [-1, 0, 0, 0, -1, 0, 0, 0, 1] });
    }
  }
  fs.writeFileSync(path.join(folder, 'dataset.json'), JSON.stringify({ ...json, file_ending: ending }));
  return folder;
}

/** Opens, checks, plans, preprocesses, predicts by intensity, averages and scores; returns every number on the way. */
async function walk(root: string, ending: string) {
  const dataset = open(converted(path.join(root, `Dataset721${ending}`, 'Dataset721_CTaniso'), ending));
  const { faults } = await check(dataset);
  const planned = plan(dataset, await fingerprint(dataset));
  const bytes = forecastBytes(dataset, planned, '3d_fullres');
  const made = await preprocess(dataset, planned, '3d_fullres', { folder: path.join(root, `preprocessed${ending}`), workers: 1 });
  const arrays = made.cases.map((id) => {
    const { data, seg, shape } = loadStored(made.folder, id);
    return { data, seg, shape };
  });
  const { heads } = labels(dataset.json);
  const forward = (x: tf.Tensor) =>
    tf.tidy(() => {
      const c = tf.range(0, heads);
      const first = tf.slice(x, new Array(x.rank).fill(0), [...x.shape.slice(0, -1), 1]);
      return tf.sub(tf.mul(first, c), tf.div(tf.square(c), 2));
    });
  const settings = { stepSize: 0.5, gaussian: true, mirrorAxes: [], average: 'logits' as const };
  const model = {
    forwards: [forward],
    plan: planned,
    configuration: '3d_fullres',
    dataset: dataset.json,
    settings,
    patchSize: [8, 16, 16],
  };
  const [one, both] = [path.join(root, `one${ending}`), path.join(root, `both${ending}`)];
  const files = await run(model, dataset.cases, one, { keepProbabilities: true });
  ensembleFolders([one, one], both, dataset.json);
  const predicted = files.map((file) => readVolume(file));
  for (const [i, { id }] of dataset.cases.entries()) {
    assert.deepEqual(readVolume(path.join(both, id + ending)).data, predicted[i].data);
    const image = readVolume(dataset.cases[i].images[0]);
    for (const key of ['shape', 'spacingMm', 'originMm', 'direction'] as const)
      predicted[i][key].forEach((v, k) => {
        assert.ok(Math.abs(v - image[key][k]) < 1e-5, `${id} ${key}`);
      });
  }
  const { foreground_mean } = evaluateFolder(one, path.join(dataset.folder, 'labelsTr'), labels(dataset.json), { ending });
  const { image_reader_writer, ...rest } = planned;
  return { faults, rest, image_reader_writer, bytes, arrays, predicted: predicted.map((p) => p.data), foreground_mean };
}

describe('from files to scores', function () {
  this.timeout(120_000);
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'endings-'));
  after(() => fs.rmSync(root, { recursive: true }));
  let nifti: Awaited<ReturnType<typeof walk>>;
  before(async () => {
    nifti = await walk(root, '.nii.gz');
    assert.deepEqual(nifti.faults, []);
    assert.ok(nifti.predicted.every((data) => data.some((v) => v > 0)));
    assert.ok(nifti.foreground_mean.Dice > 0);
  });

  for (const ending of ['.nrrd', '.mha', '.gipl'])
    it(`${ending}: the plan, the arrays, the predictions and the scores of .nii.gz`, async () => {
      assert.deepEqual(await walk(root, ending), nifti);
    });
});
