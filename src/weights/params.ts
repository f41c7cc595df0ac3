// Between a checkpoint's arrays (PyTorch's layout) and Params in memory (TensorFlow's).
import { FaultList } from '../base/errors.js';
import type { StoredTensor, TensorData } from '../base/safetensors.js';
import { writeSafetensors } from '../base/safetensors.js';
import { fromMemory, type Network, type ParamInfo, type Params, toMemory } from '../model/network.js';
import type { tf } from '../tensor/tf.js';

/** One array, in memory's layout. 64-bit integers become int32 (counters of batch norm). The caller owns the tensor. */
export function toTensor(info: ParamInfo, { data }: StoredTensor): tf.Tensor {
  return toMemory(info, values(data, info.dtype));
}

function values(data: TensorData, dtype: 'float32' | 'int32'): Float32Array | Int32Array {
  const into = dtype === 'float32' ? Float32Array : Int32Array;
  if (data instanceof into) return data;
  const numbers =
    data instanceof BigInt64Array || data instanceof BigUint64Array ? Array.from(data as BigInt64Array, Number) : data;
  return into.from(numbers as Float32Array);
}

/**
 * All parameters and buffers of a network from a checkpoint that fits it exactly.
 * @returns Params, owned by the caller
 * @throws VoxelbookError listing every missing tensor, every tensor of another shape and every tensor the network does not have
 */
export function toParams(network: Pick<Network, 'parameters'>, tensors: Record<string, StoredTensor>): Params {
  const faults = new FaultList();
  const names = new Set(network.parameters.map((p) => p.name));
  const fix = 'See weights.transfer for what can be carried over.';
  for (const info of network.parameters) {
    const stored = tensors[info.name];
    if (info.aliasOf) continue;
    if (!stored) faults.add('missing', info.name, 'no such tensor in the checkpoint', `shape [${info.shape}]`, fix);
    else if (!sameShape(stored.shape, info.shape))
      faults.add('shape', info.name, `shape [${stored.shape}]`, `[${info.shape}]`, fix);
  }
  for (const name of Object.keys(tensors))
    if (!names.has(name)) faults.add('extra', name, `shape [${tensors[name].shape}]`, 'no such parameter', fix);
  faults.throwIfAny('this checkpoint does not fit the network');
  const params: Params = {};
  for (const info of network.parameters) if (!info.aliasOf) params[info.name] = toTensor(info, tensors[info.name]);
  return params;
}

/** Whether two shapes are equal. */
export const sameShape = (a: readonly number[], b: readonly number[]) => a.length === b.length && a.every((n, i) => n === b[i]);

/**
 * Params as arrays in PyTorch's layout, in `state_dict` order, aliases left out. Tensors are read, not disposed.
 * @param buffers int32 counters become I64, as PyTorch keeps them
 */
export function fromParams(network: Pick<Network, 'parameters'>, params: Params): Record<string, StoredTensor> {
  const out: Record<string, StoredTensor> = Object.create(null);
  for (const info of network.parameters) {
    if (info.aliasOf) continue;
    const data = fromMemory(info, params[info.name]);
    out[info.name] =
      info.dtype === 'int32'
        ? { dtype: 'I64', shape: [...info.shape], data: BigInt64Array.from(data as Int32Array, BigInt) }
        : { dtype: 'F32', shape: [...info.shape], data: data as Float32Array };
  }
  return out;
}

/** Writes Params as safetensors that PyTorch's `load_state_dict` takes (strict=False where a network lists aliases). */
export function save(
  file: string,
  network: Pick<Network, 'parameters'>,
  params: Params,
  metadata: Record<string, string> = {},
): void {
  writeSafetensors(file, fromParams(network, params), metadata);
}
