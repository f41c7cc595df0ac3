import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Random } from '../../src/base/random.js';
import { readSafetensors } from '../../src/base/safetensors.js';
import { nodeArguments } from '../../src/base/workers.js';
import { findBestConfiguration } from '../../src/nnunet/best.js';
import { readNnunetJson, toNnunetJson, writeNnunetJson } from '../../src/nnunet/json.js';
import { applyPostprocessing, readPostprocessing } from '../../src/nnunet/postprocessing.js';
import { evaluateFolder, labelKey, type NnunetSummary, nnunetMetrics } from '../../src/nnunet/summary.js';
import { writeProbabilities } from '../../src/predict/index.js';
import { identityDirection, readVolume, writeVolume } from '../../src/volume/index.js';
import { channelsLast } from '../parity/nnunet/layout.js';

const golden = fileURLToPath(new URL('../golden/nnunet/evaluation', import.meta.url));

describe("nnU-Net's JSON", () => {
  it('keeps NaN and infinities on the way out and in, keys sorted, four spaces', () => {
    const value = { b: [Number.NaN, 1.5, Number.POSITIVE_INFINITY], a: { y: Number.NEGATIVE_INFINITY, x: 'NaN' } };
    const text = toNnunetJson(value);
    assert.equal(text.split('\n')[1], '    "a": {');
    assert.ok(text.includes('NaN,') && text.includes('-Infinity'));
    const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'json-')), 'a.json');
    writeNnunetJson(file, value);
    assert.deepEqual(readNnunetJson(file), value);
    fs.rmSync(path.dirname(file), { recursive: true });
  });
});

describe("nnU-Net's metrics", () => {
  it('are counts of voxels, checked one by one', () => {
    const random = new Random('metrics');
    const [a, b] = [0, 1].map(() => Uint8Array.from({ length: 500 }, () => random.int(0, 5)));
    for (const ignore of [null, 4])
      for (const label of [1, [1, 2, 3], [3]]) {
        const members = [label].flat();
        const count = (p: boolean, r: boolean) =>
          a.reduce((n, v, i) => n + (b[i] !== ignore && members.includes(v) === p && members.includes(b[i]) === r ? 1 : 0), 0);
        const m = nnunetMetrics(a, b, [label], ignore)[labelKey(label)];
        assert.deepEqual(
          [m.TP, m.FP, m.FN, m.TN],
          [count(true, true), count(true, false), count(false, true), count(false, false)],
        );
        assert.equal(m.Dice, (2 * m.TP) / (2 * m.TP + m.FP + m.FN));
      }
  });

  it('of equal maps are 1, of absent labels NaN, and Dice is symmetric', () => {
    const [a, b] = [Uint8Array.of(0, 1, 1, 2), Uint8Array.of(1, 1, 0, 2)];
    assert.equal(nnunetMetrics(a, a, [1])['1'].Dice, 1);
    assert.ok(Number.isNaN(nnunetMetrics(a, a, [7])['7'].IoU));
    assert.equal(nnunetMetrics(a, b, [1])['1'].Dice, nnunetMetrics(b, a, [1])['1'].Dice);
  });

  it('are named as Python names labels and tuples', () =>
    assert.deepEqual([1, [1, 2, 3], [3]].map(labelKey), ['1', '(1, 2, 3)', '(3,)']));
});

describe('evaluating a folder', () => {
  it('writes the summary beside the predictions, and misses no reference silently', () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'evaluate-'));
    const [predictions, references] = ['p', 'r'].map((name) => path.join(folder, name));
    fs.cpSync(path.join(golden, 'metrics', 'pred'), predictions, { recursive: true });
    fs.cpSync(path.join(golden, 'metrics', 'ref'), references, { recursive: true });
    const labels = { hasRegions: false, regions: null, foreground: [1, 2, 3], ignoreLabel: null };
    const summary = evaluateFolder(predictions, references, labels);
    assert.deepEqual(readNnunetJson<NnunetSummary>(path.join(predictions, 'summary.json')), summary);
    fs.rmSync(path.join(references, 'case_1.nii.gz'));
    assert.throws(() => evaluateFolder(predictions, references, labels), {
      message: `these predictions cannot be evaluated\n  ${references}: no case_1.nii.gz; expected predictions, and a reference of the same name for each. Check the two folders, or give --chill to evaluate what is on both sides.`,
    });
    const said: string[] = [];
    const some = evaluateFolder(predictions, references, labels, { chill: true, onWarning: (text) => said.push(text) });
    assert.deepEqual(
      some.metric_per_case,
      summary.metric_per_case.filter((c) => !c.prediction_file.includes('case_1')),
    );
    assert.match(said.join(), /r: no case_1\.nii\.gz; evaluated without/);
    fs.rmSync(path.join(predictions, 'case_0.nii.gz'));
    assert.throws(() => evaluateFolder(predictions, references, labels), /p: no case_0\.nii\.gz/);
    fs.rmSync(folder, { recursive: true });
  });
});

