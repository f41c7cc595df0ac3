// STU-Net (2304.06716).
export { blockSteps, carriedOver, upsamplingSteps } from './apart.js';
export {
  dataShare,
  finetuning,
  type Options,
  type Size,
  scaling,
  scalingAblation,
  shares,
  sizes,
  upsamplingAblation,
} from './experiments.js';
export { percentDsc, shareColumn, shareCurves, trainSeconds } from './rows.js';
