export { bootstrap, bootstrapMean, resamples } from './bootstrap.js';
export { type Definition, type DefinitionName, definitions } from './definitions.js';
export { distanceTransform } from './distanceTransform.js';
export { adjust } from './multipleTesting.js';
export {
  type BestConfiguration,
  type Candidate,
  chooseBest,
  findBestConfiguration,
  inferenceInformation,
  inferenceInstructions,
  type TrainedModel,
} from './nnunetBest.js';
export { readNnunetJson, toNnunetJson, writeNnunetJson } from './nnunetJson.js';
export {
  applyPostprocessing,
  choosePostprocessing,
  determinePostprocessing,
  type PostprocessingChoice,
  readPostprocessing,
} from './nnunetPostprocessing.js';
export {
  type EvaluationCase,
  evaluateFolder,
  type NnunetMetrics,
  type NnunetSummary,
  nnunetMetrics,
  nnunetSummary,
} from './nnunetSummary.js';
export { quantile } from './quantile.js';
export { contourLengths, surfelAreas } from './surfels.js';
export { type MetricName, metricNames, type ScoreOptions, volume } from './volume.js';
export { wilcoxon } from './wilcoxon.js';
