// Swin-UMamba† (Liu et al., MICCAI 2024, https://arxiv.org/abs/2402.03302): VSS blocks in the decoder too. 2-D.
// Official code: JiarunLiu/Swin-UMamba, swin_umamba/nnunetv2/nets/SwinUMambaD.py.
//
//   patches of 4x4 (1/4) ── VSS stages at 1/4, 1/8, 1/16, 1/32
//   three times: expand x2, concatenate the stage's output, linear back to its width, two VSS blocks (heads 1/16, 1/8, 1/4)
//   expand x4 to full size, layer norm, head (1/1)
import { joinChannels } from '../../tensor/ops/joinChannels.js';
import { tf } from '../../tensor/tf.js';
import { define, type Ends } from '../define.js';
import { he } from '../layers/initialisers.js';
import { conv, type Layer, layerNorm, linear, sequence } from '../layers/layers.js';
import { vssBlock, vssEncoder } from '../layers/vss.js';
import { Declaration, type Network, scope, under } from '../network.js';

export interface SwinUmambaDSpec extends Ends {
  network: 'swin-umamba-d';
  /** Edge of a token in pixels; default 4. */
  patch?: number;
  /** Channels of the stages; default 96, 192, 384, 768. */
  widths?: number[];
  /** VSS blocks of the encoder's stages; default 2, 2, 9, 2. */
  depths?: number[];
  /** State size N in the encoder; default 16. */
  states?: number;
  /** In the decoder; default as in the encoder. */
  decoderStates?: number;
  /** Drop-path rate at the bottom, from 0 at both ends; default 0.2. */
  dropPath?: number;
  decoderDropPath?: number;
}

/** The network of a specification with channels and classes given. Outputs at 1/1, 1/4, 1/8, 1/16 with deep supervision. */
function build(spec: SwinUmambaDSpec): Network {
  const { patch = 4, widths = [96, 192, 384, 768], depths = [2, 2, 9, 2], states = 16, dropPath = 0.2 } = spec;
  const { decoderStates = states, decoderDropPath = dropPath } = spec;
  const classes = spec.classes!;
  const up = widths.slice(0, -1).reverse(); // widths of the decoder's stages, lowest resolution first
  const d = new Declaration();

  const encoder = vssEncoder(d, 'vssm_encoder', {
    in: spec.inputChannels!,
    patch,
    dims: widths,
    depths,
    states,
    dropPath,
    heConv: true,
  });
  const steps = 2 * up.length - 1;
  const stages = up.map((dim, s) => {
    const blocks = [0, 1].map((i) =>
      vssBlock(d, `decoder.stages.${s}.blocks.${i}`, {
        dim,
        states: decoderStates,
        dropPath: decoderDropPath * (1 - (2 * s + i) / steps),
        heConv: true,
      }),
    );
    return scope(d, `decoder.stages.${s}`, sequence(...blocks));
  });
  const expands = up.map((dim, s) => patchExpand(d, `decoder.expand_layers.${s}`, 2 * dim));
  const finalExpand = finalPatchExpand(d, `decoder.expand_layers.${up.length}`, widths[0], 4);
  const heads = [...up, widths[0]].map((width, s) =>
    conv(d, `decoder.seg_layers.${s}`, width, classes, [1, 1], he(width, [1, 1])),
  );
  const backs = up.map((dim, s) => linear(d, `decoder.concat_back_dim.${s}`, 2 * dim, dim));

  const deepest = patch * 2 ** (widths.length - 1);
  return d.network([deepest, deepest], (c, input) => {
    const skips = encoder(c, input).slice(1); // 1/4, 1/8, 1/16, 1/32
    let x = skips.at(-1)!;
    const outputs: tf.Tensor[] = [];
    for (const [s, stage] of stages.entries()) {
      const joined = joinChannels([expands[s](c, x), skips.at(-2 - s)!]);
      x = stage(c, backs[s](c, joined));
      if (spec.deepSupervision) outputs.unshift(heads[s](c, x));
    }
    outputs.unshift(heads.at(-1)!(c, finalExpand(c, x)));
    return outputs;
  });
}

export const swinUmambaD = define({
  name: 'swin-umamba-d',
  build,
  heads: ['decoder.seg_layers.'],
  convention: 'The paper adds 9·B·L·D·N for each selective scan, as this count does.',
});

/** `PatchExpand`: linear C → 2C, then every token becomes 2x2 tokens of C/2 channels, layer norm. */
export function patchExpand(d: Declaration, name: string, dim: number): Layer {
  const expand = linear(d, under(name, 'expand'), dim, 2 * dim, { bias: false });
  const norm = layerNorm(d, under(name, 'norm'), dim / 2);
  return scope(d, name, (c, x) => norm(c, shuffle(expand(c, x), 2)));
}

/** `FinalPatchExpand_X4`: linear C → 16C, every token becomes `factor` x `factor` tokens, layer norm. */
export function finalPatchExpand(d: Declaration, name: string, dim: number, factor = 4): Layer {
  const expand = linear(d, under(name, 'expand'), dim, 16 * dim, { bias: false });
  const norm = layerNorm(d, under(name, 'norm'), dim);
  return scope(d, name, (c, x) => norm(c, shuffle(expand(c, x), factor)));
}

/** `b h w (p1 p2 c) → b (h p1) (w p2) c`. */
function shuffle(x: tf.Tensor, factor: number): tf.Tensor {
  const [batch, h, w, channels] = x.shape as [number, number, number, number];
  const out = channels / factor ** 2;
  const cells = tf.transpose(tf.reshape(x, [batch, h, w, factor, factor, out]), [0, 1, 3, 2, 4, 5]);
  return tf.reshape(cells, [batch, h * factor, w * factor, out]);
}
