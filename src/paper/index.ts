// The papers: experiments and published tables, as data.

export { desk, deskNames } from './deskStudies.js';
export * as kaistBrats21 from './kaistBrats21/index.js';
export * as mednext from './mednext/index.js';
export * as recipes from './recipes.js';
export { type BesideOptions, beside, type OwnColumn } from './shared/besidePublished.js';
export {
  type CellMeaning,
  claims,
  type Dispute,
  type PaperName,
  type PublishedPaper,
  type PublishedTable,
  published,
  rowName,
} from './shared/claims.js';
export {
  type Decision,
  type DeskVerdict,
  decide,
  decisionSentences,
  decisionTable,
  deskVerdicts,
  planTable,
  seedDifferences,
} from './shared/decide.js';
export { narrow2d, narrow3d } from './shared/demoNetworks.js';
export type { DeskClaim, DeskPlan, DeskStudy } from './shared/desk.js';
export { type DifferentiableForward, type EffectiveField, effectiveField, effectiveFields } from './shared/effectiveField.js';
export {
  aboveFloor,
  type Finding,
  findings,
  findingsTable,
  type Statement,
  type Verdict,
  verdictKinds,
  verdicts,
} from './shared/findings.js';
export { type HoursReference, hoursFormula, hoursGpu, hoursReference, hoursSource, passes } from './shared/hours.js';
export { Maps, type ValueMap } from './shared/maps.js';
export { type Protocol, type ProtocolKind, protocolText, publishedSplit, scoredOn } from './shared/protocol.js';
export { table } from './shared/publishedTable.js';
export { methodNotes, protocolOf, publishedTable, ruleFor, ruleOf } from './shared/rules.js';
export { type Reason, reasons, type StudyTable } from './shared/study.js';
export { demoTable, type PaperStudy, type StudyChoice, type StudyName, study, studyNames } from './studies.js';
export * as stuNet from './stuNet/index.js';
export * as swinUmamba from './swinUmamba/index.js';
