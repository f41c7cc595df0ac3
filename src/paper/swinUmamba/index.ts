// Swin-UMamba and Swin-UMamba† (2402.03302).

export { costs } from './costs.js';
export { comparison, type Options, type Task } from './experiments.js';
export { blockSteps, reach, scanOrders } from './scanOrder.js';
