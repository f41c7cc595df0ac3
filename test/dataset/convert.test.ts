// Every converter on a tiny imitation of the published folder.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {
  check,
  convert,
  datasetJsonFaults,
  describedNames,
  descriptor,
  labels,
  open,
  publicNames,
} from '../../src/dataset/index.js';
import { readVolume, type Volume, writePng, writeVolume } from '../../src/volume/index.js';
import { shape, volumeOf } from './folder.js';

const n = shape[0] * shape[1] * shape[2];
let base: string;

const put = (name: string, data: Volume['data']) => {
  const file = path.join(base, 'source', name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  writeVolume(file, volumeOf(data));
};
const scan = (seed = 1) => Int16Array.from({ length: n }, (_, i) => ((i * 37 + seed) % 301) - 100);
const map = (...names: number[]) => Uint8Array.from({ length: n }, (_, i) => (i < names.length ? names[i] : 0));
const picture = (
  name: string,
  width: number,
  height: number,
  channels: number,
  value: (x: number, y: number, c: number) => number,
) => {
  const file = path.join(base, 'source', name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const data = new Uint8Array(width * height * channels);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) for (let c = 0; c < channels; c++) data[(y * width + x) * channels + c] = value(x, y, c);
  writePng(file, { data, width, height, channels });
};
const run = async (name: string) => {
  const dataset = open(await convert(name, path.join(base, 'source'), { root: path.join(base, 'raw') }));
  const { faults } = await check(dataset);
  assert.deepEqual(faults, []);
  return dataset;
};
const labelOf = (folder: string, id: string, ending = '.nii.gz') => readVolume(path.join(folder, 'labelsTr', id + ending)).data;

describe('descriptors of public data sets', () => {
  for (const name of describedNames())
    it(`${name}: complete, and its dataset.json is valid`, () => {
      const d = descriptor(name);
      for (const key of ['title', 'folder', 'modality', 'licence', 'apply', 'split'] as const) assert.ok(d[key].length > 1, key);
      assert.ok(d.cases.train > 0 && d.papers.length > 0);
      assert.equal(d.name, name);
      // Whoever can be converted says how the published folder looks; the others have no converter.
      assert.equal(d.sourceLayout.length > 0, publicNames.includes(name));
      if (d.typicalShape) assert.ok(d.typicalShape.voxels.length === 3 && d.typicalShape.source.length > 1);
      assert.match(d.folder, /^Dataset\d{3}_\w+$/);
      assert.deepEqual(datasetJsonFaults({ ...d.datasetJson, numTraining: d.cases.train }), []);
    });
  it('class counts are the papers', () => {
    const heads = Object.fromEntries(publicNames.map((name) => [name, labels(descriptor(name).datasetJson as any).names.length]));
    assert.deepEqual(heads, {
      BTCV: 13,
      AMOS22: 15,
      KiTS19: 2,
      BraTS21: 3,
      TotalSegmentator: 104,
      AbdomenMRI: 13,
      EndoVis17: 7,
      NeurIPS22Cells: 2,
    });
  });
  it('an unknown name lists the known ones', () => assert.throws(() => descriptor('MSD'), /one of AMOS22, .*BTCV/));
  it('a set without a converter says where its folder belongs', () =>
    assert.rejects(convert('AutoPET22', os.tmpdir()), /no converter for AutoPET22.*\n?.*Dataset221_AutoPET22/s));
  it('what is not here is called by its name, and the error says where to apply', () =>
    assert.throws(() => open('BTCV'), /not on this machine; expected Dataset017_BTCV.*syn3193805.*dataset\.convert\('BTCV'/s));
});

describe('converters', () => {
  beforeEach(() => {
    base = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-convert-'));
  });
  afterEach(() => fs.rmSync(base, { recursive: true }));

  it('BTCV', async () => {
    for (const i of ['0001', '0002']) {
      put(`RawData/Training/img/img${i}.nii.gz`, scan());
      put(`RawData/Training/label/label${i}.nii.gz`, map(13, 1));
    }
    put('RawData/Testing/img/img0061.nii.gz', scan());
    const dataset = await run('btcv');
    process.env.nnUNet_raw = path.join(base, 'raw');
    assert.equal(open('BTCV').folder, dataset.folder);
    delete process.env.nnUNet_raw;
    assert.deepEqual(
      dataset.cases.map((c) => c.id),
      ['img0001', 'img0002'],
    );
    assert.deepEqual(labelOf(dataset.folder, 'img0001'), map(13, 1));
    assert.ok(fs.existsSync(path.join(dataset.folder, 'imagesTs/img0061_0000.nii.gz')));
  });

  it('AMOS22 takes the CT, AbdomenMRI the MR with its own numbers', async () => {
    for (const [part, i] of [
      ['Tr', '0001'],
      ['Tr', '0507'],
      ['Va', '0008'],
      ['Va', '0541'],
    ]) {
      put(`amos22/images${part}/amos_${i}.nii.gz`, scan());
      put(`amos22/labels${part}/amos_${i}.nii.gz`, map(...Array.from({ length: 16 }, (_, k) => k)));
    }
    const ct = await run('AMOS22');
    assert.deepEqual(
      ct.cases.map((c) => c.id),
      ['amos_0001'],
    );
    const mr = await run('AbdomenMRI');
    assert.deepEqual(
      mr.cases.map((c) => c.id),
      ['amos_0507', 'amos_0541'],
    );
    assert.deepEqual([...labelOf(mr.folder, 'amos_0507')].slice(0, 16), [0, 3, 2, 13, 9, 10, 1, 11, 5, 6, 4, 7, 8, 12, 0, 0]);
    const [from, to] = [labels(ct.json), labels(mr.json)];
    // The same organ under both numbers.
    [...labelOf(mr.folder, 'amos_0507')].slice(1, 14).forEach((label, i) => {
      assert.equal(to.names[label - 1], from.names[i]);
    });
  });

  it('KiTS19', async () => {
    put('data/case_00000/imaging.nii.gz', scan());
    put('data/case_00000/segmentation.nii.gz', map(1, 2));
    put('data/case_00210/imaging.nii.gz', scan());
    const dataset = await run('KiTS19');
    assert.deepEqual(
      dataset.cases.map((c) => c.id),
      ['case_00000'],
    );
    assert.ok(fs.existsSync(path.join(dataset.folder, 'imagesTs/case_00210_0000.nii.gz')));
  });

  it('BraTS21: four channels, labels 1, 2, 4 become 2, 1, 3', async () => {
    const id = 'BraTS2021_00002';
    for (const kind of ['t1', 't1ce', 't2', 'flair'])
      put(`BraTS2021_Training_Data/${id}/${id}_${kind}.nii.gz`, scan(kind.length));
    put(`BraTS2021_Training_Data/${id}/${id}_seg.nii.gz`, map(0, 1, 2, 4));
    const dataset = await run('BraTS21');
    assert.equal(dataset.cases[0].images.length, 4);
    assert.deepEqual([...labelOf(dataset.folder, id)].slice(0, 4), [0, 2, 1, 3]);
    assert.deepEqual(labels(dataset.json).regions, [[1, 2, 3], [2, 3], [3]]);
  });

  it('TotalSegmentator: masks merged in alphabetical order, test cases apart', async () => {
    for (const id of ['s0000', 's0001']) {
      put(`Totalsegmentator_dataset/${id}/ct.nii.gz`, scan());
      put(`Totalsegmentator_dataset/${id}/segmentations/adrenal_gland_left.nii.gz`, map(1, 1, 0));
      put(`Totalsegmentator_dataset/${id}/segmentations/vertebrae_T9.nii.gz`, map(0, 1, 1));
    }
    fs.writeFileSync(
      path.join(base, 'source/Totalsegmentator_dataset/meta.csv'),
      'image_id;age;split\ns0000;60;train\ns0001;50;test\n',
    );
    const dataset = await run('TotalSegmentator');
    assert.deepEqual(
      dataset.cases.map((c) => c.id),
      ['s0000'],
    );
    assert.deepEqual([...labelOf(dataset.folder, 's0000')].slice(0, 4), [1, 104, 104, 0]);
  });

  it('EndoVis17: instruments by folder, video frames cut to the camera picture', async () => {
    picture('train/instrument_dataset_1/left_frames/frame000.png', 1920, 1080, 3, (x, y, c) => (x + y + c) % 256);
    picture('train/instrument_dataset_1/ground_truth/Left_Prograsp_Forceps_labels/frame000.png', 1920, 1080, 1, (x, y) =>
      x === 320 && y === 28 ? 10 : 0,
    );
    picture('train/instrument_dataset_1/ground_truth/Other_labels/frame000.png', 1920, 1080, 1, (x, y) =>
      x === 321 && y === 28 ? 40 : 0,
    );
    picture('train/instrument_dataset_2/left_frames/frame000.png', 12, 10, 3, (x) => x);
    picture('train/instrument_dataset_2/ground_truth/Maryland_Bipolar_Forceps_labels/frame000.png', 12, 10, 1, (x) =>
      x < 2 ? 20 : 0,
    );
    const dataset = await run('EndoVis17');
    assert.deepEqual(
      dataset.cases.map((c) => c.id),
      ['seq01_frame000', 'seq02_frame000'],
    );
    const image = readVolume(dataset.cases[0].images[0]);
    assert.deepEqual(
      [image.shape, [...image.data.subarray(0, 3)]],
      [
        [1, 1024, 1280],
        [92, 93, 94],
      ],
    );
    assert.deepEqual([...labelOf(dataset.folder, 'seq01_frame000', '.png')].slice(0, 3), [2, 7, 0]);
    assert.equal(labelOf(dataset.folder, 'seq02_frame000', '.png')[0], 1);
  });

  it('NeurIPS22 cells: interior and boundary, small interiors vanish, colours stretched', async () => {
    picture('Training-labeled/images/cell_00001.png', 30, 24, 1, (x) => 10 + x);
    picture('Training-labeled/labels/cell_00001_label.png', 30, 24, 1, (x, y) =>
      x >= 2 && x < 14 && y >= 2 && y < 20 ? 1 : x >= 14 && x < 26 && y >= 2 && y < 20 ? 2 : x >= 27 && y >= 21 ? 3 : 0,
    );
    const dataset = await run('NeurIPS22Cells');
    const truth = labelOf(dataset.folder, 'cell_00001', '.png');
    const at = (x: number, y: number) => truth[y * 30 + x];
    // Edge pixels of a cell, one further to both sides; then interior.
    assert.deepEqual(
      [0, 1, 2, 3, 4, 8, 11, 12, 13, 14, 15, 16, 17].map((x) => at(x, 10)),
      [0, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 1, 1],
    );
    assert.ok(![...truth].some((v, i) => v === 1 && i % 30 >= 27));
    const image = readVolume(dataset.cases[0].images[0]);
    assert.equal(image.channels, 3);
    assert.deepEqual([Math.min(...image.data), Math.max(...image.data)], [0, 255]);
  });

  it('what is missing is named before anything is written', async () => {
    put('RawData/Training/img/img0001.nii.gz', scan());
    await assert.rejects(
      convert('BTCV', path.join(base, 'source'), { root: path.join(base, 'raw') }),
      /label0001\.nii\.gz: no file; expected a file of every case/,
    );
    await assert.rejects(
      convert('KiTS19', path.join(base, 'nothing'), { root: path.join(base, 'raw') }),
      /no such folder inside; expected data\/ or kits19\/data\/|no case/,
    );
    assert.ok(!fs.existsSync(path.join(base, 'raw')));
  });

  it('a second conversion writes nothing again', async () => {
    put('data/case_00000/imaging.nii.gz', scan());
    put('data/case_00000/segmentation.nii.gz', map(1, 2));
    const { folder } = await run('KiTS19');
    const file = path.join(folder, 'imagesTr/case_00000_0000.nii.gz');
    const before = fs.statSync(file).mtimeMs;
    await run('KiTS19');
    assert.equal(fs.statSync(file).mtimeMs, before);
  });
});
