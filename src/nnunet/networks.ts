// The networks nnU-Net has itself, under its class names and ours.
import { type Fault, VoxelbookError } from '../base/errors.js';
import type { ModelSpec } from '../model/index.js';
import type { Configuration } from '../plan/index.js';

const unets = 'dynamic_network_architectures.architectures.unet';

/** Our name of each network that nnU-Net's own packages hold. */
const classes: Partial<Record<ModelSpec['network'], string>> = {
  'plain-conv-unet': `${unets}.PlainConvUNet`,
  'residual-encoder-unet': `${unets}.ResidualEncoderUNet`,
};

export const isNnunets = (network: string): boolean => Object.hasOwn(classes, network);

/** What nnU-Net's planners write where an architecture is silent; without it Python's defaults leave out norm and activation. */
const silent = {
  dropout_op: null,
  dropout_op_kwargs: null,
  nonlin: 'torch.nn.LeakyReLU',
  nonlin_kwargs: { inplace: true },
};

/**
 * The `architecture` entry of a plan with which nnU-Net builds a network of ours.
 * @throws VoxelbookError for a network that nnU-Net does not have
 */
export function nnunetArchitecture(spec: ModelSpec, { architecture }: Configuration): Configuration['architecture'] {
  const name = classes[spec.network];
  if (!name) throw new VoxelbookError('nnU-Net has no such network', strangerFault(spec.network, 'experiment.model.network'));
  const own = 'architecture' in spec ? (spec.architecture as Record<string, unknown> | undefined) : undefined;
  return {
    network_class_name: name,
    arch_kwargs: { ...silent, ...(own ?? architecture.arch_kwargs) },
    _kw_requires_import: ['conv_op', 'norm_op', 'dropout_op', 'nonlin'],
  };
}

/** Why a network cannot go to nnU-Net, and what can be done instead. */
export const strangerFault = (network: string, path: string): Fault => ({
  code: 'not-nnunets',
  path,
  given: network,
  expected: `a network of nnU-Net's own packages: ${Object.keys(classes).join(', ')}`,
  fix: 'Predict with voxelbook (npx voxelbook predict --run …) and give nnU-Net the predictions: nnUNetv2_evaluate_folder and nnUNetv2_ensemble take them; the weights are safetensors under the official names for anyone who builds the network in PyTorch.',
});
