// The room of prediction: what a notebook sees as `predict`.

export {
  keepLargestComponent,
  type PostprocessingDefinition,
  type PostprocessingStep,
  postprocess,
  replaceIfSmall,
} from '../volume/postprocess.js';
export type { PredictCaseOptions, Predicted } from './case.js';
export {
  average,
  ensembleFolders,
  ensembleLabels,
  readProbabilities,
  writeProbabilities,
} from './ensemble.js';
export { gaussianMap } from './gaussian.js';
export { type CaseGeometry, labelsForNextStage, type Restored, type RestoreSettings, restore, restorer } from './restore.js';
export {
  type ForeignModel,
  type PredictionModel,
  predictCase,
  type RunOptions,
  run,
  writeLabels,
} from './run.js';
export { type Heads, probabilities, segmentation } from './segmentation.js';
export {
  type Forward,
  forwardOf,
  predictLogits,
  predictSlabs,
} from './slidingWindow.js';
export { padToPatch, tileStarts } from './tiles.js';
export type { PatchNetwork, SlabConsumer, SlidingWindowOptions } from './windows.js';
