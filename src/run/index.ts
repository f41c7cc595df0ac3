// The room of runs: what a notebook sees as `run`.

export { baseline } from './baseline.js';
export { type CompleteOptions, complete, readExperiments, type ShortExperiment } from './complete.js';
export { compareDesk, comparisonText, type DeskComparison, deskStudy } from './deskStudy.js';
export { type DirectInferenceOptions, directInference } from './directInference.js';
export { type DiskUse, diskText, diskUse } from './disk.js';
export { type DryRunOptions, dryRun } from './dryRun.js';
export { DryRun, type DryRunRow, type DryRunTotals } from './dryRunTable.js';
export { type EnsembleOptions, ensemble } from './ensemble.js';
export { type ExportOnnxOptions, exportNnunetModel, exportOnnx, measurePrecision } from './exportOnnx.js';
export { exportProgress, type ProgressFormat } from './exportProgress.js';
export { type FoundBest, findBest } from './findBest.js';
export { type PlannedRun, type RunOrder, type RunState, readProgress, readScores } from './folder.js';
export { graph } from './graph.js';
export { type ListedRun, list, listText, stateOf } from './list.js';
export { predictFolder, trainedModel } from './predictFolder.js';
export { type Pulled, type PullOptions, pull } from './pull.js';
export {
  type DeskResult,
  type Rank,
  type Recorded,
  type RecordedMap,
  type Recording,
  record,
  recorded,
  recordedNames,
} from './recording.js';
export { remove, withDependents } from './remove.js';
export { type Reproducible, type Reproduction, reproduce, rowsByTable } from './reproduce.js';
export { type FinishedRun, finishedRun } from './result.js';
export { type Predictions, rowBy, scoreBy } from './scoring.js';
export { attach, type StartOptions, start, stop } from './start.js';
export { type Study, type StudyOptions, study } from './study.js';
export { tableRows } from './tableRows.js';
