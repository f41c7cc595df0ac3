// Labels to regions (nnU-Net v2 `ConvertSegmentationToRegionsTransform`).

/** A label, or the labels a region is made of. */
export type Region = number | readonly number[];

/**
 * One 0/1 channel a region.
 * @param seg labels `[depth, height, width]`
 * @param regions in head order; the ignore label, where there is one, is put last by the caller
 * @returns `[depth, height, width, region]`
 */
export function toRegions(seg: ArrayLike<number>, regions: readonly Region[]): Uint8Array {
  const n = regions.length;
  const out = new Uint8Array(seg.length * n);
  for (const [r, region] of regions.entries()) {
    const members = new Set(typeof region === 'number' ? [region] : region);
    for (let i = 0; i < seg.length; i++) if (members.has(seg[i])) out[i * n + r] = 1;
  }
  return out;
}
