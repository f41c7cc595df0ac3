// What preparing an experiment's data leaves for training.
import type { Fault } from '../base/errors.js';
import type { Dataset, Fold, Labels, Split } from '../dataset/index.js';
import type { Configuration, Fingerprint, Plan } from '../plan/index.js';

/** A data set that is ready for training. */
export interface Prepared {
  dataset: Dataset;
  labels: Labels;
  plan: Plan;
  /** The configuration, with the recipe's patch and batch size in it. */
  configuration: Configuration;
  /** Folder of the preprocessed cases. */
  folder: string;
  fingerprint: Fingerprint;
  /** What a person should know of the data set and the plan; for the record of the run. */
  warnings: Fault[];
  split(fold: Fold): Split;
}
