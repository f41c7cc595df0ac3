// Parameters and FLOPs of every system at the paper's patch, by our code, as the paper's tables print them.
import { describe, type ModelSpec } from '../../model/index.js';
import type { Configuration } from '../../plan/index.js';
import { comparison, type Task } from './experiments.js';

/** Input channels and classes of each task, and the stages nnU-Net's planner gives its patch. */
const settings: Record<Task, { channels: number; classes: number; stages: number }> = {
  AbdomenMRI: { channels: 1, classes: 14, stages: 7 },
  Endoscopy: { channels: 3, classes: 8, stages: 7 },
  Microscopy: { channels: 3, classes: 3, stages: 8 },
};

/**
 * Millions of parameters and 10⁹ multiply-adds of a task's systems at full size, by the names of the table's rows.
 * @returns values as text, rounded to a tenth
 */
export function costs(
  task: Task,
  version: 'v1' | 'v2' = 'v2',
): { parameters: Record<string, string>; flops: Record<string, string> } {
  const { channels, classes, stages } = settings[task];
  const parameters: Record<string, string> = {};
  const flops: Record<string, string> = {};
  const known = new Map<string, { parameters: number; flops: number }>();
  for (const { name, model, recipe } of comparison({ scale: 'paper', task, version })) {
    const key = JSON.stringify(model);
    const found =
      known.get(key) ?? describe(model as ModelSpec, planned(recipe.patchSize!, stages), { inputChannels: channels, classes });
    known.set(key, found);
    parameters[name] = (found.parameters / 1e6).toFixed(1);
    flops[name] = (found.flops / 1e9).toFixed(1);
  }
  return { parameters, flops };
}

/** As nnU-Net's 2-D planner lays out these patches: stride 2 everywhere, 32 channels doubled up to 512. */
function planned(patch: number[], stages: number): Configuration {
  const square = (n: number) => [n, n];
  const arch_kwargs = {
    n_stages: stages,
    features_per_stage: Array.from({ length: stages }, (_, i) => Math.min(512, 32 * 2 ** i)),
    conv_op: 'torch.nn.modules.conv.Conv2d',
    kernel_sizes: Array.from({ length: stages }, () => square(3)),
    strides: Array.from({ length: stages }, (_, i) => square(i === 0 ? 1 : 2)),
    n_conv_per_stage: Array(stages).fill(2),
    n_conv_per_stage_decoder: Array(stages - 1).fill(2),
    conv_bias: true,
    norm_op: 'torch.nn.modules.instancenorm.InstanceNorm2d',
    norm_op_kwargs: { eps: 1e-5, affine: true },
    dropout_op: null,
    dropout_op_kwargs: null,
    nonlin: 'torch.nn.LeakyReLU',
    nonlin_kwargs: { inplace: true },
  };
  const architecture = {
    network_class_name: 'dynamic_network_architectures.architectures.unet.PlainConvUNet',
    arch_kwargs,
    _kw_requires_import: [],
  };
  return { patch_size: patch, architecture } as unknown as Configuration;
}
