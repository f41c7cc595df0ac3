// Gaussian blur along one axis, with the rule for what lies beyond the border as a parameter.
import { nativeFunctions } from '../base/native/load.js';

/**
 * `mirror`: the border itself is not repeated; `periodic`: the array goes on with its other end; `renormalise`: what is missing is left
 * out, and the weights of the rest are brought to their sum.
 */
export type BlurBorder = 'mirror' | 'periodic' | 'renormalise';

/** exp(−½ (i/σ)²) for i from −radius to radius, not normalised. */
export const gaussianTaps = (sigma: number, radius: number): Float64Array =>
  Float64Array.from({ length: 2 * radius + 1 }, (_, i) => Math.exp(-0.5 * ((i - radius) / sigma) ** 2));

/**
 * Blurs in place; sums are in float64, from the first tap to the last.
 * @param data C order, `shape`
 * @param taps weights, an odd number of them
 */
export function blurAxis(
  data: Float32Array | Float64Array,
  shape: readonly number[],
  axis: number,
  taps: Float64Array,
  border: BlurBorder,
): void {
  const radius = (taps.length - 1) / 2;
  const length = shape[axis];
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const index = Int32Array.from({ length: length + 2 * radius }, (_, i) => indexOf(i - radius, length, border));
  const totals = border === 'renormalise' ? totalsOf(taps, index, length) : null;
  const native = nativeFunctions();
  if (native) {
    if (data.length > 0) native.blurAxis(data, length, inner, index, taps, totals);
    return;
  }
  // A block of `inner` neighbouring lines is blurred together, so that memory is read in order along every axis.
  const block = new Float64Array(length * inner);
  for (let base = 0; base < data.length; base += length * inner) {
    block.fill(0);
    for (let i = 0; i < length; i++) {
      if (inner === 1) {
        let sum = 0;
        for (let k = 0; k < taps.length; k++) if (index[i + k] >= 0) sum += taps[k] * data[base + index[i + k]];
        block[i] = sum;
      } else
        for (let k = 0; k < taps.length; k++) {
          if (index[i + k] < 0) continue;
          const w = taps[k];
          const from = base + index[i + k] * inner;
          for (let j = 0, t = i * inner; j < inner; j++, t++) block[t] += w * data[from + j];
        }
      if (totals) for (let t = i * inner; t < (i + 1) * inner; t++) block[t] /= totals[i];
    }
    data.set(block, base);
  }
}

/** Where the line is read for a place that may lie beyond its ends; -1: nowhere. */
function indexOf(i: number, length: number, border: BlurBorder): number {
  if (border === 'renormalise') return i >= 0 && i < length ? i : -1;
  if (border === 'periodic') return ((i % length) + length) % length;
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const m = ((i % period) + period) % period;
  return m < length ? m : period - m;
}

/** Sum of the taps that fall inside, for every place of a line. */
const totalsOf = (taps: Float64Array, index: Int32Array, length: number) =>
  Float64Array.from({ length }, (_, i) => taps.reduce((sum, w, k) => (index[i + k] >= 0 ? sum + w : sum), 0));
