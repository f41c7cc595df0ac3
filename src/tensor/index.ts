// The room of tensors: TensorFlow start-up, the operators tfjs lacks, and a backend that counts instead of computing.

export { gradients } from './gradients.js';
export { type AttentionOptions, attention } from './ops/attention.js';
export { batchNorm, batchStatistics } from './ops/batchNorm.js';
export { conv } from './ops/conv.js';
export { convTranspose } from './ops/convTranspose.js';
export { customOp, recompute, withoutTape } from './ops/customOp.js';
export { depthwiseConv } from './ops/depthwiseConv.js';
export { depthwiseConvTranspose } from './ops/depthwiseConvTranspose.js';
export { gelu } from './ops/gelu.js';
export { groupNorm } from './ops/groupNorm.js';
export { instanceNorm } from './ops/instanceNorm.js';
export { layerNorm } from './ops/layerNorm.js';
export { leakyRelu } from './ops/leakyRelu.js';
export { linear } from './ops/linear.js';
export { type MednextBlockOptions, type MednextBlockWeights, mednextBlock } from './ops/mednextBlock.js';
export { resize } from './ops/resize.js';
export { recurrenceFlops, type SelectiveScanOptions, selectiveScan, selectiveScanWithState } from './ops/selectiveScan.js';
export { silu } from './ops/silu.js';
export { softplus } from './ops/softplus.js';
export { countNorm, isSymbolic, symbolic, symbolicOp, symbolicOutput } from './symbolic.js';
export { tf } from './tf.js';
