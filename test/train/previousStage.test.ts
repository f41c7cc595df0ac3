import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { VoxelbookError } from '../../src/base/errors.js';
import { Random } from '../../src/base/random.js';
import { type Fold, labels, open, split } from '../../src/dataset/index.js';
import { fingerprint, inputChannels } from '../../src/plan/index.js';
import { preprocessedFolder, saveCase, saveStageLabels, withPreviousStage } from '../../src/preprocess/index.js';
import {
  type Batch,
  checkStages,
  dependenciesOf,
  type Experiment,
  heldOutBy,
  networkInput,
  nextStageFolder,
  planOf,
  previousStageOf,
  runHash,
  type SampleSource,
  startFeed,
} from '../../src/train/index.js';
import { leaveWorkplace, tinyExperiment, workplace } from '../run/tiny.js';

const patch: [number, number, number] = [8, 8, 8];
const shapes: [number, number, number][] = [
  [12, 14, 16],
  [20, 9, 11],
  [6, 16, 10],
];

/** Preprocessed cases with two labels in blocks, and labels of a previous stage made of them by `previousOf`. */
function source(previousOf?: (seg: Int16Array) => number[] | Uint8Array): SampleSource & { folder: string } {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'stages-'));
  const stage = path.join(folder, 'stage');
  const folders: Record<string, string> = {};
  for (const [i, shape] of shapes.entries()) {
    const random = new Random(i);
    const n = shape[0] * shape[1] * shape[2];
    const data = Float32Array.from({ length: n }, () => random.normal());
    const seg = Int16Array.from({ length: n }, (_, v) => (v % shape[2] < 2 ? -1 : Math.floor((v % shape[2]) / 3) % 3));
    const classLocations = new Map([['1', Int32Array.of(3, 4, 4, 4, 5, 3)]]);
    saveCase(folder, `case_${i}`, 'hash', { data, seg, shape, channels: 1, classLocations, properties: {} as never });
    if (previousOf) saveStageLabels(stage, `case_${i}`, Uint8Array.from(previousOf(seg)), shape);
    folders[`case_${i}`] = stage;
  }
  return {
    folder,
    train: ['case_0', 'case_1'],
    validation: ['case_2'],
    seed: 4,
    batchSize: 3,
    patch,
    channels: previousOf ? 3 : 1,
    dimensions: 3,
    oversampleForeground: 0.33,
    augmentation: 'nnunetv2',
    augmentationSettings: { mirrorAxes: [0, 1, 2] },
    outputShapes: [patch, [4, 4, 4]],
    previous: previousOf && { folders, foreground: [1, 2] },
    cacheBytes: 10_000,
  };
}

const reference = (seg: Int16Array) => seg.map((v) => Math.max(v, 0)) as unknown as number[];
const exchanged = (seg: Int16Array) => seg.map((v) => [0, 2, 1][Math.max(v, 0)]) as unknown as number[];

async function batches(from: SampleSource, workers = 0): Promise<Batch[]> {
  const feed = startFeed(from, { workers, turn: (phase, index) => ({ phase, index: index + 1 }) });
  const found: Batch[] = [];
  for (let i = 0; i < 6; i++) found.push(await feed.next('train', i), await feed.next('validation', i));
  await feed.close();
  return found;
}

/** Channel `c` of a batch. */
const channel = ({ image, channels }: Batch, c: number) => image.filter((_, i) => i % channels === c);
const indicator = ({ labels: [full] }: Batch, label: number) => Float32Array.from(full, (v) => (v === label ? 1 : 0));

