// nnU-Net v2's two networks: constructor arguments are a plan's arch_kwargs.
import { network } from '../../../src/model/build.js';
import type { ArchitectureKwargs } from '../../../src/model/layers/nnunetBlocks.js';
import type { Arch } from './arch.js';

const of = (name: 'plain-conv-unet' | 'residual-encoder-unet'): Arch => ({
  network: (c) =>
    network({
      network: name,
      inputChannels: c.input_channels,
      classes: c.num_classes,
      deepSupervision: c.deep_supervision,
      architecture: c as ArchitectureKwargs,
    }).network,
});

export const plain = of('plain-conv-unet');
export const residual = of('residual-encoder-unet');
