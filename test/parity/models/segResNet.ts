// SegResNet: MONAI's constructor arguments as our specification.
import { network } from '../../../src/model/build.js';
import type { Arch } from './arch.js';

export const arch: Arch = {
  network: (c) =>
    network({
      network: 'segresnet',
      dimensions: c.spatial_dims ?? 3,
      inputChannels: c.in_channels ?? 1,
      classes: c.out_channels ?? 2,
      width: c.init_filters ?? 8,
      groups: c.norm?.[1]?.num_groups ?? c.num_groups ?? 8,
      blocksDown: c.blocks_down ?? [1, 2, 2, 4],
      blocksUp: c.blocks_up ?? [1, 1, 1],
      upsample: c.upsample_mode ?? 'nontrainable',
      dropout: c.dropout_prob ?? 0,
    }).network,
};
