// Official PyTorch checkpoints (.pth, .pt, .model, .ckpt) → arrays by name. Zip format (torch ≥ 1.6) and the legacy one.
//
// A checkpoint's arrays together are at most a few times its file: every view of a storage is laid out once, however many names it
// has, and what all views come to is bounded by the file's length.
import fs from 'node:fs';
import { VoxelbookError } from '../base/errors.js';
import { bfloat16, float16, readRange, type StoredTensor, type TensorData } from '../base/safetensors.js';
import { readPickle, type TensorView } from './pickle.js';
import { ZipFile } from './zip.js';

const widths: Record<string, number> = { F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4, I16: 2, I8: 1, U8: 1, BOOL: 1 };
const pickleLimit = 1 << 30;
/** Containers inside containers; a trainer's checkpoint has about six. */
const maxDepth = 64;

/** Reads the whole value of a checkpoint: Maps, arrays, numbers, text, and tensors as `StoredTensor`. */
export function readTorch(file: string): unknown {
  const head = Buffer.alloc(512);
  const descriptor = fs.openSync(file, 'r');
  try {
    fs.readSync(descriptor, head, 0, 512, 0);
  } finally {
    fs.closeSync(descriptor);
  }
  if (head.toString('latin1', 257, 262) === 'ustar')
    throw new VoxelbookError(`${file} is not a readable checkpoint`, {
      code: 'legacy-tar',
      path: 'checkpoint',
      given: 'a tar archive, as PyTorch before 0.1.10 wrote',
      expected: 'a checkpoint of PyTorch 0.4 or later',
      fix: 'Load it in PyTorch and save its state_dict again: torch.save(model.state_dict(), …).',
    });
  return head.readUInt32LE(0) === 0x04034b50 || head.readUInt32LE(0) === 0x06054b50 ? readZip(file) : readLegacy(file);
}

function readZip(file: string): unknown {
  const zip = new ZipFile(file);
  try {
    const pickle = [...zip.entries.keys()].find((name) => /(^|\/)data\.pkl$/.test(name));
    if (!pickle)
      throw fault(
        file,
        'zip',
        `entries ${[...zip.entries.keys()].slice(0, 3).join(', ')}`,
        'a data.pkl, as torch.save writes it',
      );
    const folder = pickle.slice(0, -'data.pkl'.length);
    const order = zip.entries.has(`${folder}byteorder`) ? zip.read(`${folder}byteorder`, 100).toString() : 'little';
    if (order !== 'little') throw fault(file, 'byte-order', `byte order ${JSON.stringify(order.slice(0, 20))}`, 'little');
    const { value } = readPickle(zip.read(pickle, pickleLimit), file);
    const storages = new Map<string, Buffer>();
    return materialise(value, file, zip.limit, ({ key, count }, width) => {
      let bytes = storages.get(key);
      if (!bytes) {
        bytes = zip.read(`${folder}data/${key}`, count * 8);
        storages.set(key, bytes);
      }
      return bytes.length >= count * width ? bytes : undefined;
    });
  } finally {
    zip.close();
  }
}

/** Legacy: magic number, protocol, system information, the value, the storage keys; then each storage as a count and its bytes. */
function readLegacy(file: string): unknown {
  const descriptor = fs.openSync(file, 'r');
  try {
    const size = fs.fstatSync(descriptor).size;
    const { main, keys, end } = legacyHead(descriptor, size, file);
    const dtypes = new Map<string, string>();
    visit(main, file, (t) => dtypes.set(t.storage.key, t.storage.dtype ?? 'U8'));
    const places = new Map<string, [begin: number, end: number]>();
    let at = end;
    for (const key of keys) {
      if (at + 8 > size) throw fault(file, 'truncated', `the file ends at byte ${size}`, `storage ${key}`);
      const [count] = new BigUint64Array(readRange(descriptor, at, at + 8).slice().buffer);
      const bytes = Number(count) * widths[dtypes.get(key) ?? 'U8'];
      if (at + 8 + bytes > size)
        throw fault(file, 'truncated', `the file ends at byte ${size}`, `${bytes} bytes of storage ${key}`);
      places.set(key, [at + 8, at + 8 + bytes]);
      at += 8 + bytes;
    }
    const storages = new Map<string, Buffer>();
    return materialise(main, file, 16 * size + (16 << 20), ({ key, count }, width) => {
      const place = places.get(key);
      if (!place || place[1] - place[0] < count * width) return undefined;
      let found = storages.get(key);
      if (!found) {
        found = Buffer.from(readRange(descriptor, ...place).buffer);
        storages.set(key, found);
      }
      return found;
    });
  } finally {
    fs.closeSync(descriptor);
  }
}

