import assert from 'node:assert/strict';
import { boxSum, pairwiseSum } from '../../../src/base/numpy/float32Sum.js';

// numpy 2.4.6: `a[box].sum()` of a float32 array `1000 + ((i·7919) mod 1000)/997`.
const sums: [whole: number[], box: number[][], sum: number][] = [
  // biome-ignore format: one case a line
  [[9, 10, 11], [[0, 9], [0, 10], [0, 11]], 990496.5],
  // biome-ignore format: one case a line
  [[30, 40, 50], [[1, 30], [0, 40], [0, 49]], 56868472],
  // biome-ignore format: one case a line
  [[30, 40, 50], [[1, 30], [2, 40], [0, 50]], 55127632],
  // biome-ignore format: one case a line
  [[30, 40, 50], [[1, 30], [2, 40], [3, 50]], 51820036],
  // biome-ignore format: one case a line
  [[5, 120, 130], [[0, 5], [1, 120], [0, 129]], 76793456],
  // biome-ignore format: one case a line
  [[3, 4, 9000], [[0, 3], [0, 4], [5, 9000]], 107994056],
  // biome-ignore format: one case a line
  [[1, 200, 300], [[0, 1], [7, 200], [0, 290]], 55998048],
];

describe('sums in float32', () => {
  it("are numpy's to the last bit, also over a box cut from a larger array", () => {
    for (const [whole, box, sum] of sums) {
      const values: number[] = [];
      for (let z = box[0][0]; z < box[0][1]; z++)
        for (let y = box[1][0]; y < box[1][1]; y++)
          for (let x = box[2][0]; x < box[2][1]; x++)
            values.push(1000 + ((((z * whole[1] + y) * whole[2] + x) * 7919) % 1000) / 997);
      const shape = box.map(([low, high]) => high - low);
      assert.equal(boxSum(Float32Array.from(values), shape, whole), sum);
    }
  });

  it('of a whole array is the pairwise sum; of nothing it is 0', () => {
    const values = Float32Array.from({ length: 990 }, (_, i) => 1000 + ((i * 7919) % 1000) / 997);
    assert.equal(boxSum(values, [9, 10, 11], [9, 10, 11]), pairwiseSum(values));
    assert.equal(pairwiseSum(new Float32Array(0)), 0);
  });
});
