// The networks a specification can name: the built-in ones and those that are registered from outside, alike.
import { VoxelbookError } from '../base/errors.js';
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
import type { Definition, SpecOf } from './define.js';
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

/** What `spec.network` may be. */
export const networkNames: string[] = [];

const definitions = new Map<string, Definition>();

/**
 * Makes a network known under its name, for this process.
 * @throws VoxelbookError when another network has the name
 */
export function register(definition: Definition): void {
  const known = definitions.get(definition.name);
  if (known && known !== definition)
    throw new VoxelbookError(`there is a network ${definition.name} already`, {
      code: 'name-taken',
      path: 'name',
      given: JSON.stringify(definition.name),
      expected: `a name other than ${networkNames.join(', ')}`,
      fix: 'Give the network a name of its own.',
    });
  if (known) return;
  definitions.set(definition.name, definition);
  networkNames.push(definition.name);
}

/** The definition of this name; undefined when there is none. */
export const definitionOf = (name: string): Definition | undefined => definitions.get(name);

for (const definition of builtIn) register(definition);
