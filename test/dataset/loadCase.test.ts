// N5: what is wrong with a case is named with its file when it is read, whatever came before.
import assert from 'node:assert/strict';
import { VoxelbookError } from '../../src/base/errors.js';
import { loadCase, open } from '../../src/dataset/index.js';
import { type Volume, writeVolume } from '../../src/volume/index.js';
import { image, label, rawFolder, remove, shape, volumeOf } from './folder.js';

const n = shape[0] * shape[1] * shape[2];
const ramp = (change: (v: number) => number = (v) => v) => Float32Array.from({ length: n }, (_, i) => change(i));

describe('reading a case', () => {
  const wrong: [string, (folder: string) => [string, Volume], RegExp][] = [
    [
      'NaN',
      (f) => [image(f, 0, 0), volumeOf(ramp((v) => (v === 3 ? Number.NaN : v)))],
      /a0.*1 values are NaN or infinite; expected finite numbers/s,
    ],
    [
      'infinity',
      (f) => [image(f, 0, 1), volumeOf(ramp((v) => (v < 2 ? Number.NEGATIVE_INFINITY : v)))],
      /a0.*2 values are NaN or infinite/s,
    ],
    [
      'a channel of another shape',
      (f) => [image(f, 0, 1), volumeOf(new Float32Array(6 * 8 * 5), { shape: [6, 8, 5] })],
      /a0_0001\.nii\.gz: 6×8×5; expected 6×8×7 as the first channel/,
    ],
    [
      'a label of another shape',
      (f) => [label(f, 0), volumeOf(new Uint8Array(6 * 6 * 7), { shape: [6, 6, 7] })],
      /a0\.nii\.gz: 6×6×7; expected 6×8×7/,
    ],
    [
      'labels with fractions',
      (f) => [label(f, 0), volumeOf(ramp((v) => (v === 5 ? 0.5 : 0)))],
      /voxel 5: 0\.5; expected a whole number/,
    ],
    [
      'labels that are NaN',
      (f) => [label(f, 0), volumeOf(ramp((v) => (v === 5 ? Number.NaN : 0)))],
      /voxel 5: NaN; expected a whole number/,
    ],
    [
      'labels beyond int16',
      (f) => [label(f, 0), volumeOf(Uint16Array.from(ramp(), (v) => (v === 1 ? 40000 : 0)))],
      /voxel 1: 40000; expected a whole number up to 32767/,
    ],
    [
      'two labels a voxel',
      (f) => [label(f, 0), volumeOf(new Uint8Array(2 * n), { channels: 2 })],
      /2 channels; expected one label per voxel/,
    ],
  ];
  for (const [what, make, message] of wrong)
    it(`${what}: refused, by file`, () => {
      const folder = rawFolder(1);
      try {
        const [file, volume] = make(folder);
        writeVolume(file, volume);
        assert.throws(
          () => loadCase(open(folder).cases[0]),
          (error) => {
            assert.ok(error instanceof VoxelbookError);
            assert.match(error.message, message);
            return true;
          },
        );
      } finally {
        remove(folder);
      }
    });

  it('whole numbers stored as floats are labels', () => {
    const folder = rawFolder(1);
    writeVolume(label(folder, 0), volumeOf(ramp((v) => v % 3)));
    assert.deepEqual([...loadCase(open(folder).cases[0]).label!.data.subarray(0, 4)], [0, 1, 2, 0]);
    remove(folder);
  });

  it('scaled integers become their values', () => {
    const folder = rawFolder(1);
    writeVolume(image(folder, 0, 0), volumeOf(Int16Array.from(ramp(), (v) => v - 5)));
    assert.deepEqual([...loadCase(open(folder).cases[0]).image.data].filter((_, i) => i % 2 === 0).slice(0, 2), [-5, -4]);
    remove(folder);
  });
});
