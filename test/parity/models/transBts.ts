// TransBTS: constructor arguments of BTS and its blocks as our specification.

import {
  type TransBtsSpec,
  transBts,
  transBtsDeBlock,
  transBtsDown,
  transBtsEnBlock,
  transBtsEnBlock1,
  transBtsEnBlock2,
  transBtsTransformer,
  transBtsUp,
} from '../../../src/model/baselines/transBts.js';
import { Declaration } from '../../../src/model/network.js';
import { tf } from '../../../src/tensor/tf.js';
import type { Arch, Checked } from './arch.js';
import { configCases } from './configs.js';
import { checkedBlock } from './unetr.js';

function spec(c: any): TransBtsSpec {
  if (c.positional_encoding_type !== 'learned' || !c.conv_patch_representation || c.patch_dim !== 8)
    throw new Error('unknown: another TransBTS than the released one');
  if (c.embedding_dim !== 32 * (c.base_channels ?? 16)) throw new Error('unknown: widths that do not meet in the decoder');
  return {
    network: 'transbts',
    inputChannels: c.num_channels,
    classes: c.num_classes,
    patchSize: [c.img_dim, c.img_dim, c.img_dim],
    width: c.base_channels,
    groups: c.group_norm_groups,
    layers: c.num_layers,
    heads: c.num_heads,
    mlp: c.hidden_dim,
    softmax: true,
  };
}

const blocks: Record<string, (c: any) => Checked> = {
  EnBlock: (c) => {
    if ((c.norm ?? 'gn') !== 'gn') throw new Error(`unknown: norm ${c.norm}`);
    return checkedBlock((d) => transBtsEnBlock(d, '', c.in_channels));
  },
  EnDown: (c) => checkedBlock((d) => transBtsDown(d, '', c.in_channels, c.out_channels)),
  EnBlock1: (c) => checkedBlock((d) => transBtsEnBlock1(d, '', c.in_channels)),
  EnBlock2: (c) => checkedBlock((d) => transBtsEnBlock2(d, '', c.in_channels)),
  DeBlock: (c) => checkedBlock((d) => transBtsDeBlock(d, '', c.in_channels)),
  DeUp_Cat: (c) =>
    checkedBlock((d) => {
      const up = transBtsUp(d, '', c.in_channels, c.out_channels);
      return (context, x, { prev }) => up(context, x, prev);
    }),
  TransformerModel: (c) => {
    const d = new Declaration();
    const layer = transBtsTransformer(d, '', { dim: c.dim, layers: c.depth, heads: c.heads, mlp: c.mlp_dim });
    return {
      parameters: d.parameters,
      forward: (context, x) =>
        tf.tidy(() => {
          const states = layer(context, x);
          return [states.at(-1)!, ...states.slice(0, -1)];
        }),
    };
  },
};

export const arch: Arch = {
  network: (c) => transBts.build(spec(c)),
  block(cls, c) {
    if (!Object.hasOwn(blocks, cls)) throw new Error(`unknown: block ${cls}`);
    return blocks[cls](c);
  },
  full: (root, folder) => configCases(root, folder, (c) => transBts.build(spec(c))),
};
