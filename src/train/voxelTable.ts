// The baseline every table of ours shows: what intensity alone tells. No neighbourhood, no training beyond counting.
//
// Each channel is cut into bins; a voxel gets the label most frequent among the training voxels that fall into the same bin of
// every channel. A network that is not clearly above this has only looked intensities up.

/** What the table needs of a preprocessed case. */
export interface VoxelSample {
  /** `[depth, height, width, channel]`, normalised intensities. */
  data: Float32Array;
  channels: number;
  /** Labels; negative values are outside the mask and not counted. */
  seg: Int16Array;
}

/** Counts per bin and label, plain data. */
export interface VoxelTable {
  channels: number;
  bins: number;
  /** Bin edges lie evenly between these, in units of the normalised intensity. */
  low: number;
  high: number;
  labels: number;
  counts: Uint32Array;
}

/** Counts the training cases. `labels` is the highest label plus one; memory is `bins^channels · labels · 4` bytes. */
export function fitVoxelTable(
  cases: Iterable<VoxelSample>,
  {
    channels,
    labels,
    bins = channels > 2 ? 12 : 64,
    low = -3,
    high = 3,
  }: { channels: number; labels: number; bins?: number; low?: number; high?: number },
): VoxelTable {
  const table: VoxelTable = { channels, bins, low, high, labels, counts: new Uint32Array(bins ** channels * labels) };
  for (const { data, seg } of cases) {
    for (let i = 0; i < seg.length; i++) if (seg[i] >= 0) table.counts[binOf(table, data, i) * labels + seg[i]]++;
  }
  return table;
}

/** Label of every voxel of a case; bins never seen in training are background. */
export function applyVoxelTable(table: VoxelTable, { data, seg }: Pick<VoxelSample, 'data' | 'seg'>): Uint8Array {
  const best = new Uint8Array(table.bins ** table.channels);
  for (let b = 0; b < best.length; b++) {
    let most = 0;
    for (let l = 0; l < table.labels; l++) {
      const n = table.counts[b * table.labels + l];
      if (n > most) {
        most = n;
        best[b] = l;
      }
    }
  }
  return Uint8Array.from(seg, (_, i) => best[binOf(table, data, i)]);
}

function binOf({ channels, bins, low, high }: VoxelTable, data: Float32Array, voxel: number): number {
  let bin = 0;
  for (let c = 0; c < channels; c++) {
    const position = Math.floor(((data[voxel * channels + c] - low) / (high - low)) * bins);
    bin = bin * bins + Math.max(0, Math.min(bins - 1, position));
  }
  return bin;
}
