// The LayerNorm class that ConvNeXt descendants carry: over the channels, wherever those stand.
import { layerNorm } from '../../../src/model/layers/layers.js';
import { Declaration } from '../../../src/model/network.js';
import { tf } from '../../../src/tensor/tf.js';
import type { Checked } from './arch.js';

export function layerNormBlock(c: any, standard: number): Checked {
  const d = new Declaration();
  const norm = layerNorm(d, 'norm', [c.normalized_shape].flat()[0], c.eps ?? standard);
  for (const info of d.parameters) info.name = info.name.replace('norm.', '');
  return {
    parameters: d.parameters,
    channelsFirst: () => c.data_format === 'channels_first',
    forward: ({ params, ...rest }, x) =>
      tf.tidy(() => [norm({ ...rest, params: { 'norm.weight': params.weight, 'norm.bias': params.bias } }, x)]),
  };
}
