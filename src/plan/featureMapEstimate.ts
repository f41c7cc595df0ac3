// nnU-Net v2's `static_estimate_VRAM_usage`: voxels of all feature maps of one sample, the planner's measure of memory.
import { product } from '../base/shape.js';
import type { Configuration } from './plan.js';

/**
 * Counts feature-map voxels of the planner's own networks.
 * @param patch voxels per axis
 * @param outputs entries of `labels` in `dataset.json` (background, ignore and regions all count, as in nnU-Net)
 */
export function featureMapEstimate(
  architecture: Pick<Configuration['architecture'], 'network_class_name' | 'arch_kwargs'>,
  patch: readonly number[],
  outputs: number,
): number {
  const kwargs = architecture.arch_kwargs as { strides: number[][]; features_per_stage: number[] } & Record<string, number[]>;
  const { strides, features_per_stage: features } = kwargs;
  const decoder = kwargs.n_conv_per_stage_decoder;
  const residual = /ResidualEncoderUNet$/.test(architecture.network_class_name);
  const blocks = residual ? kwargs.n_blocks_per_stage : kwargs.n_conv_per_stage;
  const stages = strides.length;
  const size = [...patch];
  const voxels: number[] = [];
  let total = residual ? features[0] * product(patch) : 0;
  for (let s = 0; s < stages; s++) {
    for (let i = 0; i < size.length; i++) size[i] = Math.floor(size[i] / strides[s][i]);
    voxels.push(product(size));
    if (!residual) total += blocks[s] * features[s] * voxels[s];
    else {
      const widened = (s === 0 ? features[0] : features[s - 1]) !== features[s];
      const shrinks = strides[s].some((n) => n !== 1);
      total += 2 * blocks[s] * features[s] * voxels[s] + (widened || shrinks ? features[s] * voxels[s] : 0);
    }
  }
  // The decoder's list starts at the deepest stage.
  for (let s = 0; s < stages - 1; s++) total += (decoder[stages - 2 - s] + 1) * features[s] * voxels[s];
  return total + outputs * voxels[0];
}
