import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { VoxelbookError } from '../../../src/base/errors.js';
import { decodeNifti, encodeNifti, readVolume, type Volume, writeVolume } from '../../../src/volume/index.js';
import orientations from '../orientations.json' with { type: 'json' };
import { type Fields, niftiFile, types } from './niftiFile.js';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-nifti-'));
after(() => fs.rmSync(folder, { recursive: true }));
const faultsOf = (make: () => unknown) => {
  try {
    make();
  } catch (error) {
    assert.ok(error instanceof VoxelbookError, String(error));
    return error.faults;
  }
  assert.fail('nothing was thrown');
};
const volume = (data: Volume['data'], shape: Volume['shape'], channels = 1): Volume => ({
  data,
  shape,
  channels,
  spacingMm: [3, 1.25, 0.75],
  originMm: [-11.5, 7.25, 30],
  direction: [0, -1, 0, 1, 0, 0, 0, 0, 1],
});

describe('NIfTI', () => {
  it('every number type, byte order, version and compression gives the same voxels', () => {
    for (const type of types)
      for (const littleEndian of [true, false])
        for (const version of [1, 2] as const)
          for (const pack of [(b: Buffer) => b, (b: Buffer) => zlib.gzipSync(b)]) {
            const bytes = pack(niftiFile({ datatype: type.code, littleEndian, version }));
            const { volume: read } = decodeNifti(bytes);
            assert.deepEqual(read.shape, [2, 2, 3], type.name);
            assert.deepEqual(
              [...read.data],
              Array.from({ length: 12 }, (_, i) => i),
              `${type.name} ${littleEndian} ${version}`,
            );
          }
  });

  it('a written volume is read back, voxels and geometry', () => {
    const kinds = [Uint8Array, Int8Array, Uint16Array, Int16Array, Uint32Array, Int32Array, Float32Array, Float64Array];
    for (const ending of ['.nii', '.nii.gz'])
      for (const Kind of kinds)
        for (const channels of [1, 3]) {
          const file = path.join(folder, `a${ending}`);
          const written = volume(new Kind(Array.from({ length: 24 * channels }, (_, i) => i)), [2, 3, 4], channels);
          writeVolume(file, written);
          const read = readVolume(file, { onWarning: assert.fail });
          assert.deepEqual({ ...read, direction: read.direction.map(Math.round) }, written);
        }
  });

  it('an axis longer than 32767 is written as NIfTI-2 and read back', () => {
    const { volume: read, header } = decodeNifti(encodeNifti(volume(new Uint8Array(40000), [1, 1, 40000])));
    assert.equal(header.version, 2);
    assert.deepEqual(read.shape, [1, 1, 40000]);
  });

  it('slope and intercept are applied in float32; slope 0 means none', () => {
    assert.deepEqual([...decodeNifti(niftiFile({ slope: 2, intercept: -10 })).volume.data].slice(0, 3), [-10, -8, -6]);
    assert.deepEqual([...decodeNifti(niftiFile({ slope: 0, intercept: -10 })).volume.data].slice(0, 3), [0, 1, 2]);
  });

  it('frames of a 4-D file become channels, channel last', () => {
    const { volume: read } = decodeNifti(niftiFile({ dim: [4, 2, 1, 1, 3, 1, 1, 1] }));
    assert.equal(read.channels, 3);
    assert.deepEqual([...read.data], [0, 2, 4, 1, 3, 5]);
  });

  it('a pair of .hdr and .img is one volume, and a lone .hdr says what is missing', () => {
    const bytes = niftiFile({ magic: 'ni1', voxOffset: 0 });
    fs.writeFileSync(path.join(folder, 'p.hdr'), bytes.subarray(0, 352));
    assert.match(faultsOf(() => readVolume(path.join(folder, 'p.hdr')))[0].expected, /p\.img beside it/);
    fs.writeFileSync(path.join(folder, 'p.img'), bytes.subarray(352));
    assert.deepEqual([...readVolume(path.join(folder, 'p.hdr')).data].slice(0, 3), [0, 1, 2]);
  });

  it(`affines equal nibabel's for ${orientations.length} orientations (F3)`, () => {
    assert.equal(orientations.length, 384);
    const zooms = [0.75, 1.25, 3];
    const offset = [-11.5, 7.25, 30];
    for (const o of orientations) {
      const fields: Fields = {
        dim: [3, 4, 5, 6, 1, 1, 1, 1],
        datatype: 2,
        pixdim: [o.qfac, ...zooms, 1, 1, 1, 1],
        quatern: o.quatern,
        qoffset: offset,
        qform: o.forms === 'qform' || o.forms === 'both' ? 1 : 0,
        sform: o.forms === 'sform' || o.forms === 'both' ? 2 : 0,
        srow: [0, 1, 2].flatMap((r) => [0, 1, 2, 3].map((c) => (c === 3 ? offset[r] : o.rotation[3 * r + c] * zooms[c]))),
      };
      const { volume: read, header } = decodeNifti(niftiFile(fields));
      const name = JSON.stringify([o.rotation, o.forms, o.qfac]);
      o.affine.forEach((v, i) => {
        assert.ok(Math.abs(v - header.affine[i]) <= 1e-6, `${name} affine[${i}] ${header.affine[i]} for ${v}`);
      });
      // Direction × spacing and origin, as kept in a volume, say the same.
      const [sz, sy, sx] = read.spacingMm;
      const rebuilt = [0, 1, 2].flatMap((r) => [...[sx, sy, sz].map((s, c) => read.direction[3 * r + c] * s), read.originMm[r]]);
      rebuilt.forEach((v, i) => {
        assert.ok(Math.abs(v - o.affine[i]) <= 1e-6, `${name} rebuilt[${i}] ${v} for ${o.affine[i]}`);
      });
      const disagree =
        o.forms === 'both' &&
        o.affine.some((_, i) => i % 4 === 2 && Math.abs(qformColumn(o)[Math.floor(i / 4)] - o.affine[i]) > 1e-3);
      assert.equal(
        header.warnings.some((w) => w.startsWith('qform and sform disagree')),
        disagree,
        name,
      );
    }
  });

  it('quaternions slightly longer than 1 are drawn back, far longer ones refused', () => {
    const { header } = decodeNifti(niftiFile({ qform: 1, quatern: [0, 1 + 1e-7, 0] }));
    assert.ok(header.affine.every(Number.isFinite));
    assert.match(faultsOf(() => decodeNifti(niftiFile({ qform: 1, quatern: [0, 1.1, 0] })))[0].path, /quatern/);
  });

  it('units other than mm are converted and said', () => {
    const { volume: read, header } = decodeNifti(niftiFile({ units: 3, pixdim: [1, 500, 500, 1000, 1, 1, 1, 1] }));
    assert.deepEqual(read.spacingMm, [1, 0.5, 0.5]);
    assert.match(header.warnings[0], /micrometres/);
  });

  const wrong: [string, Fields, RegExp][] = [
    ['dimension of 0', { dim: [3, 0, 2, 2, 1, 1, 1, 1] }, /dim\[1\]: 0; expected a whole number of at least 1/],
    ['negative dimension', { dim: [3, -4, 2, 2, 1, 1, 1, 1] }, /dim\[1\]: -4/],
    ['rank 9', { dim: [9, 1, 1, 1, 1, 1, 1, 1] }, /dim\[0\]: 9; expected 1 to 7/],
    ['unknown type', { datatype: 3 }, /datatype: 3; expected one of 2 uint8/],
    ['complex numbers', { datatype: 32, bitpix: 64 }, /32 \(complex64\).*Convert the file to a real number type/],
    ['wrong bitpix', { bitpix: 32 }, /bitpix: 32; expected 16 for int16/],
    ['voxels inside the header', { voxOffset: 100 }, /vox_offset: 100/],
    ['infinite affine', { sform: 1, srow: [Number.POSITIVE_INFINITY, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0] }, /srow/],
    ['singular affine', { sform: 1, srow: [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0] }, /three independent axes/],
    ['voxel size 0', { pixdim: [1, 0, 1, 1, 1, 1, 1, 1] }, /pixdim\[1\]: 0; expected a voxel size above 0/],
    ['huge sizes', { dim: [5, 32767, 32767, 32767, 32767, 32767, 1, 1] }, /at most 1 TiB/],
    [
      'a slope whose intercept is NaN',
      { slope: 2, intercept: Number.NaN },
      /scl_inter: NaN; expected a finite number beside a slope/,
    ],
    ['a form nobody knows', { sform: 7 }, /sform_code: 7; expected 0 to 5/],
    ['a qfac of -2', { qform: 1, pixdim: [-2, 1, 1, 1, 1, 1, 1, 1] }, /pixdim\[0\]: -2; expected -1 or 1/],
    ['voxels at byte 0 of one file', { voxOffset: 0 }, /vox_offset: 0; expected a whole number from 352/],
    [
      'a voxel size of 0 beside an sform',
      { sform: 1, pixdim: [1, 0, 1, 1, 1, 1, 1, 1] },
      /pixdim\[1\]: 0; expected a voxel size/,
    ],
    ['another magic', { magic: 'xxx' }, /magic: "xxx"; expected n\+1 or ni1/],
  ];
  for (const [name, fields, message] of wrong)
    it(`refuses ${name}, by field`, () => {
      assert.throws(() => decodeNifti(niftiFile(fields), 'x.nii'), message);
    });

  it('all faults of one header come at once', () => {
    assert.equal(faultsOf(() => decodeNifti(niftiFile({ dim: [3, 0, -1, 2, 1, 1, 1, 1], datatype: 3, voxOffset: 7 }))).length, 4);
  });

  it('what is no NIfTI file is named so', () => {
    assert.throws(() => decodeNifti(Buffer.from('hello'), 'x.nii'), /x\.nii sizeof_hdr: 5 bytes; expected 348/);
    assert.throws(() => decodeNifti(Buffer.alloc(400, 31), 'x.nii'), /bytes 1f 1f 1f 1f/);
  });

  it('a file cut short says how much is missing', () => {
    const bytes = niftiFile();
    assert.throws(() => decodeNifti(bytes.subarray(0, bytes.length - 4)), /20 bytes of voxels; expected 24 \(3×2×2×1 of int16\)/);
  });

  it('integers beyond 2^53 are refused rather than rounded', () => {
    const bytes = niftiFile({ datatype: 1024 });
    bytes.writeBigInt64LE(2n ** 60n, 352);
    assert.throws(() => decodeNifti(bytes), /1152921504606846976; expected an integer below 2\^53/);
  });
});

/** Third column of the affine that the quaternion of a table entry means, by hand. */
function qformColumn({ quatern: [b, c, d], qfac }: { quatern: number[]; qfac: number }): number[] {
  const a = Math.sqrt(Math.max(0, 1 - b * b - c * c - d * d));
  return [2 * (b * d + a * c), 2 * (c * d - a * b), a * a + d * d - b * b - c * c].map((v) => v * 3 * qfac);
}
