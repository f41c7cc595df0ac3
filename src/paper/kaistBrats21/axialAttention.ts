// KAIST's axial attention, taken apart to look at: three self-attentions, one along each axis, one after another.
import type { LayerHook, Network, Params } from '../../model/index.js';
import { linear } from '../../tensor/index.js';
import { tf } from '../../tensor/tf.js';
import { Maps, type ValueMap } from '../shared/maps.js';

export interface AxisAttention {
  /** What comes out: same shape as what went in. */
  value: tf.Tensor5D;
  /** Who looks at whom: `[line, head, voxel that asks, voxel that is asked]`, rows sum to 1. */
  weights: tf.Tensor4D;
}

/**
 * Self-attention along one axis, all other axes taken as batch; the inner width is heads × head width.
 * @param params of the whole network
 * @param name of the module: `axial_attention.0`
 * @param axis 0 depth, 1 height, 2 width
 * @param x `[1, depth, height, width, channel]`, not disposed; the caller owns both results
 */
export function attendAlong(params: Params, name: string, axis: number, x: tf.Tensor5D, heads: number): AxisAttention {
  const p = (part: string) => params[`${name}.axial_attentions.${axis}.fn.${part}`];
  const order = [0, ...[1, 2, 3].filter((a) => a !== axis + 1), axis + 1, 4];
  const back = order.map((_, i) => order.indexOf(i));
  const channels = x.shape[4];
  const n = x.shape[axis + 1];
  const batch = x.size / n / channels;
  const [value, weights] = tf.tidy(() => {
    const lines = tf.transpose(x, order);
    const inner = p('to_q.weight').shape[1]!;
    const width = inner / heads;
    const split = (t: tf.Tensor) => tf.transpose(tf.reshape(t, [batch, n, heads, width]), [0, 2, 1, 3]);
    const q = split(linear(lines, p('to_q.weight') as tf.Tensor2D));
    const [k, v] = tf.split(linear(lines, p('to_kv.weight') as tf.Tensor2D), 2, -1).map(split);
    const weights = tf.softmax(tf.mul(tf.matMul(q, k, false, true), width ** -0.5));
    const mixed = tf.reshape(tf.transpose(tf.matMul(weights, v), [0, 2, 1, 3]), [...lines.shape.slice(0, -1), inner]);
    const out = linear(mixed, p('to_out.weight') as tf.Tensor2D, p('to_out.bias') as tf.Tensor1D);
    return [tf.transpose(out, back), weights];
  });
  return { value: value as tf.Tensor5D, weights: weights as tf.Tensor4D };
}

/**
 * How far one voxel is heard: it is disturbed in the middle, and the change of the output is drawn after one, two and three axes
 * (the plane of height and width through the middle, and the plane of depth and width).
 */
export function reach(
  params: Params,
  name: string,
  shape: readonly [number, number, number],
  channels: number,
  heads: number,
): Maps {
  const [depth, height, width] = shape;
  const middle = shape.map((n) => Math.floor(n / 2));
  let maps: ValueMap[] = [];
  tf.tidy(() => {
    const quiet = tf.randomNormal([1, ...shape, channels], 0, 1, 'float32', 1) as tf.Tensor5D;
    const buffer = tf.buffer([1, ...shape, channels]);
    for (let c = 0; c < channels; c++) buffer.set(1, 0, middle[0], middle[1], middle[2], c);
    let [a, b] = [quiet, tf.add(quiet, buffer.toTensor()) as tf.Tensor5D];
    maps = [0, 1, 2].flatMap((axis) => {
      a = attendAlong(params, name, axis, a, heads).value;
      b = attendAlong(params, name, axis, b, heads).value;
      // Heard or not: further axes hear less and less, so the logarithm is drawn.
      const change = tf.log(tf.add(tf.sum(tf.abs(tf.sub(a, b)), -1), 1e-9)) as tf.Tensor4D;
      const after = `after ${['depth', 'depth, height', 'depth, height, width'][axis]}`;
      const inPlane = change.slice([0, middle[0], 0, 0], [1, 1, height, width]).as1D().dataSync();
      const across = change.slice([0, 0, 0, middle[2]], [1, depth, height, 1]).as1D().dataSync();
      return [
        { name: `${after}: height × width`, values: inPlane, width, height },
        { name: `${after}: depth × height`, values: across, width: height, height: depth },
      ];
    });
  });
  return new Maps('Who hears one voxel (log of the change; black: not at all)', maps);
}

/**
 * Where one attention module of a whole network looks for a patch: what it is given there, picked up inside the network, asks along the
 * width; the line through the middle of the features.
 * @param stage of the decoder's modules with attention: 0 the deepest
 * @param patch `[1, depth, height, width, channel]`, not disposed
 */
export function attentionMaps(
  network: Network,
  params: Params,
  stage: number,
  patch: tf.Tensor,
  { heads, title }: { heads: number; title: string },
): Maps {
  const maps = tf.tidy(() => {
    let heard: tf.Tensor5D | undefined;
    const onLayer: LayerHook = (name, apply) => {
      const y = apply();
      if (name === `axial_embedding.${stage}`) heard = tf.keep(tf.clone(y as tf.Tensor5D));
      return y;
    };
    network.forward({ params, training: false, updates: {}, onLayer }, patch);
    const { weights } = attendAlong(params, `axial_attention.${stage}`, 2, heard!, heads);
    const [, depth, height, width] = heard!.shape;
    const line = (depth >> 1) * height + (height >> 1);
    heard!.dispose();
    return Array.from({ length: heads }, (_, h) => ({
      name: `head ${h}`,
      values: weights.slice([line, h, 0, 0], [1, 1, width, width]).as1D().dataSync(),
      width,
      height: width,
    }));
  });
  return new Maps(title, maps);
}
