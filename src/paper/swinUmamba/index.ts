// Swin-UMamba and Swin-UMamba† (2402.03302).
export { comparison, type Options, type Task } from './experiments.js';
