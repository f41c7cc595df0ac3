// nnU-Net v2's ResidualEncoderUNet (ResEnc M, L, XL presets), from any plan.
// dynamic_network_architectures/architectures/unet.py and building_blocks/residual.py.
import type { Configuration } from '../../plan/plan.js';
import { leakyRelu } from '../../tensor/ops/leakyRelu.js';
import { tf } from '../../tensor/tf.js';
import { type Layer, sequence } from '../layers/layers.js';
import {
  type ArchitectureKwargs,
  convBlock,
  decoder,
  encoderAgain,
  type Topology,
  topology,
  totalStride,
} from '../layers/nnunetBlocks.js';
import { Declaration, type Network } from '../network.js';
import type { Head } from '../spec.js';

export interface ResidualEncoderUnetSpec extends Head {
  network: 'residual-encoder-unet';
  /** nnU-Net's `arch_kwargs`; default: the plan's. */
  architecture?: ArchitectureKwargs;
}

export function residualEncoderUnet(spec: ResidualEncoderUnetSpec, plan?: Configuration): Network {
  const t = topology(spec.architecture, plan, 'n_blocks_per_stage');
  const d = new Declaration();
  let channels = t.features[0];
  const one = t.kernels[0].map(() => 1);
  const stem = convBlock(d, 'encoder.stem.convs.0', t, spec.inputChannels!, channels, t.kernels[0], one);
  const encoder: Layer[] = t.features.map((width, s) => {
    const blocks = Array.from({ length: t.encoder[s] }, (_, i) => {
      const block = residualBlock(
        d,
        `encoder.stages.${s}.blocks.${i}`,
        t,
        channels,
        width,
        t.kernels[s],
        i === 0 ? t.strides[s] : one,
      );
      channels = width;
      return block;
    });
    return s === 0 ? sequence(stem, ...blocks) : sequence(...blocks);
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

/**
 * `BasicBlockD`: conv-norm-LReLU, conv-norm, plus shortcut, LReLU. The shortcut of a strided block is average pooling, then,
 * where the width changes, a normed 1×1×1 convolution without bias. The second norm starts at zero.
 */
function residualBlock(
  d: Declaration,
  name: string,
  t: Topology,
  channels: number,
  out: number,
  kernel: number[],
  stride: number[],
): Layer {
  const one = kernel.map(() => 1);
  const conv1 = convBlock(d, `${name}.conv1`, t, channels, out, kernel, stride);
  const first = d.parameters.length;
  const conv2 = convBlock(d, `${name}.conv2`, t, out, out, kernel, one, { activation: false, dropout: false });
  for (const info of d.parameters.slice(first)) if (/\.norm\.(weight|bias)$/.test(info.name)) info.init = { kind: 'zeros' };
  const strided = stride.some((s) => s !== 1);
  const project =
    channels !== out
      ? convBlock(d, `${name}.skip.${strided ? 1 : 0}`, t, channels, out, one, one, {
          activation: false,
          bias: false,
          dropout: false,
        })
      : undefined;
  return (context, x) =>
    tf.tidy(() => {
      let shortcut = strided ? averagePool(x, stride) : x;
      if (project) shortcut = project(context, shortcut);
      return leakyRelu(tf.add(conv2(context, conv1(context, x)), shortcut), t.slope);
    });
}

/** Mean over cells of `stride` voxels. */
function averagePool(x: tf.Tensor, stride: number[]): tf.Tensor {
  return x.rank === 5
    ? tf.avgPool3d(x as tf.Tensor5D, stride as [number, number, number], stride as [number, number, number], 'valid')
    : tf.avgPool(x as tf.Tensor4D, stride as [number, number], stride as [number, number], 'valid');
}
