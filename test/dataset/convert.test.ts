// Every converter on a tiny imitation of the published folder.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { exactLabels } from '../../src/dataset/convert/exactLabels.js';
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
const converted = (name: string) => convert(name, path.join(base, 'source'), { root: path.join(base, 'raw'), workers: 1 });
const run = async (name: string) => {
  const dataset = open(await converted(name));
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
      assert.ok(d.sourceLayout.length > 0 && publicNames.includes(name));
      if (d.download) {
        assert.ok(d.download.source.length > 1 && d.download.files.length > 0);
        for (const { url, to, md5 } of d.download.files) {
          assert.match(url, /^https:\/\//);
          assert.match(to, /^[\w-][\w./{}-]+$/);
          if (md5 !== null) assert.match(md5, /^[0-9a-f]{32}$/);
        }
      }
      if (d.typicalShape) assert.ok(d.typicalShape.voxels.length === 3 && d.typicalShape.source.length > 1);
      assert.match(d.folder, /^Dataset\d{3}_\w+$/);
      assert.deepEqual(datasetJsonFaults({ ...d.datasetJson, numTraining: d.cases.train }), []);
    });
  it('class counts are the papers', () => {
    const heads = Object.fromEntries(publicNames.map((name) => [name, labels(descriptor(name).datasetJson as any).names.length]));
    assert.deepEqual(heads, {
      BTCV: 13,
      AMOS22: 15,
      AMOS22CTMR: 15,
      KiTS19: 2,
      KiTS23: 3,
      LiTS: 2,
      FLARE22: 13,
      ACDC: 3,
      AutoPET22: 1,
      BraTS21: 3,
      TotalSegmentator: 104,
      AbdomenMRI: 13,
      EndoVis17: 7,
      NeurIPS22Cells: 2,
      MSD01_BrainTumour: 3,
      MSD02_Heart: 1,
      MSD03_Liver: 2,
      MSD04_Hippocampus: 2,
      MSD05_Prostate: 2,
      MSD06_Lung: 1,
      MSD07_Pancreas: 2,
      MSD08_HepaticVessel: 2,
      MSD09_Spleen: 1,
      MSD10_Colon: 1,
    });
  });
  it('an unknown name lists the known ones', () => assert.throws(() => descriptor('MSD'), /one of ACDC, AMOS22, .*BTCV/));
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

  it('AMOS22CTMR takes both kinds of scans', async () => {
    for (const i of ['0001', '0507']) {
      put(`amos22/imagesTr/amos_${i}.nii.gz`, scan());
      put(`amos22/labelsTr/amos_${i}.nii.gz`, map(15, 1));
    }
    const dataset = await run('AMOS22CTMR');
    assert.deepEqual(
      dataset.cases.map((c) => c.id),
      ['amos_0001', 'amos_0507'],
    );
  });

  it('KiTS23: regions and the turn to RAS as nnU-Net has them', async () => {
    put('dataset/case_00400/imaging.nii.gz', scan());
    put('dataset/case_00400/segmentation.nii.gz', map(1, 2, 3));
    const dataset = await run('KiTS23');
    assert.deepEqual(labels(dataset.json).regions, [[1, 2, 3], [2, 3], 2]);
    assert.equal(dataset.cases[0].reader, 'reorient');
    assert.deepEqual([...labelOf(dataset.folder, 'case_00400')].slice(0, 4), [1, 2, 3, 0]);
  });

  it('LiTS: two batches, plain NIfTI, test scans of the same number', async () => {
    for (const [batch, i] of [
      [1, 0],
      [2, 28],
    ]) {
      put(`Training Batch ${batch}/volume-${i}.nii`, scan());
      put(`Training Batch ${batch}/segmentation-${i}.nii`, map(1, 2));
    }
    put('Test/test-volume-0.nii', scan());
    const dataset = await run('LiTS');
    assert.deepEqual(
      [dataset.cases.map((c) => c.id), dataset.testCases.map((c) => c.id)],
      [['lits_000', 'lits_028'], ['lits_000_test']],
    );
    put('Test/volume-0.nii', scan());
    await assert.rejects(converted('LiTS'), /lits_000 twice; expected every case once/);
  });

  it('FLARE22: the channel’s number is part of the published name', async () => {
    put('FLARE22Train/images/FLARE22_Tr_0001_0000.nii.gz', scan());
    put('FLARE22Train/labels/FLARE22_Tr_0001.nii.gz', map(13, 1));
    const dataset = await run('FLARE22');
    assert.equal(path.basename(dataset.cases[0].images[0]), 'FLARE22_Tr_0001_0000.nii.gz');
  });

  it('ACDC: two frames a patient, kept together; the test part with labels', async () => {
    for (const [part, patient, frame] of [
      ['training', '001', '01'],
      ['training', '001', '12'],
      ['training', '002', '01'],
      ['testing', '101', '01'],
    ]) {
      const file = `database/${part}/patient${patient}/patient${patient}_frame${frame}`;
      put(`${file}.nii.gz`, scan());
      put(`${file}_gt.nii.gz`, map(1, 2, 3));
      put(`database/${part}/patient${patient}/patient${patient}_4d.nii.gz`, scan());
    }
    const dataset = await run('ACDC');
    assert.deepEqual(
      dataset.cases.map((c) => c.id),
      ['patient001_frame01', 'patient001_frame12', 'patient002_frame01'],
    );
    assert.ok(dataset.testCases[0].label);
    assert.deepEqual(JSON.parse(fs.readFileSync(path.join(dataset.folder, 'groups.json'), 'utf8')), {
      patient001_frame01: 'patient001',
      patient001_frame12: 'patient001',
      patient002_frame01: 'patient002',
    });
  });

  it('autoPET22: resampled CT, then PET; studies of a patient together', async () => {
    for (const study of ['01-01-2001-NA-1', '02-01-2002-NA-2'])
      for (const [kind, data] of Object.entries({ CTres: scan(), SUV: scan(2), SEG: map(1) }))
        put(`FDG-PET-CT-Lesions/PETCT_0011/${study}/${kind}.nii.gz`, data);
    const dataset = await run('AutoPET22');
    assert.deepEqual(readVolume(dataset.cases[0].images[0]).data, scan());
    assert.deepEqual(readVolume(dataset.cases[0].images[1]).data, scan(2));
    const groups = JSON.parse(fs.readFileSync(path.join(dataset.folder, 'groups.json'), 'utf8'));
    assert.deepEqual(Object.values(groups), ['PETCT_0011', 'PETCT_0011']);
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

  it('labels that float32 rounded are whole again, in a whole-number type', async () => {
    put('data/case_00000/imaging.nii.gz', scan());
    put(
      'data/case_00000/segmentation.nii.gz',
      Float32Array.from({ length: n }, (_, i) => [0, 0.99999994, 2.0000002, 1][i % 4]),
    );
    const { folder } = await run('KiTS19');
    const found = labelOf(folder, 'case_00000');
    assert.ok(found instanceof Uint8Array);
    assert.deepEqual([...found].slice(0, 4), [0, 1, 2, 1]);
  });

  it('what is no label, and a mask of another shape, stop their case alone; the next run goes on', async () => {
    for (const id of ['case_00000', 'case_00001', 'case_00002']) put(`data/${id}/imaging.nii.gz`, scan());
    put('data/case_00000/segmentation.nii.gz', map(1, 2));
    put(
      'data/case_00001/segmentation.nii.gz',
      Float32Array.from({ length: n }, (_, i) => (i === 9 ? 0.9999 : 0)),
    );
    writeVolume(path.join(base, 'source/data/case_00002/segmentation.nii.gz'), {
      ...volumeOf(new Uint8Array(n)),
      shape: [shape[0], shape[2], shape[1]],
    });
    await assert.rejects(converted('KiTS19'), (error: Error) => {
      assert.match(error.message, /convert failed for 2 of 3 cases/);
      assert.match(
        error.message,
        /case_00001\/segmentation\.nii\.gz voxel \[0, 1, 2\]: 0\.9998999\d*; expected a whole number from 0 to/,
      );
      assert.match(error.message, /case_00002\/segmentation\.nii\.gz: 6×7×8; expected 6×8×7 as imaging\.nii\.gz/);
      return true;
    });
    const raw = path.join(base, 'raw/Dataset040_KiTS19');
    assert.ok(!fs.existsSync(path.join(raw, 'dataset.json')), 'nothing opens what is not whole');
    const kept = path.join(raw, 'labelsTr/case_00000.nii.gz');
    const before = fs.statSync(kept).mtimeMs;
    for (const id of ['case_00001', 'case_00002']) put(`data/${id}/segmentation.nii.gz`, map(2));
    const left = path.join(raw, `imagesTr/case_00001_0000.nii.gz.0a0a0a-0-0.${process.pid + 4_000_000}.tmp`);
    fs.writeFileSync(left, 'half');
    assert.equal((await run('KiTS19')).cases.length, 3);
    assert.equal(fs.statSync(kept).mtimeMs, before);
  });

  it('BraTS: a label that the published set does not have is refused, not dropped', async () => {
    const id = 'BraTS2021_00002';
    for (const kind of ['t1', 't1ce', 't2', 'flair']) put(`${id}/${id}_${kind}.nii.gz`, scan());
    put(`${id}/${id}_seg.nii.gz`, map(0, 3));
    await assert.rejects(converted('BraTS21'), /BraTS2021_00002_seg\.nii\.gz: label 3; expected one of 0, 1, 2, 4/);
  });

  it('a label is the whole number within float32 rounding, at any size', () => {
    const of = (...values: number[]) => [
      ...exactLabels({ ...volumeOf(Float32Array.from(values)), shape: [1, 1, values.length] }, 'a').data,
    ];
    assert.deepEqual(of(0.99999994, 1.0000001, 299.99997, 300.00003), [1, 1, 300, 300]);
    for (const bad of [0.999, 1.00001, 300.001, -1, 40000, Number.NaN, Number.POSITIVE_INFINITY])
      assert.throws(() => of(0, bad), /voxel \[0, 0, 1\]: .*expected a whole number from 0 to 32767/);
  });

  it('what is missing is named before anything is written', async () => {
    put('RawData/Training/img/img0001.nii.gz', scan());
    await assert.rejects(
      convert('BTCV', path.join(base, 'source'), { root: path.join(base, 'raw'), workers: 1 }),
      /label0001\.nii\.gz: no file; expected a file of every case/,
    );
    await assert.rejects(
      convert('KiTS19', path.join(base, 'nothing'), { root: path.join(base, 'raw'), workers: 1 }),
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