describe('batches of a second stage', () => {
  it('with the reference as previous stage, the further channels are the label patch, in training and validation', async () => {
    for (const batch of await batches({ ...source(reference), augmentation: 'none' })) {
      assert.equal(batch.channels, 3);
      for (const label of [1, 2]) assert.deepEqual(channel(batch, label), indicator(batch, label));
    }
  });

  it('augmentation turns them with the image and roughens some; the image itself and the labels stay as without a cascade', async () => {
    const [first, second] = [await batches(source()), await batches(source(reference))];
    const n = 8 ** 3;
    let asTheyWere = 0;
    for (const [i, batch] of second.entries()) {
      assert.deepEqual(channel(batch, 0), first[i].image);
      assert.deepEqual(batch.labels, first[i].labels);
      for (let j = 0; j < 3; j++) {
        const of = (values: Float32Array) => values.subarray(j * n, (j + 1) * n);
        const same = [1, 2].every((l) => of(channel(batch, l)).every((v, k) => v === of(indicator(batch, l))[k]));
        if (i % 2 === 0) asTheyWere += same ? 1 : 0;
        else assert.ok(same, 'validation');
      }
    }
    assert.ok(asTheyWere > 4 && asTheyWere < 15, `${asTheyWere} of 18 training samples`);
  });

  it('another previous stage changes the further channels, and nothing else', async () => {
    const none = { augmentation: 'none' as const };
    const [first, second] = [await batches({ ...source(reference), ...none }), await batches({ ...source(exchanged), ...none })];
    for (const [i, batch] of second.entries()) {
      assert.deepEqual(channel(batch, 0), channel(first[i], 0));
      assert.deepEqual(batch.labels, first[i].labels);
      assert.deepEqual(channel(batch, 1), channel(first[i], 2));
      assert.deepEqual(channel(batch, 2), channel(first[i], 1));
      assert.notDeepEqual(batch.image, first[i].image);
    }
  });

  it('are the same bits with any number of workers', async () => {
    const from = source(reference);
    const none = await batches(from);
    assert.deepEqual(await batches(from, 1), none);
    assert.deepEqual(await batches(from, 3), none);
  });

  it('labels of another shape are refused with file, shape and what to do', async () => {
    const from = source(reference);
    saveStageLabels(from.previous!.folders.case_2, 'case_2', new Uint8Array(8), [2, 2, 2]);
    const feed = startFeed(from, { workers: 0, turn: () => undefined });
    await assert.rejects(feed.next('validation', 0), {
      message: `the previous stage's labels of case_2 do not fit\n  ${from.previous!.folders.case_2}/case_2.safetensors: 2×2×2; expected 6×16×10, the shape of the preprocessed case. Image or plan changed since; remove predictions/ and scores.json of that run and run it again.`,
    });
  });

  it('a whole case gets the same channels', () => {
    const from = source(reference);
    const plain = networkInput(from, undefined, 'case_0');
    const done = networkInput(from, from.previous, 'case_0');
    assert.deepEqual([plain.channels, done.channels], [1, 3]);
    for (let v = 0; v < plain.seg.length; v++)
      assert.deepEqual(
        [...done.data.subarray(3 * v, 3 * v + 3)],
        [plain.data[v], plain.seg[v] === 1 ? 1 : 0, plain.seg[v] === 2 ? 1 : 0],
      );
    assert.deepEqual(withPreviousStage(plain, reference(plain.seg), [1, 2]), done);
  });
});

