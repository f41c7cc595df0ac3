// Which network a trainer of nnU-Net, or of a paper built on it, makes of a plan.
import type { ModelSpec } from '../model/index.js';
import type { Configuration } from '../plan/index.js';

type Rule = [pattern: RegExp, spec: (found: RegExpExecArray, config: Configuration) => Record<string, unknown>];

/** Trainers that bring a network of their own; every other one takes the plan's. */
const rules: Rule[] = [
  // uni-medical/STU-Net: STUNetTrainer.py.
  [/^STUNetTrainer_(small|base|large|huge)(_ft)?$/, ([, size]) => ({ network: 'stunet', size: size[0].toUpperCase() })],
  // MIC-DKFZ/MedNeXt: nnUNetTrainerV2_MedNeXt.py.
  [
    /^nnUNetTrainerV2_MedNeXt_([SBML])_kernel([35])(?:_lr_[\de_]+)?$/,
    ([, size, kernel], { patch_size }) => ({ network: 'mednext', size, kernel: Number(kernel), dimensions: patch_size.length }),
  ],
  // bowang-lab/U-Mamba, JiarunLiu/Swin-UMamba.
  [/^nnUNetTrainerUMambaBot(NoAMP)?$/, () => ({ network: 'umamba-bot' })],
  [/^nnUNetTrainerUMambaEnc(NoAMP)?$/, () => ({ network: 'umamba-enc' })],
  [/^nnUNetTrainerSwinUMamba$/, () => ({ network: 'swin-umamba' })],
  [/^nnUNetTrainerSwinUMambaD$/, () => ({ network: 'swin-umamba-d' })],
  [
    /^nnUNetTrainerBN$/,
    (_, { architecture: { network_class_name: name, arch_kwargs: kwargs }, patch_size: { length } }) => ({
      network: planned(name),
      architecture: {
        ...kwargs,
        norm_op: `torch.nn.modules.batchnorm.BatchNorm${length}d`,
        norm_op_kwargs: { eps: 1e-5, affine: true },
      },
    }),
  ],
];

const planned = (className: string) =>
  /\.PlainConvUNet$/.test(className)
    ? 'plain-conv-unet'
    : /\.ResidualEncoderUNet$/.test(className)
      ? 'residual-encoder-unet'
      : undefined;

/** The specification of the network that was trained; undefined for one that is not here. */
export function specOf(trainer: string, config: Configuration): ModelSpec | undefined {
  for (const [pattern, make] of rules) {
    const found = pattern.exec(trainer);
    if (found) return make(found, config) as unknown as ModelSpec;
  }
  const network = planned(config.architecture.network_class_name);
  return network && ({ network } as ModelSpec);
}
