// STU-Net (2304.06716).
export { carriedOver, upsamplingSteps } from './block.js';
export {
  bubbles,
  dataShare,
  directlyInferred,
  expertNames,
  experts,
  finetuning,
  type Options,
  type Size,
  scaling,
  scalingAblation,
  shares,
  sizes,
  upsamplingAblation,
} from './experiments.js';
export { expertRows, percentDsc, shareColumn, shareCurves, trainSeconds } from './rows.js';