describe('what a second stage needs', () => {
  let lowres: Experiment;
  let cascade: Experiment;

  after(leaveWorkplace);
  beforeEach(() => {
    const root = workplace();
    lowres = tinyExperiment(root, { name: 'low', configuration: '3d_lowres' });
    cascade = tinyExperiment(root, { name: 'cascade', configuration: '3d_cascade_fullres', previousStage: lowres });
  });

  it('is every fold of the first stage with its own seed, after what it starts from', () => {
    const needs = (experiment: Experiment) => dependenciesOf(experiment, 1, 7).map((d) => [d.experiment.name, d.fold, d.seed]);
    const folds = [0, 1, 2, 3, 4].map((k) => ['low', k, 7]);
    assert.deepEqual(needs(lowres), []);
    assert.deepEqual(needs(cascade), folds);
    const other = { ...cascade, name: 'other' };
    assert.deepEqual(needs({ ...cascade, init: { upkernFrom: other } }), [['other', 1, 7], ...folds]);
  });

  it('each case comes from the fold that holds it out, the own fold where there is a choice, so that no label was seen in training', () => {
    const dataset = open(cascade.dataset);
    const ids = dataset.cases.map((c) => c.id);
    for (const fold of [0, 3, 6]) {
      const held = heldOutBy(cascade, dataset, fold);
      assert.deepEqual([...held.keys()].sort(), ids);
      for (const [id, k] of held) assert.ok(split(ids, k).val.includes(id) && !split(ids, k).train.includes(id));
    }
    const base = preprocessedFolder(dataset);
    fs.mkdirSync(base, { recursive: true });
    const overlapping = [
      { train: ids.slice(3), val: ids.slice(0, 3) },
      { train: ids.slice(0, 2), val: ids.slice(2) },
    ];
    fs.writeFileSync(path.join(base, 'splits_final.json'), JSON.stringify(overlapping));
    assert.equal(heldOutBy(cascade, dataset, 0).get(ids[2]), 0);
    assert.equal(heldOutBy(cascade, dataset, 1).get(ids[2]), 1);
    // A share of the training cases needs only the folds that hold these out.
    const few = { ...cascade, trainShare: 0.01 };
    assert.deepEqual(
      dependenciesOf({ ...few }, 0, 1).map((d) => d.fold),
      [0, 1],
    );
    fs.writeFileSync(path.join(base, 'splits_final.json'), JSON.stringify([overlapping[0]]));
    assert.throws(() => dependenciesOf(cascade, 0, 1), {
      message:
        '"cascade" cannot be the second stage of a cascade\n  splits_final.json: no fold validates ball_3, ball_4, ball_5; expected every case in the validation set of a fold, whose first stage predicts it. Split the cases into folds that together validate all of them.',
    });
  });

  it('labels that are missing are named by fold and case', () => {
    const dataset = open(cascade.dataset);
    const prepared = { dataset, labels: labels(dataset.json) };
    const root = fs.mkdtempSync(path.join(os.tmpdir(), 'stage-'));
    const folderOf = (e: Experiment, fold: Fold, seed: number) => path.join(root, `${e.name} ${fold} ${seed}`);
    const find = () => previousStageOf(cascade, prepared, 0, 1, folderOf);
    for (const [id, fold] of heldOutBy(cascade, dataset, 0))
      if (fold !== 0 && fold !== 4)
        saveStageLabels(nextStageFolder(folderOf(lowres, fold, 1), cascade.configuration), id, new Uint8Array(1), [1, 1, 1]);
    assert.throws(find, (error: VoxelbookError) => {
      assert.deepEqual(
        error.faults.map(({ path: p, given }) => [p, given]),
        [
          [
            'fold 0 of "low", seed 1',
            `no labels of ball_3, ball_5 in ${path.join(root, 'low 0 1', 'predicted_next_stage', '3d_cascade_fullres')}`,
          ],
          [
            'fold 4 of "low", seed 1',
            `no labels of ball_2 in ${path.join(root, 'low 4 1', 'predicted_next_stage', '3d_cascade_fullres')}`,
          ],
        ],
      );
      assert.match(error.message, /Finish that run first, or start both as a study/);
      return true;
    });
    for (const [id, fold] of heldOutBy(cascade, dataset, 0))
      saveStageLabels(nextStageFolder(folderOf(lowres, fold, 1), cascade.configuration), id, new Uint8Array(1), [1, 1, 1]);
    assert.deepEqual(find()!.foreground, [1, 2]);
    assert.equal(Object.keys(find()!.folders).length, 6);
    assert.equal(previousStageOf(lowres, prepared, 0, 1, folderOf), undefined);
  });

  it('stages that do not belong together are refused with every difference', async () => {
    const dataset = open(cascade.dataset);
    const print = await fingerprint(dataset, { draws: 1000 });
    const plain = planOf(dataset, print, { ...lowres, configuration: '3d_fullres' });
    const second = { inherits_from: '3d_fullres', previous_stage: '3d_lowres' };
    const plan = {
      ...plain,
      configurations: {
        ...plain.configurations,
        '3d_lowres': plain.configurations['3d_fullres'],
        '3d_cascade_fullres': second as never,
      },
    };
    assert.doesNotThrow(() => checkStages(cascade, plan));
    assert.doesNotThrow(() => checkStages(lowres, plan));
    const { previousStage: _, ...alone } = cascade;
    assert.throws(() => checkStages(alone, plan), {
      message:
        '"cascade" is no possible stage of a cascade\n  previousStage: missing; expected an experiment of 3d_lowres. 3d_cascade_fullres sees the labels it predicts.',
    });
    assert.throws(() => checkStages({ ...cascade, configuration: '3d_fullres' }, plan), {
      message:
        '"cascade" is no possible stage of a cascade\n  previousStage: "low"; expected none: 3d_fullres is no second stage. Remove it, or change the configuration.',
    });
    const wrong = { ...lowres, configuration: '2d', dataset: 'SimGlioma', planner: 'ResEncUNetPlanner', gpuMemoryGb: 4 };
    assert.throws(
      () => checkStages({ ...cascade, previousStage: wrong }, plan),
      (error: VoxelbookError) => {
        assert.deepEqual(
          error.faults.map((f) => [f.path, f.given, f.expected]),
          [
            ['previousStage.configuration', '2d', '3d_lowres'],
            ['previousStage.dataset', 'SimGlioma', cascade.dataset],
            ['previousStage.planner', 'ResEncUNetPlanner', 'undefined'],
            ['previousStage.gpuMemoryGb', '4', 'undefined'],
          ],
        );
        return true;
      },
    );
  });

  it('its network takes a channel more for each foreground label, regions or not', () => {
    const json = { channel_names: { '0': 'a', '1': 'b' }, numTraining: 1, file_ending: '.nii.gz' };
    const regions = { labels: { background: 0, whole: [1, 2, 3], core: [2, 3] }, regions_class_order: [1, 2] };
    assert.equal(inputChannels({ ...json, labels: { background: 0, x: 1, y: 2, ignore: 3 } }, { previous_stage: 'a' }), 4);
    assert.equal(inputChannels({ ...json, ...regions }, { previous_stage: 'a' }), 5);
    assert.equal(inputChannels({ ...json, ...regions }, {}), 2);
  });

  it('the hash of a run changes with every setting of its previous stage, not with its name or folds', () => {
    const hash = (changes: Partial<Experiment>) => runHash({ ...cascade, previousStage: { ...lowres, ...changes } }, 0, 1);
    assert.equal(hash({ name: 'x', folds: [3], seeds: [9] }), hash({}));
    const changed = [
      hash({}),
      hash({ trainShare: 0.5 }),
      hash({ recipe: { ...lowres.recipe, epochs: 9 } }),
      runHash(lowres, 0, 1),
    ];
    assert.equal(new Set(changed).size, 4);
  });
});
