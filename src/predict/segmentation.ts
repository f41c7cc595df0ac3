// From the network's outputs to labels (nnU-Net v2's LabelManager: `apply_inference_nonlin`, `convert_*_to_segmentation`).
import { VoxelbookError } from '../base/errors.js';
import type { Labels } from '../dataset/labels.js';

/** What decides between softmax with argmax and sigmoid with writing order. */
export type Heads = Pick<Labels, 'heads' | 'hasRegions' | 'regionsClassOrder'>;

/**
 * Softmax over the heads, or sigmoid of each for regions, rounded to float32.
 * @param logits `[…, head]`
 * @param out may be `logits` itself
 */
export function probabilities(
  logits: Float32Array,
  { heads, hasRegions }: Heads,
  out: Float32Array = new Float32Array(logits.length),
): Float32Array {
  checkHeads(logits, heads);
  if (hasRegions) {
    for (let i = 0; i < logits.length; i++) out[i] = 1 / (1 + Math.exp(-logits[i]));
    return out;
  }
  const e = new Float64Array(heads);
  for (let i = 0; i < logits.length; i += heads) {
    let largest = logits[i];
    for (let c = 1; c < heads; c++) if (logits[i + c] > largest) largest = logits[i + c];
    let sum = 0;
    for (let c = 0; c < heads; c++) {
      e[c] = Math.exp(logits[i + c] - largest);
      sum += e[c];
    }
    for (let c = 0; c < heads; c++) out[i + c] = e[c] / sum;
  }
  return out;
}

/**
 * Labels of voxels. Without regions the first largest head; with regions every region whose probability exceeds one half
 * writes its label, later ones over earlier ones.
 * @param values `[voxel, head]`
 * @param kind what `values` are
 * @returns one label a voxel
 */
export function segmentation(
  values: Float32Array,
  { heads, hasRegions, regionsClassOrder }: Heads,
  kind: 'logits' | 'probabilities' = 'logits',
  out: Uint8Array | Uint16Array | Int16Array = new Int16Array(values.length / heads),
): Uint8Array | Uint16Array | Int16Array {
  checkHeads(values, heads);
  if (!hasRegions) {
    for (let v = 0, i = 0; i < values.length; v++, i += heads) {
      let best = 0;
      for (let c = 1; c < heads; c++) if (values[i + c] > values[i + best]) best = c;
      out[v] = best;
    }
    return out;
  }
  const order = regionsClassOrder!;
  for (let v = 0, i = 0; i < values.length; v++, i += heads) {
    out[v] = 0;
    for (let r = 0; r < heads; r++) {
      const p = kind === 'logits' ? Math.fround(1 / (1 + Math.exp(-values[i + r]))) : values[i + r];
      if (p > 0.5) out[v] = order[r];
    }
  }
  return out;
}

function checkHeads(values: ArrayLike<number>, heads: number): void {
  if (values.length % heads === 0) return;
  throw new VoxelbookError('these are not outputs for these labels', {
    code: 'heads',
    path: 'values',
    given: `${values.length} values`,
    expected: `a multiple of ${heads}, one for each head`,
    fix: 'Use the dataset.json the network was trained with.',
  });
}
