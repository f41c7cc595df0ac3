// The networks of KAIST's BraTS 2021 entry (Luu and Park 2021): nnU-Net v1's U-Net with batch or group norm, a twice as
// wide encoder, and axial attention in the decoder. Official code: rixez/Brats21_KAIST_MRI_Lab, generic_UNet.py
// (`Generic_UNet`, and `Axial_UNet` with attention in encoder and decoder, which the paper's table does not use).
// Tensors are [batch, (depth,) height, width, channel].
import type { Configuration } from '../../plan/plan.js';
import { leakyRelu } from '../../tensor/ops/leakyRelu.js';
import { tf } from '../../tensor/tf.js';
import { define, type Ends } from '../define.js';
import { he } from '../layers/initialisers.js';
import {
  batchNorm,
  consume,
  conv,
  convTranspose,
  groupNorm,
  instanceNorm,
  joinSkip,
  type Layer,
  linear,
  sequence,
} from '../layers/layers.js';
import { Declaration, type Network, scope, under } from '../network.js';

export interface KaistUnetSpec extends Ends {
  network: 'kaist-unet';
  /** Channels at full resolution (before `encoderScale`), default 32, doubled at each level up to `maxWidth`, default 320. */
  width?: number;
  maxWidth?: number;
  /** Growth of the width from level to level, default 2. */
  growth?: number;
  /** 2: the large encoder. Decoder stages still end at half their skip's width. */
  encoderScale?: number;
  norm?: 'batch' | 'group' | 'instance';
  /** Groups of a group norm, default 32. */
  groups?: number;
  convsPerStage?: number;
  /** Strides between stages; default: the plan's without the first, or five times 2. */
  strides?: number[][];
  /** Windows of each stage; default: the plan's, or 3. */
  kernels?: number[][];
  attention?: AxialAttentionSettings;
  headBias?: boolean;
}

export interface AxialAttentionSettings {
  /** `decoder`: after each transposed convolution, with a residual (BL+AA). `both`: Axial_UNet. */
  where: 'decoder' | 'both';
  /** At full resolution; both double at each level down. */
  heads: number;
  headWidth: number;
  /**
   * Stages without: for `decoder` counted from the deepest decoder stage (the paper leaves out [4]), for `both` from full
   * resolution (the code leaves out [0]).
   */
  without: number[];
  /** Patch size in voxels, which the position embedding fixes; default: the plan's. */
  volume?: number[];
  /** `both` only: sum the three axes instead of running them in sequence (default true), batch norm behind (default true), residual (default false). */
  sum?: boolean;
  batchNorm?: boolean;
  residual?: boolean;
}

