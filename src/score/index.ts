// Scores of predictions, and the statistics of scores.

export {
  type BestConfiguration,
  type Candidate,
  chooseBest,
  findBestConfiguration,
  inferenceInformation,
  inferenceInstructions,
  type TrainedModel,
} from '../nnunet/best.js';
export { readNnunetJson, toNnunetJson, writeNnunetJson } from '../nnunet/json.js';
export {
  applyPostprocessing,
  choosePostprocessing,
  determinePostprocessing,
  type PostprocessingChoice,
  readPostprocessing,
} from '../nnunet/postprocessing.js';
export {
  type EvaluationCase,
  evaluateFolder,
  type NnunetMetrics,
  type NnunetSummary,
  nnunetMetrics,
  nnunetSummary,
} from '../nnunet/summary.js';
export {
  type Components,
  type Connectivity,
  connectedComponents,
  dilate,
  erode,
  fillHoles,
  largestComponent,
  removeSmaller,
} from '../volume/components.js';
export { assign } from './assignment.js';
export { type BootstrapResult, bootstrap, bootstrapMean, type Interval, resamples } from './bootstrap.js';
export { type Calibration, calibration } from './calibration.js';
export { type Definition, type DefinitionName, definitions } from './definitions.js';
export { distanceTransform } from './distanceTransform.js';
export { type Agreement, blandAltman, kendallTau, type PairedEffect, pairedEffect, pearson, spearman } from './effect.js';
export {
  type Equivalence,
  equivalence,
  equivalencePower,
  notSuperiorPower,
  type PowerOf,
  pairedPower,
} from './equivalence.js';
export { type InstanceScore, instanceF1, instanceF1OfPicture, panopticQuality, relabel, removeAtBorder } from './instances.js';
export { type Lesion, type LesionParameters, type LesionwiseScore, lesionParameters, lesionwise } from './lesionwise.js';
export { cutMasks, type MaskPair } from './masks.js';
export { type MetricDefinition, type MetricInput, scoreWith } from './metrics.js';
export { adjust } from './multipleTesting.js';
export { nsdCurve } from './nsdCurve.js';
export { quantile } from './quantile.js';
export {
  friedman,
  kruskalWallis,
  minRanks,
  pairwisePvalues,
  type RankingMethod,
  rank,
  rankingStability,
  ranksPerCase,
  significance,
} from './ranking.js';
export { confusion, type MonaiReduction, monaiReduce, nanMean } from './reduce.js';
export { definitionOf, type Order, type Rule, ruleNotes, type Scoring } from './rule.js';
export { type Summary, summarise } from './summary.js';
export { boundaryDistances, nsd, type Surfaces, surfelDistances } from './surface.js';
export { contourLengths, surfelAreas } from './surfels.js';
export { type CasePair, cases, type ThreadOptions, volumeInThreads } from './threads.js';
export { type MetricName, metricNames, type ScoreOptions, volume } from './volume.js';
export { type WilcoxonOptions, type WilcoxonResult, wilcoxon } from './wilcoxon.js';
