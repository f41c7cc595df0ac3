// 3D UX-Net (Lee et al., ICLR 2023): a ConvNeXt-like encoder with 7×7×7 depthwise kernels inside UNETR's decoder.
// Official code: MASILab/3DUX-Net, networks/UXNet_3D. Tensors are [batch, depth, height, width, channel].
import { gelu } from '../../tensor/ops/gelu.js';
import { tf } from '../../tensor/tf.js';
import { consume, conv, cube, type Layer, layerNorm, sequence } from '../layers/layers.js';
import { unetrBasicBlock, unetrUpBlock } from '../layers/monaiBlocks.js';
import { dropPath } from '../layers/tokenLayers.js';
import { Declaration, type Network } from '../network.js';
import type { Head } from '../spec.js';

export interface UxNetSpec extends Head {
  network: 'ux-net';
  /** Blocks of the four encoder stages, default 2 each. */
  depths?: number[];
  /** Widths of the four stages, default 48, 96, 192, 384. */
  widths?: number[];
  /** Width below the last stage, default 768. */
  hidden?: number;
  norm?: 'instance' | 'batch';
  residual?: boolean;
  /** Drop-path rate of the last block, rising linearly from 0; default 0. */
  dropPath?: number;
}

export function uxNet(spec: UxNetSpec): Network {
  const { depths = [2, 2, 2, 2], widths = [48, 96, 192, 384], hidden = 768, norm = 'instance', residual = true } = spec;
  const d = new Declaration();
  const downs: Layer[] = [];
  for (let i = 0; i < 4; i++) {
    const name = `uxnet_3d.downsample_layers.${i}`;
    if (i === 0) {
      const stem = conv(d, `${name}.0`, spec.inputChannels!, widths[0], [7, 7, 7], { stride: 2, padding: 3 });
      downs.push(sequence(stem, layerNorm(d, `${name}.1`, widths[0], 1e-6)));
    } else {
      const norm = layerNorm(d, `${name}.0`, widths[i - 1], 1e-6);
      downs.push(sequence(norm, conv(d, `${name}.1`, widths[i - 1], widths[i], [2, 2, 2], { stride: 2 })));
    }
  }
  const total = depths.reduce((a, b) => a + b, 0);
  let before = 0;
  const stages = depths.map((depth, i) =>
    sequence(
      ...Array.from({ length: depth }, (_, j) => {
        const rate = total > 1 ? ((spec.dropPath ?? 0) * before) / (total - 1) : 0;
        before++;
        return uxBlock(d, `uxnet_3d.stages.${i}.${j}`, widths[i], rate);
      }),
    ),
  );
  const norms = widths.map((width, i) => layerNorm(d, `uxnet_3d.norm${i}`, width, 1e-6));

  const shared = { dimensions: 3 as const, norm, residual };
  const ends = [...widths, hidden];
  const encoders = ends.map((out, i) =>
    unetrBasicBlock(d, `encoder${i + 1}`, { ...shared, in: i === 0 ? spec.inputChannels! : ends[i - 1], out }),
  );
  const decoders = [3, 2, 1, 0].map((i) => unetrUpBlock(d, `decoder${i + 2}`, { ...shared, in: ends[i + 1], out: ends[i] }));
  const last = unetrBasicBlock(d, 'decoder1', { ...shared, in: widths[0], out: widths[0] });
  // The original fixes the head's input at 48 channels, which is its first width.
  const head = conv(d, 'out.conv.conv', widths[0], spec.classes!, [1, 1, 1]);

  return {
    parameters: d.parameters,
    divisibleBy: cube(16, 3),
    forward(context, input) {
      return tf.tidy(() => {
        const skips = [encoders[0](context, input)];
        let x = input;
        for (let i = 0; i < 4; i++) {
          x = stages[i](context, downs[i](context, x));
          skips.push(tf.tidy(() => encoders[i + 1](context, norms[i](context, x))));
        }
        let y = skips[4];
        for (let i = 0; i < 4; i++) y = consume([y, skips[3 - i]], () => decoders[i](context, y, skips[3 - i]));
        return [head(context, last(context, y))];
      });
    },
  };
}

/** Depthwise 7 → layer norm → grouped 1 (×4) → GELU → grouped 1 (back) → scale per channel → plus input. */
export function uxBlock(d: Declaration, name: string, channels: number, rate = 0): Layer {
  const dot = name ? `${name}.` : '';
  const gamma = d.add(`${dot}gamma`, [channels], { init: { kind: 'constant', value: 1e-6 } });
  const spatial = conv(d, `${dot}dwconv`, channels, channels, [7, 7, 7], { padding: 3, groups: channels });
  const norm = layerNorm(d, `${dot}norm`, channels, 1e-6);
  const expand = conv(d, `${dot}pwconv1`, channels, 4 * channels, [1, 1, 1], { groups: channels });
  const compress = conv(d, `${dot}pwconv2`, 4 * channels, channels, [1, 1, 1], { groups: channels });
  const drop = dropPath(rate);
  return (context, x) =>
    tf.tidy(() => {
      const y = compress(context, gelu(expand(context, norm(context, spatial(context, x)))));
      return tf.add(x, drop(context, tf.mul(y, context.params[gamma])));
    });
}
