// Swin-UMamba (Liu et al., MICCAI 2024, https://arxiv.org/abs/2402.03302): a VMamba-Tiny encoder, which can start from
// ImageNet weights, and a residual convolutional decoder. 2-D: `[batch, height, width, channel]`.
// Official code: JiarunLiu/Swin-UMamba, swin_umamba/nnunetv2/nets/SwinUMamba.py.
//
//   input ──── encoder1 ───────────────────────────────────────── + decoder2 ─ decoder1 ─ head (1/1)
//   stem 7x7, stride 2 (1/2) ── encoder2 ─────────────────── + decoder3 ────────────────── head (1/2)
//   VSS stage 0 (1/4) ── encoder3 ────────────────────── + decoder4 ────────────────────── head (1/4)
//   VSS stage 1 (1/8) ── encoder4 ───────────────── + decoder5 ─────────────────────────── head (1/8)
//   VSS stage 2 (1/16) ── encoder5 ──────────── + decoder6
//   VSS stage 3 (1/32) ─────────────────────────┘
import { define, type Ends } from '../define.js';
import { conv, instanceNorm } from '../layers/layers.js';
import { type MonaiNorm, unetOutBlock, unetrBasicBlock, unetrUpBlock } from '../layers/monaiBlocks.js';
import { vssEncoder } from '../layers/vss.js';
import { Declaration, type Network } from '../network.js';

export interface SwinUmambaSpec extends Ends {
  network: 'swin-umamba';
  /**
   * `v2` (default): the paper's second version and the current code. `v1`: the first, whose decoder starts at 1/16 from
   * encoder5; its last VSS stage is computed and never used, so its parameters get no gradient.
   */
  version?: 'v1' | 'v2';
  /** Channels of the stem and of the VSS stages; default 48, 96, 192, 384, 768. */
  widths?: number[];
  /** VSS blocks per stage; default 2, 2, 9, 2. */
  depths?: number[];
  /** State size N of the selective scan; default 16. */
  states?: number;
  /** Drop-path rate of the last block; default 0.2. */
  dropPath?: number;
  norm?: MonaiNorm;
  /** Residual (default) or plain convolution blocks. */
  residual?: boolean;
}

/** The network of a specification with channels and classes given. Outputs at 1/1, 1/2, 1/4 and 1/8 with deep supervision. */
function build(spec: SwinUmambaSpec): Network {
  const { version = 'v2', widths = [48, 96, 192, 384, 768], depths = [2, 2, 9, 2], states = 16, dropPath = 0.2 } = spec;
  const [w0, w1, w2, w3, w4] = widths;
  const channels = spec.inputChannels!;
  const block = (inWidth: number, out: number) =>
    ({ dimensions: 2, in: inWidth, out, norm: spec.norm ?? 'instance', residual: spec.residual }) as const;
  const d = new Declaration();

  const stemConv = conv(d, 'stem.0', channels, w0, [7, 7], { stride: 2, padding: 3 });
  const stemNorm = instanceNorm(d, 'stem.1', w0);
  const encoder = vssEncoder(d, 'vssm_encoder', { in: w0, patch: 2, dims: [w1, w2, w3, w4], depths, states, dropPath });
  const encoder1 = unetrBasicBlock(d, 'encoder1', block(channels, w0));
  const encoder2 = unetrBasicBlock(d, 'encoder2', block(w0, w1));
  const encoder3 = unetrBasicBlock(d, 'encoder3', block(w1, w2));
  const encoder4 = unetrBasicBlock(d, 'encoder4', block(w2, w3));
  const encoder5 = unetrBasicBlock(d, 'encoder5', block(w3, w4));
  const decoder6 = version === 'v2' ? unetrUpBlock(d, 'decoder6', block(w4, w4)) : undefined;
  const decoder5 = unetrUpBlock(d, 'decoder5', block(w4, w3));
  const decoder4 = unetrUpBlock(d, 'decoder4', block(w3, w2));
  const decoder3 = unetrUpBlock(d, 'decoder3', block(w2, w1));
  const decoder2 = unetrUpBlock(d, 'decoder2', block(w1, w0));
  const decoder1 = unetrBasicBlock(d, 'decoder1', block(w0, w0));
  // All heads exist, so that weights fit with and without deep supervision.
  const heads = [w0, w1, w2, w3].map((width, i) => unetOutBlock(d, `out_layers.${i}`, 2, width, spec.classes!));

  return d.network([32, 32], (c, input) => {
    const stem = stemNorm(c, stemConv(c, input)); // 1/2, w0
    const [, stage0, stage1, stage2, stage3] = encoder(c, stem); // 1/4 w1, 1/8 w2, 1/16 w3, 1/32 w4
    const skip1 = encoder1(c, input); // 1/1, w0
    const skip2 = encoder2(c, stem); // 1/2, w1
    const skip4 = encoder3(c, stage0); // 1/4, w2
    const skip8 = encoder4(c, stage1); // 1/8, w3
    const skip16 = encoder5(c, stage2); // 1/16, w4
    const at16 = decoder6 ? decoder6(c, stage3, skip16) : skip16;
    const at8 = decoder5(c, at16, skip8);
    const at4 = decoder4(c, at8, skip4);
    const at2 = decoder3(c, at4, skip2);
    const at1 = decoder1(c, decoder2(c, at2, skip1));
    if (!spec.deepSupervision) return [heads[0](c, at1)];
    return [at1, at2, at4, at8].map((x, i) => heads[i](c, x));
  });
}

export const swinUmamba = define({
  name: 'swin-umamba',
  build,
  heads: ['out_layers.'],
  convention: 'The paper adds 9·B·L·D·N for each selective scan, as this count does.',
});