describe('values that are no labels', () => {
  const grid = { shape: [1, 2, 4] as [number, number, number], channels: 1, spacingMm: [1, 1, 1] as [number, number, number] };
  const place = { originMm: [0, 0, 0] as [number, number, number], direction: identityDirection };
  const valid = Uint8Array.of(0, 1, 1, 2, 0, 0, 1, 0);
  const wrong: [string, Int16Array | Float32Array | Int32Array, RegExp][] = [
    ['negative', Int16Array.from(valid, (v) => v - 1), /-1 \(4 voxels\); expected labels from 0 to 32767/],
    ['not whole', Float32Array.from(valid, (v) => Math.fround(v * 0.9999)), /0\.99.* \(3 voxels\).*; expected whole numbers/],
    ['above the range', Int32Array.from(valid, (v) => v + 65536), /65536 \(4 voxels\).*; expected labels from 0 to 32767/],
  ];
  for (const [name, data, message] of wrong)
    it(`${name}: refused on either side with file and value, and nothing is written`, () => {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'evaluate-'));
      const labels = { hasRegions: false, regions: null, foreground: [1, 2], ignoreLabel: null };
      for (const part of ['a', 'b']) fs.mkdirSync(path.join(folder, part));
      for (const [p, r] of [
        [data, valid],
        [valid, data],
      ]) {
        writeVolume(path.join(folder, 'a', 'c.nii.gz'), { data: p, ...grid, ...place });
        writeVolume(path.join(folder, 'b', 'c.nii.gz'), { data: r, ...grid, ...place });
        assert.throws(() => evaluateFolder(path.join(folder, 'a'), path.join(folder, 'b'), labels), message);
        assert.ok(!fs.existsSync(path.join(folder, 'a', 'summary.json')));
        assert.throws(() => nnunetMetrics(p, r, [1, 2]), /expected whole numbers from 0 to 32767/);
      }
      fs.rmSync(folder, { recursive: true });
    });
});

