// Every network's specification: plain data, told apart by `network`. Each network file exports its own.

import type { CoTrSpec } from './baselines/coTr.js';
import type { NnFormerSpec } from './baselines/nnFormer.js';
import type { PlainConvUnetSpec } from './baselines/plainConvUnet.js';
import type { ResidualEncoderUnetSpec } from './baselines/residualEncoderUnet.js';
import type { SegResNetSpec } from './baselines/segResNet.js';
import type { SwinUnetrSpec } from './baselines/swinUnetr.js';
import type { TransBtsSpec } from './baselines/transBts.js';
import type { TransUnetSpec } from './baselines/transUnet.js';
import type { UmambaSpec } from './baselines/umamba.js';
import type { UnetrSpec } from './baselines/unetr.js';
import type { UxNetSpec } from './baselines/uxNet.js';
import type { KaistUnetSpec } from './papers/kaistUnet.js';
import type { MedNextSpec } from './papers/mednext.js';
import type { StuNetSpec } from './papers/stuNet.js';
import type { SwinUmambaSpec } from './papers/swinUmamba.js';
import type { SwinUmambaDSpec } from './papers/swinUmambaD.js';

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