function build(spec: KaistUnetSpec, plan?: Configuration): Network {
  const planned = plan?.architecture.arch_kwargs as { strides?: number[][]; kernel_sizes?: number[][] } | undefined;
  const strides = spec.strides ?? planned?.strides?.slice(1) ?? Array.from({ length: 5 }, () => [2, 2, 2]);
  const kernels = spec.kernels ?? planned?.kernel_sizes ?? [...strides, []].map(() => strides[0].map(() => 3));
  const { width = 32, maxWidth = 320, encoderScale = 1, convsPerStage = 2, attention, headBias = false, growth = 2 } = spec;
  const pools = strides.length;
  const dimensions = strides[0].length;
  const one = strides[0].map(() => 1);
  const widths = [width * encoderScale];
  for (let i = 0; i < pools; i++) widths.push(Math.min(Math.round(widths[i] * growth), maxWidth));
  const volume = attention?.volume ?? plan?.patch_size ?? Array<number>(dimensions).fill(128);
  /** Edge of the volume at a level, cut to whole voxels as the original does. */
  const volumeAt = (level: number) => volume.map((n) => Math.trunc(n / 2 ** level));

  const d = new Declaration();
  const block = (name: string, channels: number, out: number, kernel: number[], stride = one) => {
    // Only windows of 3 are padded in the original.
    const padding = kernel.map((k) => (k === 3 ? 1 : 0));
    const convolution = conv(d, `${name}.conv`, channels, out, kernel, { stride, padding, ...he(channels, kernel) });
    // The layers are called instnorm whatever their kind.
    const norm =
      spec.norm === 'group'
        ? groupNorm(d, `${name}.instnorm`, out, spec.groups ?? 32)
        : spec.norm === 'instance'
          ? instanceNorm(d, `${name}.instnorm`, out)
          : batchNorm(d, `${name}.instnorm`, out);
    return sequence(convolution, norm, (_, x) => leakyRelu(x));
  };
  const stack = (name: string, count: number, channels: number, out: number, kernel: number[], stride = one) =>
    Array.from({ length: count }, (_, i) =>
      block(`${name}.blocks.${i}`, i === 0 ? channels : out, out, kernel, i === 0 ? stride : one),
    );

  // Decoder stage u takes the skip of level pools − 1 − u; the checkpoint lists the decoder first.
  const skipWidth = (u: number) => widths[pools - 1 - u];
  const outWidth = (u: number) => Math.trunc(skipWidth(u) / encoderScale);
  const decoder = strides.map((_, u) => {
    const skip = skipWidth(u);
    const kernel = kernels.at(-(u + 1))!;
    const name = `conv_blocks_localization.${u}`;
    const first = stack(`${name}.0`, convsPerStage - 1, 2 * skip, skip, kernel);
    return scope(d, name, sequence(...first, ...stack(`${name}.1`, 1, skip, outWidth(u), kernel)));
  });
  const encoder = widths.map((out, i) => {
    const name = `conv_blocks_context.${i}`;
    const channels = i === 0 ? spec.inputChannels! : widths[i - 1];
    const stride = i === 0 ? one : strides[i - 1];
    if (i < pools) return scope(d, name, sequence(...stack(name, convsPerStage, channels, out, kernels[i], stride)));
    const first = stack(`${name}.0`, convsPerStage - 1, channels, out, kernels[i], stride);
    return scope(d, name, sequence(...first, ...stack(`${name}.1`, 1, out, out, kernels[i])));
  });
  const ups = strides.map((_, u) => {
    const stride = strides[pools - 1 - u];
    const below = u === 0 ? widths[pools] : outWidth(u - 1);
    return convTranspose(d, `tu.${u}`, below, skipWidth(u), stride, { stride, bias: false, ...he(skipWidth(u), stride) });
  });
  const heads = strides.map((_, u) =>
    conv(d, `seg_outputs.${u}`, outWidth(u), spec.classes!, one, { bias: headBias, ...he(outWidth(u), one) }),
  );

  const attendDown: (Layer | undefined)[] = [];
  const attendUp: (Layer | undefined)[] = [];
  if (attention?.where === 'decoder') {
    const stages = strides.map((_, u) => u).filter((u) => !attention.without.includes(u));
    const embeddings = stages.map((u, j) => axialPositions(d, `axial_embedding.${j}`, skipWidth(u), volumeAt(pools - 1 - u)));
    for (const [j, u] of stages.entries()) {
      const scale = 2 ** (pools - 1 - u);
      const attend = axialAttention(d, `axial_attention.${j}`, skipWidth(u), dimensions, {
        heads: attention.heads * scale,
        headWidth: attention.headWidth * scale,
        sum: false,
      });
      attendUp[u] = (c, x) => tf.tidy(() => tf.add(attend(c, embeddings[j](c, x)), x));
    }
  } else if (attention) {
    const levels = strides.map((_, i) => i).filter((i) => !attention.without.includes(i));
    const module = (name: string, level: number) => axialModule(d, name, widths[level], volumeAt(level), level, attention);
    for (const [j, level] of levels.entries()) attendDown[level] = module(`axial_attention_down.${j}`, level);
    for (const [j, level] of levels.toReversed().entries())
      attendUp[pools - 1 - level] = module(`axial_attention_up.${j}`, level);
  }

  const divisibleBy = strides.reduce((a, s) => a.map((n, i) => n * s[i]));
  return d.network(
    divisibleBy,
    (context, input) => {
      const skips: tf.Tensor[] = [];
      for (let i = 0; i < pools; i++) {
        const y = encoder[i](context, skips.at(-1) ?? input);
        const attend = attendDown[i];
        skips.push(attend ? consume([y], () => attend(context, y)) : y);
      }
      let x = encoder[pools](context, skips[pools - 1]);
      const outputs: tf.Tensor[] = [];
      for (let u = 0; u < pools; u++) {
        const skip = skips[pools - 1 - u];
        const joined = joinSkip(
          consume([x], () => {
            const up = ups[u](context, x);
            return attendUp[u]?.(context, up) ?? up;
          }),
          skip,
        );
        x = consume([joined], () => decoder[u](context, joined));
        if (spec.deepSupervision || u === pools - 1) outputs.unshift(heads[u](context, x));
      }
      return outputs;
    },
    attention ? volume : undefined,
  );
}

