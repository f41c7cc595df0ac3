// nnU-Net v2's default network, PlainConvUNet (dynamic_network_architectures/architectures/unet.py), from any plan.
// Tensors are [batch, (depth,) height, width, channel].
import type { Configuration } from '../../plan/plan.js';
import type { tf } from '../../tensor/tf.js';
import { define, type Ends } from '../define.js';
import { type Layer, sequence } from '../layers/layers.js';
import { type ArchitectureKwargs, convBlock, decoder, encoderAgain, topology, totalStride } from '../layers/nnunetBlocks.js';
import { Declaration, type Network, scope } from '../network.js';

export interface PlainConvUnetSpec extends Ends {
  network: 'plain-conv-unet';
  /** nnU-Net's `arch_kwargs`; default: the plan's. */
  architecture?: ArchitectureKwargs;
}

function build(spec: PlainConvUnetSpec, plan?: Configuration): Network {
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
    return scope(d, `encoder.stages.${s}`, sequence(...blocks));
  });
  encoderAgain(d);
  const decode = decoder(d, t, spec.classes!, spec.deepSupervision ?? false);
  return d.network(totalStride(t), (context, input) => {
    const skips: tf.Tensor[] = [];
    for (const stage of encoder) skips.push(stage(context, skips.at(-1) ?? input));
    return decode(context, skips);
  });
}

export const plainConvUnet = define({ name: 'plain-conv-unet', build, heads: ['decoder.seg_layers.'] });
