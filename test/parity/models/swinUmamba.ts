// Swin-UMamba: constructor arguments of SwinUMamba and its blocks as our specification.
import fs from 'node:fs';
import path from 'node:path';
import { patchEmbed, patchMerging, ss2d, vssBlock, vssEncoder } from '../../../src/model/layers/vss.js';
import { Declaration } from '../../../src/model/network.js';
import { type SwinUmambaSpec, swinUmamba } from '../../../src/model/papers/swinUmamba.js';
import { swinUmambaD } from '../../../src/model/papers/swinUmambaD.js';
import { tf } from '../../../src/tensor/tf.js';
import { vmambaTransfer } from '../../../src/weights/vmambaTransfer.js';
import { equal, type GoldenCase, readJson } from '../case.js';
import type { Arch, Checked } from './arch.js';
import { configCases } from './configs.js';
import { monaiBlocks } from './unetr.js';

/** A block's closure with its parameters; tokens are channels last in the original too. */
export function tokenBlock(declare: (d: Declaration) => (c: any, x: any) => any): Checked {
  const d = new Declaration();
  const layer = declare(d);
  return { parameters: d.parameters, channelsFirst: () => false, forward: (c, x) => tf.tidy(() => [layer(c, x)]) };
}

export const vssBlocks: Record<string, (c: any) => Checked> = {
  SS2D: (c) => tokenBlock((d) => ss2d(d, '', { dim: c.d_model, states: c.d_state ?? 16 })),
  VSSBlock: (c) =>
    tokenBlock((d) => vssBlock(d, '', { dim: c.hidden_dim, states: c.d_state ?? 16, epsilon: c.norm_layer ? 1e-5 : 1e-6 })),
  VSSLayer: (c) =>
    tokenBlock((d) => {
      const settings = { dim: c.dim, states: c.d_state ?? 16 };
      const layers = Array.from({ length: c.depth }, (_, i) => vssBlock(d, `blocks.${i}`, settings));
      const merge = c.downsample ? patchMerging(d, 'downsample', c.dim) : undefined;
      return (context, x) => {
        const y = layers.reduce((z, layer) => layer(context, z), x);
        return merge ? merge(context, y) : y;
      };
    }),
  PatchMerging2D: (c) => tokenBlock((d) => patchMerging(d, '', c.dim)),
  VSSMEncoder: (c) => {
    const d = new Declaration();
    const depths: number[] = c.depths ?? [2, 2, 9, 2];
    const dims = c.dims ?? [96, 192, 384, 768];
    const encoder = vssEncoder(d, '', {
      in: c.in_chans ?? 3,
      patch: c.patch_size ?? 4,
      dims: typeof dims === 'number' ? depths.map((_, i) => dims * 2 ** i) : dims,
      depths,
      states: c.d_state ?? 16,
      dropPath: 0,
    });
    return { parameters: d.parameters, forward: (context, x) => tf.tidy(() => encoder(context, x).map((y) => tf.clone(y))) };
  },
  PatchEmbed2D: (c) => ({
    ...tokenBlock((d) =>
      patchEmbed(d, '', { patch: c.patch_size ?? 4, in: c.in_chans ?? 3, dim: c.embed_dim ?? 96, norm: Boolean(c.norm_layer) }),
    ),
    channelsFirst: (name) => name === 'x', // the output is channels last
  }),
};

export function swinUmambaSpec(c: any): SwinUmambaSpec {
  const features: number[] = c.feat_size ?? [48, 96, 192, 384, 768];
  const encoder = c.vssm_encoder ?? {};
  return {
    network: 'swin-umamba',
    version: features.length === 5 ? 'v2' : 'v1',
    inputChannels: c.in_chans ?? 1,
    classes: c.out_chans ?? 13,
    deepSupervision: c.deep_supervision ?? false,
    widths: features.length === 5 ? features : [...features, c.hidden_size ?? 768],
    depths: encoder.depths,
    states: encoder.d_state,
    norm: c.norm_name,
    residual: c.res_block,
  };
}

export const arch: Arch = {
  network: (c) => swinUmamba.build(swinUmambaSpec(c)),
  block(cls, c) {
    if (Object.hasOwn(monaiBlocks, cls)) return monaiBlocks[cls](c);
    if (!Object.hasOwn(vssBlocks, cls)) throw new Error(`unknown: block ${cls}`);
    return vssBlocks[cls](c);
  },
  full: (root, folder) => [
    ...configCases(root, folder, (c) => swinUmamba.build(swinUmambaSpec(c))),
    ...transferCases(root, folder),
  ],
};

/** Which entries of a VMamba checkpoint go where. */
function transferCases(root: string, folder: string): GoldenCase[] {
  const file = path.join(root, folder, 'vmamba-checkpoint-loading.json');
  if (!fs.existsSync(file)) return [];
  return [
    {
      name: `${folder}/vmamba-checkpoint-loading`,
      run() {
        const json = readJson(file);
        return Object.entries<any>(json.result).flatMap(([title, expected]) => {
          const dagger = title.startsWith('SwinUMambaD');
          const inputChannels = Number(/(\d+) input/.exec(title)?.[1] ?? 1);
          const ends = { inputChannels, classes: 2 };
          const network = dagger ? 'swin-umamba-d' : 'swin-umamba';
          const { parameters } = dagger
            ? swinUmambaD.build({ network: 'swin-umamba-d', ...ends })
            : swinUmamba.build({ network: 'swin-umamba', ...ends });
          const rows = vmambaTransfer(json.checkpoint_entries, { network, inputChannels, parameters });
          const loaded = rows.filter((r) => r.outcome === 'loaded');
          const targets = new Set(loaded.map((r) => r.to));
          const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
          const left = parameters.filter((p) => !targets.has(p.name)).map((p) => p.name);
          const encoder = left.filter((n) => n.startsWith('vssm_encoder.'));
          const names = (list: typeof rows) => list.map((r) => r.name);
          return [
            equal(`${title}: entries`, rows.length, expected.entries_in_checkpoint),
            equal(`${title}: loaded`, loaded.length, expected.loaded),
            equal(
              `${title}: loaded values`,
              parameters.filter((p) => targets.has(p.name)).reduce((sum, p) => sum + size(p.shape), 0),
              expected.loaded_parameters,
            ),
            equal(
              `${title}: renamed`,
              loaded.filter((r) => r.why === 'renamed').map((r) => [r.name, r.to]),
              expected.renamed,
            ),
            equal(`${title}: prefixed`, names(loaded.filter((r) => r.why !== 'renamed')), expected.prefixed_only),
            equal(`${title}: skipped`, names(rows.filter((r) => r.outcome === 'skipped')), expected.skipped_by_name),
            equal(`${title}: passed over`, names(rows.filter((r) => r.outcome === 'passed over')), [
              ...expected.passed_over,
              ...(expected.not_used_otherwise ?? []),
            ]),
            equal(`${title}: encoder left random`, encoder, expected.encoder_entries_left_at_random_initialisation),
            equal(`${title}: other entries left`, left.length - encoder.length, expected.other_entries_left),
          ];
        });
      },
    },
  ];
}
