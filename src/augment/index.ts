// The room of augmentation: what a notebook sees as `augment`.
export { Random } from '../base/random.js';
export { cutBox } from './crop.js';
export { initialPatchSize, type PatchRules, patchRules } from './patchSize.js';
export { checkEntries, type Draw, type Pipeline, type PipelineSettings, pipeline } from './pipeline.js';
export { type PipelineName, pipelines } from './pipelines.js';
export { type Region, toRegions } from './regions.js';
export { fromPlanes, type Planes, type Sample, toPlanes } from './sample.js';
export { applyStep, type DrawContext, type Entry, type Step, type Transform, type Transforms } from './transform.js';
