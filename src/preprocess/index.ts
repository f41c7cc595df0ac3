// Plan and case to arrays.

export { preprocessedFolder } from '../base/paths.js';
export { normalize } from '../plan/normalisations.js';
export { annotatedKey, classLocations, locationEntries, locationKey } from './classLocations.js';
export { forecastBytes } from './memory.js';
export { type CaseProperties, type PreprocessedCase, preprocessCase, preprocessedShape } from './preprocessCase.js';
export { hasStageLabels, loadStageLabels, type StageLabels, saveStageLabels, withPreviousStage } from './previousStage.js';
export { type PreprocessOptions, type PreprocessResult, run } from './run.js';
// `loadCase` is the name that programs written before know it by.
export { listCases, loadStored, loadStored as loadCase, StoredCase, type StoredLocations, saveCase } from './store.js';
