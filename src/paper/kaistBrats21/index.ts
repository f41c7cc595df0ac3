// KAIST's extension of nnU-Net for BraTS21 (2112.04653).
export { crossValidation, type Options } from './experiments.js';
