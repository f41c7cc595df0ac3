// How Swin-UMamba takes over VMamba-Tiny's ImageNet weights: the rule of `load_pretrained_ckpt` in the official code
// (SwinUMamba.py, SwinUMambaD.py), as a decision per checkpoint entry.
//
// One departure from what its authors may have meant is kept, because published results have it: the list of skipped names
// of Swin-UMamba has `patch_embed.norm.weight` twice and `patch_embed.norm.bias` not at all, so that bias is loaded.
import { FaultList } from '../base/errors.js';
import type { ParamInfo } from '../model/network.js';
import type { TransferRule } from './transfer.js';

export interface VmambaRow {
  /** Name in the checkpoint. */
  name: string;
  /** Name in the network, for what is loaded. */
  to: string | null;
  /** `skipped`: by name, always. `passed over`: by the number of input channels, or unknown to the network. */
  outcome: 'loaded' | 'skipped' | 'passed over';
  why: string;
}

const classifier = ['norm.weight', 'norm.bias', 'head.weight', 'head.bias'];
const embedding = ['patch_embed.proj.weight', 'patch_embed.proj.bias', 'patch_embed.norm.weight'];

/** `layers.I.downsample.*` → `vssm_encoder.downsamples.I.*`; everything else gets the prefix only. */
export const vmambaName = (name: string) => `vssm_encoder.${name}`.replace(/layers\.(\d+)\.downsample/, 'downsamples.$1');

/**
 * Which entry of a VMamba checkpoint goes where.
 *
 * @param entries names and PyTorch shapes, in the checkpoint's order
 * @param target the network (`parameters` of the built one) and its input channels
 * @throws VoxelbookError listing every entry whose shape differs, and every merging layer the network lacks
 */
export function vmambaTransfer(
  entries: readonly (readonly [name: string, shape: readonly number[]])[],
  target: { network: 'swin-umamba' | 'swin-umamba-d'; inputChannels: number; parameters: readonly ParamInfo[] },
): VmambaRow[] {
  const faults = new FaultList();
  const shapes = new Map(target.parameters.map((p) => [p.name, p.shape]));
  const checkpointChannels = entries.find(([name]) => name === 'patch_embed.proj.weight')?.[1][1];
  const rows = entries.map(([name, shape]): VmambaRow => {
    const row = (outcome: VmambaRow['outcome'], why: string) => ({ name, to: null, outcome, why });
    if (classifier.includes(name)) return row('skipped', 'the classifier has no place here');
    if (target.network === 'swin-umamba' && embedding.includes(name))
      return row('skipped', 'the stem comes before the patch embedding, which therefore has other channels');
    if (target.network === 'swin-umamba-d' && name.includes('patch_embed') && checkpointChannels !== target.inputChannels)
      return row('passed over', `the checkpoint has ${checkpointChannels} input channels, the network ${target.inputChannels}`);
    const to = vmambaName(name);
    const expected = shapes.get(to);
    if (!expected) {
      if (to.includes('downsamples.'))
        faults.add('no-place', name, `[${shape}]`, `${to} in the network`, 'Build the network with the checkpoint’s stages.');
      return row('passed over', 'the network has no such parameter');
    }
    if (expected.length !== shape.length || expected.some((n, i) => n !== shape[i]))
      faults.add('shape', name, `[${shape}]`, `[${expected}] of ${to}`, 'Build the network with widths 96–768 and 16 states.');
    return { name, to, outcome: 'loaded', why: to === `vssm_encoder.${name}` ? 'same name under vssm_encoder' : 'renamed' };
  });
  faults.throwIfAny('This VMamba checkpoint does not fit the network.');
  return rows;
}

/** Whether these are the names of a VMamba checkpoint: an encoder alone, without the prefix it has inside a Swin-UMamba. */
export const isVmamba = (names: readonly string[]): boolean =>
  names.includes('patch_embed.proj.weight') && names.some((name) => /^layers\.0\.blocks\.0\./.test(name));

/** What the rule fills of the network: the encoder, without what it skips or passes over of the patch embedding. */
export function vmambaTargets(rows: readonly VmambaRow[], parameters: readonly ParamInfo[]): string[] {
  const left = new Set(rows.filter((row) => row.outcome !== 'loaded').map((row) => vmambaName(row.name)));
  return parameters.filter((p) => !p.aliasOf && p.name.startsWith('vssm_encoder.') && !left.has(p.name)).map((p) => p.name);
}

/** The same decisions as a rule for `transfer`. */
export function vmambaRule(rows: readonly VmambaRow[]): TransferRule {
  const places = new Map(rows.map((row) => [row.name, row.to ?? undefined]));
  return { rename: (name) => places.get(name) };
}
