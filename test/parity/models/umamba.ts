// U-Mamba: constructor arguments of UMambaBot and UMambaEnc, both generations, as our specification.

import { convStyle, type UmambaSpec, umambaBlock, umambaBot } from '../../../src/model/baselines/umamba.js';
import { conv, cube, type Layer } from '../../../src/model/layers/layers.js';
import { mambaOnGrid } from '../../../src/model/layers/mamba.js';
import { basicBlockD } from '../../../src/model/layers/nnunetBlocks.js';
import { Declaration } from '../../../src/model/network.js';
import { resize } from '../../../src/tensor/ops/resize.js';
import { tf } from '../../../src/tensor/tf.js';
import type { Arch } from './arch.js';
import { configCases } from './configs.js';

function spec(network: UmambaSpec['network'], c: any, first: boolean, patch?: number[]): UmambaSpec {
  const perStage = (n: number | number[], count: number) => (typeof n === 'number' ? Array(count).fill(n) : n);
  return {
    network,
    version: first ? 'first' : 'current',
    inputChannels: c.input_channels,
    classes: c.num_classes,
    deepSupervision: c.deep_supervision ?? false,
    widths: c.features_per_stage,
    kernels: c.kernel_sizes,
    strides: c.strides,
    blocks: perStage(c.n_conv_per_stage, c.n_stages),
    decoderBlocks: perStage(c.n_conv_per_stage_decoder, c.n_stages - 1),
    patchSize: c.input_size ?? patch,
    // The catalogs drew their values without `init_last_bn_before_add_to_0`.
    lastNorm: 'one',
  };
}

const arch = (network: UmambaSpec['network']): Arch => ({
  network: (c, json) =>
    umambaBot.build(spec(network, c, /92a741a|first release/.test((json.source as any).version), json.inputs.x.slice(2))),
  block(cls, c) {
    const d = new Declaration();
    const layers: Record<string, () => Layer> = {
      MambaLayer: () => mambaOnGrid(d, 'norm', 'mamba', c.dim, c.channel_token ?? false),
      BasicResBlock: () =>
        umambaBlock(d, '', c.input_channels, c.output_channels, c.kernel_size, c.stride, {
          padding: c.padding,
          shortcut: c.use_1x1conv ?? false,
        }),
      BasicBlockD: () => basicBlockD(d, '', convStyle, c.input_channels, c.output_channels, c.kernel_size, c.stride),
      UpsampleLayer: () => {
        const factor: number[] = c.pool_op_kernel_size;
        const pointwise = conv(d, 'conv', c.input_channels, c.output_channels, cube(1, factor.length));
        const size = (x: tf.Tensor) => x.shape.slice(1, -1).map((n, i) => n * factor[i]);
        return (context, x) => pointwise(context, resize(x, size(x), 'nearest'));
      },
    };
    const layer = Object.hasOwn(layers, cls) ? layers[cls]() : undefined;
    if (!layer) throw new Error(`unknown: block ${cls}`);
    return { parameters: d.parameters, forward: (context, x) => tf.tidy(() => [layer(context, x)]) };
  },
  full: (root, folder) =>
    configCases(root, folder, (c, entry) =>
      umambaBot.build(spec(network, c, /first release/.test(entry.note ?? ''), entry.flops.input.slice(2))),
    ),
});

export const bot = arch('umamba-bot');
export const enc = arch('umamba-enc');
