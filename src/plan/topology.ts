// How often and where a U-Net pools for a given patch: nnU-Net v2's `get_pool_and_conv_props`.

/** Pooling of a U-Net for a patch: strides and kernels of each stage. */
export interface Topology {
  poolsPerAxis: number[];
  /** One per stage; the first is all ones. */
  strides: number[][];
  /** One per stage. */
  kernels: number[][];
  /** The patch, enlarged to the next multiple of `divisor`. */
  patch: number[];
  /** 2^pools per axis. */
  divisor: number[];
}

/** Smallest edge of a feature map. */
export const minFeatureMapEdge = 4;

/**
 * Strides, kernels and divisibility for a patch; pure, in the order of operations of nnU-Net.
 * @param spacing mm per axis, 2 or 3 axes
 * @param patch voxels per axis; may be fractional (a median shape)
 */
export function topology(
  spacing: readonly number[],
  patch: readonly number[],
  minEdge = minFeatureMapEdge,
  maxPools = 999999,
): Topology {
  const axesCount = spacing.length;
  const mm = [...spacing];
  const size = [...patch];
  const pools = new Array<number>(axesCount).fill(0);
  const kernel = new Array<number>(axesCount).fill(1);
  const strides = [new Array<number>(axesCount).fill(1)];
  const kernels: number[][] = [];
  for (;;) {
    const largeEnough = size.flatMap((n, i) => (n >= 2 * minEdge ? [i] : []));
    if (largeEnough.length === 0) break;
    const finest = Math.min(...largeEnough.map((i) => mm[i]));
    const axes = largeEnough.filter((i) => mm[i] / finest < 2 && pools[i] < maxPools);
    if (axes.length === 0 || (axes.length === 1 && size[axes[0]] < 3 * minEdge)) break;
    const finestOfAll = Math.min(...mm);
    for (let d = 0; d < axesCount; d++) if (kernel[d] !== 3 && mm[d] / finestOfAll < 2) kernel[d] = 3;
    strides.push(mm.map((_, i) => (axes.includes(i) ? 2 : 1)));
    kernels.push([...kernel]);
    for (const i of axes) {
      mm[i] *= 2;
      size[i] = Math.ceil(size[i] / 2);
      pools[i]++;
    }
  }
  kernels.push(new Array<number>(axesCount).fill(3));
  const divisor = pools.map((n) => 2 ** n);
  const padded = patch.map((p, i) => (p % divisor[i] === 0 ? p : Math.floor(p + divisor[i] - (p % divisor[i]))));
  return { poolsPerAxis: pools, strides, kernels, patch: padded, divisor };
}
