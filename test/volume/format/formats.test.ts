// NRRD, MetaImage and GIPL against SimpleITK's own numbers (formats.py), and what is written read back.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { VoxelbookError } from '../../../src/base/errors.js';
import {
  decodeNifti,
  encodeNifti,
  isPicture,
  readGrid,
  readVolume,
  type Volume,
  writeVolume,
} from '../../../src/volume/index.js';
import expected from '../formats.json' with { type: 'json' };

const given = fileURLToPath(new URL('../formats/', import.meta.url));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-formats-'));
after(() => fs.rmSync(folder, { recursive: true }));

const near = (found: readonly number[], wanted: readonly number[], what: string) =>
  wanted.forEach((v, i) => {
    assert.ok(Math.abs(found[i] - v) <= 1e-6 * Math.max(1, Math.abs(v)), `${what}[${i}]: ${found[i]} for ${v}`);
  });
/** Row-major 3×4: voxel (x, y, z) to mm RAS+; a 2-D image has slices of 1 mm in NIfTI. */
const affineOf = (v: Volume) => {
  const [z, y, x] = v.spacingMm;
  const spacing = [x, y, isPicture(v) ? 1 : z];
  return [0, 1, 2].flatMap((r) => [...spacing.map((mm, c) => v.direction[3 * r + c] * mm), v.originMm[r]]);
};
const kinds = [Uint8Array, Int8Array, Uint16Array, Int16Array, Uint32Array, Int32Array, Float32Array, Float64Array];
const arrayOf = (type: string) => kinds.find((kind) => kind.name.toLowerCase() === `${type}array`) ?? Float64Array;

describe('NRRD, MetaImage, GIPL', () => {
  for (const e of expected)
    it(`${e.file}: voxels, spacing and affine as SimpleITK reads them, and as it converts them to NIfTI`, () => {
      const file = path.join(given, e.file);
      const volume = readVolume(file, { onWarning: assert.fail });
      assert.equal(volume.data.constructor, arrayOf(e.type));
      assert.deepEqual([volume.shape, volume.channels], [e.shape, e.channels]);
      assert.deepEqual([...volume.data], e.values);
      near(volume.spacingMm, e.spacing, 'spacing');
      near(affineOf(volume), e.affine, 'affine');
      // A 2-D image with channels is four-dimensional in NIfTI and keeps the spacing between its slices.
      if (!(isPicture(volume) && e.channels > 1))
        near(decodeNifti(encodeNifti(volume)).header.affine, e.affine, 'affine in NIfTI');
      const { data: _, channels: __, ...geometry } = volume;
      assert.deepEqual(readGrid(file), geometry);
    });

  it('the files cover every format and number type', () => {
    for (const ending of ['.nrrd', '.nhdr', '.mha', '.mhd', '.gipl']) assert.ok(expected.some((e) => e.file.endsWith(ending)));
    assert.equal(new Set(expected.map((e) => e.type)).size, 10);
  });

  const turned = (data: Volume['data'], shape: Volume['shape'], channels = 1): Volume => ({
    data,
    shape,
    channels,
    spacingMm: [3, 1.25, 0.7],
    originMm: [-11.5, 7.3, 30.1],
    direction: [0, -1, 0, 0.8, 0, 0.6, 0.6, 0, -0.8],
  });
  const straight = {
    direction: [-1, 0, 0, 0, -1, 0, 0, 0, 1] as Volume['direction'],
    spacingMm: [3, 1.25, 0.75] as Volume['spacingMm'],
  };

  it('a written volume is read back, voxels and geometry', () => {
    for (const ending of ['.nrrd', '.mha', '.gipl'])
      for (const Kind of kinds)
        for (const channels of [1, 3]) {
          if (ending === '.gipl' && (channels > 1 || Kind === Uint32Array || Kind === Int32Array)) continue;
          const file = path.join(folder, `a${ending}`);
          const values = new Kind(Array.from({ length: 24 * channels }, (_, i) => i * 5));
          const written = { ...turned(values, [2, 3, 4], channels), ...(ending === '.gipl' ? straight : {}) };
          writeVolume(file, written);
          const read = readVolume(file);
          near(affineOf(read), affineOf(written), ending);
          near(read.spacingMm, written.spacingMm, ending);
          assert.deepEqual([read.data, read.shape, read.channels], [written.data, written.shape, written.channels]);
        }
  });

  it('a 2-D image stays one: written with two dimensions, read with the spacing that nnU-Net gives it', () => {
    const flat: Volume = {
      ...turned(Uint8Array.from([1, 2, 3, 4, 5, 6]), [1, 2, 3]),
      spacingMm: [999 * 0.7, 0.5, 0.7],
      originMm: [3, 4, 0],
      direction: [0.6, -0.8, 0, 0.8, 0.6, 0, 0, 0, 1],
    };
    for (const ending of ['.nrrd', '.mha', '.nii', '.nii.gz']) {
      const file = path.join(folder, `flat${ending}`);
      writeVolume(file, flat);
      const read = readVolume(file);
      near(read.spacingMm, [999 * 0.7, 0.5, 0.7], ending);
      near(affineOf(read), affineOf(flat), ending);
      assert.deepEqual([...read.data], [1, 2, 3, 4, 5, 6]);
    }
  });

  it('GIPL refuses what it cannot hold', () => {
    const file = path.join(folder, 'b.gipl');
    const wrong: [Volume, RegExp][] = [
      [turned(new Uint8Array(24), [2, 3, 4]), /axes along .*; expected axes along left, back and up, as GIPL keeps no direction/],
      [{ ...turned(new Uint8Array(48), [2, 3, 4], 2), ...straight }, /2 channels; expected one channel/],
      [{ ...turned(new Uint8Array(70000), [1, 1, 70000]), ...straight }, /1×1×70000; expected at most 65535 voxels/],
      [{ ...turned(new Int32Array(24), [2, 3, 4]), ...straight }, /int32; expected another number type/],
    ];
    for (const [volume, message] of wrong)
      assert.throws(
        () => writeVolume(file, volume),
        (error) => error instanceof VoxelbookError && message.test(error.message),
      );
    assert.ok(!fs.existsSync(file));
  });
});
