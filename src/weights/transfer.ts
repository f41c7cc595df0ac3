// Carrying weights over to a network they do not fit exactly: other input channels, other classes, another decoder.
//
// A rule decides per tensor; what was decided, and why, is a table (nnU-Net: `load_pretrained_weights`, STU-Net: run_finetuning,
// which carries every tensor of equal shape outside the heads; VMamba → Swin-UMamba renames keys first).
import { VoxelbookError } from '../base/errors.js';
import type { StoredTensor } from '../base/safetensors.js';
import type { Network, ParamInfo, Params } from '../model/network.js';
import { sameShape, toTensor } from './params.js';

/** What became of one parameter. */
export interface TransferRow {
  /** Name in the target network (or in the checkpoint, for `not in the network`). */
  name: string;
  outcome: 'copied' | 'kept' | 'unused';
  why: string;
  expected: readonly number[] | null;
  found: readonly number[] | null;
}

/** Which tensors of a checkpoint go where. */
export interface TransferRule {
  /** Name in the checkpoint → name in the network; undefined leaves the tensor out. Default: the same name. */
  rename?: (name: string) => string | undefined;
  /** Parameters of the network that stay as they are though they would fit: the heads, in the papers' fine-tuning. */
  keep?: (name: string, info: ParamInfo) => boolean;
}

/** STU-Net's and nnU-Net's fine-tuning: everything of equal shape, except the heads, which belong to the task. */
export const allButHeads: TransferRule = { keep: (_name, info) => info.head === true };

/**
 * Params with every tensor of the checkpoint that fits put in place of the network's own.
 * @param params the network's starting values; not disposed
 * @returns new Params (copied tensors are new, kept ones are clones; the caller owns all) and one row per tensor of either side
 * @throws VoxelbookError when nothing at all fits, listing expected and found shapes
 */
export function transfer(
  network: Pick<Network, 'parameters'>,
  params: Params,
  tensors: Record<string, StoredTensor>,
  { rename = (name) => name, keep = () => false }: TransferRule = {},
): { params: Params; table: TransferRow[] } {
  const source = new Map<string, string>();
  for (const name of Object.keys(tensors)) {
    const target = rename(name);
    if (target !== undefined) source.set(target, name);
  }
  const table: TransferRow[] = [];
  const out: Params = {};
  for (const info of network.parameters) {
    if (info.aliasOf) continue;
    const from = source.get(info.name);
    const stored = from === undefined ? undefined : tensors[from];
    const fits = stored !== undefined && sameShape(stored.shape, info.shape);
    const kept = keep(info.name, info);
    const copy = fits && !kept;
    const why = copy
      ? from === info.name
        ? 'same name and shape'
        : `renamed from ${from}`
      : kept
        ? 'kept by rule'
        : stored
          ? 'another shape'
          : 'not in the checkpoint';
    table.push({ name: info.name, outcome: copy ? 'copied' : 'kept', why, expected: info.shape, found: stored?.shape ?? null });
    if (stored && copy) out[info.name] = toTensor(info, stored);
    else out[info.name] = params[info.name].clone();
  }
  const names = new Set(network.parameters.map((p) => p.name));
  for (const name of Object.keys(tensors)) {
    const target = rename(name);
    if (target === undefined || !names.has(target))
      table.push({
        name,
        outcome: 'unused',
        why: target === undefined ? 'left out by rule' : 'not in the network',
        expected: null,
        found: tensors[name].shape,
      });
  }
  if (!table.some((row) => row.outcome === 'copied')) {
    for (const tensor of Object.values(out)) tensor.dispose();
    throw new VoxelbookError(
      'nothing of this checkpoint fits the network',
      table.slice(0, 12).map((row) => ({
        code: 'no-fit',
        path: row.name,
        given: row.found ? `shape [${row.found}]` : 'no such tensor',
        expected: row.expected ? `[${row.expected}]` : 'nothing of that name',
        fix: 'Check that checkpoint and network are of the same family and size.',
      })),
    );
  }
  return { params: out, table };
}
