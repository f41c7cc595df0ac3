// Our dense convolution and its gradients against their definition, voxel by voxel in double precision.
import assert from 'node:assert';
import { Random } from '../../../src/base/random.js';
import { threads as threadsOfProcess } from '../../../src/base/threads.js';
import { nativeConv } from '../../../src/tensor/native/denseConv.js';
import { native, setNativeThreads } from '../../../src/tensor/native/load.js';
import { tf } from '../../../src/tensor/tf.js';
import { assertClose, smooth } from './helpers.js';

/** x `[batch, depth, height, width, in]`, window `[depth, 3, 3]`, outputs. */
interface Setting {
  x: number[];
  depth: number;
  out: number;
  /** As a picture, without an axis of depth. */
  flat?: boolean;
}

const fixed: Setting[] = [
  { x: [1, 4, 4, 4, 8], depth: 3, out: 8 },
  { x: [2, 5, 7, 9, 19], depth: 3, out: 33 },
  { x: [1, 1, 1, 1, 5], depth: 3, out: 7 },
  { x: [1, 2, 1, 3, 1], depth: 3, out: 1 },
  { x: [3, 2, 2, 2, 40], depth: 3, out: 17 },
  { x: [2, 3, 6, 5, 16], depth: 1, out: 24 },
  { x: [3, 1, 9, 12, 9], depth: 1, out: 16, flat: true },
  { x: [1, 12, 20, 24, 16], depth: 3, out: 16 },
  { x: [1, 3, 4, 4, 80], depth: 3, out: 144 },
];
const random = new Random('dense convolution');
const whole = (low: number, high: number) => Math.floor(random.uniform(low, high + 1));
const drawn = Array.from({ length: 12 }, (): Setting => {
  const flat = random.uniform(0, 1) < 0.25;
  return {
    x: [whole(1, 3), flat ? 1 : whole(1, 7), whole(1, 9), whole(1, 9), whole(1, 36)],
    depth: flat ? 1 : [1, 3][whole(0, 1)],
    out: whole(1, 36),
    flat,
  };
});

function definition(s: Setting, x: ArrayLike<number>, kernel: ArrayLike<number>, dy: ArrayLike<number>) {
  const [batch, D, H, W, channels] = s.x;
  const y = new Float64Array(dy.length);
  const dx = new Float64Array(x.length);
  const dKernel = new Float64Array(kernel.length);
  for (let n = 0; n < batch; n++)
    for (let d = 0; d < D; d++)
      for (let h = 0; h < H; h++)
        for (let w = 0; w < W; w++)
          for (let k = 0; k < s.depth * 9; k++) {
            const from = [d + Math.floor(k / 9) - (s.depth >> 1), h + (Math.floor(k / 3) % 3) - 1, w + (k % 3) - 1];
            if (from.some((at, i) => at < 0 || at >= [D, H, W][i])) continue;
            const input = (((n * D + from[0]) * H + from[1]) * W + from[2]) * channels;
            const output = (((n * D + d) * H + h) * W + w) * s.out;
            for (let c = 0; c < channels; c++)
              for (let o = 0; o < s.out; o++) {
                const weight = (k * channels + c) * s.out + o;
                y[output + o] += x[input + c] * kernel[weight];
                dx[input + c] += dy[output + o] * kernel[weight];
                dKernel[weight] += dy[output + o] * x[input + c];
              }
          }
  return { y, dx, dKernel };
}

describe('native dense convolution', () => {
  before(function () {
    if (!native()) this.skip();
  });

  const tensors = (s: Setting) => {
    const shape = s.flat ? [s.x[0], ...s.x.slice(2)] : s.x;
    const window = s.flat ? [3, 3] : [s.depth, 3, 3];
    return {
      x: smooth(shape, 1, 1),
      kernel: smooth([...window, s.x[4], s.out], 2, 1),
      bias: smooth([s.out], 3, 1),
      dy: smooth([...shape.slice(0, -1), s.out], 4, 1),
    };
  };
  /** Output and all gradients. */
  const run = ({ x, kernel, bias, dy }: ReturnType<typeof tensors>) => {
    const y = nativeConv(x, kernel, bias);
    const [dx, dKernel, dBias] = tf.grads((x, kernel, bias) => nativeConv(x, kernel, bias))([x, kernel, bias], dy);
    return { y, dx, dKernel, dBias };
  };

  for (const s of [...fixed, ...drawn])
    it(`agrees with its definition: ${JSON.stringify(s)}`, () =>
      tf.tidy(() => {
        const given = tensors(s);
        const [bias, dy] = [given.bias.dataSync(), given.dy.dataSync()];
        const expected = definition(s, given.x.dataSync(), given.kernel.dataSync(), dy);
        const { y, dx, dKernel, dBias } = run(given);
        assertClose(
          y.dataSync(),
          expected.y.map((v, i) => v + bias[i % s.out]),
          2e-6,
          'output',
        );
        assertClose(dx.dataSync(), expected.dx, 2e-6, 'gradient of the input');
        assertClose(dKernel.dataSync(), expected.dKernel, 2e-6, 'gradient of the kernel');
        const sums = new Float64Array(s.out);
        for (const [i, v] of dy.entries()) sums[i % s.out] += v;
        assertClose(dBias.dataSync(), sums, 2e-6, 'gradient of the bias');
        assert.deepStrictEqual(
          [y.shape, dx.shape, dKernel.shape, dBias.shape],
          [given.dy.shape, given.x.shape, given.kernel.shape, [s.out]],
        );
      }));

  it('gives the same bits with any number of threads', () =>
    tf.tidy(() => {
      for (const s of [fixed[1], fixed[7], fixed[8], { x: [1, 24, 24, 24, 16], depth: 3, out: 40 }]) {
        const given = tensors(s);
        const results = [1, 2, 3, 7].map((count) => {
          setNativeThreads(count);
          return Object.values(run(given)).map((t) => t.dataSync());
        });
        setNativeThreads(threadsOfProcess());
        for (const other of results.slice(1)) assert.deepStrictEqual(other, results[0], JSON.stringify(s));
      }
    }));

  it('an input whose values are not finite gives no finite output around them', () =>
    tf.tidy(() => {
      const { x, kernel, bias, dy } = tensors(fixed[0]);
      const values = x.dataSync();
      values[21 * 8] = Number.NaN;
      const { y, dKernel } = run({ x: tf.tensor(values, x.shape), kernel, bias, dy });
      assert.ok(
        y
          .dataSync()
          .slice(21 * 8, 22 * 8)
          .every(Number.isNaN),
      );
      assert.ok(dKernel.dataSync().some(Number.isNaN));
    }));
});
