// Data sets on disk: opening, labels and regions, splits, integrity.

export { embeddedNames, writeEmbedded } from '../demo/index.js';
export { check, type IntegrityReport } from './check.js';
export { convert, publicNames } from './convert/index.js';
export type { CaseFiles, Dataset, DatasetJson } from './dataset.js';
export { datasetJsonFaults } from './datasetJson.js';
export { type DescribedProtocol, type Descriptor, describedNames, descriptor, descriptorIfAny } from './descriptor.js';
export { type LabelOrRegion, type Labels, labels } from './labels.js';
export { type LoadedCase, loadCase } from './loadCase.js';
export { casesIn, open, placeOf } from './open.js';
export { type Fold, readSplits, type Split, split, splits } from './splits.js';
