// What a notebook cell imports: one namespace per room, in the order a case walks through them.
export { z } from 'zod';
export * as augment from './augment/index.js';
export { extend } from './base/registry.js';
export * as dataset from './dataset/index.js';
export * as model from './model/index.js';
export * as paper from './paper/index.js';
export * as plan from './plan/index.js';
export * as predict from './predict/index.js';
export * as preprocess from './preprocess/index.js';
export * as report from './report/index.js';
export * as run from './run/index.js';
export * as score from './score/index.js';
export * as tensor from './tensor/index.js';
export { tf } from './tensor/tf.js';
export * as train from './train/index.js';
export * as volume from './volume/index.js';
export * as weights from './weights/index.js';
