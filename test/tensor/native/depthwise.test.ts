import assert from 'node:assert';
import { threads as threadsOfProcess } from '../../../src/base/threads.js';
import { execute, native, setNativeThreads } from '../../../src/tensor/native/load.js';
import { depthwiseConv } from '../../../src/tensor/ops/depthwiseConv.js';
import { depthwiseConvTranspose } from '../../../src/tensor/ops/depthwiseConvTranspose.js';
import { tf } from '../../../src/tensor/tf.js';
import { assertClose, smooth } from './helpers.js';

interface Setting {
  shape: number[];
  kernel: number[];
  stride: number[];
  padding: number[];
  outputPadding?: number[];
}
const threes = (k: number, stride: number, padding: number) => ({
  kernel: [k, k, k],
  stride: Array(3).fill(stride),
  padding: Array(3).fill(padding),
});
const settings: Setting[] = [
  { shape: [1, 8, 8, 8, 32], ...threes(3, 1, 1) },
  { shape: [2, 5, 6, 7, 16], ...threes(5, 1, 2) },
  { shape: [1, 9, 10, 11, 24], ...threes(7, 1, 3) },
  { shape: [2, 3, 4, 5, 19], ...threes(3, 1, 1) },
  { shape: [1, 3, 4, 12, 3], ...threes(3, 1, 1) },
  { shape: [1, 4, 4, 4, 1], ...threes(3, 1, 1) },
  { shape: [1, 4, 4, 9, 5], ...threes(3, 1, 0) },
  { shape: [2, 9, 8, 7, 16], ...threes(3, 2, 1) },
  { shape: [1, 8, 9, 21, 33], ...threes(5, 2, 2) },
  { shape: [1, 8, 9, 10, 16], ...threes(7, 2, 3) },
  { shape: [1, 10, 9, 8, 17], ...threes(3, 3, 1) },
  { shape: [1, 4, 4, 4, 16], ...threes(1, 1, 0) },
  { shape: [1, 6, 6, 6, 16], ...threes(2, 2, 0) },
  { shape: [1, 5, 5, 18, 16], ...threes(4, 1, 1) },
  { shape: [1, 3, 3, 3, 18], ...threes(9, 1, 4) },
  { shape: [1, 6, 7, 8, 20], kernel: [1, 3, 5], stride: [1, 2, 1], padding: [0, 1, 2] },
  { shape: [2, 7, 9, 16], kernel: [3, 3], stride: [1, 1], padding: [1, 1] },
  { shape: [1, 12, 5, 10], kernel: [5, 7], stride: [2, 1], padding: [2, 3] },
  // A causal one-dimensional convolution, as Mamba has it.
  { shape: [1, 1, 40, 24], kernel: [1, 4], stride: [1, 1], padding: [0, 3] },
  { shape: [1, 4, 5, 3, 16], ...threes(3, 2, 1), outputPadding: [1, 1, 1] },
  { shape: [1, 3, 2, 4, 7], ...threes(2, 3, 0), outputPadding: [2, 0, 1] },
];

interface Results {
  y: Float64Array;
  shape: number[];
  dx: Float64Array;
  dk: Float64Array;
  db: Float64Array;
}

/** The definition, one product at a time: tap t joins big position s·q + t − p to small position q. */
function reference(
  s: Setting,
  x: ArrayLike<number>,
  k: ArrayLike<number>,
  b: ArrayLike<number>,
  dy: ArrayLike<number> | undefined,
  transposed: boolean,
): Results {
  const to3 = (v: number[], standard: number) => (v.length === 2 ? [standard, ...v] : v);
  const C = s.shape.at(-1)!;
  const batch = s.shape[0];
  const n = to3(s.shape.slice(1, -1), 1);
  const [kernel, stride, padding] = [to3(s.kernel, 1), to3(s.stride, 1), to3(s.padding, 0)];
  const extra = to3(s.outputPadding ?? s.kernel.map(() => 0), 0);
  const m = n.map((size, i) =>
    transposed
      ? (size - 1) * stride[i] - 2 * padding[i] + kernel[i] + extra[i]
      : Math.floor((size + 2 * padding[i] - kernel[i]) / stride[i]) + 1,
  );
  const [small, big] = transposed ? [n, m] : [m, n];
  const count = (size: number[]) => batch * size[0] * size[1] * size[2] * C;
  const y = new Float64Array(count(m));
  for (let i = 0; i < y.length; i++) y[i] = b[i % C];
  const dx = new Float64Array(count(n));
  const dk = new Float64Array(k.length);
  const db = new Float64Array(C);
  if (dy) for (let i = 0; i < y.length; i++) db[i % C] += dy[i];
  const at = (size: number[], p: number[]) => ((p[0] * size[0] + p[1]) * size[1] + p[2]) * size[2] + p[3];
  for (let e = 0; e < batch; e++)
    for (let q = 0; q < small[0] * small[1] * small[2]; q++) {
      const position = [Math.floor(q / small[2] / small[1]), Math.floor(q / small[2]) % small[1], q % small[2]];
      for (let t = 0; t < kernel[0] * kernel[1] * kernel[2]; t++) {
        const tap = [Math.floor(t / kernel[2] / kernel[1]), Math.floor(t / kernel[2]) % kernel[1], t % kernel[2]];
        const target = position.map((p, i) => p * stride[i] + tap[i] - padding[i]);
        if (target.some((p, i) => p < 0 || p >= big[i])) continue;
        const [bigAt, smallAt] = [at(big, [e, ...target]), at(small, [e, ...position])];
        const [from, to] = transposed ? [smallAt, bigAt] : [bigAt, smallAt];
        for (let c = 0; c < C; c++) {
          y[to * C + c] += x[from * C + c] * k[t * C + c];
          if (!dy) continue;
          dx[from * C + c] += dy[to * C + c] * k[t * C + c];
          dk[t * C + c] += dy[to * C + c] * x[from * C + c];
        }
      }
    }
  return { y, shape: [batch, ...(s.shape.length === 4 ? m.slice(1) : m), C], dx, dk, db };
}

