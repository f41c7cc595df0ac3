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

/** An array to be written; `read` makes one only when its turn comes (it may be called more than once), of the type that `dtype` says. */
export type TensorSource =
  | { shape: readonly number[]; data: TensorData }
  | { shape: readonly number[]; dtype: string; read: () => TensorData };

export const dataOf = (source: TensorSource): TensorData => ('read' in source ? source.read() : source.data);
