// 3D UX-Net (Lee et al., ICLR 2023): a ConvNeXt-like encoder with 7×7×7 depthwise kernels inside UNETR's decoder.
// Official code: MASILab/3DUX-Net, networks/UXNet_3D. Tensors are [batch, depth, height, width, channel].
import { gelu } from '../../tensor/ops/gelu.js';
import { tf } from '../../tensor/tf.js';
import { define, type Ends } from '../define.js';
import { dropPath, dropPathRates } from '../layers/dropout.js';
import { consume, conv, cube, type Layer, layerNorm, sequence } from '../layers/layers.js';
import { unetOutBlock, unetrBasicBlock, unetrUpBlock } from '../layers/monaiBlocks.js';
import { Declaration, type Network, scope, under } from '../network.js';

export interface UxNetSpec extends Ends {
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

function build(spec: UxNetSpec): Network {
  const { depths = [2, 2, 2, 2], widths = [48, 96, 192, 384], hidden = 768, norm = 'instance', residual = true } = spec;
  const d = new Declaration();
  const downs: Layer[] = [];
  for (let i = 0; i < 4; i++) {
    const name = `uxnet_3d.downsample_layers.${i}`;
    if (i === 0) {
      const stem = conv(d, `${name}.0`, spec.inputChannels!, widths[0], [7, 7, 7], { stride: 2, padding: 3 });
      downs.push(scope(d, name, sequence(stem, layerNorm(d, `${name}.1`, widths[0], 1e-6))));
    } else {
      const norm = layerNorm(d, `${name}.0`, widths[i - 1], 1e-6);
      downs.push(scope(d, name, sequence(norm, conv(d, `${name}.1`, widths[i - 1], widths[i], [2, 2, 2], { stride: 2 }))));
    }
  }
  const stages = dropPathRates(depths, spec.dropPath ?? 0).map((rates, i) =>
    scope(
      d,
      `uxnet_3d.stages.${i}`,
      sequence(...rates.map((rate, j) => uxBlock(d, `uxnet_3d.stages.${i}.${j}`, widths[i], rate))),
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
  const head = unetOutBlock(d, 'out', 3, widths[0], spec.classes!);

  return d.network(cube(16, 3), (context, input) => {
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
}

export const uxNet = define({
  name: 'ux-net',
  build,
  heads: ['out.'],
  convention: 'The paper’s 639.4 G at 1×96³ is from another counter; fvcore gives 579.3 G for the published code.',
});

/** Depthwise 7 → layer norm → grouped 1 (×4) → GELU → grouped 1 (back) → scale per channel → plus input. */
export function uxBlock(d: Declaration, name: string, channels: number, rate = 0): Layer {
  const at = (module: string) => under(name, module);
  const gamma = d.add(at('gamma'), [channels], { init: { kind: 'constant', value: 1e-6 } });
  const spatial = conv(d, at('dwconv'), channels, channels, [7, 7, 7], { padding: 3, groups: channels });
  const norm = layerNorm(d, at('norm'), channels, 1e-6);
  const expand = conv(d, at('pwconv1'), channels, 4 * channels, [1, 1, 1], { groups: channels });
  const compress = conv(d, at('pwconv2'), 4 * channels, channels, [1, 1, 1], { groups: channels });
  const drop = dropPath(rate);
  return scope(d, name, (context, x) =>
    tf.tidy(() => {
      const y = compress(context, gelu(expand(context, norm(context, spatial(context, x)))));
      return tf.add(x, drop(context, tf.mul(y, context.params[gamma])));
    }),
  );
}