describe('native depthwise convolution', () => {
  before(function () {
    if (!native()) this.skip();
  });

  for (const s of settings)
    for (const transposed of [false, true]) {
      if (s.outputPadding && !transposed) continue;
      const title = `${transposed ? 'transposed ' : ''}[${s.shape}] k[${s.kernel}] s[${s.stride}] p[${s.padding}]${s.outputPadding ? ` o[${s.outputPadding}]` : ''}`;
      it(`${title}: output and gradients are the definition's`, () =>
        tf.tidy(() => {
          const C = s.shape.at(-1)!;
          const [x, kernel, bias] = [smooth(s.shape, 1, 1), smooth([...s.kernel, 1, C], 2, 1), smooth([C], 3, 1)];
          const options = { stride: s.stride, padding: s.padding };
          const f = (x: tf.Tensor, k: tf.Tensor, b: tf.Tensor) =>
            transposed
              ? depthwiseConvTranspose(x, k, { ...options, outputPadding: s.outputPadding, bias: b })
              : depthwiseConv(x, k, { ...options, bias: b });
          const y = f(x, kernel, bias);
          const dy = smooth(y.shape, 4, 1);
          const [dx, dk, db] = tf.grads((x, k, b) => tf.sum(tf.mul(f(x, k, b), dy)))([x, kernel, bias]);
          const r = reference(s, x.dataSync(), kernel.dataSync(), bias.dataSync(), dy.dataSync(), transposed);
          assert.deepStrictEqual(y.shape, r.shape);
          assertClose(y.dataSync(), r.y, 2e-6, 'output');
          assertClose(dx.dataSync(), r.dx, 2e-6, 'gradient of x');
          assertClose(dk.dataSync(), r.dk, 2e-6, 'gradient of the kernel');
          assertClose(db.dataSync(), r.db, 2e-6, 'gradient of the bias');
        }));
    }

  it('thread counts 1, 2 and 3 agree within 1e-5, and a count agrees with itself to the bit', () =>
    tf.tidy(() => {
      const [x, kernel] = [smooth([1, 9, 20, 21, 32], 1, 1), smooth([3, 3, 3, 1, 32], 2, 1)];
      const run = (threads: number) => {
        setNativeThreads(threads);
        const result = tf
          .grads((x, k) => tf.sum(tf.square(depthwiseConv(x, k, { padding: 1 }))))([x, kernel])
          .map((t) => t.dataSync() as Float32Array);
        setNativeThreads(threadsOfProcess());
        return result;
      };
      const two = run(2);
      assert.deepStrictEqual(run(2), two);
      for (const threads of [1, 3]) for (const [i, g] of run(threads).entries()) assertClose(g, two[i], 1e-5, `gradient ${i}`);
    }));

  it('empty batches and empty grids give empty results and zero gradients', () =>
    tf.tidy(() => {
      for (const shape of [
        [0, 4, 4, 4, 16],
        [1, 4, 0, 4, 16],
        [1, 4, 4, 4, 0],
      ]) {
        const kernel = tf.ones([3, 3, 3, 1, shape[4]]);
        const f = (x: tf.Tensor, k: tf.Tensor) => execute('VoxelbookDepthwise', [x, k, tf.zeros([0])], 1, [1, 1, 1, 1, 1, 1])[0];
        assert.deepStrictEqual(f(tf.zeros(shape), kernel).size, 0);
        const [dk] = execute(
          'VoxelbookDepthwiseKernelGradient',
          [tf.zeros(shape), tf.zeros(shape), kernel],
          2,
          [1, 1, 1, 1, 1, 1],
        );
        assert.ok((dk.dataSync() as Float32Array).every((v) => v === 0));
      }
    }));

  it('what does not fit comes back as an error that names the shapes', () =>
    tf.tidy(() => {
      const call = (x: number[], k: number[], ints: number[]) => () =>
        execute('VoxelbookDepthwise', [tf.zeros(x), tf.zeros(k), tf.zeros([0])], 1, ints);
      assert.throws(
        call([1, 4, 4, 4], [3, 3, 3, 1, 5], [1, 1, 1, 1, 1, 1]),
        /kernel \[3,3,3,1,5\] must be \[\(kd,\) kh, kw, 1, 4\]/,
      );
      assert.throws(
        call([4, 4, 4], [3, 3, 1, 4], [1, 1, 1, 1, 1, 1]),
        /input \[4,4,4\] must be \[batch, \(depth,\) height, width, channel\]/,
      );
      assert.throws(
        call([1, 2, 2, 2, 4], [3, 3, 3, 1, 4], [1, 1, 1, 0, 0, 0]),
        /input \[1,2,2,2,4\] is smaller than kernel \[3,3,3,1,4\]/,
      );
      assert.throws(call([1, 4, 4, 4, 4], [3, 3, 3, 1, 4], [0, 1, 1, 0, 0, 0]), /stride must be 1 to 64/);
      assert.throws(call([1, 4, 4, 4, 4], [3, 3, 3, 1, 4], [1]), /six numbers of stride and padding expected/);
    }));
});
