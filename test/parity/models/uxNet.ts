// 3D UX-Net: constructor arguments of UXNET and its blocks as our specification.

import { uxBlock } from '../../../src/model/baselines/uxNet.js';
import { network } from '../../../src/model/build.js';
import { Declaration } from '../../../src/model/network.js';
import type { Arch } from './arch.js';
import { layerNormBlock } from './layerNorm.js';

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
    if (cls === 'LayerNorm') return layerNormBlock(c, 1e-6);
    throw new Error(`unknown: block ${cls}`);
  },
};
