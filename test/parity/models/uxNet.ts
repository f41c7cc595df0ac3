// 3D UX-Net: constructor arguments of UXNET and its blocks as our specification.
import { network } from '../../../src/model/build.js';
import { layerNorm } from '../../../src/model/layers.js';
import { Declaration } from '../../../src/model/network.js';
import { uxBlock } from '../../../src/model/uxNet.js';
import { tf } from '../../../src/tensor/tf.js';
import type { Arch } from './arch.js';

export const arch: Arch = {
  network: (c) =>
    network({
      network: 'ux-net',
      inputChannels: c.in_chans ?? 1,
      classes: c.out_chans ?? 13,
      depths: c.depths,
      widths: c.feat_size,
      hidden: c.hidden_size,
      norm: c.norm_name,
      residual: c.res_block,
      dropPath: c.drop_path_rate,
    }).network,
  block(cls, c) {
    const d = new Declaration();
    if (cls === 'ux_block') {
      const layer = uxBlock(d, '', c.dim);
      return { parameters: d.parameters, forward: (context, x) => [layer(context, x)] };
    }
    if (cls !== 'LayerNorm') throw new Error(`unknown: block ${cls}`);
    const epsilon = c.eps ?? 1e-6;
    const first = c.data_format === 'channels_first';
    const norm = layerNorm(d, 'norm', c.normalized_shape, epsilon);
    for (const info of d.parameters) info.name = info.name.replace('norm.', '');
    return {
      parameters: d.parameters,
      channelsFirst: () => first,
      forward: ({ params, ...rest }, x) =>
        tf.tidy(() => [norm({ ...rest, params: { 'norm.weight': params.weight, 'norm.bias': params.bias } }, x)]),
    };
  },
};
