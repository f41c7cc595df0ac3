// Weights in and out: safetensors, PyTorch checkpoints, partial transfer, UpKern.
export { readSafetensors, type StoredTensor, writeSafetensors } from '../base/safetensors.js';
// `readCheckpoint` is the name that programs written before know it by.
export { type Checkpoint, openWeights, readWeights, readWeights as readCheckpoint } from './checkpoint.js';
export { fromParams, sameShape, save, toParams } from './params.js';
export { readTorch } from './pth.js';
export { allButHeads, type TransferRow, type TransferRule, transfer } from './transfer.js';
export { upkern } from './upkern.js';
export { isVmamba, vmambaRule, vmambaTargets, vmambaTransfer } from './vmambaTransfer.js';
