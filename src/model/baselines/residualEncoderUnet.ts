// nnU-Net v2's ResidualEncoderUNet (ResEnc M, L, XL presets), from any plan.
// dynamic_network_architectures/architectures/unet.py and building_blocks/residual.py.
import type { Configuration } from '../../plan/plan.js';
import type { tf } from '../../tensor/tf.js';
import { define, type Ends } from '../define.js';
import { type Layer, sequence } from '../layers/layers.js';
import {
  type ArchitectureKwargs,
  basicBlockD,
  convBlock,
  decoder,
  encoderAgain,
  topology,
  totalStride,
} from '../layers/nnunetBlocks.js';
import { Declaration, type Network, scope } from '../network.js';

export interface ResidualEncoderUnetSpec extends Ends {
  network: 'residual-encoder-unet';
  /** nnU-Net's `arch_kwargs`; default: the plan's. */
  architecture?: ArchitectureKwargs;
}

function build(spec: ResidualEncoderUnetSpec, plan?: Configuration): Network {
  const t = topology(spec.architecture, plan, 'n_blocks_per_stage');
  const d = new Declaration();
  let channels = t.features[0];
  const one = t.kernels[0].map(() => 1);
  const stem = convBlock(d, 'encoder.stem.convs.0', t, spec.inputChannels!, channels, t.kernels[0], one);
  const encoder: Layer[] = t.features.map((width, s) => {
    const blocks = Array.from({ length: t.encoder[s] }, (_, i) => {
      const name = `encoder.stages.${s}.blocks.${i}`;
      const block = basicBlockD(d, name, t, channels, width, t.kernels[s], i === 0 ? t.strides[s] : one, { kind: 'zeros' });
      channels = width;
      return block;
    });
    const stage = scope(d, `encoder.stages.${s}`, sequence(...blocks));
    return s === 0 ? sequence(stem, stage) : stage;
  });
  encoderAgain(d);
  const decode = decoder(d, t, spec.classes!, spec.deepSupervision ?? false);
  return d.network(totalStride(t), (context, input) => {
    const skips: tf.Tensor[] = [];
    for (const stage of encoder) skips.push(stage(context, skips.at(-1) ?? input));
    return decode(context, skips);
  });
}

export const residualEncoderUnet = define({ name: 'residual-encoder-unet', build, heads: ['decoder.seg_layers.'] });
