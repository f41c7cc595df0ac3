// STU-Net: constructor arguments of STUNet and its two blocks as our specification.
import { network } from '../../../src/model/build.js';
import { Declaration } from '../../../src/model/network.js';
import { stuNetBlock, stuNetUp } from '../../../src/model/papers/stuNet.js';
import type { Arch } from './arch.js';

const triple = (value: number | number[]) => (Array.isArray(value) ? value : [value, value, value]);

export const arch: Arch = {
  network: (c) =>
    network({
      network: 'stunet',
      inputChannels: c.input_channels,
      classes: c.num_classes,
      blocks: c.depth,
      widths: c.dims,
      strides: c.pool_op_kernel_sizes,
      kernels: c.conv_kernel_sizes,
      deepSupervision: c.enable_deep_supervision ?? true,
    }).network,
  block(cls, c) {
    const d = new Declaration();
    const layer =
      cls === 'BasicResBlock'
        ? stuNetBlock(d, '', {
            channels: c.input_channels,
            out: c.output_channels,
            kernel: triple(c.kernel_size ?? 3),
            padding: triple(c.padding ?? 1),
            stride: triple(c.stride ?? 1),
            project: c.use_1x1conv ?? false,
          })
        : cls === 'Upsample_Layer_nearest'
          ? stuNetUp(d, '', c.input_channels, c.output_channels, triple(c.pool_op_kernel_size))
          : undefined;
    if (!layer) throw new Error(`unknown: block ${cls}`);
    return { parameters: d.parameters, forward: (context, x) => [layer(context, x)] };
  },
};