describe('the best configuration, on folders', () => {
  for (const name of ['find_best_labels', 'find_best_regions'])
    it(`${name}: the files nnU-Net leaves, with its numbers`, () => {
      const source = path.join(golden, name);
      const config = readNnunetJson<{ dataset: string; configurations: string[]; folds: Record<string, number> }>(
        path.join(source, 'config.json'),
      );
      const root = fs.mkdtempSync(path.join(os.tmpdir(), 'best-'));
      const results = path.join(root, config.dataset);
      const { tensors } = readSafetensors(path.join(source, 'predictions.safetensors'));
      for (const configuration of config.configurations) {
        const model = path.join(results, `nnUNetTrainer__nnUNetPlans__${configuration}`);
        for (let fold = 0; fold < 5; fold++) fs.mkdirSync(path.join(model, `fold_${fold}`, 'validation'), { recursive: true });
        for (const file of ['dataset.json', 'plans.json']) fs.copyFileSync(path.join(source, file), path.join(model, file));
        for (const [id, fold] of Object.entries(config.folds)) {
          const folder = path.join(model, `fold_${fold}`, 'validation');
          const like = readVolume(path.join(source, 'gt', `${id}.nii.gz`));
          writeVolume(path.join(folder, `${id}.nii.gz`), {
            ...like,
            data: tensors[`${configuration}.${id}.segmentation`].data as Uint8Array,
          });
          const { data, shape } = tensors[`${configuration}.${id}.probabilities`];
          writeProbabilities(folder, id, channelsLast(data as Float32Array, shape[0]), [...shape.slice(1), shape[0]]);
        }
      }
      const models = config.configurations.map((configuration) => ({
        configuration,
        plans: 'nnUNetPlans',
        trainer: 'nnUNetTrainer',
      }));
      const information = findBestConfiguration(results, path.join(source, 'gt'), models);
      const reference = readNnunetJson<typeof information>(path.join(source, 'inference_information.json'));
      for (const [key, dice] of Object.entries(reference.all_results))
        assert.ok(Math.abs(information.all_results[key] - dice) < 1e-12);
      const [ours, theirs] = [information.best_model_or_ensemble, reference.best_model_or_ensemble];
      assert.deepEqual(ours.selected_model_or_models, theirs.selected_model_or_models);
      assert.ok(Math.abs(ours.result_on_crossval_post_pp - theirs.result_on_crossval_post_pp) < 1e-12);
      const steps = readPostprocessing(path.join(root, ours.postprocessing_file));
      const folder = path.dirname(path.join(root, ours.postprocessing_file));
      applyPostprocessing(folder, path.join(root, 'again'), steps);
      for (const id of Object.keys(config.folds))
        assert.deepEqual(
          readVolume(path.join(root, 'again', `${id}.nii.gz`)).data,
          readVolume(path.join(folder, 'postprocessed', `${id}.nii.gz`)).data,
        );
      assert.ok(fs.existsSync(path.join(folder, 'postprocessed', 'summary.json')));
      const instructions = fs.readFileSync(path.join(results, 'inference_instructions.txt'), 'utf8');
      assert.ok(instructions.includes(`--steps ${path.join(root, ours.postprocessing_file)}`));
      assert.ok(fs.existsSync(path.join(root, ours.postprocessing_file)));
      assert.match(
        instructions,
        /^nnUNetv2_predict -d .* -i INPUT_FOLDER -o OUTPUT_FOLDER.* -f 0 1 2 3 4 -tr nnUNetTrainer -c /m,
      );
      fs.rmSync(root, { recursive: true });
    });

  it('tries post-processing of one’s own too, on top of nnU-Net’s, and its advice names the module', function () {
    this.timeout(120_000);
    const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'best-')));
    const results = path.join(root, 'Dataset007_Own');
    const model = path.join(results, 'nnUNetTrainer__nnUNetPlans__2d');
    const [validation, references] = [path.join(model, 'fold_0', 'validation'), path.join(root, 'gt')];
    for (const folder of [validation, references]) fs.mkdirSync(folder, { recursive: true });
    const dataset = { channel_names: { 0: 'x' }, labels: { background: 0, a: 1, b: 2 }, numTraining: 2, file_ending: '.nii.gz' };
    fs.writeFileSync(path.join(model, 'dataset.json'), JSON.stringify(dataset));
    fs.writeFileSync(path.join(model, 'plans.json'), '{}');
    const write = (folder: string, id: string, data: Uint8Array) =>
      writeVolume(path.join(folder, `${id}.nii.gz`), {
        ...{ data, shape: [1, 4, 4], channels: 1, spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: identityDirection },
      });
    for (const id of ['c1', 'c2']) {
      const truth = Uint8Array.of(1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 2, 0, 0, 2, 2);
      write(references, id, truth);
      // The first voxel is missed, and a speck of a lies apart: the built-in step takes the speck, the own one brings the voxel.
      write(validation, id, truth.with(0, 0).with(3, 1));
    }
    const module = path.join(root, 'own.ts');
    fs.writeFileSync(
      module,
      `import { extend, z } from 'voxelbook';
       const apply = (labels, _grid, { at, label }) => labels.with(at, label);
       const trials = ({ evaluated }) => evaluated.flatMap((of) => [15, 0].map((at) => ({ settings: { at, label: of }, of })));
       extend({
         postprocessing: [
           { name: 'set', settings: z.object({ at: z.number(), label: z.number() }), apply, trials },
           { name: 'clear', apply: (labels) => labels.fill(0) },
           { name: 'needs', settings: z.object({ what: z.number() }), apply: () => { throw new Error('never tried'); } },
         ],
       });`,
    );
    const cli = nodeArguments(new URL('../../src/run/cli.js', import.meta.url));
    const run = (args: string[]) => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [...cli, ...args], { encoding: 'utf8' });
      assert.equal(status, 0, stderr + stdout);
      return stdout;
    };
    const advice = run(['find-best', results, references, '-c', '2d', '--extension', module]);
    const merged = path.join(model, 'crossval_results_folds_0');
    const file = path.join(merged, 'postprocessing.json');
    const { kind } = readPostprocessing(file)[0];
    assert.deepEqual(readPostprocessing(file), [
      { kind, labels_or_regions: [1, 2] },
      { kind: 'set', at: 0, label: 1 },
    ]);
    const command = /npx voxelbook (postprocess .*)/.exec(advice)![1];
    assert.ok(command.endsWith(`--steps ${file} --extension ${module}`), command);
    const words = { OUTPUT_FOLDER: merged, OUTPUT_FOLDER_PP: path.join(root, 'pp') } as Record<string, string>;
    run(command.split(' ').map((word) => words[word] ?? word));
    for (const id of ['c1', 'c2'])
      assert.deepEqual(
        readVolume(path.join(root, 'pp', `${id}.nii.gz`)).data,
        readVolume(path.join(references, `${id}.nii.gz`)).data,
      );
    fs.rmSync(root, { recursive: true });
  });

  it('names every configuration that is not trained', () => {
    const root = fs.mkdtempSync(path.join(os.tmpdir(), 'best-'));
    const models = ['2d', '3d_fullres'].map((configuration) => ({ configuration, plans: 'P', trainer: 'T' }));
    assert.throws(() => findBestConfiguration(root, root, models), {
      message: [
        'the best configuration cannot be chosen',
        ...['2d', '3d_fullres'].map(
          (c) =>
            `  ${path.join(root, `T__P__${c}`)}: no dataset.json there; expected a trained model in nnU-Net's results layout. Train it, or leave this configuration out.`,
        ),
      ].join('\n'),
    });
    fs.rmSync(root, { recursive: true });
  });
});
