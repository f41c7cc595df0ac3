// Every file ending that nnU-Net's SimpleITKIO accepts: the same data set, the same cases, the same findings.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { check, loadCase, open } from '../../src/dataset/index.js';
import { type Volume, writeVolume } from '../../src/volume/index.js';
import { image, itkDirection, label, rawFolder, remove, shape, volumeOf } from './folder.js';

const n = shape[0] * shape[1] * shape[2];
const ramp = () => Float32Array.from({ length: n }, (_, i) => i);
const zeros = () => new Uint8Array(n);

for (const ending of ['.nii.gz', '.nrrd', '.mha', '.gipl'])
  describe(`a data set of ${ending} files`, () => {
    let folder: string;
    afterEach(() => remove(folder));
    const here = (data: Volume['data'], over: Partial<Volume> = {}) =>
      volumeOf(data, ending === '.gipl' ? { direction: itkDirection, ...over } : over);

    it('opens, holds what was written, and has no fault and no warning', async () => {
      folder = rawFolder(5, { file_ending: ending });
      const dataset = open(folder);
      assert.deepEqual(dataset.cases[2], {
        id: 'a2',
        images: [image(folder, 2, 0, ending), image(folder, 2, 1, ending)],
        label: label(folder, 2, ending),
      });
      const { image: loaded, label: labels } = loadCase(dataset.cases[2]);
      assert.deepEqual([loaded.shape, loaded.channels, loaded.spacingMm], [shape, 2, [2, 1, 1]]);
      assert.deepEqual([...loaded.data.subarray(0, 4)], [15, 16, 46, 47]);
      assert.deepEqual([...labels!.data.subarray(0, 14)], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2]);
      const { cases, faults, warnings } = await check(dataset);
      assert.deepEqual({ cases, faults, warnings }, { cases: 5, faults: [], warnings: [] });
    });

    it('eight planted faults and a wrong number of cases are found in one report', async () => {
      folder = rawFolder(10, { numTraining: 11, file_ending: ending });
      fs.rmSync(image(folder, 0, 1, ending));
      fs.rmSync(label(folder, 1, ending));
      writeVolume(label(folder, 2, ending), here(zeros().subarray(0, 6 * 8 * 6), { shape: [6, 8, 6] }));
      writeVolume(image(folder, 3, 1, ending), here(ramp(), { spacingMm: [2, 1.5, 1] }));
      writeVolume(label(folder, 4, ending), here(zeros().fill(9, 0, 5)));
      writeVolume(label(folder, 5, ending), here(ramp().map((v) => (v === 3 ? 0.5 : 0))));
      writeVolume(image(folder, 6, 0, ending), here(ramp().map((v) => (v < 4 ? Number.NaN : v))));
      const cut = fs.readFileSync(image(folder, 7, 0, ending));
      fs.writeFileSync(image(folder, 7, 0, ending), cut.subarray(0, cut.length - 20));
      const { faults, warnings } = await check(open(folder));
      assert.deepEqual(
        warnings.map((f) => f.code),
        ['num-training'],
      );
      assert.deepEqual(
        faults.map((f) => `${f.code} ${f.path}`),
        [
          'channels a0',
          `label-missing labelsTr/a1${ending}`,
          `${ending === '.gipl' ? 'voxels-cut' : 'gzip-damaged'} imagesTr/a7_0000${ending}`,
          `shape labelsTr/a2${ending}`,
          `spacing imagesTr/a3_0001${ending}`,
          `label-values labelsTr/a5${ending}`,
          `label-unknown labelsTr/a4${ending}`,
          `not-finite imagesTr/a6_0000${ending}`,
        ],
      );
    });

    it('another origin or direction is a warning', async () => {
      folder = rawFolder(3, { file_ending: ending });
      writeVolume(label(folder, 1, ending), here(zeros(), { originMm: [5, 0, 0] }));
      if (ending !== '.gipl') writeVolume(label(folder, 2, ending), here(zeros(), { direction: itkDirection }));
      const { faults, warnings } = await check(open(folder));
      assert.deepEqual(faults, []);
      assert.deepEqual(
        warnings.map((w) => w.code),
        ending === '.gipl' ? ['origin'] : ['origin', 'direction'],
      );
    });
  });
