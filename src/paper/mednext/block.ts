// MedNeXt's block and UpKern, taken apart to look at.
import type { Params } from '../../model/index.js';
import { conv, depthwiseConv, gelu, groupNorm } from '../../tensor/index.js';
import { tf } from '../../tensor/tf.js';
import { Maps, type ValueMap } from '../shared/maps.js';

/** What one step of a block gives: `[1, depth, height, width, channel]`; the caller owns the tensor. */
export interface Step {
  name: string;
  value: tf.Tensor5D;
}

/**
 * A MedNeXt block's forward pass, step by step (Figure 1a): depthwise k³ → norm per channel → 1³ expand → GELU → 1³ compress → sum.
 * @param params of the whole network
 * @param name of the block: `enc_block_0.0`
 * @param x `[1, depth, height, width, channel]`, not disposed
 */
export function blockSteps(params: Params, name: string, x: tf.Tensor5D): Step[] {
  const p = (part: string) => params[`${name}.${part}`];
  const kernel = p('conv1.weight');
  const local = depthwiseConv(x, kernel, { padding: (kernel.shape[0] - 1) / 2, bias: p('conv1.bias') as tf.Tensor1D });
  const normed = groupNorm(local, x.shape[4], p('norm.weight') as tf.Tensor1D, p('norm.bias') as tf.Tensor1D, 1e-5);
  const wide = conv(normed, p('conv2.weight'), { bias: p('conv2.bias') as tf.Tensor1D });
  const bent = gelu(wide);
  const narrow = conv(bent, p('conv3.weight'), { bias: p('conv3.bias') as tf.Tensor1D });
  const steps: [string, tf.Tensor][] = [
    ['input', tf.clone(x)],
    [`depthwise ${kernel.shape.slice(0, 3).join('×')}`, local],
    ['norm, each channel by itself', normed],
    ['1×1×1, wider', wide],
    ['GELU', bent],
    ['1×1×1, back', narrow],
    ['+ input', tf.add(narrow, x)],
  ];
  return steps.map(([name, value]) => ({ name, value: value as tf.Tensor5D }));
}

/** The middle plane of one channel of every step. */
export function stepMaps(title: string, steps: readonly Step[], channel = 0): Maps {
  return new Maps(
    title,
    steps.map(({ name, value }): ValueMap => {
      const [, depth, height, width, channels] = value.shape;
      const plane = tf.tidy(() =>
        value
          .slice([0, Math.floor(depth / 2), 0, 0, Math.min(channel, channels - 1)], [1, 1, height, width, 1])
          .as1D()
          .dataSync(),
      );
      return { name, values: plane, width, height, note: value.shape.slice(1).join(' × ') };
    }),
  );
}

/** The middle plane of one depthwise kernel before and after UpKern. */
export function kernelMaps(small: Params, grown: Params, name = 'enc_block_0.0', channel = 0): Maps {
  const map = (title: string, params: Params): ValueMap => {
    const kernel = params[`${name}.conv1.weight`];
    const [depth, height, width] = kernel.shape;
    const values = tf.tidy(() =>
      kernel
        .slice([Math.floor(depth / 2), 0, 0, 0, channel], [1, height, width, 1, 1])
        .as1D()
        .dataSync(),
    );
    const sum = tf.tidy(() => kernel.slice([0, 0, 0, 0, channel], [depth, height, width, 1, 1]).sum().dataSync()[0]);
    return { name: title, values, width, height, note: `${depth}³ taps, sum ${sum.toFixed(3)}` };
  };
  return new Maps(`UpKern: ${name}, channel ${channel}, middle plane`, [map('trained small', small), map('grown', grown)]);
}
