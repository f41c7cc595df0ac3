// KAIST's extension of nnU-Net for BraTS21 (2112.04653).
export { type AxisAttention, attendAlong, attentionMaps, reach } from './axialAttention.js';
export { crossValidation, type Options } from './experiments.js';
