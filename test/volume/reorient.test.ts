// Volumes turned to RAS against nibabel (reorient.py).
import assert from 'node:assert/strict';
import { decodeNifti, encodeNifti, fromRas, rasGeometry, toRas, type Volume } from '../../src/volume/index.js';
import { niftiFile } from './format/niftiFile.js';
import cases from './reorient.json' with { type: 'json' };

const near = (found: readonly number[], wanted: readonly number[], what: string) =>
  wanted.forEach((v, i) => {
    assert.ok(Math.abs(found[i] - v) <= 1e-5 * Math.max(1, Math.abs(v)), `${what}[${i}]: ${found[i]} for ${v}`);
  });
const read = (srow: number[]) =>
  decodeNifti(niftiFile({ dim: [3, 2, 3, 4, 1, 1, 1, 1], datatype: 2, pixdim: [1, 0.75, 1.25, 3, 1, 1, 1, 1], sform: 2, srow }));

describe('toRas, fromRas', () => {
  it(`voxels, voxel size and affine are nibabel's for ${cases.length} headers, and come back as they were`, () => {
    assert.ok(cases.length > 70);
    for (const { srow, shape, spacing, affine, values } of cases) {
      const { volume } = read(srow);
      assert.deepEqual(volume.spacingMm, [3, 1.25, 0.75], 'pixdim is the voxel size, whatever the sform says');
      const turned = toRas(volume);
      assert.deepEqual([turned.shape, [...turned.data]], [shape, values]);
      near(turned.spacingMm, spacing, 'spacing');
      const step = [...(turned.stepMm ?? turned.spacingMm)].reverse();
      near(
        [0, 1, 2].flatMap((r) => [...step.map((mm, c) => turned.direction[3 * r + c] * mm), turned.originMm[r]]),
        affine,
        'affine',
      );
      const { data, channels, ...geometry } = turned;
      const { data: _, channels: __, ...before } = volume;
      assert.deepEqual(rasGeometry(before), geometry);
      assert.deepEqual(fromRas(turned, volume), volume);
      // Written, the original has the header it came with, also where the sform is not pixdim.
      const again = decodeNifti(encodeNifti(fromRas(turned, volume)));
      near(again.header.affine, srow, 'affine as written');
      assert.deepEqual(again.volume.spacingMm, [3, 1.25, 0.75]);
    }
  });

  it('an upright volume is returned as it is; channels stay together', () => {
    const { volume } = read([0.75, 0, 0, 1, 0, 1.25, 0, 2, 0, 0, 3, 3]);
    assert.equal(toRas(volume), volume);
    const colours: Volume = {
      data: Uint8Array.of(1, 2, 3, 4, 5, 6),
      shape: [1, 1, 2],
      channels: 3,
      spacingMm: [1, 1, 2],
      originMm: [0, 0, 0],
      direction: [-1, 0, 0, 0, 1, 0, 0, 0, 1],
    };
    const turned = toRas(colours);
    assert.deepEqual(
      [[...turned.data], turned.originMm],
      [
        [4, 5, 6, 1, 2, 3],
        [-2, 0, 0],
      ],
    );
    assert.deepEqual(fromRas(turned, colours), colours);
  });
});
