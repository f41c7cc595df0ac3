import assert from 'node:assert';
import { countNorm, isSymbolic, symbolic, symbolicOp, symbolicOutput } from '../../src/tensor/symbolic.js';
import { tf } from '../../src/tensor/tf.js';

/** Every operator here must give the same shape and type on shapes alone as on values. */
const operators: Record<string, (x: tf.Tensor4D) => tf.Tensor | tf.Tensor[]> = {
  elementwise: (x) => tf.erf(tf.add(tf.relu(x), tf.scalar(1))).mul(tf.ones([1, 1, 4])),
  comparison: (x) => tf.where(x.greater(0), x, tf.zerosLike(x)),
  compared: (x) => x.lessEqual(0.5),
  sum: (x) => tf.sum(x, [1, -1], true),
  mean: (x) => tf.mean(x),
  moments: (x) => tf.moments(x, [1, 2]).variance,
  'count of true': (x) => tf.sum(x.greater(0), 0),
  argMax: (x) => tf.argMax(x, -1),
  reshape: (x) => tf.reshape(x, [2, -1, 4]),
  'expand and squeeze': (x) => tf.squeeze(tf.expandDims(tf.expandDims(x, -1), 0)),
  transpose: (x) => tf.transpose(x, [3, 0, 2, 1]),
  concat: (x) => tf.concat([x, x, x], -1),
  stack: (x) => tf.stack([x, x], 1),
  unstack: (x) => tf.unstack(x, 1),
  split: (x) => tf.split(x, [1, 3], 3),
  slice: (x) => tf.slice(x, [0, 1, 0, 2], [-1, 2, -1, 1]),
  stridedSlice: (x) => tf.stridedSlice(x, [0, 1, 0, 0], [2, 5, 6, 4], [1, 2, 3, 1]),
  pad: (x) =>
    tf.pad(x, [
      [0, 0],
      [1, 2],
      [0, 3],
      [0, 0],
    ]),
  mirrorPad: (x) =>
    tf.mirrorPad(
      x,
      [
        [0, 0],
        [1, 1],
        [2, 2],
        [0, 0],
      ],
      'reflect',
    ),
  tile: (x) => tf.tile(x, [1, 2, 3, 1]),
  broadcastTo: (x) => tf.broadcastTo(tf.slice(x, 0, 1), [2, 5, 6, 4]),
  gather: (x) => tf.gather(x, tf.tensor2d([[0, 1, 2]], [1, 3], 'int32'), 2),
  oneHot: (x) => tf.oneHot(tf.cast(tf.argMax(x, -1), 'int32'), 4),
  softmax: (x) => tf.softmax(x),
  logSoftmax: (x) => tf.logSoftmax(x),
  cumsum: (x) => tf.cumsum(x, 1),
  reverse: (x) => tf.reverse(x, [1, 2]),
  matMul: (x) => tf.matMul(x, x, false, true),
  'matMul with batch broadcast': (x) => tf.matMul(x, tf.ones([4, 7])),
  einsum: (x) => tf.einsum('bhwc,cd->bdhw', x, tf.ones([4, 3])),
  conv2d: (x) => tf.conv2d(x, tf.ones([3, 3, 4, 5]), 2, 'same'),
  'conv2d with explicit padding': (x) =>
    tf.conv2d(
      x,
      tf.ones([3, 3, 4, 5]),
      1,
      [
        [0, 0],
        [1, 1],
        [2, 2],
        [0, 0],
      ],
      'NHWC',
      1,
      'floor',
    ),
  depthwiseConv2d: (x) => tf.depthwiseConv2d(x, tf.ones([3, 3, 4, 1]), 1, 'same'),
  conv2dTranspose: (x) => tf.conv2dTranspose(x, tf.ones([2, 2, 3, 4]), [2, 10, 12, 3], 2, 'same'),
  conv3d: (x) => tf.conv3d(five(x), tf.ones([3, 3, 3, 2, 3]) as tf.Tensor5D, [1, 2, 1], 'same'),
  conv3dTranspose: (x) => tf.conv3dTranspose(five(x), tf.ones([2, 2, 2, 3, 2]) as tf.Tensor5D, [2, 10, 12, 4, 3], 2, 'same'),
  maxPool: (x) => tf.maxPool(x, 2, 2, 'same'),
  maxPool3d: (x) => tf.maxPool3d(five(x), 2, [2, 2, 1], 'valid'),
  avgPool: (x) => tf.avgPool(x, [2, 3], 1, 'valid'),
  resizeBilinear: (x) => tf.image.resizeBilinear(x, [9, 11]),
  resizeNearest: (x) => tf.image.resizeNearestNeighbor(x, [9, 11]),
  topk: (x) => Object.values(tf.topk(x, 2)),
  depthToSpace: (x) => tf.depthToSpace(x, 2),
  batchNorm: (x) => tf.batchNorm(x, tf.zeros([4]), tf.ones([4])),
  range: () => tf.range(0, 7, 2),
  fill: () => tf.fill([2, 3], 1, 'int32'),
  cast: (x) => tf.cast(x, 'int32'),
  logical: (x) => tf.logicalAnd(x.greater(0), tf.logicalNot(x.less(1))),
  all: (x) => tf.all(x.greater(0), 1),
  clip: (x) => tf.clipByValue(x, 0, 1),
};

