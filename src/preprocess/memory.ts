// How many cases fit into memory side by side.
import { availableBytes } from '../base/memory.js';
import { threads } from '../base/threads.js';
import type { Dataset } from '../dataset/index.js';
import { configuration } from '../plan/index.js';
import type { Plan } from '../plan/plan.js';
import { readGrid, voxelCount } from '../volume/index.js';

/** Bytes a thread needs beyond its arrays. */
const threadBytes = 150 * 2 ** 20;

/**
 * Forecast of what one case needs at most, bytes: image, labels and masks before, and float64 passes, values and labels after resampling.
 * Pictures are small and counted as nothing but the thread.
 */
export function forecastBytes(dataset: Dataset, plan: Plan, configurationName: string): number {
  const { spacing } = configuration(plan, configurationName);
  const channels = Object.keys(dataset.json.channel_names).length;
  let most = 0;
  for (const { images } of dataset.cases) {
    let grid: ReturnType<typeof readGrid>;
    try {
      grid = readGrid(images[0]);
    } catch {
      // A file that cannot be read is named when its case is made.
      continue;
    }
    if (!grid) continue;
    const before = voxelCount(grid);
    const own = plan.transpose_forward.map((axis) => grid.spacingMm[axis]);
    const wanted = spacing.length === 3 ? spacing : [own[0], ...spacing];
    const after = own.reduce((n, mm, i) => (n * mm) / wanted[i], before);
    most = Math.max(most, before * (8 * channels + 16) + after * (4 * channels + 16));
  }
  return most + threadBytes;
}

/** Threads that fit into half of the free memory, at least one, at most as many as this process may use. */
export const workersThatFit = (bytes: number) => Math.max(1, Math.min(threads(), Math.floor(availableBytes() / 2 / bytes)));
