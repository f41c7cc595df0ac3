// SegResNet (Myronenko 2018) as MONAI 1.6.1 builds it: pre-activation residual blocks, skips summed, 2-D and 3-D.
// Tensors are [batch, (depth,) height, width, channel].

import { product } from '../../base/shape.js';
import { resize } from '../../tensor/ops/resize.js';
import { padSpatial } from '../../tensor/ops/spread.js';
import { averagePool, tf } from '../../tensor/tf.js';
import { define, type Ends } from '../define.js';
import { channelDropout } from '../layers/dropout.js';
import {
  batchNorm,
  consume,
  conv,
  convTranspose,
  cube,
  groupNorm,
  instanceNorm,
  type Layer,
  sequence,
} from '../layers/layers.js';
import { Declaration, type Init, type Network, scope } from '../network.js';

export interface SegResNetSpec extends Ends {
  network: 'segresnet';
  dimensions?: 2 | 3;
  /** Channels at full resolution, doubled at every level; default 8. */
  width?: number;
  /** Default `group`; batch and instance norms as MONAI's factory makes them, the latter without weights. */
  norm?: 'group' | 'batch' | 'instance';
  /** Groups of every group norm; default 8. */
  groups?: number;
  /** Residual blocks of each level down, default [1, 2, 2, 4]. */
  blocksDown?: number[];
  /** And up, default [1, 1, 1]; one entry fewer. */
  blocksUp?: number[];
  upsample?: 'nontrainable' | 'deconv' | 'pixelshuffle';
  /** Probability of dropping a channel after the first convolution. */
  dropout?: number;
}

function build(spec: SegResNetSpec): Network {
  const {
    dimensions = 3,
    width = 8,
    groups = 8,
    blocksDown = [1, 2, 2, 4],
    blocksUp = [1, 1, 1],
    upsample = 'nontrainable',
  } = spec;
  const d = new Declaration();
  const window = cube(3, dimensions);
  const one = cube(1, dimensions);
  const plain = (name: string, channels: number, out: number, stride = 1) =>
    scope(d, name, conv(d, `${name}.conv`, channels, out, window, { stride, padding: 1, bias: false }));
  const normOf = (name: string, channels: number) =>
    spec.norm === 'batch'
      ? batchNorm(d, name, channels)
      : spec.norm === 'instance'
        ? instanceNorm(d, name, channels, { affine: false })
        : groupNorm(d, name, channels, groups);
  const block = (name: string, channels: number): Layer => {
    const norm1 = normOf(`${name}.norm1`, channels);
    const norm2 = normOf(`${name}.norm2`, channels);
    const conv1 = plain(`${name}.conv1`, channels, channels);
    const conv2 = plain(`${name}.conv2`, channels, channels);
    return scope(d, name, (c, x) =>
      tf.tidy(() => {
        const y = conv1(c, tf.relu(norm1(c, x)));
        return tf.add(conv2(c, tf.relu(norm2(c, y))), x);
      }),
    );
  };
  const blocks = (count: number, name: (i: number) => string, channels: number) =>
    Array.from({ length: count }, (_, i) => block(name(i), channels));

  const first = plain('convInit', spec.inputChannels!, width);
  const dropout = channelDropout(spec.dropout ?? 0);
  const downs = blocksDown.map((count, i) => {
    const channels = width * 2 ** i;
    const pool = i > 0 ? [plain(`down_layers.${i}.0`, channels / 2, channels, 2)] : [];
    return scope(d, `down_layers.${i}`, sequence(...pool, ...blocks(count, (j) => `down_layers.${i}.${j + 1}`, channels)));
  });
  const levels = blocksUp.length;
  const merges = blocksUp.map((count, i) =>
    scope(d, `up_layers.${i}`, sequence(...blocks(count, (j) => `up_layers.${i}.${j}`, width * 2 ** (levels - i - 1)))),
  );
  const ups = blocksUp.map((_, i) => {
    const channels = width * 2 ** (levels - i);
    const halve = conv(d, `up_samples.${i}.0.conv`, channels, channels / 2, one, { bias: false });
    return scope(d, `up_samples.${i}`, sequence(halve, up(d, `up_samples.${i}.1`, channels / 2, dimensions, upsample)));
  });
  const norm = normOf('conv_final.0', width);
  const head = scope(d, 'conv_final.2', conv(d, 'conv_final.2.conv', width, spec.classes!, one));

  return d.network(cube(2 ** (blocksDown.length - 1), dimensions), (context, input) => {
    let x = dropout(context, first(context, input));
    const skips: tf.Tensor[] = [];
    for (const down of downs) {
      x = down(context, x);
      skips.unshift(x);
    }
    for (const [i, up] of ups.entries())
      x = consume([x, skips[i + 1]], () => merges[i](context, tf.add(up(context, x), skips[i + 1])));
    return [head(context, tf.relu(norm(context, x)))];
  });
}

