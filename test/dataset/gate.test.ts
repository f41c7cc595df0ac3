// Three sets made by hand (BraTS-like, ACDC-like, pictures): silence when valid; with one fault of every kind planted, one report of them all.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { nodeArguments } from '../../src/base/workers.js';
import { hashed } from '../../src/dataset/content.js';
import { check, embeddedNames, gate, open, repairKinds } from '../../src/dataset/index.js';
import { fingerprint } from '../../src/plan/index.js';
import { identityDirection, readVolume, type Volume, writePng, writeVolume } from '../../src/volume/index.js';

type Shape = [number, number, number];

let base: string;
const before = process.env.VOXELBOOK_DATA;
/** A folder of its own for each test of a `describe`; the tests of other files keep their environment. */
function ownFolder(): void {
  beforeEach(() => {
    base = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-gate-'));
    process.env.VOXELBOOK_DATA = path.join(base, 'data');
  });
  afterEach(() => {
    fs.rmSync(base, { recursive: true });
    if (before === undefined) delete process.env.VOXELBOOK_DATA;
    else process.env.VOXELBOOK_DATA = before;
  });
}

/** A set of images that differ, written file by file. */
class HandMade {
  readonly folder: string;
  constructor(
    name: string,
    readonly json: Record<string, unknown>,
    readonly shape: Shape,
    readonly spacingMm: Shape,
  ) {
    this.folder = path.join(base, 'raw', name);
    for (const part of ['imagesTr', 'labelsTr']) fs.mkdirSync(path.join(this.folder, part), { recursive: true });
    this.describe({});
  }
  describe(more: Record<string, unknown>): void {
    Object.assign(this.json, more);
    fs.writeFileSync(path.join(this.folder, 'dataset.json'), JSON.stringify(this.json));
  }
  image = (id: string, channel = 0) => path.join(this.folder, 'imagesTr', `${id}_000${channel}${this.json.file_ending}`);
  label = (id: string) => path.join(this.folder, 'labelsTr', `${id}${this.json.file_ending}`);
  values = (seed: number) =>
    Float32Array.from({ length: this.shape.reduce((a, b) => a * b, 1) }, (_, i) => ((i * 31 + seed * 7) % 97) + 1);
  labels = (most: number) => Uint8Array.from(this.values(3), (v, i) => (i % 5 === 0 ? Math.min(most, v % (most + 1)) : 0));
  volume = (data: Volume['data'], more: Partial<Volume> = {}): Volume => ({
    data,
    shape: this.shape,
    channels: 1,
    spacingMm: this.spacingMm,
    originMm: [10, -20, 5],
    direction: [...identityDirection],
    ...more,
  });
  put(file: string, data: Volume['data'], more: Partial<Volume> = {}): void {
    writeVolume(file, this.volume(data, more));
  }
}

const report = async (set: HandMade) => {
  const { faults, warnings } = await check(open(set.folder));
  const said = (list: typeof faults) => list.map((f) => `${f.code} ${f.path}`).sort();
  return { faults: said(faults), warnings: said(warnings), all: [...faults, ...warnings] };
};
const silent = async (set: HandMade) => {
  const { faults, warnings } = await report(set);
  assert.deepEqual({ faults, warnings }, { faults: [], warnings: [] });
};

function brats(): HandMade {
  const set = new HandMade(
    'Dataset137_Brats',
    {
      channel_names: { '0': 'T1', '1': 'T1ce', '2': 'T2', '3': 'FLAIR' },
      labels: { background: 0, WT: [1, 2, 3], TC: [2, 3], ET: [3] },
      regions_class_order: [1, 2, 3],
      numTraining: 16,
      file_ending: '.nii.gz',
    },
    [8, 9, 10],
    [1, 1, 1],
  );
  for (let k = 0; k < 16; k++) {
    const id = `BraTS2021_${String(k).padStart(5, '0')}`;
    for (let c = 0; c < 4; c++) set.put(set.image(id, c), set.values(10 * k + c));
    set.put(set.label(id), set.labels(3));
  }
  return set;
}
const b = (k: number) => `BraTS2021_${String(k).padStart(5, '0')}`;

