export { type Definition, type DefinitionName, definitions } from './definitions.js';
export { distanceTransform } from './distanceTransform.js';
export { contourLengths, surfelAreas } from './surfels.js';
export { type MetricName, metricNames, type ScoreOptions, volume } from './volume.js';
