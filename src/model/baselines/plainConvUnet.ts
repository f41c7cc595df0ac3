// nnU-Net v2's default network, PlainConvUNet (dynamic_network_architectures/architectures/unet.py), from any plan.
// Tensors are [batch, (depth,) height, width, channel].
import type { Configuration } from '../../plan/plan.js';
import { tf } from '../../tensor/tf.js';
import { type Layer, sequence } from '../layers/layers.js';
import { type ArchitectureKwargs, convBlock, decoder, encoderAgain, topology, totalStride } from '../layers/nnunetBlocks.js';
import { Declaration, type Network } from '../network.js';
import type { Head } from '../spec.js';

export interface PlainConvUnetSpec extends Head {
  network: 'plain-conv-unet';
  /** nnU-Net's `arch_kwargs`; default: the plan's. */
  architecture?: ArchitectureKwargs;
}

export function plainConvUnet(spec: PlainConvUnetSpec, plan?: Configuration): Network {
  const t = topology(spec.architecture, plan, 'n_conv_per_stage');
  const d = new Declaration();
  let channels = spec.inputChannels!;
  const encoder: Layer[] = t.features.map((width, s) => {
    const blocks = Array.from({ length: t.encoder[s] }, (_, i) => {
      const stride = i === 0 ? t.strides[s] : t.strides[s].map(() => 1);
      const block = convBlock(d, `encoder.stages.${s}.0.convs.${i}`, t, channels, width, t.kernels[s], stride);
      channels = width;
      return block;
    });
    return sequence(...blocks);
  });
  encoderAgain(d);
  const decode = decoder(d, t, spec.classes!, spec.deepSupervision ?? false);
  return {
    parameters: d.parameters,
    divisibleBy: totalStride(t),
    forward(context, input) {
      return tf.tidy(() => {
        const skips: tf.Tensor[] = [];
        for (const stage of encoder) skips.push(stage(context, skips.at(-1) ?? input));
        return decode(context, skips);
      });
    },
  };
}
