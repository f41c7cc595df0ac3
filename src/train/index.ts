// The room of training: what a notebook sees as `train`.
export * from './checkpoint.js';
export * from './compound.js';
export * from './crossEntropy.js';
export * from './deepSupervision.js';
export * from './dice.js';
export * from './experiment.js';
export * from './identity.js';
export * from './loop.js';
export * from './monaiLoss.js';
export * from './optimiser.js';
export * from './pseudoDice.js';
export * from './sampling.js';
export * from './schedule.js';
export * from './step.js';
