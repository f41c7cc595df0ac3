// MedNeXt (2303.09975).
export { ablation, comparison, type MedNextExperiment, type Options, table1 } from './experiments.js';
