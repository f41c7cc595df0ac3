import assert from 'node:assert/strict';
import { Random } from '../../src/base/random.js';
import { resample, resizeLabels, resizeValues, separateAxis } from '../../src/volume/index.js';

const random = new Random('resize');
const grid = (shape: number[]) => Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal());
const close = (ours: ArrayLike<number>, reference: ArrayLike<number>, tolerance: number, what: string) => {
  assert.equal(ours.length, reference.length, what);
  for (let i = 0; i < ours.length; i++)
    assert.ok(Math.abs(ours[i] - reference[i]) <= tolerance, `${what}: [${i}] ${ours[i]} for ${reference[i]}`);
};

/** The slow obvious way: interpolation coefficients by solving the B-spline equations, then every output voxel on its own. */
function slowResize(data: ArrayLike<number>, shape: number[], newShape: number[], order: 0 | 1 | 3): number[] {
  const pad = order === 3 ? 12 : 0;
  const padded = shape.map((n) => n + 2 * pad);
  const size = padded.reduce((a, b) => a * b, 1);
  const unravel = (i: number, dims: number[]) =>
    dims.map((_, a) => Math.floor(i / dims.slice(a + 1).reduce((x, y) => x * y, 1)) % dims[a]);
  const ravel = (at: number[], dims: number[]) => at.reduce((sum, n, a) => sum * dims[a] + n, 0);
  const clamp = (n: number, high: number) => Math.min(Math.max(n, 0), high);
  let coefficients = Array.from(
    { length: size },
    (_, i) =>
      data[
        ravel(
          unravel(i, padded).map((n, a) => clamp(n - pad, shape[a] - 1)),
          shape,
        )
      ],
  );
  if (order === 3)
    for (let axis = 0; axis < shape.length; axis++) {
      const n = padded[axis];
      const out = [...coefficients];
      for (let i = 0; i < size; i++) {
        const at = unravel(i, padded);
        if (at[axis] !== 0) continue;
        const index = (k: number) =>
          ravel(
            at.map((v, a) => (a === axis ? k : v)),
            padded,
          );
        const solved = solveSpline(Array.from({ length: n }, (_, k) => coefficients[index(k)]));
        solved.forEach((v, k) => {
          out[index(k)] = v;
        });
      }
      coefficients = out;
    }
  const low = Math.min(...Array.from(data));
  const high = Math.max(...Array.from(data));
  return Array.from({ length: newShape.reduce((a, b) => a * b, 1) }, (_, i) => {
    const centre = unravel(i, newShape).map((o, a) => (o + 0.5) * (shape[a] / newShape[a]) - 0.5);
    let sum = 0;
    const visit = (axis: number, at: number[], weight: number) => {
      if (weight === 0) return;
      if (axis === shape.length) {
        sum += weight * coefficients[ravel(at, padded)];
        return;
      }
      const c = clamp(centre[axis] + pad, padded[axis] - 1);
      if (order === 0) return visit(axis + 1, [...at, Math.floor(c + 0.5)], weight);
      for (let k = -3; k <= 3; k++)
        visit(axis + 1, [...at, clamp(Math.floor(c) + k, padded[axis] - 1)], weight * kernel(c - Math.floor(c) - k, order));
    };
    visit(0, [], 1);
    return order === 3 ? Math.min(Math.max(sum, low), high) : sum;
  });
}

const kernel = (x: number, order: number) => {
  const t = Math.abs(x);
  if (order === 1) return Math.max(0, 1 - t);
  return t < 1 ? 2 / 3 - t * t + (t * t * t) / 2 : t < 2 ? (2 - t) ** 3 / 6 : 0;
};

/** Coefficients c with (c[k-1] + 4c[k] + c[k+1]) / 6 = x[k], ends mirrored about the edge; Gauss-Seidel until still. */
function solveSpline(x: number[]): number[] {
  const c = [...x];
  const n = x.length;
  for (let round = 0; round < 80; round++)
    for (let k = 0; k < n; k++) {
      const before = k > 0 ? c[k - 1] : c[0];
      const after = k < n - 1 ? c[k + 1] : c[n - 1];
      const own = 4 + (k === 0 ? 1 : 0) + (k === n - 1 ? 1 : 0);
      c[k] = (6 * x[k] - (k > 0 ? before : 0) - (k < n - 1 ? after : 0)) / own;
    }
  return c;
}

