// The room of augmentation: what a notebook sees as `augment`.
export { initialPatchSize, type PatchRules, patchRules } from './patchSize.js';
export {
  applyStep,
  type Draw,
  type Pipeline,
  type PipelineName,
  type PipelineSettings,
  pipeline,
  type Step,
} from './pipeline.js';
export { type Region, toRegions } from './regions.js';
export { fromPlanes, type Planes, type Sample, toPlanes } from './sample.js';
