// A trained model as a bundle, run by ONNX Runtime: the labels are `predict`'s. In WebAssembly always; in Python where ONNX_PYTHON names one
// that has numpy, scipy, onnxruntime and nibabel; natively where onnxruntime-node is installed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { casesIn, readerFor } from '../../src/dataset/index.js';
import { loadModelFolder } from '../../src/nnunet/modelFolder.js';
import { type ExportModel, exportBundle, loadBundle, readBundle } from '../../src/onnx/index.js';
import { type RuntimeName, runtimeNames } from '../../src/onnx/runtime.js';
import { configuration } from '../../src/plan/index.js';
import { run } from '../../src/predict/index.js';
import { main } from '../../src/run/cli.js';
import { exportNnunetModel, exportOnnx, predictFolder, study } from '../../src/run/index.js';
import { tf } from '../../src/tensor/tf.js';
import { readVolume } from '../../src/volume/index.js';
import { leaveWorkplace, tinyExperiment, workplace } from '../run/tiny.js';
import { drawn, golden, rows } from './drawn.js';

const python = process.env.ONNX_PYTHON;
const installed = (name: RuntimeName) => {
  try {
    return Boolean(createRequire(import.meta.url).resolve(name));
  } catch {
    return false;
  }
};

let root: string;
const place = (...names: string[]) => path.join(root, ...names);

/** Shares of equal voxels and how many labels there are, of two folders of label files. */
function compared(a: string, b: string): { equal: number; voxels: number; labels: number } {
  const files = fs.readdirSync(a).filter((name) => name.endsWith('.nii.gz'));
  assert.ok(files.length > 0);
  let [equal, voxels] = [0, 0];
  const labels = new Set<number>();
  for (const file of files) {
    const [x, y] = [a, b].map((folder) => readVolume(path.join(folder, file)));
    assert.deepEqual(y.shape, x.shape);
    // A NIfTI file keeps its axes in single precision.
    const [here, there] = [x, y].map(({ direction, originMm }) => [...direction, ...originMm]);
    for (const [i, v] of here.entries()) assert.ok(Math.abs(v - there[i]) < 1e-6, `${there} instead of ${here}`);
    voxels += x.data.length;
    for (let i = 0; i < x.data.length; i++) {
      if (x.data[i] === y.data[i]) equal++;
      labels.add(x.data[i]);
    }
  }
  return { equal, voxels, labels: labels.size };
}

function assertSame(a: string, b: string, present: number): void {
  const found = compared(a, b);
  assert.ok(found.equal >= 0.9999 * found.voxels, `${found.voxels - found.equal} of ${found.voxels} voxels differ`);
  assert.ok(found.labels >= present, `only ${found.labels} labels are there to differ`);
}

