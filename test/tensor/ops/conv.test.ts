import assert from 'node:assert';
import { conv } from '../../../src/tensor/ops/conv.js';
import { convTranspose } from '../../../src/tensor/ops/convTranspose.js';
import { depthwiseConv } from '../../../src/tensor/ops/depthwiseConv.js';
import { depthwiseConvTranspose } from '../../../src/tensor/ops/depthwiseConvTranspose.js';
import { convShape, convTransposeShape } from '../../../src/tensor/ops/shapes.js';
import { symbolic, symbolicOutput } from '../../../src/tensor/symbolic.js';
import { tf } from '../../../src/tensor/tf.js';
import { close, draw, gradients, indices, leavesNothing, offset, shapeSize } from './check.js';

interface Setting {
  x: number[];
  kernel: number[];
  stride?: number | number[];
  padding?: number | number[];
  dilation?: number | number[];
  groups?: number;
  outputPadding?: number | number[];
}

/** Output voxel by output voxel, straight from the definition. */
function slowConv(x: tf.Tensor, kernel: tf.Tensor, s: Setting, groups: number): Float64Array {
  const { shape, window, stride, padding, dilation } = convShape('slow', x.shape, kernel.shape, { ...s, groups });
  const [values, weights] = [x.dataSync(), kernel.dataSync()];
  const [inPerGroup, out] = kernel.shape.slice(-2);
  const y = new Float64Array(shapeSize(shape));
  for (const at of indices(shape)) {
    const channel = at.at(-1)!;
    const group = Math.floor(channel / (out / groups));
    let sum = 0;
    for (const k of indices(window)) {
      const source = k.map((n, i) => at[i + 1] * stride[i] - padding[i] + n * dilation[i]);
      if (source.some((n, i) => n < 0 || n >= x.shape[i + 1])) continue;
      for (let c = 0; c < inPerGroup; c++)
        sum +=
          values[offset(x.shape, [at[0], ...source, group * inPerGroup + c])] * weights[offset(kernel.shape, [...k, c, channel])];
    }
    y[offset(shape, at)] = sum;
  }
  return y;
}

/** Input voxel by input voxel: each adds its window to the output. */
function slowTranspose(x: tf.Tensor, kernel: tf.Tensor, s: Setting, depthwise: boolean): Float64Array {
  const { shape, window, stride, padding } = convTransposeShape('slow', x.shape, kernel.shape, s, depthwise);
  const [values, weights] = [x.dataSync(), kernel.dataSync()];
  const y = new Float64Array(shapeSize(shape));
  for (const at of indices(x.shape))
    for (const k of indices(window)) {
      const target = k.map((n, i) => at[i + 1] * stride[i] - padding[i] + n);
      if (target.some((n, i) => n < 0 || n >= shape[i + 1])) continue;
      const channel = at.at(-1)!;
      for (let c = 0; c < kernel.shape.at(-2)!; c++)
        y[offset(shape, [at[0], ...target, depthwise ? channel : c])] +=
          values[offset(x.shape, at)] * weights[offset(kernel.shape, [...k, c, channel])];
    }
  return y;
}

const convSettings: Setting[] = [
  { x: [2, 5, 6, 7, 3], kernel: [3, 3, 3, 3, 4], padding: 1 },
  { x: [2, 5, 6, 7, 3], kernel: [3, 3, 3, 3, 4], padding: 1, stride: 2 },
  { x: [1, 5, 8, 7, 2], kernel: [1, 3, 3, 2, 3], padding: [0, 1, 1], stride: [1, 2, 2] },
  { x: [1, 5, 4, 6, 2], kernel: [2, 2, 2, 2, 3], stride: 2 },
  { x: [2, 3, 5, 4, 3], kernel: [1, 1, 1, 3, 2] },
  { x: [2, 3, 5, 4, 3], kernel: [1, 1, 1, 3, 2], stride: 2 },
  { x: [1, 7, 7, 8, 2], kernel: [3, 3, 3, 2, 2], padding: 2, dilation: 2 },
  { x: [1, 4, 5, 6, 4], kernel: [3, 3, 3, 2, 6], padding: 1, groups: 2 },
  { x: [2, 3, 4, 5, 3], kernel: [1, 1, 1, 1, 12], groups: 3 },
  { x: [2, 3, 4, 5, 12], kernel: [1, 1, 1, 4, 3], groups: 3 },
  { x: [2, 9, 8, 3], kernel: [7, 7, 3, 4], padding: 3, stride: 2 },
  { x: [2, 6, 5, 3], kernel: [3, 5, 3, 2], padding: [1, 2] },
  { x: [2, 6, 5, 3], kernel: [1, 1, 3, 2], stride: [2, 1] },
];

