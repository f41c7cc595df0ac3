import assert from 'node:assert';
import { gradients } from '../../src/tensor/gradients.js';
import { conv } from '../../src/tensor/ops/conv.js';
import { recompute } from '../../src/tensor/ops/customOp.js';
import { gelu } from '../../src/tensor/ops/gelu.js';
import { groupNorm } from '../../src/tensor/ops/groupNorm.js';
import { symbolic, symbolicOutput } from '../../src/tensor/symbolic.js';
import { tf } from '../../src/tensor/tf.js';
import { close, gradients as differences, draw, leavesNothing } from './ops/check.js';

const net = (x: tf.Tensor, w: tf.Tensor) => {
  let y = x;
  for (let i = 0; i < 4; i++) y = tf.add(y, gelu(groupNorm(conv(y, w, { padding: 1 }), 2)));
  return y;
};
const loss = (x: tf.Tensor, w: tf.Tensor) => tf.mean(tf.square(net(x, w)));

describe('gradients', () => {
  it('are those of tfjs, with nothing left behind', () =>
    leavesNothing(() => {
      const [x, w] = [draw([2, 5, 6, 4]), draw([3, 3, 4, 4])];
      const ours = gradients(() => loss(x, w), [x, w]);
      const theirs = tf.engine().gradients(() => loss(x, w), [x, w]);
      close(ours.value.dataSync(), theirs.value.dataSync(), 0);
      for (const i of [0, 1]) close(ours.grads[i]!.dataSync(), theirs.grads[i].dataSync(), 1e-7);
      tf.dispose([x, w, ours.value, ours.grads.filter((g) => g !== undefined), theirs.value, theirs.grads]);
    }));

  it('are undefined for what the value does not depend on, and work through a tensor used twice', () =>
    leavesNothing(() => {
      const [a, b] = [draw([3]), draw([3])];
      const { value, grads } = gradients(() => tf.sum(tf.add(tf.mul(a, a), a)), [a, b]);
      const expected = Float32Array.from(a.dataSync(), (v) => 2 * v + 1);
      close(grads[0]!.dataSync(), expected, 1e-6);
      assert.strictEqual(grads[1], undefined);
      tf.dispose([a, b, value, grads[0]!]);
    }));

  it('of an intermediate that is asked for are kept, and a slope may be given', () =>
    leavesNothing(() => {
      const [a, slope] = [draw([3]), draw([3])];
      const { value, grads } = gradients(() => tf.mul(a, 2), [a], slope);
      const expected = Float32Array.from(slope.dataSync(), (v) => 2 * v);
      close(grads[0]!.dataSync(), expected, 1e-6);
      tf.dispose([a, slope, value, grads[0]!]);
    }));

  it('leave nothing behind when the function throws, and the next call works', () =>
    leavesNothing(() => {
      const a = draw([3]);
      assert.throws(
        () =>
          gradients(() => {
            tf.square(a);
            throw new Error('stop here');
          }, [a]),
        /stop here/,
      );
      const { value, grads } = gradients(() => tf.sum(tf.square(a)), [a]);
      tf.dispose([a, value, grads[0]!]);
    }));

  it('of sums and means over any axes repeat the slope', () =>
    leavesNothing(() => {
      const x = draw([2, 3, 4]);
      for (const axis of [undefined, 0, -1, [0, 2], [1]])
        for (const keepDims of [false, true])
          for (const reduce of [tf.sum, tf.mean]) differences((x) => tf.square(reduce(x, axis, keepDims)), [x], 0.05, 1e-3);
      x.dispose();
    }));

  it('refuse to run inside another forward pass', () => {
    const a = draw([3]);
    assert.throws(() => gradients(() => gradients(() => tf.sum(a), [a]).value, [a]), /second order are not supported/);
    a.dispose();
  });

  it('need less memory than tfjs’s: what was used is freed on the way back', () => {
    const peak = (run: (x: tf.Tensor, w: tf.Tensor) => void) =>
      symbolic(() => run(symbolicOutput([1, 64, 64, 4]), symbolicOutput([3, 3, 4, 4]))).peakBytes;
    const ours = peak((x, w) => gradients(() => loss(x, w), [x, w]));
    const theirs = peak((x, w) => tf.engine().gradients(() => loss(x, w), [x, w]));
    const recomputed = peak((x, w) => gradients(() => tf.mean(tf.square(recompute([recompute([x, w], net), w], net))), [x, w]));
    assert.ok(ours < 0.75 * theirs, `${ours} of ${theirs} bytes`);
    assert.ok(recomputed < 2 * ours, `${recomputed} bytes for twice the depth, ${ours} for once`);
  });
});