/** Predicts with a bundle by every runtime that is there, and compares with the labels of `expected`. */
async function assertRuns(bundle: string, images: string, expected: string, present: number): Promise<void> {
  for (const runtime of runtimeNames.filter(installed)) {
    const out = `${bundle}-${runtime}`;
    const before = tf.memory().numTensors;
    await predictFolder(images, out, await loadBundle(bundle, { runtime }));
    assert.equal(tf.memory().numTensors, before);
    assertSame(expected, out, present);
  }
  if (!python) return;
  const out = `${bundle}-python`;
  const { status, stderr } = spawnSync(python, [path.join(bundle, 'predict.py'), images, out], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  assertSame(expected, out, present);
}

describe('a bundle', function () {
  this.timeout(600_000);
  before(() => {
    root = workplace();
  });
  after(leaveWorkplace);

  for (const [name, { labels: present, ...row }] of Object.entries(rows))
    it(`${name}: labels as predict's`, async () => {
      const { model, prediction, images, dispose } = drawn(row);
      const [bundle, expected] = [place(`${row.set}-${row.configuration}`), place(`${row.set}-${row.configuration}-expected`)];
      exportBundle(model, bundle);
      await run(prediction, casesIn(images, model.dataset.file_ending, readerFor(model.plan.image_reader_writer)), expected);
      dispose();
      await assertRuns(bundle, images, expected, present);
    });

  const roundtrip = fileURLToPath(new URL('../nnunet/roundtrip', import.meta.url));
  const models = fs.readdirSync(roundtrip).filter((name) => fs.existsSync(path.join(roundtrip, name, 'plans.json')));
  // The others where Python asks for the time anyway.
  const always = ['2d', 'regions', 'torchres-anisotropic'];
  for (const name of models.filter((one) => python || always.includes(one)))
    it(`of a model that nnU-Net trained: labels as predict's in single precision: ${name}`, async () => {
      const [folder, bundle, expected] = [path.join(roundtrip, name), place(`nnunet-${name}`), place(`nnunet-${name}-expected`)];
      exportNnunetModel(folder, bundle);
      const loaded = loadModelFolder(folder);
      const images = path.join(folder, 'images');
      await predictFolder(
        images,
        expected,
        { ...loaded, model: { ...loaded.model, precision: 'float32' } },
        { onWarning: () => {} },
      );
      await assertRuns(bundle, images, expected, 2);
      // nnU-Net itself rounds to half precision, which decides between classes that are nearly equal.
      const { equal, voxels } = compared(path.join(folder, 'labels'), expected);
      assert.ok(equal > 0.99 * voxels, `${voxels - equal} of ${voxels} voxels are not nnU-Net's`);
    });

  it('of two trained folds: labels as predict’s', async () => {
    const { prediction, recipe } = tinyExperiment(root);
    const steps = [{ kind: 'remove_all_but_largest_component_from_segmentation', labels_or_regions: [[1, 2]] }];
    const { runs } = await study(
      [
        tinyExperiment(root, {
          folds: [0, 1],
          recipe: { ...recipe, epochs: 2, iterationsPerEpoch: 40 },
          prediction: { ...prediction, mirrorAxes: [0, 2], postprocessing: steps } as never,
        }),
      ],
      { display: null },
    );
    const [bundle, expected] = [place('trained'), place('trained-expected')];
    const folders = runs.map(({ folder }) => folder);
    assert.equal(await main(['export-onnx', ...folders, '--out', bundle]), 0);
    assert.deepEqual(
      readBundle(bundle).graphs.map(({ fold }) => fold),
      ['0', '1'],
    );
    const images = place('images');
    fs.mkdirSync(images);
    fs.copyFileSync(place('Dataset042_Balls', 'imagesTr', 'ball_0_0000.nii.gz'), path.join(images, 'ball_0_0000.nii.gz'));
    await predictFolder(images, expected, folders);
    await assertRuns(bundle, images, expected, 2);
    assert.equal(await main(['predict', images, place('by-command'), '--run', bundle]), 0);
    assertSame(expected, place('by-command'), 2);

    const half = place('half');
    assert.equal(await main(['export-onnx', ...folders, '--out', half, '--precision', 'fp16']), 0);
    const { graphs, precision } = readBundle(half);
    assert.ok(graphs[0].bytes < 0.8 * readBundle(bundle).graphs[0].bytes, `${graphs[0].bytes} bytes`);
    const validation = runs.reduce((sum, { scores }) => sum + scores.cases.length, 0);
    assert.equal(precision?.validation?.cases, validation);
    const dsc = runs.flatMap(({ scores }) => scores.cases.flatMap(({ classes }) => Object.values(classes).map((c) => c.dsc)));
    const known = dsc.filter(Number.isFinite);
    assert.ok(Math.abs(precision!.validation!.dsc - known.reduce((sum, v) => sum + v, 0) / known.length) < 1e-12);
    assert.ok(precision!.validation!.dsc > 0.3, `${precision!.validation!.dsc}: too little to lose any of`);
    assert.ok(Math.abs(precision!.validation!.lost) < 0.02, `${precision!.validation!.lost}`);
    const inHalf = `${half}-labels`;
    await predictFolder(images, inHalf, await loadBundle(half));
    const { equal, voxels } = compared(expected, inHalf);
    assert.ok(equal > 0.98 * voxels, `${voxels - equal} of ${voxels} voxels differ`);

    assert.throws(() => exportOnnx(folders, bundle), /a bundle that stands there; expected a new or empty folder/);
    exportOnnx(folders, bundle, { overwrite: true });
  });

  it('that is damaged, newer or made for other channels is refused with what was found and expected', async () => {
    const { model, images, dispose } = drawn({ ...rows['turned to RAS and axes exchanged, largest component'], folds: 2 });
    const bundle = place('refused');
    exportBundle(model, bundle);
    dispose();
    const file = path.join(bundle, 'bundle.json');
    const good = fs.readFileSync(file, 'utf8');
    const refusesJson = (change: (json: any) => void, expected: RegExp) => {
      const json = JSON.parse(good);
      change(json);
      fs.writeFileSync(file, JSON.stringify(json));
      assert.throws(() => readBundle(bundle), expected);
      refusesInPython(bundle, images);
      fs.writeFileSync(file, good);
    };
    refusesJson((json) => {
      json.version = 2;
    }, /bundle\.json: "voxelbook-onnx", version 2; expected "voxelbook-onnx", version 1\. Update voxelbook/);
    assert.throws(() => readBundle(images), /no such file; expected an existing JSON file/);
    const refusesShape = (change: (json: any) => void, expected: RegExp) => {
      const json = JSON.parse(good);
      change(json);
      fs.writeFileSync(file, JSON.stringify(json));
      assert.throws(() => readBundle(bundle), expected);
      fs.writeFileSync(file, good);
    };
    refusesShape((json) => {
      json.spacingMm = [1, 1];
      json.stepSize = 2;
      json.graphs[0].file = '../elsewhere.onnx';
    }, /stepSize: 2; expected a number above 0, at most 1[\s\S]*the name of a file in the bundle/);
    refusesShape((json) => {
      json.spacingMm = [1, 1];
      json.mirrorAxes = [2];
      json.heads = 7;
    }, /spacingMm: 2 numbers; expected 3, as patch has[\s\S]*labels: 3 outputs; expected 7/);

    const graph = path.join(bundle, 'model_1.onnx');
    const bytes = fs.readFileSync(graph);
    bytes[bytes.length >> 1] ^= 1;
    fs.writeFileSync(graph, bytes);
    assert.throws(
      () => readBundle(bundle),
      /model_1\.onnx: checksum [0-9a-f]{64}; expected [0-9a-f]{64}\. Copy the bundle again/,
    );
    refusesInPython(bundle, images);
    fs.writeFileSync(graph, bytes.subarray(1));
    assert.throws(() => readBundle(bundle), /model_1\.onnx: \d+ bytes; expected \d+ bytes/);
    fs.rmSync(graph);
    assert.throws(() => readBundle(bundle), /model_1\.onnx: no such file; expected \d+ bytes/);
    bytes[bytes.length >> 1] ^= 1;
    fs.writeFileSync(graph, bytes);

    const others = path.join(golden, 'Dataset722_MRI4regions', 'raw', 'imagesTr');
    await assert.rejects(
      async () => predictFolder(others, place('other'), await loadBundle(bundle, { runtime: 'onnxruntime-web' })),
      /BraTS_00[\s\S]*expected 1/,
    );
    refusesInPython(bundle, others);
  });

  it('is not written for what has no form in it', () => {
    const { model, dispose } = drawn(rows['turned to RAS and axes exchanged, largest component']);
    const folder = place('none');
    const changed = (change: (config: any) => void): ExportModel => {
      const copy = structuredClone(model.plan);
      const config = configuration(copy, model.configuration);
      change(config);
      return { ...model, plan: { ...copy, configurations: { ...copy.configurations, [model.configuration]: config } } };
    };
    const own = changed((config) => {
      config.normalization_schemes = [{ kind: 'mine' }];
      config.previous_stage = '2d';
    });
    const steps = { ...own, settings: { ...own.settings, postprocessing: [{ kind: 'mine' }] as never } };
    assert.throws(
      () => exportBundle(steps, folder),
      /second stage of a cascade, after 2d[\s\S]*normalization_schemes: mine[\s\S]*prediction\.postprocessing: mine/,
    );
    fs.mkdirSync(folder);
    fs.writeFileSync(path.join(folder, 'thesis.txt'), '');
    assert.throws(() => exportBundle(model, folder), /a folder with thesis\.txt; expected a new or empty folder/);
    dispose();
  });
});

/** Where a Python is there, its runner refuses as well, without a traceback. */
function refusesInPython(bundle: string, images: string): void {
  if (!python) return;
  const { status, stderr } = spawnSync(python, [path.join(bundle, 'predict.py'), images, place('never')], { encoding: 'utf8' });
  assert.equal(status, 1);
  assert.match(stderr, /^cannot predict\n.*found[\s\S]*expected/);
  assert.ok(!fs.existsSync(place('never')));
}
