// An experiment is a plain object that says how a case walks through the rooms. JSON in, JSON out.

import type { Entry, PipelineName } from '../augment/index.js';
import type { Fold, LabelOrRegion } from '../dataset/index.js';
import type { ModelSpec } from '../model/index.js';
import type { FixedPlanName, Planner } from '../plan/index.js';

/** Settings of each optimiser by its name. A module that brings one adds its own by declaration merging, as for every kind below. */
export interface Optimisers {
  sgd: { learningRate: number; momentum: number; nesterov: boolean; weightDecay: number };
  adamw: { learningRate: number; beta1: number; beta2: number; epsilon: number; weightDecay: number };
}

/** `cosine` is laid out over `total` epochs although training may stop before. */
export interface Schedules {
  poly: { exponent: number };
  cosine: { total: number; minimum: number };
}

interface DicePart {
  /** `v1`: 1e-8 added to the denominator; `v2`: the denominator clamped at 1e-8. */
  dice: 'nnunetv1' | 'nnunetv2';
  batchDice: boolean;
  smooth: number;
}

/** Factors of the two terms; default 1. */
interface TermWeights {
  diceWeight?: number;
  ceWeight?: number;
}

interface ClassPart {
  /** One factor a class, background first. */
  classWeights?: number[];
  /** Share of the target spread evenly over the classes. */
  labelSmoothing?: number;
}

/** What MONAI's losses have in common. */
interface MonaiPart {
  /** Default: softmax over labels, sigmoid over regions. */
  activation?: 'softmax' | 'sigmoid';
  includeBackground: boolean;
  reduction: 'mean' | 'sum';
}

interface MonaiOverlap extends MonaiPart {
  batch: boolean;
  smoothNumerator: number;
  smoothDenominator: number;
}

interface MonaiDice extends MonaiOverlap {
  squaredPrediction: boolean;
  jaccard: boolean;
  classWeights?: number[];
}

interface FocalPart {
  gamma: number;
  alpha?: number;
}

/** Settings of each loss, by the `kind` that a recipe gives it. */
export interface Losses {
  'dice+ce': DicePart & TermWeights & ClassPart;
  'dice+bce': DicePart & TermWeights;
  dice: DicePart;
  ce: ClassPart;
  /** `percent` of the voxels count: those with the largest cross entropy. */
  topk: { percent: number } & ClassPart;
  'dice+topk': { percent: number } & DicePart & TermWeights & ClassPart;
  focal: FocalPart & MonaiPart & { classWeights?: number[] };
  tversky: { alpha: number; beta: number } & MonaiOverlap;
  'monai-dice': MonaiDice;
  'monai-dice+ce': MonaiDice & TermWeights & { labelSmoothing?: number };
  'monai-dice+focal': MonaiDice & FocalPart & { diceWeight?: number; focalWeight?: number };
}

/** What is called at the start and end of an epoch and a step. */
export interface Hooks {
  log: { every?: number };
}

/** Which case is drawn and which patch of it is cut; `probabilistic`: each sample holds foreground by chance, `nnunet`: the last of a batch do. */
export interface Samplers {
  nnunet: object;
  probabilistic: object;
}

/** What is done to predicted labels, in the geometry of the image; key for key as in nnU-Net's `postprocessing.json`. */
export interface Postprocessings {
  remove_all_but_largest_component_from_segmentation: { labels_or_regions: LabelOrRegion | LabelOrRegion[] };
  replace_if_small: { label: number; by: number; belowMm3: number };
}

/** `{ kind: 'sgd', learningRate: … }`: one of the entries of a table of settings, by its name. */
export type Named<Table> = { [K in keyof Table]: { kind: K } & Table[K] }[keyof Table];

/** Parameters whose name starts with one of `prefixes` and with none of `except`. */
export interface NameGroup {
  prefixes: string[];
  except?: string[];
}

/** Parameters with a learning rate (`learningRate` times the recipe's) or a weight decay of their own. */
export interface ParameterGroup extends NameGroup {
  learningRate?: number;
  weightDecay?: number;
}

/** Optimiser, schedule, loss, augmentation and budget: data, one entry per line of a paper's recipe. */
export interface Recipe {
  optimiser: Named<Optimisers>;
  schedule: Named<Schedules>;
  epochs: number;
  iterationsPerEpoch: number;
  validationIterationsPerEpoch: number;
  /** Override the plan's. */
  batchSize?: number;
  patchSize?: number[];
  loss: Named<Losses>;
  /** Weight of each output, full resolution first, before normalising to sum 1; `nnunet` = 1/2^i with the last 0, `all` = 1/2^i. */
  deepSupervision: 'nnunet' | 'all' | 'none' | number[];
  gradientClip: number;
  oversampleForeground: number;
  /** Which patch of a case is cut; default `nnunet`. */
  sampler?: Named<Samplers>;
  /** A pipeline of `augment.pipelines`, or a list of transforms. */
  augmentation: PipelineName | readonly Entry[];
  mirrorAxes: number[];
  /** These parameters stay fixed for the first `epochs`; without a number for good. */
  freeze?: NameGroup & { epochs?: number };
  /**
   * Epochs in which the rate rises in equal steps before the schedule begins, which is laid out over the others: in epoch e from 0 it is
   * (e + 1)/epochs of the whole (nnU-Net), with `from` it begins at that share and is whole after the last (PyTorch `LinearLR`).
   */
  warmup?: { epochs: number; from?: number };
  /** Rates and weight decay of single layers; the first group that names a parameter counts. */
  groups?: ParameterGroup[];
  /** False: no weight decay on scales, shifts and biases. */
  decayNormsAndBiases?: boolean;
  /** Batches whose mean gradient makes a step; default 1. An iteration is a step. */
  accumulate?: number;
  /** A running average of the parameters; `evaluate`: it is what validation, `best` and `final` weights have, and so what predicts. */
  ema?: { decay: number; evaluate: boolean };
  /** Ends training when the running pseudo-Dice has not risen for `patience` epochs. */
  earlyStopping?: { patience: number };
  /** Keeps the weights of every such epoch as `checkpoints/epoch-<n>.safetensors`. */
  keepEvery?: number;
  /** Called at the start and end of epochs and steps, in this order. */
  hooks?: Named<Hooks>[];
}

