// STU-Net (2304.06716).
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