export const segResNet = define({ name: 'segresnet', build, heads: ['conv_final.2.'] });

/** Doubles space. `nontrainable`: linear. `deconv`: transposed convolution 2, stride 2. `pixelshuffle`: below. */
function up(
  d: Declaration,
  name: string,
  channels: number,
  dimensions: number,
  mode: NonNullable<SegResNetSpec['upsample']>,
): Layer {
  if (mode === 'deconv') return convTranspose(d, `${name}.deconv`, channels, channels, cube(2, dimensions), { stride: 2 });
  if (mode === 'pixelshuffle') return subpixel(d, `${name}.pixelshuffle`, channels, dimensions);
  return (_, x) =>
    resize(
      x,
      x.shape.slice(1, -1).map((n) => 2 * n),
      'linear',
    );
}

/** Convolution to 2^d times the channels, those laid out as 2^d voxels; then one zero in front and the mean of 2^d neighbours. */
function subpixel(d: Declaration, name: string, channels: number, dimensions: number): Layer {
  const cells = 2 ** dimensions;
  const widen = conv(d, `${name}.conv_block`, channels, channels * cells, cube(3, dimensions), {
    padding: 1,
    init: icnr(cells),
  });
  const ones = cube(1, dimensions);
  const zeros = cube(0, dimensions);
  return (context, x) =>
    tf.tidy(() => {
      const spatial = x.shape.slice(1, -1);
      // [batch, …n, channel, cell], cells in row-major order: one axis at a time, the last axis's factor innermost.
      let y = widen(context, x);
      for (let axis = dimensions - 1; axis >= 0; axis--) {
        // The remaining factors f₀…f_axis trail: [.., channel, f₀…f_axis] and the innermost belongs to this axis.
        const shape = y.shape;
        const outer = product(shape.slice(0, axis + 2));
        const inner = product(shape.slice(axis + 2, -1));
        const split = tf.reshape(y, [outer, inner, shape.at(-1)! / 2, 2]);
        y = tf.reshape(
          tf.transpose(split, [0, 3, 1, 2]),
          shape.map((n, i) => (i === axis + 1 ? 2 * n : i === shape.length - 1 ? n / 2 : n)),
        );
      }
      const padded = padSpatial(tf.reshape(y, [x.shape[0], ...spatial.map((n) => 2 * n), channels]), ones, zeros);
      return averagePool(padded, cube(2, dimensions), ones);
    });
}

/** ICNR (Aitken 2017) as MONAI writes it, its mixing of channels by reshape included. */
const icnr = (cells: number): Init => ({
  kind: 'custom',
  fill(random, [out, channels, ...kernel]) {
    const volume = product(kernel);
    const few = out / cells;
    const sd = Math.sqrt(2 / (channels * volume));
    const small = Float32Array.from({ length: few * channels * volume }, () => random.normal(0, sd));
    // small [few, channels, volume] → [channels, few, volume] read as [few, channels, volume], each row repeated.
    const flat = new Float32Array(out * channels * volume);
    for (let c = 0; c < channels; c++)
      for (let f = 0; f < few; f++)
        for (let v = 0; v < volume; v++) {
          const row = c * few + f;
          for (let r = 0; r < cells; r++) flat[(row * cells + r) * volume + v] = small[(f * channels + c) * volume + v];
        }
    // Read as [channels, out, volume], then the first two axes swapped.
    return Float32Array.from(flat, (_, i) => {
      const v = i % volume;
      const c = Math.floor(i / volume) % channels;
      const o = Math.floor(i / volume / channels);
      return flat[(c * out + o) * volume + v];
    });
  },
});