const depthwiseSettings: Setting[] = [
  { x: [2, 5, 6, 7, 3], kernel: [3, 3, 3, 1, 3], padding: 1 },
  { x: [1, 6, 7, 8, 2], kernel: [5, 5, 5, 1, 2], padding: 2 },
  { x: [1, 6, 7, 8, 2], kernel: [7, 7, 7, 1, 2], padding: 3 },
  { x: [2, 7, 8, 9, 3], kernel: [3, 3, 3, 1, 3], padding: 1, stride: 2 },
  { x: [1, 7, 8, 9, 2], kernel: [5, 5, 5, 1, 2], padding: 2, stride: 2 },
  { x: [1, 5, 6, 7, 2], kernel: [3, 3, 3, 1, 2], padding: 1, stride: [1, 2, 1] },
  { x: [1, 3, 6, 6, 2], kernel: [1, 3, 3, 1, 2], padding: [0, 1, 1] },
  { x: [2, 7, 6, 3], kernel: [5, 5, 1, 3], padding: 2 },
  { x: [2, 7, 6, 3], kernel: [3, 3, 1, 3], padding: 1, stride: 2 },
  { x: [2, 7, 6, 3], kernel: [3, 3, 1, 3], padding: 1, stride: [2, 1] },
];

const transposeSettings: Setting[] = [
  { x: [2, 3, 4, 2, 3], kernel: [2, 2, 2, 4, 3], stride: 2 },
  { x: [1, 3, 2, 4, 3], kernel: [1, 2, 2, 2, 3], stride: [1, 2, 2] },
  { x: [1, 3, 2, 4, 3], kernel: [1, 1, 1, 2, 3], stride: 2 },
  { x: [2, 3, 2, 4, 3], kernel: [1, 1, 1, 2, 3] },
  { x: [2, 3, 2, 4, 3], kernel: [3, 3, 3, 2, 3], stride: 2, padding: 1 },
  { x: [1, 3, 2, 4, 3], kernel: [3, 3, 3, 2, 3], stride: 2, padding: 1, outputPadding: 1 },
  { x: [1, 3, 2, 4, 2], kernel: [3, 2, 4, 2, 2], stride: [2, 1, 2], padding: [1, 0, 1] },
  { x: [2, 4, 3, 3], kernel: [2, 2, 2, 3], stride: 2 },
  { x: [2, 4, 3, 3], kernel: [4, 4, 2, 3], stride: 2, padding: 1 },
  { x: [2, 4, 3, 3], kernel: [1, 1, 2, 3], stride: 2, outputPadding: 1 },
];

const depthwiseTransposeSettings: Setting[] = [
  { x: [2, 3, 4, 5, 2], kernel: [3, 3, 3, 1, 2], stride: 2, padding: 1 },
  { x: [1, 3, 4, 3, 2], kernel: [5, 5, 5, 1, 2], stride: 2, padding: 2 },
  { x: [1, 3, 4, 3, 2], kernel: [3, 3, 3, 1, 2], stride: [1, 2, 2], padding: 1, outputPadding: [0, 1, 1] },
  { x: [2, 4, 3, 3], kernel: [5, 5, 1, 3], stride: 2, padding: 2 },
];

