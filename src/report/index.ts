// What a reader sees: tables, figures, volumes; each shows itself in a notebook and prints itself elsewhere.
export { type AblationOptions, ablation } from './ablation.js';
export type { Counting, EmptyPolicy, SpreadOver, Variant } from './aggregate.js';
export { type BlandAltmanOptions, blandAltman } from './blandAltman.js';
export type { Claim } from './claim.js';
export { resetColours, styleOf } from './colours.js';
export { type ComparisonOptions, comparison } from './comparison.js';
export {
  calibrationPlot as calibration,
  type DataShareCurve,
  dataShare,
  nsdTolerance,
  type ScalingOptions,
  scaling,
  type ToleranceCurve,
} from './curves.js';
export { escapeText, type MimeBundle, NotebookOutput, plainLabel, plainText } from './display.js';
export { type Answer, Checked, type CheckOptions, check, type Verdict } from './exercise.js';
export { type Axis, Figure, type Layout, type Trace } from './figure.js';
export { type Curve, learningCurve } from './learningCurve.js';
export { errorNotice, type Notice, progress } from './notice.js';
export { type PairedDifferenceOptions, pairedDifference } from './pairedDifference.js';
export { type PanelsOptions, type Picture, panels } from './panels.js';
export { type PerClassOptions, perClass } from './perClass.js';
export { type RankingFigureOptions, ranking } from './ranking.js';
export { type Cell, type Column, ResultTable } from './table.js';
export { type ViewOptions, VolumeView, view } from './view.js';
