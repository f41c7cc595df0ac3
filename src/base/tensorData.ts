// Arrays as safetensors files hold them.

export type TensorData =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

/**
 * An array to be written. `read` makes one in parts, one after another in the array's order, only when its turn comes (it may be called
 * more than once), of the type that `dtype` says; there is at least one.
 */
export type TensorSource =
  | { shape: readonly number[]; data: TensorData }
  | { shape: readonly number[]; dtype: string; read: () => Iterable<TensorData> };

/** The parts of an array to be written. */
export const partsOf = (source: TensorSource): Iterable<TensorData> => ('read' in source ? source.read() : [source.data]);
