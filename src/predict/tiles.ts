// Where the windows lie (nnU-Net v2 `compute_steps_for_sliding_window`, `pad_nd_image`).
import { VoxelbookError } from '../base/errors.js';
import { roundHalfEven } from '../base/numpy/round.js';

/**
 * First voxel of every tile, per axis: as few tiles as the step allows, spread evenly, the last one flush with the border.
 * @param size image (already padded to at least one patch), voxels
 * @param patch tile, voxels, same number of axes
 * @param step largest distance of neighbours as a fraction of the tile, in (0, 1]
 */
export function tileStarts(size: readonly number[], patch: readonly number[], step: number): number[][] {
  const bad = size.findIndex((n, axis) => n < patch[axis]);
  if (bad >= 0 || size.length !== patch.length || !(step > 0 && step <= 1))
    throw new VoxelbookError('cannot lay tiles', {
      code: 'bad-tiles',
      path: bad >= 0 ? `patchSize[${bad}]` : 'stepSize',
      given: `image ${JSON.stringify(size)}, patch ${JSON.stringify(patch)}, step ${step}`,
      expected: 'an image at least as large as the patch, as many axes, and a step in (0, 1]',
      fix: 'Pad the image to the patch first (padToPatch), and give a step such as 0.5.',
    });
  return size.map((n, axis) => {
    const last = n - patch[axis];
    const count = Math.ceil(last / (patch[axis] * step)) + 1;
    if (count === 1) return [0];
    return Array.from({ length: count }, (_, i) => roundHalfEven((last / (count - 1)) * i));
  });
}

/**
 * How an image is padded to hold at least one patch: half of what is missing before, the rest after.
 * @param size image, voxels; may have more axes than the patch, whose axes are then the last ones
 * @returns the padded size, and per axis where the image lies in it, half-open
 */
export function padToPatch(size: readonly number[], patch: readonly number[]): { padded: number[]; inside: [number, number][] } {
  const full = [...size.slice(0, size.length - patch.length), ...patch];
  const padded = size.map((n, axis) => Math.max(n, full[axis]));
  const inside = size.map((n, axis): [number, number] => {
    const before = Math.floor((padded[axis] - n) / 2);
    return [before, before + n];
  });
  return { padded, inside };
}