const signature = (output: tf.Tensor | tf.Tensor[]) => [output].flat().map((t) => `${t.dtype} [${t.shape}]`);

describe('symbolic', () => {
  for (const [name, fn] of Object.entries(operators)) {
    it(`${name}: shapes and types are those of the real run`, () => {
      const real = tf.tidy(() => signature(fn(tf.ones([2, 5, 6, 4]))));
      const { result } = symbolic(() => signature(fn(symbolicOutput([2, 5, 6, 4]) as tf.Tensor4D)));
      assert.deepStrictEqual(result, real);
    });
    it(`${name}: the gradient's shape is that of the real run, where that has one`, () => {
      const real = tf.tidy(() => gradientShapes(fn, tf.ones([2, 5, 6, 4])));
      const { result } = symbolic(() => gradientShapes(fn, symbolicOutput([2, 5, 6, 4]) as tf.Tensor4D));
      if (real) assert.deepStrictEqual(result, real);
    });
  }

  it('a convolution charges kernel volume times channels for every output value', () => {
    const run = symbolic(() => tf.conv3d(symbolicOutput<TF5>([2, 8, 8, 8, 3]), symbolicOutput<TF5>([3, 3, 3, 3, 16]), 2, 'same'));
    assert.strictEqual(run.macs, 2 * 4 ** 3 * 16 * 27 * 3);
    assert.deepStrictEqual(run.perOp.Conv3D, { calls: 1, macs: run.macs, bytes: 2 * 4 ** 3 * 16 * 4 });
  });

  it('both gradients of a convolution charge as much as its forward pass', () => {
    const forward = symbolic(() =>
      tf.conv3d(symbolicOutput<TF5>([1, 8, 8, 8, 3]), symbolicOutput<TF5>([3, 3, 3, 3, 16]), 1, 'same'),
    );
    const both = symbolic(() =>
      tf.grads((x, k) => tf.conv3d(x as tf.Tensor5D, k as tf.Tensor5D, 1, 'same').sum())([
        symbolicOutput([1, 8, 8, 8, 3]),
        symbolicOutput([3, 3, 3, 3, 16]),
      ]),
    );
    assert.strictEqual(both.macs, 3 * forward.macs);
  });

  it('peak bytes follow disposal: a chain inside tidy needs two tensors at a time', () => {
    const { peakBytes } = symbolic(() => {
      let x: tf.Tensor = symbolicOutput([1000]);
      for (let i = 0; i < 5; i++) {
        const next = tf.relu(x);
        x.dispose();
        x = next;
      }
    });
    assert.strictEqual(peakBytes, 8000);
  });

  it('a reshape is a view and costs no memory', () => {
    assert.strictEqual(symbolic(() => tf.reshape(symbolicOutput([10, 100]), [1000])).peakBytes, 4000);
  });

  it('a net of billions of parameters needs no memory', () => {
    const before = process.memoryUsage().rss;
    const { macs, peakBytes } = symbolic(() => {
      const kernels = Array.from({ length: 100 }, () => symbolicOutput([4096, 4096]));
      return tf.tidy(() => kernels.reduce((x, k) => tf.matMul(x, k), symbolicOutput([1, 4096]) as tf.Tensor)).shape;
    });
    assert.strictEqual(macs, 100 * 4096 ** 2);
    assert.ok(peakBytes > 6.7e9);
    assert.ok(process.memoryUsage().rss - before < 2e8);
  });

  it('variableGrads runs on shapes, and variables made inside are gone afterwards', () => {
    const before = tf.memory().numTensors;
    const { result } = symbolic(() => {
      const w = tf.variable(symbolicOutput([4, 3]), true, 'symbolic test w');
      const { grads } = tf.variableGrads(
        () =>
          tf
            .matMul(symbolicOutput([5, 4]), w)
            .square()
            .mean() as tf.Scalar,
      );
      return Object.entries(grads).map(([name, g]) => `${name} [${g.shape}]`);
    });
    assert.deepStrictEqual(result, ['symbolic test w [4,3]']);
    assert.strictEqual(tf.memory().numTensors, before);
  });

  it('an operator of our own takes part with its multiply-adds and its gradients', () => {
    const { result, macs, perOp } = symbolic(() => {
      const grads = tf.grads((x, k) => symbolicOp('twist', [x, k], [7], { macs: 10, gradientMacs: 20, keep: [[5]] }).sum());
      return grads([symbolicOutput([2, 3]), symbolicOutput([4])]).map((g) => g.shape);
    });
    assert.deepStrictEqual(result, [[2, 3], [4]]);
    assert.strictEqual(macs, 30);
    assert.strictEqual(perOp.twist.calls, 1);
  });

  it('real tensors may be used inside and are neither counted nor harmed', () => {
    const weight = tf.tensor1d([1, 2, 3]);
    const { result, peakBytes } = symbolic(
      () => tf.reshape(tf.add(tf.reshape(weight, [3, 1]), symbolicOutput([1, 4])), [12]).shape,
    );
    assert.deepStrictEqual(result, [12]);
    assert.strictEqual(peakBytes, 16 + 48);
    assert.deepStrictEqual([...weight.dataSync()], [1, 2, 3]);
    weight.dispose();
  });

  it('normalisations are charged apart, and only inside', () => {
    countNorm(100, 'affine');
    const { normFlops, macs } = symbolic(() => {
      countNorm(100, 'affine');
      countNorm(100, 'batchEval');
    });
    assert.strictEqual(normFlops, 600);
    assert.strictEqual(macs, 0);
  });

  it('the backend is restored and no tensor is left, also after a throw', () => {
    const backend = tf.getBackend();
    const before = tf.memory().numTensors;
    assert.throws(
      () =>
        symbolic(() => {
          tf.matMul(symbolicOutput([2, 3]), symbolicOutput([2, 3]));
        }),
      /inner shapes/i,
    );
    assert.strictEqual(tf.getBackend(), backend);
    assert.strictEqual(tf.memory().numTensors, before);
    assert.strictEqual(isSymbolic(), false);
    assert.deepStrictEqual([...tf.add([1], [2]).dataSync()], [3]);
  });

  it('one run inside another counts for itself', () => {
    const outer = symbolic(() => {
      tf.matMul(symbolicOutput([2, 3]), symbolicOutput([3, 4]));
      return symbolic(() => tf.matMul(symbolicOutput([1, 3]), symbolicOutput([3, 1]))).macs;
    });
    assert.strictEqual(outer.result, 3);
    assert.strictEqual(outer.macs, 24);
  });

  it('a tensor without values outside a symbolic run is refused', () => {
    assert.throws(() => symbolicOutput([1]), {
      message:
        'A tensor without values was asked for outside a symbolic run.\n' +
        '  symbolicOutput: backend tensorflow; expected a call inside symbolic(…). Test isSymbolic() first.',
    });
  });
});

const five = (x: tf.Tensor) => tf.reshape(x, [2, 5, 6, 2, 2]) as tf.Tensor5D;

type TF5 = import('@tensorflow/tfjs-node-gpu').Rank.R5;

/** Gradient of the output's sum; undefined where the operator has none. */
function gradientShapes(fn: (x: tf.Tensor4D) => tf.Tensor | tf.Tensor[], x: tf.Tensor4D): number[] | undefined {
  try {
    return tf.grad((v) => [fn(v as tf.Tensor4D)].flat().reduce((sum, t) => tf.add(sum, tf.sum(t)), tf.scalar(0) as tf.Tensor))(x)
      .shape;
  } catch {
    return undefined;
  }
}
