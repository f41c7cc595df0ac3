// TransUNet: constructor arguments of VisionTransformer and its blocks as our specification.

import {
  bottleneck,
  convReLU,
  resNetV2,
  standardisedConv,
  type TransUnetSpec,
  transUnet,
  transUnetBlock,
  transUnetDecoderBlock,
} from '../../../src/model/baselines/transUnet.js';
import { Declaration } from '../../../src/model/network.js';
import { tf } from '../../../src/tensor/tf.js';
import type { Arch, Checked, Fixture } from './arch.js';
import { configCases } from './configs.js';
import { checkedBlock } from './unetr.js';

/** `ml_collections` names at full size, short ones in small fixtures. */
function spec(c: any, inputChannels: number): TransUnetSpec {
  const patchSize = typeof c.img_size === 'number' ? [c.img_size, c.img_size] : c.img_size;
  if (c.vit_name)
    return {
      network: 'transunet',
      variant: c.vit_name,
      patchSize,
      inputChannels,
      classes: c.n_classes,
      skips: c.n_skip,
    };
  const k = c.config;
  return {
    network: 'transunet',
    patchSize,
    inputChannels,
    classes: k.n_classes,
    units: k.grid ? k.units : [],
    widthFactor: k.width,
    groups: c.group_norm_groups ?? undefined,
    hidden: k.hidden,
    mlp: k.mlp,
    heads: k.heads,
    layers: k.layers,
    token: k.grid ? patchSize[0] / k.grid[0] : k.patch,
    headWidth: c.head_channels,
    decoder: k.dec,
    skips: k.n_skip,
    skipWidths: k.skips,
  };
}

const blocks: Record<string, (c: any, json: Fixture) => Checked> = {
  StdConv2d: (c) => checkedBlock((d) => standardisedConv(d, '', c.cin, c.cout, c.kernel_size, c)),
  PreActBottleneck: (c, json) => {
    // The fixture gives the class's third argument by another name than its second; the output tells the width.
    const out = json.outputs[0].shape[1];
    return checkedBlock((d) => bottleneck(d, '', { in: c.cin, out, middle: c.cmid ?? out / 4, stride: c.stride }));
  },
  ResNetV2: (c, json) => {
    const d = new Declaration();
    const width = Math.floor(64 * c.width_factor);
    const resNet = resNetV2(d, '', { in: json.inputs.x[1], width, units: c.block_units, groups: c.group_norm_groups ?? 32 });
    return {
      parameters: d.parameters,
      forward: (context, x) =>
        tf.tidy(() => {
          const { bottom, skips } = resNet(context, x);
          return [bottom, ...skips];
        }),
    };
  },
  Conv2dReLU: (c) => {
    if (c.kernel_size !== 3 || c.padding !== 1) throw new Error('unknown: another window');
    return checkedBlock((d) => convReLU(d, '', c.in_channels, c.out_channels, c.use_batchnorm));
  },
  DecoderBlock: (c) =>
    checkedBlock((d) => {
      const block = transUnetDecoderBlock(d, '', {
        in: c.in_channels,
        out: c.out_channels,
        skip: c.skip_channels,
        norm: c.use_batchnorm,
      });
      return (context, x, { skip }) => block(context, x, skip);
    }),
  Block: (c) => checkedBlock((d) => transUnetBlock(d, '', { dim: c.hidden_size, mlp: c.mlp_dim, heads: c.num_heads })),
};

export const arch: Arch = {
  network: (c, json) => transUnet.build(spec(c, json.inputs.x[1])),
  block(cls, c, json) {
    if (!Object.hasOwn(blocks, cls)) throw new Error(`unknown: block ${cls}`);
    return blocks[cls](c, json);
  },
  full: (root, folder) => configCases(root, folder, (c, entry) => transUnet.build(spec(c, entry.flops.input[1]))),
};