describe('the gate on a BraTS-like set', () => {
  ownFolder();

  it('is silent when the set is valid, and reads nothing the second time', async () => {
    const set = brats();
    await silent(set);
    const { files } = hashed;
    await silent(set);
    assert.equal(hashed.files, files);
    fs.utimesSync(set.image(b(3), 2), new Date(), new Date());
    await silent(set);
    // All five files of the touched case, and of no other.
    assert.equal(hashed.files, files + 5);
  });

  it('lists every planted fault in one report, and refuses the set', async () => {
    const set = brats();
    fs.rmSync(set.image(b(0), 1)); // out of sequence: 0, 2, 3
    fs.rmSync(set.image(b(1), 3)); // a channel missing
    set.put(set.image(b(2), 4), set.values(1)); // a channel too many
    set.put(set.image(b(3), 2), set.values(1).subarray(0, 8 * 9 * 9), { shape: [8, 9, 9] });
    set.put(set.image(b(4), 2), set.values(1), { spacingMm: [1, 1, 3] });
    set.put(set.label(b(5)), set.labels(3), { spacingMm: [2, 1, 1] });
    set.put(set.label(b(6)), set.labels(4)); // a label without a name
    set.put(
      set.label(b(7)),
      Float32Array.from(set.labels(1), (v) => v * 0.9999),
    );
    set.put(
      set.label(b(8)),
      Int16Array.from(set.labels(1), (v) => v - 1),
    );
    set.put(
      set.label(b(9)),
      Int32Array.from(set.labels(1), (v) => v * 40000),
    );
    set.put(set.image(b(10), 0), set.values(1).fill(Number.NaN, 3, 5));
    set.put(set.image(b(11), 0), set.values(1).fill(Number.POSITIVE_INFINITY, 3, 4));
    fs.rmSync(set.label(b(12)));
    set.put(path.join(set.folder, 'imagesTr', 'follow_up.nii.gz'), set.values(1)); // no channel number
    fs.mkdirSync(path.join(base, 'raw', 'Dataset137_Other'));
    fs.writeFileSync(path.join(base, 'raw', 'Dataset137_Other', 'dataset.json'), '{}');
    // What is only said.
    set.put(set.image(b(13), 1), set.values(5), { originMm: [0, 0, 0] });
    set.put(set.label(b(14)), set.labels(3), { direction: [-1, 0, 0, 0, -1, 0, 0, 0, 1] });
    for (let c = 0; c < 4; c++) fs.copyFileSync(set.image(b(13), c), set.image(b(15), c));
    fs.writeFileSync(path.join(set.folder, 'imagesTr', `._${b(0)}_0000.nii.gz`), 'mac');
    set.describe({ numTraining: 20 });
    const { faults, warnings, all } = await report(set);
    assert.deepEqual(
      faults,
      [
        `channels ${b(0)}`,
        `channels ${b(1)}`,
        `channels ${b(2)}`,
        'dataset-number Dataset137_Brats',
        'file-name imagesTr/follow_up.nii.gz',
        `label-missing labelsTr/${b(12)}.nii.gz`,
        `label-range labelsTr/${b(8)}.nii.gz`,
        `label-range labelsTr/${b(9)}.nii.gz`,
        `label-unknown labelsTr/${b(6)}.nii.gz`,
        `label-values labelsTr/${b(7)}.nii.gz`,
        `not-finite imagesTr/${b(10)}_0000.nii.gz`,
        `not-finite imagesTr/${b(11)}_0000.nii.gz`,
        `shape imagesTr/${b(3)}_0002.nii.gz`,
        `spacing imagesTr/${b(4)}_0002.nii.gz`,
        `spacing labelsTr/${b(5)}.nii.gz`,
      ].sort(),
    );
    assert.deepEqual(
      warnings,
      [
        `direction labelsTr/${b(14)}.nii.gz`,
        'mac-files imagesTr/._BraTS2021_00000_0000.nii.gz',
        'num-training dataset.json numTraining',
        `origin imagesTr/${b(13)}_0001.nii.gz`,
        `origin imagesTr/${b(15)}_0001.nii.gz`,
        `same-image ${b(13)}, ${b(15)}`,
      ].sort(),
    );
    const about = (code: string, where: string) => all.find((f) => f.code === code && f.path.includes(where))!;
    assert.equal(about('channels', b(0)).given, '3 files (_0000, _0002, _0003)');
    assert.match(about('channels', b(0)).expected, /^4 channels \(_0000 T1, _0001 T1ce/);
    assert.match(about('label-range', b(9)).expected, /0 to 32767/);
    assert.match(about('same-image', '').given, /under 2 names, in training and validation of fold \d/);
    for (const f of all) assert.ok(f.given && f.expected && f.fix.length > 3, f.code);
    await assert.rejects(gate(open(set.folder)), /Dataset137_Brats cannot be used: 15 faults/);
    await assert.rejects(fingerprint(open(set.folder)), /15 faults/);
  });

  it('what concerns the whole set is told: wrong names, no case, a case of five channels', async () => {
    const set = brats();
    set.describe({ channel_names: { '0': 'T1' } });
    for (const name of fs.readdirSync(path.join(set.folder, 'imagesTr'))) fs.rmSync(path.join(set.folder, 'imagesTr', name));
    const [nothing] = (await check(open(set.folder))).faults;
    assert.deepEqual([nothing.code, nothing.given], ['no-cases', 'an empty folder: no case']);
    for (let k = 0; k < 5; k++) set.put(path.join(set.folder, 'imagesTr', `PID_000${k}.nii.gz`), set.values(k));
    const [five] = (await check(open(set.folder))).faults;
    assert.match(
      `${five.path}: ${five.given}; ${five.expected}. ${five.fix}`,
      /PID: 5 files .*1 channel .*If these are 5 cases, name them <case>_0000/,
    );
    for (let k = 0; k < 5; k++) {
      const from = path.join(set.folder, 'imagesTr', `PID_000${k}.nii.gz`);
      fs.renameSync(from, path.join(set.folder, 'imagesTr', `P${k}_0000.NII.GZ`));
    }
    const [capitals] = (await check(open(set.folder))).faults;
    assert.match(`${capitals.given}; ${capitals.expected}`, /\.NII\.GZ in 5 names; \.nii\.gz, the file_ending/);
  });

  it('a region is written with a label of its own, and no large one over a small one', async () => {
    const set = brats();
    set.describe({ regions_class_order: [1, 3, 2] });
    const { faults } = await check(open(set.folder));
    assert.deepEqual(
      faults.map((f) => f.given),
      ['label 2 for region ET [3]'],
    );
    set.describe({ labels: { background: 0, TC: [2, 3], WT: [1, 2, 3] }, regions_class_order: [2, 1] });
    const { warnings } = await check(open(set.folder));
    assert.match(warnings[0].given, /region TC is written first and covered wholly by WT/);
  });
});

function acdc(): HandMade {
  const set = new HandMade(
    'Dataset027_Acdc',
    {
      channel_names: { '0': 'cineMRI' },
      labels: { background: 0, RV: 1, MYO: 2, LV: 3 },
      numTraining: 10,
      file_ending: '.nii.gz',
    },
    [6, 14, 12],
    [10, 1.3158, 1.3158],
  );
  for (let k = 0; k < 10; k++) {
    set.put(set.image(p(k)), set.values(k));
    set.put(set.label(p(k)), set.labels(3));
  }
  const groups = Object.fromEntries(Array.from({ length: 10 }, (_, k) => [p(k), p(k).slice(0, 10)]));
  fs.writeFileSync(path.join(set.folder, 'groups.json'), JSON.stringify(groups));
  return set;
}
const p = (k: number) => `patient00${k >> 1}_frame${k % 2 ? '12' : '01'}`;

/** Rewrites header fields of a .nii.gz. */
function header(file: string, change: (bytes: Buffer) => void): void {
  const bytes = gunzipSync(fs.readFileSync(file));
  change(bytes);
  fs.writeFileSync(file, gzipSync(bytes));
}
const sformOf = (scale: number[], code: number) => (bytes: Buffer) => {
  bytes.writeInt16LE(code, 254);
  for (let r = 0; r < 3; r++) for (let c = 0; c < 3; c++) bytes.writeFloatLE(r === c ? scale[r] : 0, 280 + 16 * r + 4 * c);
};

describe('the gate on an ACDC-like set', () => {
  ownFolder();

  it('is silent when the set is valid, single slices included; patients stay together', async () => {
    const set = acdc();
    await silent(set);
    for (const file of [set.image(p(0)), set.label(p(0))]) {
      const { data } = readVolume(file);
      set.put(file, data.subarray(0, 14 * 12), { shape: [1, 14, 12] });
    }
    await silent(set);
    fs.rmSync(path.join(set.folder, 'groups.json'));
    const { warnings } = await check(open(set.folder));
    assert.deepEqual(
      warnings.map((w) => w.code),
      ['patient-split'],
    );
    assert.match(warnings[0].given, /several scans of one patient \(patient000_frame01, patient000_frame12\)/);
  });

  it('headers of ACDC (an sform of 1 mm beside the true pixdim) give the true voxels, with a word', async () => {
    const set = acdc();
    header(set.image(p(2)), sformOf([1, 1, 1], 2));
    header(set.label(p(2)), sformOf([1, 1, 1], 2));
    const { faults, warnings, all } = await report(set);
    assert.deepEqual(faults, []);
    assert.ok(warnings.length > 0 && warnings.every((w) => w.startsWith('geometry ')), warnings.join());
    assert.match(
      all.map((f) => f.given).join(),
      /sform's voxel size 1 1 1 is not pixdim's 1\.31\d+ 1\.31\d+ 10; pixdim was used/,
    );
    const print = await fingerprint(open(set.folder), { draws: 1000 });
    for (const spacing of print.spacings)
      for (const [i, mm] of spacing.entries()) assert.ok(Math.abs(mm - [10, 1.3158, 1.3158][i]) < 1e-5);
  });

  it('lists every planted fault in one report', async () => {
    const set = acdc();
    header(set.image(p(1)), (bytes) =>
      [76 + 4, 76 + 8, 76 + 12].map((at) => bytes.writeFloatLE(bytes.readFloatLE(at) * 1000, at)),
    );
    header(set.image(p(1)), sformOf([1315.8, 1315.8, 10000], 1));
    header(set.label(p(1)), (bytes) =>
      [76 + 4, 76 + 8, 76 + 12].map((at) => bytes.writeFloatLE(bytes.readFloatLE(at) * 1000, at)),
    );
    header(set.label(p(1)), sformOf([1315.8, 1315.8, 10000], 1));
    set.put(
      set.label(p(3)),
      set.labels(3).map((v) => (v === 3 ? 255 : v)),
    );
    fs.renameSync(set.label(p(4)), set.label(`${p(4)}_0000`));
    set.put(set.label(p(5)), set.labels(3).subarray(0, 5 * 14 * 12), { shape: [5, 14, 12] });
    fs.writeFileSync(set.image(p(6)), fs.readFileSync(set.image(p(6))).subarray(0, 200));
    set.put(set.image(p(7)), set.values(1).fill(7));
    set.put(set.label(p(8)), set.labels(3), { originMm: [0, 0, 0] });
    const { faults, warnings, all } = await report(set);
    assert.deepEqual(faults, [
      `gzip-damaged imagesTr/${p(6)}_0000.nii.gz`,
      `label-missing labelsTr/${p(4)}.nii.gz`,
      `label-unknown labelsTr/${p(3)}.nii.gz`,
      `shape labelsTr/${p(5)}.nii.gz`,
    ]);
    assert.deepEqual(
      warnings.filter((w) => !w.startsWith('geometry')),
      [
        `constant imagesTr/${p(7)}_0000.nii.gz`,
        `label-surplus labelsTr/${p(4)}_0000.nii.gz`,
        `origin labelsTr/${p(8)}.nii.gz`,
        `voxel-size ${p(1)}`,
      ],
    );
    assert.match(
      all.find((f) => f.code === 'voxel-size')!.given,
      /10\d{3}×1316×1316 mm|1\.0?e\+4×1316×1316 mm|10000×1316×1316 mm/,
    );
  });
});

function pictures(): HandMade {
  const set = new HandMade(
    'Dataset064_Pictures',
    { channel_names: { '0': 'R', '1': 'G', '2': 'B' }, labels: { background: 0, cell: 1 }, numTraining: 8, file_ending: '.png' },
    [1, 12, 10],
    [999, 1, 1],
  );
  for (let k = 0; k < 8; k++) {
    picture(set.image(`cell_${k}`), k, 3);
    writePng(set.label(`cell_${k}`), { data: set.labels(1), width: 10, height: 12, channels: 1 });
  }
  return set;
}
const picture = (file: string, seed: number, channels: 1 | 3 | 4) =>
  writePng(file, {
    data: Uint8Array.from({ length: 120 * channels }, (_, i) => (i * 31 + seed * 7) % 251),
    width: 10,
    height: 12,
    channels,
  });

describe('the gate on pictures', () => {
  ownFolder();

  it('is silent when the set is valid', async () => silent(pictures()));

  it('lists every planted fault in one report', async () => {
    const set = pictures();
    picture(set.image('cell_0'), 0, 4); // RGBA among RGB
    picture(set.image('cell_1'), 1, 1); // grey
    writePng(set.label('cell_2'), { data: set.labels(1).map((v) => 255 * v), width: 10, height: 12, channels: 1 });
    writePng(set.label('cell_3'), { data: set.labels(1), width: 12, height: 10, channels: 1 });
    fs.rmSync(set.label('cell_4'));
    picture(path.join(set.folder, 'imagesTr', 'cell_9.png'), 9, 3);
    fs.copyFileSync(set.image('cell_6'), set.image('cell_7'));
    fs.writeFileSync(path.join(set.folder, 'labelsTr', '._cell_1.png'), 'mac');
    set.describe({ numTraining: 9 });
    const { faults, warnings } = await report(set);
    assert.deepEqual(faults, [
      'channels cell_0',
      'channels cell_1',
      'file-name imagesTr/cell_9.png',
      'label-missing labelsTr/cell_4.png',
      'label-unknown labelsTr/cell_2.png',
      'shape labelsTr/cell_3.png',
    ]);
    assert.deepEqual(warnings, [
      'mac-files labelsTr/._cell_1.png',
      'num-training dataset.json numTraining',
      'same-image cell_6, cell_7',
    ]);
  });
});

describe('what the gate must let pass', () => {
  ownFolder();

  for (const name of embeddedNames)
    it(`the embedded set ${name}`, async function () {
      this.timeout(600_000);
      // Where they lie for every test: writing them takes longer than all the rest.
      if (before === undefined) delete process.env.VOXELBOOK_DATA;
      else process.env.VOXELBOOK_DATA = before;
      const { faults, warnings } = await check(open(name));
      assert.deepEqual({ faults, warnings }, { faults: [], warnings: [] });
    });

  it('micrometres of a microscope', async () => {
    const set = acdc();
    set.describe({ channel_names: { '0': 'actin' } });
    for (let k = 0; k < 10; k++) {
      set.put(set.image(p(k)), set.values(k), { spacingMm: [1e-3, 2e-4, 2e-4], originMm: [0, 0, 0] });
      set.put(set.label(p(k)), set.labels(3), { spacingMm: [1e-3, 2e-4, 2e-4], originMm: [0, 0, 0] });
    }
    await silent(set);
  });

  it('stacks of TIFF with their spacing files; without one a word', async () => {
    const set = acdc();
    set.describe({ file_ending: '.tif', channel_names: { '0': 'actin' } });
    for (const part of ['imagesTr', 'labelsTr'])
      for (const name of fs.readdirSync(path.join(set.folder, part))) fs.rmSync(path.join(set.folder, part, name));
    for (let k = 0; k < 10; k++) {
      set.put(set.image(p(k)), Uint16Array.from(set.values(k)));
      set.put(set.label(p(k)), set.labels(3));
      fs.renameSync(set.image(p(k)).replace('.tif', '.json'), set.image(p(k)).replace('_0000.tif', '.json'));
    }
    await silent(set);
    fs.rmSync(set.label(p(2)).replace('.tif', '.json'));
    fs.rmSync(set.image(p(2)).replace('_0000.tif', '.json'));
    const { faults, warnings } = await report(set);
    assert.deepEqual(faults, []);
    assert.deepEqual(warnings, [`stack-spacing imagesTr/${p(2)}_0000.tif`, `stack-spacing labelsTr/${p(2)}.tif`]);
  });
});

describe('voxelbook check', () => {
  ownFolder();

  const voxelbook = (...args: string[]) =>
    spawnSync(process.execPath, [...nodeArguments(new URL('../../src/run/cli.js', import.meta.url)), 'check', ...args], {
      encoding: 'utf8',
    });

  it('--fix repairs what is certain, says each before, keeps a copy; then the set is valid', async () => {
    const set = acdc();
    set.describe({ labels: { background: 0, heart: 1 }, numTraining: 3 });
    for (let k = 0; k < 10; k++) set.put(set.label(p(k)), set.labels(1));
    const mask = set.labels(1).map((v) => 255 * v);
    set.put(set.label(p(0)), mask);
    fs.renameSync(set.image(p(1)), set.image(p(1)).replace('.nii.gz', '.NII.GZ'));
    const text = fs.readFileSync(path.join(set.folder, 'dataset.json'), 'utf8');
    const found = voxelbook(set.folder);
    assert.equal(found.status, 1);
    assert.match(found.stdout, /3 faults, \d+ warnings\n.*where.*found.*expected.*do/);
    assert.match(found.stderr, /Dataset027_Acdc cannot be used\n.*3 faults/);
    const { status, stdout } = voxelbook(set.folder, '--fix');
    assert.equal(status, 0, stdout);
    assert.match(stdout, /rename imagesTr\/patient000_frame12_0000\.NII\.GZ to patient000_frame12_0000\.nii\.gz/);
    assert.match(
      stdout,
      /write 255 as 1 in labelsTr\/patient000_frame01\.nii\.gz \(\d+ voxels\); a copy goes to labelsTr_before_fix/,
    );
    assert.match(stdout, /set numTraining in dataset\.json from 3 to 10/);
    assert.match(stdout, /10 cases, 0 faults, 0 warnings/);
    assert.deepEqual([...readVolume(set.label(p(0))).data], [...set.labels(1)]);
    assert.deepEqual([...readVolume(path.join(set.folder, 'labelsTr_before_fix', `${p(0)}.nii.gz`)).data], [...mask]);
    assert.equal(
      fs.readFileSync(path.join(set.folder, 'dataset.json'), 'utf8'),
      text.replace('"numTraining":3', '"numTraining":10'),
    );
    for (const kind of repairKinds) assert.deepEqual(kind(set.folder), []);
  });
});
