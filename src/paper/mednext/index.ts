// MedNeXt (2303.09975).
export { kernelMaps, type Step, stepMaps } from './block.js';
export { ablation, comparison, independent, type MedNextExperiment, type Options, table1 } from './experiments.js';
