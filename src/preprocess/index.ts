// Plan and case to arrays.
export { annotatedKey, classLocations, locationEntries, locationKey } from './classLocations.js';
export { forecastBytes } from './memory.js';
export { normalize, type Scheme, schemes } from './normalize.js';
export { type CaseProperties, type PreprocessedCase, preprocessCase } from './preprocessCase.js';
export { type PreprocessOptions, type PreprocessResult, preprocessedFolder, run } from './run.js';
export { listCases, loadCase, saveCase } from './store.js';
