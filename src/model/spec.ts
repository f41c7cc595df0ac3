// Every network's specification: plain data, told apart by `network`. Each network file exports its own.
import type { MedNextSpec } from './mednext.js';
import type { SwinUmambaSpec } from './swinUmamba.js';
import type { SwinUmambaDSpec } from './swinUmambaD.js';
import type { UmambaSpec } from './umamba.js';

/** What every specification may say about its ends; what is left out comes from the data set when the network is built. */
export interface Head {
  inputChannels?: number;
  /** Output channels: labels with background, or regions. */
  classes?: number;
  /** Heads at lower resolutions too. */
  deepSupervision?: boolean;
}

export type ModelSpec = MedNextSpec | SwinUmambaSpec | SwinUmambaDSpec | UmambaSpec;
