// The papers: experiments and published tables, as data.
export { type BesideOptions, beside, type OwnColumn } from './beside.js';
export { claims, type PaperName, type PublishedPaper, type PublishedTable, published, rowName } from './claims.js';
export { type Finding, findings, findingsTable, type Statement } from './findings.js';
export { type HoursReference, hoursFormula, hoursGpu, hoursReference, hoursSource, passes } from './hours.js';
export * as kaistBrats21 from './kaistBrats21/index.js';
export { Maps, type ValueMap } from './maps.js';
export * as mednext from './mednext/index.js';
export { narrow2d, narrow3d } from './narrow.js';
export { table } from './publishedTable.js';
export * as recipes from './recipes.js';
export {
  demoTable,
  type PaperStudy,
  type Reason,
  reasons,
  type StudyChoice,
  type StudyName,
  type StudyTable,
  study,
  studyNames,
} from './studies.js';
export * as stuNet from './stuNet/index.js';
export * as swinUmamba from './swinUmamba/index.js';