export const kaistUnet = define({ name: 'kaist-unet', build, heads: ['seg_outputs.'] });

/** Position embedding: one learned table per axis, all added. `name.param_0` `[1, channel, n, 1, 1]` and so on. */
export function axialPositions(d: Declaration, name: string, channels: number, volume: number[]): Layer {
  const tables = volume.map((n, axis) => {
    const shape = [1, channels, ...volume.map((_, i) => (i === axis ? n : 1))];
    return d.add(under(name, `param_${axis}`), shape, { init: { kind: 'normal', sd: 1 } });
  });
  return scope(d, name, ({ params }, x) =>
    tf.tidy(() =>
      tables.reduce((sum: tf.Tensor, table, axis) => {
        const line = tf.transpose(tf.reshape(params[table], [channels, volume[axis]]));
        return tf.add(sum, tf.reshape(line, [1, ...volume.map((n, i) => (i === axis ? n : 1)), channels]));
      }, x),
    ),
  );
}

/**
 * Self-attention along one spatial axis after another (or all summed), each with every other axis as batch
 * (axial-attention 0.6.1). The inner width is heads × head width, whatever the channels.
 */
export function axialAttention(
  d: Declaration,
  name: string,
  channels: number,
  dimensions: number,
  { heads, headWidth, sum }: { heads: number; headWidth: number; sum: boolean },
): Layer {
  const inner = heads * headWidth;
  const axes = Array.from({ length: dimensions }, (_, i) => {
    const part = under(name, `axial_attentions.${i}.fn`);
    const q = linear(d, `${part}.to_q`, channels, inner, { bias: false });
    const kv = linear(d, `${part}.to_kv`, channels, 2 * inner, { bias: false });
    const out = linear(d, `${part}.to_out`, inner, channels);
    const order = [0, ...Array.from({ length: dimensions }, (_, j) => j + 1).filter((j) => j !== i + 1), i + 1, dimensions + 1];
    const back = order.map((_, axis) => order.indexOf(axis));
    const layer: Layer = (context, x) =>
      tf.tidy(() => {
        const lines = tf.transpose(x, order);
        const n = lines.shape.at(-2)!;
        const batch = lines.size / n / channels;
        const split = (t: tf.Tensor) => tf.transpose(tf.reshape(t, [batch, n, heads, headWidth]), [0, 2, 1, 3]);
        const [k, v] = tf.split(kv(context, lines), 2, -1);
        const scores = tf.mul(tf.matMul(split(q(context, lines)), split(k), false, true), headWidth ** -0.5);
        const mixed = tf.transpose(tf.matMul(tf.softmax(scores), split(v)), [0, 2, 1, 3]);
        return tf.transpose(out(context, tf.reshape(mixed, [...lines.shape.slice(0, -1), inner])), back);
      });
    return layer;
  });
  return scope(d, name, (context, x) =>
    tf.tidy(() => (sum ? tf.addN(axes.map((axis) => axis(context, x))) : axes.reduce((y, axis) => axis(context, y), x))),
  );
}

/** `AxialAttention3D` of Axial_UNet: positions, attention, batch norm, LeakyReLU; with or without the input added. */
export function axialModule(
  d: Declaration,
  name: string,
  channels: number,
  volume: number[],
  level: number,
  settings: AxialAttentionSettings,
): Layer {
  const module = under(name, 'axial_attention');
  const positions = axialPositions(d, `${module}.0`, channels, volume);
  const attend = axialAttention(d, `${module}.1`, channels, volume.length, {
    heads: settings.heads * 2 ** level,
    headWidth: settings.headWidth * 2 ** level,
    sum: settings.sum ?? true,
  });
  const norm = (settings.batchNorm ?? true) ? [batchNorm(d, `${module}.2`, channels)] : [];
  const body = sequence(positions, attend, ...norm, (_, x) => leakyRelu(x));
  return scope(d, name, (context, x) => (settings.residual ? tf.tidy(() => tf.add(x, body(context, x))) : body(context, x)));
}
