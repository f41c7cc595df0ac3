// The room of training: what a notebook sees as `train`.
export { availableBytes } from '../base/memory.js';
export { roundHalfEven } from '../base/numpy/round.js';
export {
  type Checkpoint,
  CheckpointFolder,
  computeThreads,
  type Position,
  readCheckpoint,
  startPosition,
  writeCheckpoint,
} from './checkpoint.js';
export { type Dependency, dependenciesOf, initOf } from './dependencies.js';
export {
  type ClassScore,
  type Experiment,
  foldsOf,
  type Hooks,
  type Losses,
  type Named,
  type NameGroup,
  type Optimisers,
  type OwnFile,
  type ParameterGroup,
  type Postprocessings,
  type PredictionSettings,
  type Recipe,
  type RunScores,
  type Samplers,
  type Scale,
  type Schedules,
  type Start,
} from './experiment.js';
export type { Batch, SamplePlace } from './feed/batchMemory.js';
export { type BatchSource, type FeedOptions, startFeed } from './feed/feed.js';
export { cutPatch, type Phase, Sampler, type SampleSource } from './feed/sample.js';
export { casesBy, placeBy, type SamplerCase, type SamplerDefinition, type SamplerInput } from './feed/samplers.js';
export {
  type ClassLocations,
  type IntegerDraws,
  isForced,
  locationsOf,
  type PatchPlace,
  patchPlace,
} from './feed/sampling.js';
export {
  type Forecast,
  type ForecastInput,
  forecast,
  refuseIfTooLarge,
  shapesAndFlops,
  tensorBytes,
} from './forecast.js';
export { type HookDefinition, type HookState, hooksOf } from './hooks.js';
export { canonicalJson, runFolderOf, runHash, runName } from './identity.js';
export { readStart, type StartRecord, type StartRow, saveStart, startingParams, startText } from './initial.js';
export { beginWith, changedText, changes, inputsOf, type RunInputs, readInputs, supersede } from './inputs.js';
export { type LoopInput, type LoopOptions, loop, type ProgressLine, Stopped } from './loop.js';
export { type DcAndBceOptions, type DcAndCeOptions, dcAndBce, dcAndCe } from './loss/compound.js';
export { binaryCrossEntropy, type CrossEntropyOptions, crossEntropy, topKCrossEntropy } from './loss/crossEntropy.js';
export { deepSupervision, deepSupervisionScales, deepSupervisionWeights } from './loss/deepSupervision.js';
export type { LossDefinition, LossLabels } from './loss/definitions.js';
export { type DiceOptions, diceLoss } from './loss/dice.js';
export { downsampleLabels } from './loss/downsampleLabels.js';
export { type FocalOptions, focal } from './loss/focal.js';
export {
  type DiceFocalOptions,
  diceFocal,
  type MonaiDiceCeOptions,
  type MonaiDiceOptions,
  monaiDice,
  monaiDiceCe,
} from './loss/monaiLoss.js';
export { type TverskyOptions, tversky } from './loss/tversky.js';
export { conclusion, type LrRange, type LrRangeOptions, lrRange } from './lrRange.js';
export { endsOf, modelOf, type Planned } from './model.js';
export { type Objective, objectiveOf } from './objective.js';
export { groupFaults, isNormOrBias, layerwise, type OwnSettings, ownSettings } from './optim/groups.js';
export {
  adamW,
  applyGradients,
  averagedParams,
  clipByGlobalNorm,
  globalNorm,
  initialState,
  isFrozen,
  type Optimiser,
  type OptimiserDefinition,
  type OptimiserState,
  optimiserOf,
  type Stepped,
  sgd,
  type TrainState,
} from './optim/optimiser.js';
export { cosine, learningRate, poly, type ScheduleDefinition } from './optim/schedule.js';
export { admit, drawsOf, isOwn, planOf, plansNameOf, prepare } from './prepare.js';
export type { Prepared } from './prepared.js';
export { checkStages, heldOutBy, networkInput, nextStageFolder, type PreviousStage, previousStageOf } from './previousStage.js';
export { addCounts, type Counts, ema, hardCounts, pseudoDice } from './pseudoDice.js';
export { recipeFaults } from './recipeFaults.js';
export { cacheBytes, forecastInputOf, forecastOf, type RunOptions, run, type Trained } from './run.js';
export { shareOf, splitOf } from './split.js';
export {
  type Accumulated,
  accumulate,
  batchTensors,
  disposeOf,
  firstNotFiniteLayer,
  lossAndGradients,
  type NotFinite,
  type StepSettings,
  trainStep,
  validationStep,
} from './step.js';
export { applyVoxelTable, fitVoxelTable, type VoxelSample, type VoxelTable } from './voxelTable.js';
export { type Checkpoints, weightsFile } from './weightsFile.js';
