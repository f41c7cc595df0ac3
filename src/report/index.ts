export { type AblationOptions, ablation } from './ablation.js';
export type { EmptyPolicy, Variant } from './aggregate.js';
export type { Claim } from './claim.js';
export { type Axis, Figure, type Layout, type Trace } from './figure.js';
export { type Curve, learningCurve } from './learningCurve.js';
export { type PerClassOptions, perClass } from './perClass.js';
export { type Cell, type Column, ResultTable } from './table.js';
export { type ViewOptions, VolumeView, view } from './view.js';
