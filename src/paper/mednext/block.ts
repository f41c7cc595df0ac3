// MedNeXt's block and UpKern, taken apart to look at.
import type { Params } from '../../model/index.js';
import { tf } from '../../tensor/tf.js';
import { Maps, type ValueMap } from '../shared/maps.js';

/** What one step of a block gives: `[1, depth, height, width, channel]`; the caller owns the tensor. */
export interface Step {
  name: string;
  value: tf.Tensor5D;
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
  return new Maps(`UpKern: ${name}, channel ${channel}, middle plane`, [map('small', small), map('grown from it', grown)]);
}
