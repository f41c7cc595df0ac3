// Threads that read whole cases side by side: no more than fit into memory with the largest case each.
import { threadBytes, workersThatFit } from '../base/threads.js';
import { readGrid, voxelCount } from '../volume/index.js';

/**
 * @param images one file of each case, whose header says how many voxels it has; pictures and damaged files count as nothing
 * @param bytesPerVoxel what is held of a case at most
 */
export function workersForCases(images: readonly string[], bytesPerVoxel: number): number {
  let most = 0;
  for (const file of images) {
    try {
      const grid = readGrid(file);
      if (grid) most = Math.max(most, voxelCount(grid));
    } catch {
      // Named as damaged when it is read.
    }
  }
  return workersThatFit(most * bytesPerVoxel + threadBytes);
}