/** Sliding-window prediction, as each paper does it. */
export interface PredictionSettings {
  stepSize: number;
  gaussian: boolean;
  mirrorAxes: number[];
  average: 'logits' | 'probabilities';
  /** Steps for predicted labels, in this order. */
  postprocessing?: Named<Postprocessings>[];
  /** Weights that predict: those at the end (default), or those of the best running pseudo-Dice. */
  checkpoint?: 'final' | 'best';
}

/** `paper`: the published budget; `demo`: what two cores do in minutes. */
export type Scale = 'demo' | 'paper';

/** A file of a person's own that a run is made from: where it lies and what it holds, which alone belongs to the run's identity. */
export interface OwnFile {
  file: string;
  sha256: string;
}

/**
 * How an experiment starts from another one or from a file. From another data set, or from a file, the heads are left out and everything
 * else must be there and fit; with `partial` whatever fits is taken. With `only` nothing but parameters whose names start so is carried
 * over, all of them. A VMamba checkpoint (of ImageNet) fills the encoder of a Swin-UMamba, as in its paper.
 */
export type Start =
  | { upkernFrom: Experiment }
  | { from: Experiment; only?: string[]; partial?: boolean }
  | { weights: string; partial?: boolean };

/** A complete experiment: everything that decides a run's result, as JSON. */
export interface Experiment {
  /** What a table row says: `MedNeXt-S k5, UpKern`. Not part of the identity of a run. */
  name: string;
  /** A data set's folder, or the name of an embedded one (`SimGlioma`). */
  dataset: string;
  configuration: string;
  /** The plan a paper fixes (spacing, patch, batch, normalisation) or a plan of one's own, instead of a planner's. */
  plan?: FixedPlanName | OwnFile;
  planner?: Planner;
  /** GPU memory to plan for, GB; default the planner's own. Less means smaller patches, and so a cascade for smaller images. */
  gpuMemoryGb?: number;
  model: ModelSpec;
  recipe: Recipe;
  prediction: PredictionSettings;
  /**
   * Folds to run. `all`, alone or in the list: one run on every training case, which predicts the data set's test cases; where it has none,
   * the training cases themselves.
   */
  folds: Fold[] | 'all';
  seeds: number[];
  /** Share of each fold's training cases that is used, above 0 to 1 (default); a smaller share is part of a larger one. */
  trainShare?: number;
  init?: Start;
  /**
   * Cascade: the experiment of the configuration before this one (`3d_lowres` before `3d_cascade_fullres`), on the same data set and plan.
   * A run needs the runs of the same seed of every fold that holds one of its cases out; usually all five.
   */
  previousStage?: Experiment;
  /**
   * Cases that a paper's published split trains on and holds out, by id; fold 0 is this split and there is no other.
   */
  split?: { train: string[]; val: string[] };
  /**
   * Definition and tolerance (mm) of NSD, and what is scored: name → the labels it is made of (WT = [1, 2, 3]).
   * Default: the score room's own definition, and the data set's labels or regions. Scores are computed from stored predictions: another
   * scoring is no other run.
   */
  scoring?: {
    definition?: string;
    nsdToleranceMm?: number | Record<string, number>;
    classes?: Record<string, number[]>;
    /** Further metrics, by name. */
    metrics?: string[];
  };
  scale: Scale;
  /** Modules that bring parts of one's own; code, which is loaded wherever the run is computed. */
  extensions?: OwnFile[];
  /** What tells it from its neighbours in a figure (`{ size: 'S', share: 0.1 }`). Not part of the identity of a run. */
  labels?: Record<string, string | number>;
}

/** One value of one class of one case; `state` says why a value is not a number. */
export interface ClassScore {
  dsc: number;
  nsd: number;
  hd95: number;
  state: 'ok' | 'both-empty' | 'missed' | 'false-alarm';
  [metric: string]: number | string;
}

/** What `scores.json` of a run holds. */
export interface RunScores {
  experiment: string;
  fold: Fold;
  seed: number;
  /** Tolerance of NSD in mm, and the definition used. */
  nsd: { toleranceMm: number; definition: string };
  cases: { id: string; classes: Record<string, ClassScore> }[];
  /** Which cases these are; absent: the fold's validation cases. `training`: seen in training, no test of anything. */
  on?: 'validation' | 'test' | 'training';
  /** Cases predicted that have no reference to be scored against. */
  unscored?: string[];
  /** SHA-256 over the files of each test case as it was scored. */
  tested?: Record<string, { images: string; label: string }>;
  cost: {
    parameters: number;
    /** Multiply-adds of one forward pass on one patch. */
    flops: number;
    trainSeconds: number;
    predictSeconds: number;
    peakBytes: number;
    forecastBytes: number;
  };
}

/** The folds of an experiment as a list. */
export const foldsOf = ({ folds }: Pick<Experiment, 'folds'>): readonly Fold[] => (folds === 'all' ? ['all'] : folds);
