// The networks a specification can name: the built-in ones enter by the door that is open to others as well.
import { register } from '../base/registry.js';
import { coTr } from './baselines/coTr.js';
import { nnFormer } from './baselines/nnFormer.js';
import { plainConvUnet } from './baselines/plainConvUnet.js';
import { residualEncoderUnet } from './baselines/residualEncoderUnet.js';
import { segResNet } from './baselines/segResNet.js';
import { swinUnetr } from './baselines/swinUnetr.js';
import { transBts } from './baselines/transBts.js';
import { transUnet } from './baselines/transUnet.js';
import { umambaBot, umambaEnc } from './baselines/umamba.js';
import { unetr } from './baselines/unetr.js';
import { uxNet } from './baselines/uxNet.js';
import type { Definition as NetworkDefinition, SpecOf } from './define.js';
import { kaistUnet } from './papers/kaistUnet.js';
import { mednext } from './papers/mednext.js';
import { stuNet } from './papers/stuNet.js';
import { swinUmamba } from './papers/swinUmamba.js';
import { swinUmambaD } from './papers/swinUmambaD.js';

const builtIn = [
  mednext,
  kaistUnet,
  plainConvUnet,
  residualEncoderUnet,
  segResNet,
  stuNet,
  uxNet,
  coTr,
  swinUmamba,
  swinUmambaD,
  umambaBot,
  umambaEnc,
  nnFormer,
  transBts,
  transUnet,
  unetr,
  swinUnetr,
] as const;

type BuiltIn = { [D in (typeof builtIn)[number] as D['name']]: SpecOf<D> };

/** The specification of each network by its name. A network from outside adds its own by declaration merging. */
export interface Networks extends BuiltIn {}

/** Every network's specification: plain data, told apart by `network`. */
export type ModelSpec = Networks[keyof Networks];

/** The built-in networks' names, as `spec.network` takes them. */
export const networkNames: readonly BuiltIn[keyof BuiltIn]['network'][] = builtIn.map(({ name }) => name);

declare module '../base/registry.js' {
  interface Kinds {
    networks: NetworkDefinition;
  }
}

for (const definition of builtIn) register('networks', definition);
