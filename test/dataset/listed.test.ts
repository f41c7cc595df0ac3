// Data sets that name files where they lie: MONAI's datalist, BIDS derivatives.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { check, knownSplits, listBids, listMonai, open } from '../../src/dataset/index.js';
import { identityDirection, type Volume, writeVolume } from '../../src/volume/index.js';
import { shape, volumeOf } from './folder.js';

const n = shape[0] * shape[1] * shape[2];

describe('data sets that name files where they lie', () => {
  let root: string;
  const before = process.env.VOXELBOOK_DATA;
  const at = (...names: string[]) => path.join(root, ...names);
  beforeEach(() => {
    root = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-listed-'));
    process.env.VOXELBOOK_DATA = at('data');
  });
  afterEach(() => {
    if (before === undefined) delete process.env.VOXELBOOK_DATA;
    else process.env.VOXELBOOK_DATA = before;
    fs.rmSync(root, { recursive: true });
  });
  const put = (name: string, seed: number, label = false, channels = 1) => {
    fs.mkdirSync(path.dirname(at(name)), { recursive: true });
    const data = Int16Array.from({ length: n * channels }, (_, i) => (label ? Number(i % 7 === 0) : ((i * 31 + seed) % 97) + 1));
    writeVolume(at(name), { ...volumeOf(data), channels, direction: [...identityDirection] } as Volume);
  };
  const list = (value: object) => {
    fs.writeFileSync(at('list.json'), JSON.stringify(value));
    return at('list.json');
  };

  it('a datalist of MONAI: several files or one of several channels, folds as splits', async () => {
    for (let k = 0; k < 5; k++) {
      put(`d/${k}/image.nii.gz`, k, false, 2);
      put(`d/${k}/label.nii.gz`, k, true);
    }
    const training = [0, 1, 2, 3, 4].map((k) => ({ image: `d/${k}/image.nii.gz`, label: `d/${k}/label.nii.gz`, fold: k % 2 }));
    const file = list({ modality: { 0: 'T1', 1: 'T2' }, labels: { 0: 'background', 1: 'lesion' }, training });
    const data = open(listMonai(file, { as: 'Dataset510_Monai' }));
    assert.deepEqual(
      data.cases.map((c) => c.id),
      ['0_image', '1_image', '2_image', '3_image', '4_image'],
    );
    assert.deepEqual((await check(data)).faults, []);
    const { splits, made } = knownSplits(data);
    assert.equal(made, 'by hand');
    assert.deepEqual(splits, [
      { train: ['1_image', '3_image'], val: ['0_image', '2_image', '4_image'] },
      { train: ['0_image', '2_image', '4_image'], val: ['1_image', '3_image'] },
    ]);
    assert.deepEqual(data.json.labels, { background: 0, lesion: 1 });
  });

  it('what a datalist does not say is asked for, what is wrong in it is named at once', () => {
    put('a_0000.nii.gz', 1);
    put('a_0001.nii.gz', 2);
    put('a.nii.gz', 1, true);
    const training = [{ image: ['a_0000.nii.gz', 'a_0001.nii.gz'], label: 'a.nii.gz' }];
    assert.throws(() => listMonai(list({ training }), { as: 'Dataset511_A' }), /channels: 2 without names; .*--channels T1,T2/);
    assert.throws(
      () => listMonai(list({ training, modality: 'MR' }), { as: 'Dataset511_A' }),
      /labels: no names; .*--labels liver,tumor/,
    );
    const data = open(listMonai(list({ training, modality: 'MR' }), { as: 'Dataset511_A', labels: ['x'] }));
    assert.deepEqual([data.json.channel_names, data.cases[0].id, data.cases[0].images.length], [{ 0: 'MR', 1: 'MR 2' }, 'a', 2]);
    const bad = list({ modality: 'CT', training: [{ image: 'no.nii.gz', label: 'none.nii.gz' }] });
    assert.throws(
      () => listMonai(bad, { as: 'Dataset511_A', channels: ['CT'], labels: ['x'] }),
      /no\.nii\.gz, which is not there.*none\.nii\.gz, which is/s,
    );
    assert.throws(
      () => listMonai(list({ training: [{ image: 7 }] }), { as: 'Dataset511_A' }),
      /image: 7; expected a path.*label: missing; expected the path of a file/s,
    );
    assert.throws(
      () => listMonai(list({ training }), { as: '../evil', channels: ['a', 'b'], labels: ['x'] }),
      /--as: \.\.\/evil/,
    );
  });

  it('BIDS: a subject’s sessions together, labels by dseg.tsv, images by suffix', async () => {
    for (const visit of ['sub-01/ses-1', 'sub-01/ses-2', 'sub-02/ses-1']) {
      const name = visit.replace('/', '_');
      put(`b/${visit}/anat/${name}_T1w.nii.gz`, 1);
      put(`b/${visit}/anat/${name}_ce-gd_T1w.nii.gz`, 2);
      put(`b/${visit}/anat/${name}_FLAIR.nii.gz`, 3);
      if (visit !== 'sub-02/ses-1') put(`b/derivatives/manual/${visit}/anat/${name}_space-orig_dseg.nii.gz`, 1, true);
    }
    put('b/derivatives/other/sub-01/ses-1/anat/sub-01_ses-1_label-lesion_mask.nii.gz', 1, true);
    fs.writeFileSync(at('b/derivatives/manual/dseg.tsv'), 'index\tname\n0\tBackground\n1\tlesion\n');
    const data = open(listBids(at('b'), { as: 'Dataset512_Bids', channels: ['T1w', 'ce-gd_T1w', 'FLAIR'] }));
    assert.deepEqual(
      data.cases.map((c) => c.id),
      ['sub-01_ses-1', 'sub-01_ses-2'],
    );
    assert.deepEqual(
      data.cases[0].images.map((f) => path.basename(f)),
      ['sub-01_ses-1_T1w.nii.gz', 'sub-01_ses-1_ce-gd_T1w.nii.gz', 'sub-01_ses-1_FLAIR.nii.gz'],
    );
    assert.deepEqual(data.json.labels, { background: 0, lesion: 1 });
    assert.deepEqual(JSON.parse(fs.readFileSync(path.join(data.folder, 'groups.json'), 'utf8')), {
      'sub-01_ses-1': 'sub-01',
      'sub-01_ses-2': 'sub-01',
    });
    assert.deepEqual((await check(data)).faults, []);
    const masks = open(listBids(at('b'), { as: 'Dataset513_Mask', channels: ['T1w'], mask: 'label-lesion_mask' }));
    assert.deepEqual(masks.json.labels, { background: 0, lesion: 1 });
  });

  it('BIDS: what is missing or not clear is named', () => {
    put('b/sub-01/anat/sub-01_run-1_T1w.nii.gz', 1);
    put('b/sub-01/anat/sub-01_run-2_T1w.nii.gz', 1);
    const of = (options: object = {}) =>
      listBids(at('b'), { as: 'Dataset514_B', channels: ['T1w', 'FLAIR'], labels: ['x'], ...options });
    assert.throws(of, /no _dseg in any folder; expected masks in one pipeline.*--mask/);
    put('b/derivatives/one/sub-01/anat/sub-01_dseg.nii.gz', 1, true);
    assert.throws(
      of,
      /sub-01 T1w: several: sub-01_run-1_T1w\.nii\.gz, sub-01_run-2_T1w\.nii\.gz.*sub-01 FLAIR: no file; expected one _FLAIR\.nii\.gz/s,
    );
    put('b/derivatives/two/sub-01/anat/sub-01_dseg.nii.gz', 1, true);
    assert.throws(of, /_dseg in one, two; expected masks in one pipeline. Choose one: --pipeline/);
    assert.throws(
      () => of({ pipeline: 'one', channels: ['run-1_T1w'], labels: undefined }),
      /no dseg\.tsv; .*--labels liver,tumor/,
    );
    assert.equal(open(of({ pipeline: 'one', channels: ['run-1_T1w'] })).cases.length, 1);
  });
});
