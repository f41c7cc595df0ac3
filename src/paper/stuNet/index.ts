// STU-Net (2304.06716).
export { finetuning, type Options, type Size, scaling, sizes } from './experiments.js';
