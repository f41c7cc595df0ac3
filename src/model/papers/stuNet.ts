// STU-Net (Huang et al. 2023): nnU-Net's U-Net with residual blocks and weight-free up-sampling, so that weights depend on
// neither strides nor patch. Official code: uni-medical/STU-Net, STUNetTrainer.py of its nnU-Net 2.2 port.
// Tensors are [batch, depth, height, width, channel].

import type { Configuration } from '../../plan/plan.js';
import { resize } from '../../tensor/ops/resize.js';
import { tf } from '../../tensor/tf.js';
import { define, type Ends } from '../define.js';
import { consume, conv, instanceNorm, joinSkip, type Layer, sequence } from '../layers/layers.js';
import { Declaration, type Network, scope, under } from '../network.js';

export interface StuNetSpec extends Ends {
  network: 'stunet';
  /** Depth and widths of the paper's Table 1; `blocks` and `widths` override them. */
  size?: 'S' | 'B' | 'L' | 'H';
  /** Blocks of each encoder stage, the decoder's are the same. */
  blocks?: number[];
  widths?: number[];
  /** Strides between the six stages; default: the plan's first five, filled up with [1,1,1], or [2,2,2]. */
  strides?: number[][];
  /** Default 3×3×3 everywhere. */
  kernels?: number[][];
  /** The paper's ablation: `linear` instead of the published `nearest` (default). Neither has weights. */
  upsampling?: 'nearest' | 'linear';
}

const sizes = {
  S: { blocks: [1, 1, 1, 1, 1, 1], widths: [16, 32, 64, 128, 256, 256] },
  B: { blocks: [1, 1, 1, 1, 1, 1], widths: [32, 64, 128, 256, 512, 512] },
  L: { blocks: [2, 2, 2, 2, 2, 2], widths: [64, 128, 256, 512, 1024, 1024] },
  H: { blocks: [3, 3, 3, 3, 3, 3], widths: [96, 192, 384, 768, 1536, 1536] },
};

/** Strides of a plan as the official trainer takes them: without the first stage's, five, filled up with ones. */
export function stuNetStrides(plan?: Configuration): number[][] {
  const strides = (plan?.architecture.arch_kwargs as { strides?: number[][] } | undefined)?.strides?.slice(1);
  if (!strides) return Array.from({ length: 5 }, () => [2, 2, 2]);
  return Array.from({ length: 5 }, (_, i) => strides[i] ?? [1, 1, 1]);
}

function build(spec: StuNetSpec, plan?: Configuration): Network {
  const size = sizes[spec.size ?? 'B'];
  const { blocks = size.blocks, widths = size.widths, strides = stuNetStrides(plan) } = spec;
  const kernels = spec.kernels ?? widths.map(() => [3, 3, 3]);
  const n = widths.length;
  const d = new Declaration();
  const stage = (name: string, channels: number, at: number, stride: number[]) =>
    scope(
      d,
      name,
      sequence(
        ...Array.from({ length: blocks[at] }, (_, i) =>
          i === 0
            ? stuNetBlock(d, `${name}.0`, { channels, out: widths[at], kernel: kernels[at], stride, project: true })
            : stuNetBlock(d, `${name}.${i}`, { channels: widths[at], out: widths[at], kernel: kernels[at] }),
        ),
      ),
    );
  const encoder = widths.map((_, i) =>
    stage(`conv_blocks_context.${i}`, i === 0 ? spec.inputChannels! : widths[i - 1], i, i === 0 ? [1, 1, 1] : strides[i - 1]),
  );
  const ups: Layer[] = [];
  const decoder: Layer[] = [];
  const heads: Layer[] = [];
  for (let u = 0; u < n - 1; u++)
    ups.push(stuNetUp(d, `upsample_layers.${u}`, widths[n - 1 - u], widths[n - 2 - u], strides[n - 2 - u], spec.upsampling));
  for (let u = 0; u < n - 1; u++)
    decoder.push(stage(`conv_blocks_localization.${u}`, 2 * widths[n - 2 - u], n - 2 - u, [1, 1, 1]));
  for (let u = 0; u < n - 1; u++) heads.push(conv(d, `seg_outputs.${u}`, widths[n - 2 - u], spec.classes!, [1, 1, 1]));
  const divisibleBy = strides.reduce((a, s) => a.map((v, i) => v * s[i]));
  return d.network(divisibleBy, (context, input) => {
    const skips: tf.Tensor[] = [];
    for (const stage of encoder) skips.push(stage(context, skips.at(-1) ?? input));
    let x = skips[n - 1];
    const outputs: tf.Tensor[] = [];
    for (let u = 0; u < n - 1; u++) {
      // The up-sampled half comes first.
      const skip = skips[n - 2 - u];
      const joined = joinSkip(
        consume([x], () => ups[u](context, x)),
        skip,
      );
      x = consume([joined], () => decoder[u](context, joined));
      if (spec.deepSupervision || u === n - 2) outputs.unshift(heads[u](context, x));
    }
    return outputs;
  });
}

export const stuNet = define({
  name: 'stunet',
  build,
  heads: ['seg_outputs.'],
  convention: 'The paper’s TFLOPs are fvcore’s at 1×128³ with 105 classes: equal to ours.',
});

const slope = 0.01;

/** Conv-norm-LReLU, conv-norm, plus the input (through a 1×1×1 convolution WITHOUT norm in a stage's first block), LReLU. */
export function stuNetBlock(
  d: Declaration,
  name: string,
  b: { channels: number; out: number; kernel: number[]; padding?: number[]; stride?: number[]; project?: boolean },
): Layer {
  const at = (module: string) => under(name, module);
  const padding = b.padding ?? b.kernel.map((k) => Math.floor(k / 2));
  const conv1 = conv(d, at('conv1'), b.channels, b.out, b.kernel, { stride: b.stride, padding });
  const norm1 = instanceNorm(d, at('norm1'), b.out);
  const conv2 = conv(d, at('conv2'), b.out, b.out, b.kernel, { padding });
  const norm2 = instanceNorm(d, at('norm2'), b.out);
  const conv3 = b.project ? conv(d, at('conv3'), b.channels, b.out, [1, 1, 1], { stride: b.stride }) : undefined;
  return scope(d, name, (context, x) =>
    tf.tidy(() => {
      const usedUp = !context.onLayer;
      const y = norm1(context, conv1(context, x), { slope, usedUp });
      const z = consume([y], () => conv2(context, y));
      return norm2(context, z, { slope, added: conv3 ? conv3(context, x) : x, usedUp });
    }),
  );
}

/** Up-sampling by the stage's stride, THEN a 1×1×1 convolution to the skip's width. */
export function stuNetUp(
  d: Declaration,
  name: string,
  channels: number,
  out: number,
  stride: number[],
  mode: 'nearest' | 'linear' = 'nearest',
): Layer {
  const project = conv(d, under(name, 'conv'), channels, out, [1, 1, 1]);
  return scope(d, name, (context, x) =>
    tf.tidy(() => {
      const size = stride.map((s, i) => x.shape[i + 1]! * s);
      return project(context, resize(x, size, mode));
    }),
  );
}
