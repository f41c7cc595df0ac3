import assert from 'node:assert/strict';
import { Random } from '../../src/base/random.js';
import { cropToNonzero, nonzeroMask, transposeAxes } from '../../src/volume/index.js';

/** Slow: background reached from outside the grid, one layer of neighbours per sweep. */
function slowMask(image: Float32Array, [d, h, w]: number[], channels: number): number[] {
  const full = Array.from({ length: d * h * w }, (_, v) =>
    Array.from({ length: channels }, (_, c) => image[v * channels + c]).some((x) => x !== 0) ? 1 : 0,
  );
  const outside = full.map((f, v) => {
    const [z, y, x] = [Math.floor(v / (h * w)), Math.floor(v / w) % h, v % w];
    return f === 0 && (z === 0 || z === d - 1 || y === 0 || y === h - 1 || x === 0 || x === w - 1);
  });
  for (let changed = true; changed; ) {
    changed = false;
    for (let v = 0; v < full.length; v++) {
      if (full[v] === 1 || outside[v]) continue;
      const x = v % w;
      const y = Math.floor(v / w) % h;
      if (
        [x > 0 && v - 1, x < w - 1 && v + 1, y > 0 && v - w, y < h - 1 && v + w, v - h * w, v + h * w].some(
          (n) => n !== false && outside[n],
        )
      ) {
        outside[v] = true;
        changed = true;
      }
    }
  }
  return outside.map((o) => (o ? 0 : 1));
}

describe('crop to non-zero', () => {
  it('the mask, holes filled, agrees with the slow way', () => {
    const random = new Random('mask');
    for (const [shape, channels] of [
      [[4, 5, 6], 1],
      [[6, 6, 6], 2],
      [[1, 7, 7], 1],
      [[3, 1, 9], 1],
    ] as [[number, number, number], number][])
      for (const p of [0.2, 0.5, 0.8]) {
        const image = Float32Array.from({ length: shape[0] * shape[1] * shape[2] * channels }, () => (random.chance(p) ? 1 : 0));
        assert.deepEqual([...nonzeroMask(image, shape, channels)], slowMask(image, shape, channels));
      }
  });

  it('a closed shell is full; in a single slice nothing is filled', () => {
    const shell = new Float32Array(125).fill(1);
    shell[62] = 0;
    assert.ok(nonzeroMask(shell, [5, 5, 5], 1).every((v) => v === 1));
    const ring = new Float32Array(25).fill(1);
    ring[12] = 0;
    assert.equal(nonzeroMask(ring, [1, 5, 5], 1)[12], 0);
  });

  it('outside the mask 0 becomes -1, other labels stay', () => {
    const image = Float32Array.from([1, 0, 1, 0, 0, 0]);
    const { seg, shape, box } = cropToNonzero(image, [1, 2, 3], 1, Int16Array.from([2, 5, 0, 0, 0, 0]));
    assert.deepEqual(
      [shape, box],
      [
        [1, 1, 3],
        [
          [0, 1],
          [0, 1],
          [0, 3],
        ],
      ],
    );
    assert.deepEqual([...seg], [2, 5, 0]);
    assert.deepEqual([...cropToNonzero(image, [1, 2, 3], 1).seg], [0, -1, 0]);
  });

  it('an image of zeros is kept whole', () => {
    assert.deepEqual(cropToNonzero(new Float32Array(8), [2, 2, 2], 1).shape, [2, 2, 2]);
  });

  it('transposing there and back is the identity', () => {
    const data = Float32Array.from({ length: 2 * 3 * 4 * 2 }, (_, i) => i);
    const forward = transposeAxes(data, [2, 3, 4], 2, [2, 0, 1]);
    assert.deepEqual(transposeAxes(forward, [4, 2, 3], 2, [1, 2, 0]), data);
    assert.deepEqual([...transposeAxes(Float32Array.from([0, 1, 2, 3, 4, 5]), [1, 2, 3], 1, [2, 1, 0])], [0, 3, 1, 4, 2, 5]);
  });
});
