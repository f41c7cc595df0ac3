// Every network's specification: plain data, told apart by `network`. Each network file exports its own.

import type { CoTrSpec } from './coTr.js';
import type { KaistUnetSpec } from './kaistUnet.js';
import type { MedNextSpec } from './mednext.js';
import type { NnFormerSpec } from './nnFormer.js';
import type { PlainConvUnetSpec } from './plainConvUnet.js';
import type { ResidualEncoderUnetSpec } from './residualEncoderUnet.js';
import type { SegResNetSpec } from './segResNet.js';
import type { StuNetSpec } from './stuNet.js';
import type { SwinUmambaSpec } from './swinUmamba.js';
import type { SwinUmambaDSpec } from './swinUmambaD.js';
import type { SwinUnetrSpec } from './swinUnetr.js';
import type { TransBtsSpec } from './transBts.js';
import type { TransUnetSpec } from './transUnet.js';
import type { UmambaSpec } from './umamba.js';
import type { UnetrSpec } from './unetr.js';
import type { UxNetSpec } from './uxNet.js';

/** What every specification may say about its ends; what is left out comes from the data set when the network is built. */
export interface Head {
  inputChannels?: number;
  /** Output channels: labels with background, or regions. */
  classes?: number;
  /** Heads at lower resolutions too. */
  deepSupervision?: boolean;
}

export type ModelSpec =
  | MedNextSpec
  | KaistUnetSpec
  | PlainConvUnetSpec
  | ResidualEncoderUnetSpec
  | SegResNetSpec
  | StuNetSpec
  | UxNetSpec
  | CoTrSpec
  | SwinUmambaSpec
  | SwinUmambaDSpec
  | NnFormerSpec
  | SwinUnetrSpec
  | TransBtsSpec
  | TransUnetSpec
  | UmambaSpec
  | UnetrSpec;
