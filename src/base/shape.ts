/** The product of all numbers; 1 of none. Of a shape: how many values it holds. */
export const product = (numbers: readonly number[]): number => numbers.reduce((a, b) => a * b, 1);

/** The axes with `axis` first, the others in their order. */
export const axisFirst = (axis: number): [number, number, number] =>
  [axis, ...[0, 1, 2].filter((a) => a !== axis)] as [number, number, number];

/**
 * Along which axis a window that rolls over a volume and spans its other two axes holds the fewest voxels. The first axis, unless
 * another saves a quarter of them: rounding depends on the order of the tiles.
 * @param extent of the volume and @param window of the window, both `[depth, height, width]`, voxels
 */
export function rollingAxis(extent: readonly number[], window: readonly number[]): { axis: number; voxels: number } {
  const held = extent.map((n, axis) => (product(extent) / n) * Math.min(n, window[axis]));
  const least = held.indexOf(Math.min(...held));
  const axis = held[least] < 0.75 * held[0] ? least : 0;
  return { axis, voxels: held[axis] };
}