describe('resize', () => {
  const cases: [number[], number[]][] = [
    [
      [5, 4, 6],
      [7, 4, 3],
    ],
    [
      [3, 7, 5],
      [6, 3, 9],
    ],
    [
      [1, 9, 8],
      [1, 13, 5],
    ],
    [
      [4, 1, 3],
      [2, 2, 2],
    ],
    [
      [7, 11],
      [12, 6],
    ],
    [[13], [29]],
  ];
  for (const order of [0, 1, 3] as const)
    it(`order ${order} agrees with the slow way`, () => {
      for (const [shape, newShape] of cases) {
        const data = grid(shape);
        close(
          resizeValues(data, shape, newShape, order),
          slowResize(data, shape, newShape, order),
          1e-10,
          `${shape} to ${newShape}`,
        );
      }
    });

  it('many columns in blocks are the same as few', () => {
    const data = grid([40, 75]);
    const whole = resizeValues(data, [40, 75], [61, 75], 3);
    for (const x of [0, 31, 32, 74]) {
      const column = Float64Array.from({ length: 40 }, (_, i) => data[i * 75 + x]);
      const alone = resizeValues(column, [40], [61], 3);
      const clipped = Array.from({ length: 61 }, (_, i) => whole[i * 75 + x]);
      const low = Math.min(...column);
      const high = Math.max(...column);
      close(
        clipped.map((v) => Math.min(Math.max(v, low), high)),
        alone,
        1e-12,
        `column ${x}`,
      );
    }
  });

  it('the same shape gives the same values', () => {
    const data = grid([3, 4, 5]);
    for (const order of [0, 1, 3] as const) assert.deepEqual([...resizeValues(data, [3, 4, 5], [3, 4, 5], order)], [...data]);
  });

  it('a constant stays constant, and nothing leaves the range of the input', () => {
    assert.ok(resizeValues(new Float32Array(60).fill(7), [3, 4, 5], [5, 3, 8], 3).every((v) => v === 7));
    const steps = Float64Array.from({ length: 30 }, (_, i) => (i < 15 ? 0 : 1));
    assert.ok(resizeValues(steps, [30], [77], 3).every((v) => v >= 0 && v <= 1));
  });

  it('labels: the largest linear score wins, ties go to the nearest, then to the smallest', () => {
    for (const [shape, newShape] of [
      [
        [4, 5, 6],
        [7, 4, 9],
      ],
      [
        [5, 5, 5],
        [10, 10, 10],
      ],
      [
        [6, 6, 6],
        [3, 3, 3],
      ],
    ]) {
      const labels = Int16Array.from(grid(shape), (v) => Math.round(v * 1.5));
      const names = [...new Set(labels)].sort((a, b) => a - b);
      const scores = names.map((l) =>
        slowResize(
          Array.from(labels, (v) => (v === l ? 1 : 0)),
          shape,
          newShape,
          1,
        ),
      );
      const nearest = slowResize(labels, shape, newShape, 0);
      const expected = nearest.map((near, i) => {
        const best = Math.max(...scores.map((s) => s[i]));
        const tied = names.filter((_, k) => best - scores[k][i] < 1e-12);
        return tied.includes(near) ? near : tied[0];
      });
      assert.deepEqual([...resizeLabels(labels, shape, newShape, 1)], expected);
    }
  });

  it('labels are never invented', () => {
    const labels = Int16Array.from({ length: 6 * 7 * 8 }, () => random.choice([-1, 0, 3, 200]));
    for (const order of [0, 1, 3] as const)
      for (const l of resizeLabels(labels, [6, 7, 8], [9, 4, 11], order)) assert.ok([-1, 0, 3, 200].includes(l));
  });
});

describe('resample', () => {
  it('voxels over three times longer than wide make a separate axis; two coarse axes make none', () => {
    assert.equal(separateAxis([5, 1, 1], [1, 1, 1]), 0);
    assert.equal(separateAxis([1, 1, 1], [1, 1, 4]), 2);
    assert.equal(separateAxis([3, 1, 1], [1, 1, 1]), null);
    assert.equal(separateAxis([5, 5, 1], [1, 1, 1]), null);
    assert.equal(separateAxis([5, 1, 1], [1, 1, 1], false), null);
    assert.equal(separateAxis([2, 1, 1], [1, 1, 1], true), 0);
  });

  it('a separate axis: every slice on its own, then the nearest slice', () => {
    const data = Float32Array.from(grid([3, 5, 6]));
    for (const axis of [0, 1, 2]) {
      const newShape = [4, 7, 5];
      const ours = resample({ data, shape: [3, 5, 6] }, newShape, { kind: 'values', order: 3, axis });
      const plane = [0, 1, 2].filter((a) => a !== axis);
      const n = [3, 5, 6][axis];
      const strides = [30, 6, 1];
      const newStrides = [newShape[1] * newShape[2], newShape[2], 1];
      for (let o = 0; o < newShape[axis]; o++) {
        const source = Math.floor(Math.min(Math.max((o + 0.5) * (n / newShape[axis]) - 0.5, 0), n - 1) + 0.5);
        const [h, w] = plane.map((a) => [3, 5, 6][a]);
        const slice = Float64Array.from(
          { length: h * w },
          (_, i) => data[source * strides[axis] + Math.floor(i / w) * strides[plane[0]] + (i % w) * strides[plane[1]]],
        );
        const resized = slowResize(
          slice,
          [h, w],
          plane.map((a) => newShape[a]),
          3,
        );
        const width = newShape[plane[1]];
        const got = resized.map(
          (_, i) =>
            ours[o * newStrides[axis] + Math.floor(i / width) * newStrides[plane[0]] + (i % width) * newStrides[plane[1]]],
        );
        close(got, resized, 1e-6, `axis ${axis} slice ${o}`);
      }
    }
  });

  it('the same shape returns the input itself', () => {
    const data = new Float32Array(8);
    assert.equal(resample({ data, shape: [2, 2, 2] }, [2, 2, 2], { kind: 'values', order: 3, axis: null }), data);
  });
});
