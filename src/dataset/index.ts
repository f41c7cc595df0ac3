// Data sets on disk: opening, labels and regions, splits, integrity.
export { check, type IntegrityReport } from './check.js';
export { convert, type Descriptor, descriptor, publicNames } from './convert/index.js';
export type { CaseFiles, Dataset, DatasetJson } from './dataset.js';
export { datasetJsonFaults } from './datasetJson.js';
export { embeddedNames, writeEmbedded } from './embedded/index.js';
export { type LabelOrRegion, type Labels, labels } from './labels.js';
export { type LoadedCase, loadCase } from './loadCase.js';
export { casesIn, open } from './open.js';
export { type Fold, readSplits, type Split, split, splits } from './splits.js';
