// CoTr: what ResTranUnet was built with, as our specification.
import { type CoTrSpec, coTr } from '../../../src/model/baselines/coTr.js';
import type { Arch } from './arch.js';
import { configCases } from './configs.js';

const spec = (c: any): CoTrSpec => ({
  network: 'cotr',
  inputChannels: c.in_channels,
  classes: c.num_classes,
  widths: c.widths,
  blocks: c.blocks,
  layers: c.layers,
  heads: c.heads,
  points: c.points,
  mlp: c.mlp,
  deepSupervision: c.deep_supervision,
});

export const arch: Arch = {
  network: (c) => coTr.build(spec(c)),
  full: (root, folder) => configCases(root, folder, (c) => coTr.build(spec(c))),
};
