import assert from 'node:assert';
import { Random } from '../../src/base/random.js';
import {
  assemble,
  distinctSteps,
  inWindows,
  partition,
  relativeIndex,
  roll,
  shiftRegions,
} from '../../src/model/layers/windows.js';
import { tf } from '../../src/tensor/tf.js';

const random = new Random('windows test');
const draw = (shape: number[]) =>
  tf.tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.uniform(-1, 1)),
    shape,
  );

describe('windows', () => {
  const cases = [
    { grid: [4, 6], window: [2, 3] },
    { grid: [4, 6, 8], window: [2, 3, 4] },
    { grid: [3, 2, 5], window: [3, 1, 5] },
  ];

  for (const { grid, window } of cases)
    it(`partition of [${grid}] in [${window}]: a window holds its voxels in reading order, and assemble undoes it`, () => {
      tf.tidy(() => {
        const x = draw([2, ...grid, 3]);
        const windows = partition(x, window);
        const voxels = window.reduce((a, b) => a * b, 1);
        assert.deepStrictEqual(windows.shape, [(2 * grid.reduce((a, b) => a * b, 1)) / voxels, voxels, 3]);
        assert.deepStrictEqual(Array.from(assemble(windows, window, grid).dataSync()), Array.from(x.dataSync()));
        const corner = tf.slice(x, [1, ...grid.map((n, i) => n - window[i]), 0], [1, ...window, 3]);
        const last = tf.slice(windows, [windows.shape[0] - 1, 0, 0], [1, -1, -1]);
        assert.deepStrictEqual(Array.from(last.dataSync()), Array.from(corner.dataSync()));
      });
    });

  it('roll brings what was at the shift to the front, and a negative shift undoes it', () => {
    tf.tidy(() => {
      const x = tf.reshape(tf.range(0, 12), [1, 3, 4, 1]);
      assert.deepStrictEqual(Array.from(roll(x, [1, 2]).dataSync()), [6, 7, 4, 5, 10, 11, 8, 9, 2, 3, 0, 1]);
      assert.deepStrictEqual(Array.from(roll(roll(x, [1, 2]), [-1, -2]).dataSync()), Array.from(x.dataSync()));
    });
  });

  it('regions: in a shifted window only voxels that are neighbours in the image see each other', () => {
    tf.tidy(() => {
      // Six columns, windows of three, shifted by one: the last window holds columns 4, 5 and, from the other side, 0.
      const regions = shiftRegions([3, 6], [3, 3], [0, 1]).arraySync() as number[][];
      assert.deepStrictEqual(regions[0], Array(9).fill(0));
      const [a, b, c] = regions[1];
      assert.strictEqual(a, b);
      assert.notStrictEqual(b, c);
      assert.deepStrictEqual(regions[1].slice(3), [a, b, c, a, b, c]);
    });
  });

  it('inWindows with the identity is the identity, padded and shifted', () => {
    tf.tidy(() => {
      const x = draw([2, 5, 7, 3]);
      const y = inWindows([x], [3, 3], [1, 1], ([windows], regions) => {
        assert.deepStrictEqual(regions!.shape, [6, 9]);
        return windows;
      });
      assert.deepStrictEqual(Array.from(y.dataSync()), Array.from(x.dataSync()));
    });
  });

  it('the relative index depends on the offset alone, and distinct steps give every offset its own row', () => {
    const window = [2, 3, 4];
    const index = relativeIndex(window, distinctSteps(window));
    const place = (v: number) => [Math.floor(v / 12), Math.floor(v / 4) % 3, v % 4];
    const rows = new Map<string, number>();
    for (let q = 0; q < 24; q++)
      for (let k = 0; k < 24; k++) {
        const offset = place(q)
          .map((a, axis) => a - place(k)[axis])
          .join();
        const row = index[q * 24 + k];
        assert.strictEqual(rows.get(offset) ?? row, row);
        rows.set(offset, row);
      }
    assert.strictEqual(new Set(rows.values()).size, 3 * 5 * 7);
    assert.strictEqual(Math.max(...rows.values()), 3 * 5 * 7 - 1);
  });

  it("nnFormer's steps let offsets share rows and stay inside the table", () => {
    const window = [4, 4, 4];
    const index = relativeIndex(window, [11, 7, 1]);
    assert.ok(new Set(index).size < 343);
    assert.ok(Math.max(...index) < 343 && Math.min(...index) === 0);
  });
});
