// Data sets on disk: opening, labels and regions, splits, integrity.

export { embeddedNames, writeEmbedded } from '../demo/index.js';
export { type CheckOptions, check, gate, type IntegrityReport, tell, warningText } from './check.js';
export { Contents } from './content.js';
export { type ConvertOptions, convert, publicNames } from './convert/index.js';
export type { CaseFiles, Dataset, DatasetJson } from './dataset.js';
export { datasetJsonFaults, readDatasetJson } from './datasetJson.js';
export { type DescribedProtocol, type Descriptor, describedNames, descriptor, descriptorIfAny } from './descriptor.js';
export { type BackOptions, dicomSegOf } from './dicom/back.js';
export { convertDicom, type DicomCases, type DicomOptions } from './dicom/convert.js';
export { type FetchOptions, fetchableNames, fetchDataset as fetch, fetchSource } from './fetch/index.js';
export { datasetJsonText } from './labelOrder.js';
export { type LabelOrRegion, type Labels, labels, maxLabel } from './labels.js';
export { type BidsOptions, listBids } from './listed/bids.js';
export { listMonai } from './listed/monai.js';
export type { ListOptions } from './listed/write.js';
export { type LoadedCase, loadCase } from './loadCase.js';
export { imageNameFindings } from './names.js';
export { casesIn, open, placeOf } from './open.js';
export { readAs, readerFor, readerNames, readerOf, writeAs } from './reader.js';
export { type Repair, repairKinds } from './repair.js';
export { filesOf, spacingFile } from './sideFile.js';
export { type SplitOptions, split } from './split.js';
export { type Fold, type Split, splits } from './splits.js';
export { type KnownSplits, keepSplits, knownSplits, readSplits } from './splitsFile.js';
