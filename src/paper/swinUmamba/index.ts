// Swin-UMamba and Swin-UMamba† (2402.03302).
export { cellF1 } from './cellF1.js';
export { comparison, type Options, type Task } from './experiments.js';