/** What a legacy file says before its storages; as much of it is read as that takes. */
function legacyHead(descriptor: number, size: number, file: string): { main: unknown; keys: string[]; end: number } {
  for (let length = 1 << 20; ; length *= 16) {
    const bytes = Buffer.from(readRange(descriptor, 0, Math.min(length, size, pickleLimit)).buffer);
    try {
      const magic = readPickle(bytes, file);
      if (magic.value !== 0x1950a86a20f9469cfc6cn)
        throw fault(file, 'format', 'a file of another kind', 'a PyTorch checkpoint (zip or legacy)');
      const protocol = readPickle(bytes, file, magic.end);
      const system = readPickle(bytes, file, protocol.end);
      const main = readPickle(bytes, file, system.end);
      const keys = readPickle(bytes, file, main.end);
      if (!Array.isArray(keys.value) || !keys.value.every((key) => typeof key === 'string' || typeof key === 'number'))
        throw fault(file, 'format', 'no list of storages', 'a legacy PyTorch checkpoint');
      return { main: main.value, keys: keys.value.map(String), end: keys.end };
    } catch (error) {
      // A head that was cut off is wrong in any way; the whole of it says what the file's own fault is.
      const whole = bytes.length === size || length >= pickleLimit;
      if (whole || (error instanceof VoxelbookError && error.code === 'format')) throw error;
    }
  }
}

const isView = (v: unknown): v is TensorView => typeof v === 'object' && v !== null && (v as TensorView).kind === 'tensor';

/** Every tensor view of a value once; containers that contain themselves or lie too deep are refused. */
function visit(root: unknown, file: string, onTensor: (t: TensorView) => void): void {
  walk(root, file, (view) => {
    onTensor(view);
    return null;
  });
}

type FindStorage = (storage: TensorView['storage'], width: number) => Buffer | undefined;

/** Every tensor view replaced by its contiguous values; equal views become one array. */
function materialise(root: unknown, file: string, limit: number, find: FindStorage): unknown {
  const laidOut = new Map<string, StoredTensor>();
  let total = 0;
  return walk(root, file, (view, where) => {
    const { storage, offset, shape, stride } = view;
    const identity = JSON.stringify([storage.key, storage.dtype, offset, shape, stride]);
    const same = laidOut.get(identity);
    // What a stride of 0 adds to a storage counts under every name: nobody saves one value a million times for good.
    const bytes = shape.reduce((a, b) => a * b, 1) * widths[storage.dtype ?? 'U8'];
    const stored = Math.min(bytes, storage.count * widths[storage.dtype ?? 'U8']);
    total += bytes - (same ? stored : 0);
    if (!(total <= limit))
      throw fault(file, 'too-large', `tensors of ${total} bytes up to ${where()}`, `at most ${limit} in a file of this length`);
    if (same) return same;
    const tensor = contiguous(view, where, file, find);
    laidOut.set(identity, tensor);
    return tensor;
  });
}

/** A copy of a value with every tensor view replaced; shared containers stay shared. */
function walk(root: unknown, file: string, replace: (view: TensorView, where: () => string) => unknown): unknown {
  const done = new Map<unknown, unknown>();
  const open = new Set<unknown>();
  const path: unknown[] = [];
  const where = () =>
    ['checkpoint', ...path.map((k) => (typeof k === 'string' ? k.slice(0, 80) : typeof k === 'number' ? k : '?'))].join('.');
  const step = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    if (done.has(value)) return done.get(value);
    if (open.has(value)) throw fault(file, 'cyclic', `${where()} contains itself`, 'containers that end');
    if (path.length > maxDepth) throw fault(file, 'pickle', 'containers nested too deep', `at most ${maxDepth} levels`);
    open.add(value);
    const entry = <K>(key: K, v: unknown) => {
      path.push(key);
      const out = step(v);
      path.pop();
      return out;
    };
    let out: unknown = value;
    if (isView(value)) out = replace(value, where);
    else if (value instanceof Map) out = new Map([...value].map(([k, v]) => [k, entry(k, v)]));
    else if (Array.isArray(value)) out = value.map((v, i) => entry(i, v));
    open.delete(value);
    done.set(value, out);
    return out;
  };
  return step(root);
}

