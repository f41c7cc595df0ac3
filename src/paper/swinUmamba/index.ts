// Swin-UMamba and Swin-UMamba† (2402.03302).
export { blockSteps, reach, scanOrders } from './apart.js';
export { cellF1 } from './cellF1.js';
export { costs } from './costs.js';
export { comparison, type Options, type Task } from './experiments.js';
