import assert from 'node:assert';
import { resize } from '../../../src/tensor/ops/resize.js';
import { tf } from '../../../src/tensor/tf.js';
import { close, draw, gradients, indices, leavesNothing, offset, shapeSize } from './check.js';

/** Corner by corner. */
function slowResize(x: tf.Tensor, size: number[], mode: 'nearest' | 'linear', alignCorners: boolean): Float64Array {
  const shape = [x.shape[0], ...size, x.shape.at(-1)!];
  const values = x.dataSync();
  const y = new Float64Array(shapeSize(shape));
  for (const at of indices(shape)) {
    const spots = size.map((m, i) => {
      const n = x.shape[i + 1];
      if (mode === 'nearest') return { low: Math.floor((at[i + 1] * n) / m), high: 0, far: 0 };
      const p = alignCorners ? (m > 1 ? (at[i + 1] * (n - 1)) / (m - 1) : 0) : Math.max(((at[i + 1] + 0.5) * n) / m - 0.5, 0);
      const low = Math.floor(p);
      return { low, high: Math.min(low + 1, n - 1), far: p - low };
    });
    for (const corner of indices(size.map(() => 2))) {
      const weight = spots.reduce((w, s, i) => w * (corner[i] ? s.far : 1 - s.far), 1);
      if (weight === 0) continue;
      const source = spots.map((s, i) => (corner[i] ? s.high : s.low));
      y[offset(shape, at)] += weight * values[offset(x.shape, [at[0], ...source, at.at(-1)!])];
    }
  }
  return y;
}

const settings: [number[], number[], 'nearest' | 'linear', boolean][] = [
  [[2, 3, 4, 5, 2], [6, 8, 10], 'nearest', false],
  [[2, 3, 4, 5, 2], [3, 8, 15], 'nearest', false],
  [[1, 3, 4, 5, 2], [5, 6, 3], 'nearest', false],
  [[2, 3, 4, 5, 2], [6, 8, 10], 'linear', false],
  [[1, 3, 4, 5, 2], [7, 3, 5], 'linear', false],
  [[1, 3, 4, 5, 2], [6, 8, 10], 'linear', true],
  [[1, 1, 4, 5, 2], [3, 1, 9], 'linear', true],
  [[2, 4, 5, 3], [8, 10], 'nearest', false],
  [[2, 4, 5, 3], [7, 12], 'linear', false],
  [[2, 4, 5, 3], [8, 9], 'linear', true],
];

describe('resize', () => {
  for (const [shape, size, mode, alignCorners] of settings)
    it(`agrees with its definition: [${shape}] to [${size}], ${mode}${alignCorners ? ', corners aligned' : ''}`, () =>
      leavesNothing(() => {
        const x = draw(shape);
        const y = resize(x, size, mode, { alignCorners });
        assert.deepStrictEqual(y.shape.slice(1, -1), size);
        close(y.dataSync(), slowResize(x, size, mode, alignCorners), 2e-6);
        gradients((x) => resize(x, size, mode, { alignCorners }), [x], 0.5, 1e-4);
        tf.dispose([x, y]);
      }));

  it('to the same size is the identity', () =>
    leavesNothing(() => {
      const x = draw([1, 3, 4, 2]);
      const y = resize(x, [3, 4], 'linear');
      close(y.dataSync(), x.dataSync(), 0);
      tf.dispose([x, y]);
    }));

  it('refuses a size of other rank', () =>
    assert.throws(
      () =>
        tf.tidy(() => {
          resize(tf.zeros([1, 2, 2, 1]), [4, 4, 4], 'nearest');
        }),
      /size: \[4,4,4\] for an input \[1,2,2,1\]; expected 2 whole numbers above 0/,
    ));
});
