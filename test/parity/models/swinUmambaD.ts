// Swin-UMamba†: constructor arguments of SwinUMambaD and its blocks as our specification.
import { finalPatchExpand, patchExpand, type SwinUmambaDSpec, swinUmambaD } from '../../../src/model/papers/swinUmambaD.js';
import type { Arch, Checked } from './arch.js';
import { configCases } from './configs.js';
import { tokenBlock, vssBlocks } from './swinUmamba.js';

export function swinUmambaDSpec({ vss_args: v, decoder_args: a }: any): SwinUmambaDSpec {
  const widths: number[] = a.features_per_stage;
  return {
    network: 'swin-umamba-d',
    inputChannels: v.in_chans ?? 3,
    classes: a.num_classes,
    deepSupervision: a.deep_supervision,
    patch: v.patch_size ?? 4,
    widths,
    depths: v.depths,
    states: v.d_state ?? 16,
    decoderStates: a.d_state ?? 16,
    dropPath: v.drop_path_rate,
    decoderDropPath: a.drop_path_rate,
  };
}

/** These blocks take channels first and give channels last. */
const firstToLast = (block: Checked): Checked => ({ ...block, channelsFirst: (name) => name === 'x' });

export const arch: Arch = {
  network: (c) => swinUmambaD.build(swinUmambaDSpec(c)),
  block(cls, c) {
    if (cls === 'PatchExpand') return firstToLast(tokenBlock((d) => patchExpand(d, '', c.dim)));
    if (cls === 'FinalPatchExpand_X4') return firstToLast(tokenBlock((d) => finalPatchExpand(d, '', c.dim, c.dim_scale ?? 4)));
    if (!Object.hasOwn(vssBlocks, cls)) throw new Error(`unknown: block ${cls}`);
    return vssBlocks[cls](c);
  },
  full: (root, folder) => configCases(root, folder, (c) => swinUmambaD.build(swinUmambaDSpec(c))),
};