function check(
  name: string,
  settings: Setting[],
  run: (x: tf.Tensor, kernel: tf.Tensor, s: Setting, bias?: tf.Tensor) => tf.Tensor,
  slow: (x: tf.Tensor, kernel: tf.Tensor, s: Setting) => Float64Array,
) {
  describe(name, () => {
    for (const s of settings)
      it(`agrees with its definition, forward and backward: ${JSON.stringify(s)}`, () =>
        leavesNothing(() => {
          const [x, kernel] = [draw(s.x), draw(s.kernel)];
          const y = run(x, kernel, s);
          close(y.dataSync(), slow(x, kernel, s), 1e-5);
          const bias = draw([y.shape.at(-1)!]);
          const shifted = run(x, kernel, s, bias);
          const added = tf.add(y, bias);
          close(shifted.dataSync(), added.dataSync(), 1e-5, 'with bias');
          gradients((x, kernel, bias) => run(x, kernel, s, bias), [x, kernel, bias], 0.5, 1e-4);
          const counted = symbolic(
            () => run(symbolicOutput(s.x), symbolicOutput(s.kernel), s, symbolicOutput([y.shape.at(-1)!])).shape,
          );
          assert.deepStrictEqual(counted.result, y.shape, 'symbolic shape');
          tf.dispose([x, kernel, y, bias, shifted, added]);
        }));
  });
}

check(
  'conv',
  convSettings,
  (x, kernel, s, bias) => conv(x, kernel, { ...s, bias }),
  (x, kernel, s) => slowConv(x, kernel, s, s.groups ?? 1),
);
check(
  'depthwiseConv',
  depthwiseSettings,
  (x, kernel, s, bias) => depthwiseConv(x, kernel, { ...s, bias }),
  (x, kernel, s) => slowConv(x, kernel, s, s.x.at(-1)!),
);
check(
  'convTranspose',
  transposeSettings,
  (x, kernel, s, bias) => convTranspose(x, kernel, { ...s, bias }),
  (x, kernel, s) => slowTranspose(x, kernel, s, false),
);
check(
  'depthwiseConvTranspose',
  depthwiseTransposeSettings,
  (x, kernel, s, bias) => depthwiseConvTranspose(x, kernel, { ...s, bias }),
  (x, kernel, s) => slowTranspose(x, kernel, s, true),
);

describe('convolution arguments', () => {
  const x = () => tf.zeros([1, 4, 4, 4, 3]);
  const text = (f: () => unknown) => {
    try {
      tf.tidy(() => {
        f();
      });
    } catch (error) {
      return (error as Error).message;
    }
    return 'nothing thrown';
  };
  it('names a kernel of other channels', () =>
    assert.match(
      text(() => conv(x(), tf.zeros([3, 3, 3, 2, 5]))),
      /kernel: \[3,3,3,2,5\] with 1 group\(s\) for an input of 3 channels; expected 2 input channels/,
    ));
  it('names a kernel of another rank', () =>
    assert.match(
      text(() => depthwiseConv(x(), tf.zeros([3, 3, 1, 3]))),
      /kernel: shape \[3,3,1,3\]; expected 5 axes, as x has/,
    ));
  it('names a window that does not fit', () =>
    assert.match(
      text(() => conv(x(), tf.zeros([5, 5, 5, 3, 1]))),
      /x: \[1,4,4,4,3\] under a window of \[5,5,5\]/,
    ));
  it('names a list of wrong length', () =>
    assert.match(
      text(() => conv(x(), tf.zeros([3, 3, 3, 3, 1]), { stride: [2, 2] })),
      /stride: \[2,2\]; expected 3 entries/,
    ));
  it('names transposed channels', () =>
    assert.match(
      text(() => convTranspose(x(), tf.zeros([2, 2, 2, 3, 5]), { stride: 2 })),
      /an input of 3 channels; expected \[…k, out, in\] with 3 last/,
    ));
});
