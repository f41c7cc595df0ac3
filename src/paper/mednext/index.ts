// MedNeXt (2303.09975).
export { type AblationOptions, ablation } from './experiments.js';
