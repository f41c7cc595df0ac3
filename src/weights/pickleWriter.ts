// Python's pickle, protocol 2, of plain data: None, booleans, numbers, text, lists, tuples, dicts, and tensors as torch.save writes them.
import type { TensorData } from '../base/safetensors.js';

/** A number that is a float in Python although it is whole. */
export class PythonFloat {
  constructor(readonly value: number) {}
}

/** A tuple; a plain array is a list. */
export class PythonTuple {
  constructor(readonly items: readonly unknown[]) {}
}

/** A tensor to be pickled: the values lie elsewhere, under the key of its storage. */
export interface PickledTensor {
  shape: readonly number[];
  data: TensorData;
}

/** A dict that is an `OrderedDict` in Python, as a `state_dict` is. */
export class OrderedDict extends Map<string, unknown> {}

const isTensor = (v: object): v is PickledTensor => 'shape' in v && 'data' in v && ArrayBuffer.isView((v as PickledTensor).data);

/**
 * The pickle of a value. Objects become dicts; entries that are undefined are left out.
 * @param storageOf name of the storage type and key of an array; absent: tensors are refused
 */
export function pickle(value: unknown, storageOf?: (data: TensorData) => { type: string; key: string }): Buffer {
  const parts: (Buffer | string)[] = ['\x80\x02'];
  const put = (...more: (Buffer | string)[]) => parts.push(...more);
  const name = (module: string, what: string) => put(`c${module}\n${what}\n`);
  const dict = (entries: Iterable<readonly [unknown, unknown]>) => {
    put('(');
    for (const [k, v] of entries)
      if (v !== undefined) {
        write(k);
        write(v);
      }
    put('u');
  };
  const tuple = (items: readonly unknown[]) => {
    put('(');
    for (const item of items) write(item);
    put('t');
  };

  function write(v: unknown): void {
    if (v === null || v === undefined) put('N');
    else if (typeof v === 'boolean') put(v ? '\x88' : '\x89');
    else if (typeof v === 'number') put(Number.isInteger(v) && !Object.is(v, -0) ? integer(v) : double(v));
    else if (typeof v === 'string') put(sizedText(v));
    else if (v instanceof PythonFloat) put(double(v.value));
    else if (v instanceof PythonTuple) tuple(v.items);
    else if (Array.isArray(v)) {
      put('](');
      for (const item of v) write(item);
      put('e');
    } else if (v instanceof OrderedDict) {
      name('collections', 'OrderedDict');
      put(')R');
      dict(v);
    } else if (v instanceof Map) {
      put('}');
      dict(v);
    } else if (typeof v === 'object' && isTensor(v)) tensor(v);
    else if (typeof v === 'object') {
      put('}');
      dict(Object.entries(v));
    } else throw new TypeError(`a ${typeof v} cannot be pickled`);
  }

  /** `_rebuild_tensor_v2(storage, 0, shape, stride, requires_grad, hooks)`. */
  function tensor({ shape, data }: PickledTensor): void {
    if (!storageOf) throw new TypeError('a tensor cannot be pickled here');
    const { type, key } = storageOf(data);
    const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
    name('torch._utils', '_rebuild_tensor_v2');
    put('((', sizedText('storage'));
    name('torch', type);
    put(sizedText(key), sizedText('cpu'), integer(data.length), 'tQ', integer(0));
    tuple(shape);
    tuple(strides);
    put('\x89');
    name('collections', 'OrderedDict');
    put(')RtR');
  }

  write(value);
  put('.');
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)));
}

function integer(n: number): Buffer {
  if (n >= 0 && n < 256) return Buffer.from([0x4b, n]);
  const out = Buffer.alloc(n >= -(2 ** 31) && n < 2 ** 31 ? 5 : 10);
  if (out.length === 5) {
    out[0] = 0x4a;
    out.writeInt32LE(n, 1);
  } else {
    out[0] = 0x8a;
    out[1] = 8;
    out.writeBigInt64LE(BigInt(n), 2);
  }
  return out;
}

function double(n: number): Buffer {
  const out = Buffer.alloc(9);
  out[0] = 0x47;
  out.writeDoubleBE(n, 1);
  return out;
}

function sizedText(text: string): Buffer {
  const bytes = Buffer.from(text);
  const head = Buffer.alloc(5);
  head[0] = 0x58;
  head.writeUInt32LE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}
