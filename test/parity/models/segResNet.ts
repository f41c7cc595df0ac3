// SegResNet: MONAI's constructor arguments as our specification.
import { network } from '../../../src/model/build.js';
import type { Arch } from './arch.js';

const kinds = { GROUP: 'group', BATCH: 'batch', INSTANCE: 'instance' } as const;

/** MONAI's norm argument: a name, or a name with its settings; default group. */
function normOf(norm: string | [string, { num_groups?: number }?] | undefined) {
  const [name, settings] = typeof norm === 'string' ? [norm] : (norm ?? ['GROUP']);
  const kind = kinds[name.toUpperCase() as keyof typeof kinds];
  if (!kind) throw new Error(`unknown: norm ${name}`);
  return { norm: kind, groups: settings?.num_groups };
}

export const arch: Arch = {
  network(c) {
    const { norm, groups } = normOf(c.norm);
    return network({
      network: 'segresnet',
      dimensions: c.spatial_dims ?? 3,
      inputChannels: c.in_channels ?? 1,
      classes: c.out_channels ?? 2,
      width: c.init_filters ?? 8,
      norm,
      groups: groups ?? c.num_groups ?? 8,
      blocksDown: c.blocks_down ?? [1, 2, 2, 4],
      blocksUp: c.blocks_up ?? [1, 1, 1],
      upsample: c.upsample_mode ?? 'nontrainable',
      dropout: c.dropout_prob ?? 0,
    }).network;
  },
};