function contiguous(view: TensorView, where: () => string, file: string, find: FindStorage): StoredTensor {
  const dtype = view.storage.dtype ?? 'U8';
  const width = widths[dtype];
  const count = view.shape.reduce((a, b) => a * b, 1);
  const last = view.offset + view.shape.reduce((sum, n, i) => sum + Math.max(0, n - 1) * view.stride[i], 0);
  const bytes = find(view.storage, width);
  if (!bytes)
    throw fault(
      file,
      'storage',
      `no storage ${view.storage.key.slice(0, 80)} of ${view.storage.count} values for ${where()}`,
      'the bytes in the file',
    );
  if (count > 0 && (!Number.isSafeInteger(last) || (last + 1) * width > bytes.length))
    throw fault(
      file,
      'storage',
      `${where()} reaches to value ${last}`,
      `inside its storage of ${Math.floor(bytes.length / width)} values`,
    );
  // A stride of 0 shows one value many times: a small file may not ask for unbounded memory that way.
  if (count * width > Math.max(bytes.length, 1 << 16) * 16)
    throw fault(file, 'storage', `${where()} with ${count} values`, `at most 16 times its storage of ${bytes.length} bytes`);
  const aligned = bytes.byteOffset % width === 0 ? bytes : Buffer.from(bytes);
  const source = typed(dtype, aligned) as Float32Array;
  // A storage that is this very tensor stays where it was read.
  const whole = isContiguous(view) && count === source.length && bytes.length === bytes.buffer.byteLength;
  const data = (
    whole ? source : isContiguous(view) ? source.slice(view.offset, view.offset + count) : gather(source, view, count)
  ) as TensorData;
  const widened = dtype === 'F16' ? float16 : dtype === 'BF16' ? bfloat16 : undefined;
  return { dtype, shape: [...view.shape], data: widened ? Float32Array.from(data as Uint16Array, widened) : data };
}

function isContiguous({ shape, stride }: TensorView): boolean {
  let expected = 1;
  for (let a = shape.length - 1; a >= 0; a--) {
    if (shape[a] !== 1 && stride[a] !== expected) return false;
    expected *= shape[a];
  }
  return true;
}

function gather(source: Float32Array, view: TensorView, count: number): Float32Array {
  const data = new (source.constructor as Float32ArrayConstructor)(count);
  const index = new Array<number>(view.shape.length).fill(0);
  let from = view.offset;
  for (let i = 0; i < count; i++) {
    data[i] = source[from];
    for (let a = index.length - 1; a >= 0; a--) {
      from += view.stride[a];
      if (++index[a] < view.shape[a]) break;
      from -= index[a] * view.stride[a];
      index[a] = 0;
    }
  }
  return data;
}

function typed(dtype: string, b: Buffer): TensorData {
  const length = Math.floor(b.length / widths[dtype]);
  const views: Record<string, () => TensorData> = {
    F64: () => new Float64Array(b.buffer, b.byteOffset, length),
    F32: () => new Float32Array(b.buffer, b.byteOffset, length),
    F16: () => new Uint16Array(b.buffer, b.byteOffset, length),
    BF16: () => new Uint16Array(b.buffer, b.byteOffset, length),
    I64: () => new BigInt64Array(b.buffer, b.byteOffset, length),
    I32: () => new Int32Array(b.buffer, b.byteOffset, length),
    I16: () => new Int16Array(b.buffer, b.byteOffset, length),
    I8: () => new Int8Array(b.buffer, b.byteOffset, length),
    U8: () => new Uint8Array(b.buffer, b.byteOffset, length),
    BOOL: () => new Uint8Array(b.buffer, b.byteOffset, length),
  };
  return views[dtype]();
}

function fault(file: string, code: string, given: string, expected: string): VoxelbookError {
  return new VoxelbookError(`${file} is not a readable checkpoint`, {
    code,
    path: 'checkpoint',
    given,
    expected,
    fix: 'Fetch the file again, or save it again with torch.save.',
  });
}
