// A pickle reader that knows data and nothing else: numbers, strings, containers, and references to tensors.
//
// Pickle is a program; this machine has no instruction that runs anything. A "global" (a name of a Python class or function) is
// looked up in a fixed table of data constructors; any other name becomes an inert mark, and reading ends with an error that
// lists them all. Sources: Python's pickletools (opcodes), torch/_utils.py (what torch.save writes).
import { VoxelbookError } from '../base/errors.js';

/** Python's mapping: keys keep their order; only text and number keys are of use to us. */
export type PickleMap = Map<unknown, unknown>;

/** A tensor as pickled: a view of a storage. */
export interface TensorView {
  kind: 'tensor';
  storage: StorageReference;
  offset: number;
  shape: number[];
  stride: number[];
}

/** What a persistent id names: `('storage', type, key, location, count)`. */
export interface StorageReference {
  kind: 'storage';
  /** Of the storage type, `FloatStorage` → F32; null for an untyped storage (dtype stands in the tensor call). */
  dtype: string | null;
  key: string;
  count: number;
}

/** A name that stands for nothing we read. */
class Unknown {
  constructor(readonly name: string) {}
}

interface Constructor {
  name: string;
  call: (args: unknown[]) => unknown;
}

const storageTypes: Record<string, string> = {
  FloatStorage: 'F32',
  DoubleStorage: 'F64',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
};
export const torchDtypes: Record<string, string> = {
  float32: 'F32',
  float64: 'F64',
  float16: 'F16',
  bfloat16: 'BF16',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint8: 'U8',
  bool: 'BOOL',
};

const isTensor = (v: unknown): v is TensorView => typeof v === 'object' && v !== null && (v as TensorView).kind === 'tensor';
const isIndex = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0;

function rebuildTensor([storage, offset, shape, stride]: unknown[]): TensorView {
  const reference = storage as StorageReference;
  const lists =
    Array.isArray(shape) && Array.isArray(stride) && shape.length === stride.length && [...shape, ...stride].every(isIndex);
  if (reference?.kind !== 'storage' || !isIndex(offset) || !lists)
    throw new PickleFault('tensor', 'a tensor without storage, offset, shape and stride', 'what torch.save writes');
  return { kind: 'tensor', storage: reference, offset, shape: shape as number[], stride: stride as number[] };
}

/** Numbers NumPy pickles: dtype name → reader of one value. */
const numpyScalars: Record<string, (b: Buffer) => number> = {
  f8: (b) => b.readDoubleLE(0),
  f4: (b) => b.readFloatLE(0),
  i8: (b) => Number(b.readBigInt64LE(0)),
  i4: (b) => b.readInt32LE(0),
  i2: (b) => b.readInt16LE(0),
  i1: (b) => b.readInt8(0),
  u8: (b) => Number(b.readBigUInt64LE(0)),
  u4: (b) => b.readUInt32LE(0),
  u2: (b) => b.readUInt16LE(0),
  u1: (b) => b.readUInt8(0),
  b1: (b) => b.readUInt8(0),
};

function numpyScalar([dtype, bytes]: unknown[]): number {
  const name = (dtype as { numpy?: string })?.numpy ?? '';
  const data = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
  const width = Number(name.slice(1));
  if (!Object.hasOwn(numpyScalars, name) || !Buffer.isBuffer(data) || data.length !== width)
    throw new PickleFault('numpy', `a NumPy scalar of type ${JSON.stringify(name)}`, Object.keys(numpyScalars).join(', '));
  return numpyScalars[name](data);
}

/** Everything a checkpoint may name. Values are data constructors; nothing here reaches outside this file. */
const known: Record<string, unknown> = Object.assign(Object.create(null), {
  'collections OrderedDict': makes('OrderedDict', () => new Map()),
  'collections defaultdict': makes('defaultdict', () => new Map()),
  '__builtin__ set': makes('set', ([list]) => list ?? []),
  'builtins set': makes('set', ([list]) => list ?? []),
  'torch._utils _rebuild_tensor': makes('_rebuild_tensor', rebuildTensor),
  'torch._utils _rebuild_tensor_v2': makes('_rebuild_tensor_v2', rebuildTensor),
  'torch._utils _rebuild_parameter': makes('_rebuild_parameter', ([tensor]) => tensor),
  'torch._utils _rebuild_parameter_with_state': makes('_rebuild_parameter_with_state', ([tensor]) => tensor),
  'torch Size': makes('Size', ([list]) => list),
  'torch device': makes('device', (args) => args.join(':')),
  'torch.serialization _get_layout': makes('_get_layout', ([name]) => name),
  'numpy dtype': makes('dtype', ([name]) => ({ numpy: String(name) })),
  'numpy.core.multiarray scalar': makes('scalar', numpyScalar),
  'numpy._core.multiarray scalar': makes('scalar', numpyScalar),
  '_codecs encode': makes('encode', ([text]) => Buffer.from(String(text), 'latin1')),
});
for (const [type, dtype] of Object.entries(storageTypes)) {
  known[`torch ${type}`] = { storage: dtype };
  known[`torch.storage ${type}`] = { storage: dtype };
}
known['torch.storage UntypedStorage'] = { storage: null };
known['torch UntypedStorage'] = { storage: null };
for (const [name, dtype] of Object.entries(torchDtypes)) known[`torch ${name}`] = { dtype };

function makes(name: string, call: Constructor['call']): Constructor {
  return { name, call };
}

/** A fault of the pickle itself; `readPickle` adds the file. */
class PickleFault extends Error {
  constructor(
    readonly code: string,
    readonly given: string,
    readonly expected: string,
  ) {
    super(given);
  }
}

const mark = Symbol('mark');
const maxStack = 1_000_000;

/**
 * Reads one pickle.
 * @param file for messages
 * @param start where it begins; legacy checkpoints hold several one after another
 * @returns the value (dict → Map, list/tuple → array, bytes → Buffer, big integers → number or bigint) and where the next begins
 * @throws VoxelbookError naming every global that is not data; truncated or malformed pickles
 */
export function readPickle(bytes: Buffer, file: string, start = 0): { value: unknown; end: number } {
  const unknown = new Set<string>();
  try {
    const result = interpret(bytes, start, unknown);
    if (unknown.size === 0) return result;
  } catch (error) {
    if (unknown.size === 0) {
      const fault =
        error instanceof PickleFault ? error : new PickleFault('pickle', (error as Error).message, 'a complete pickle');
      throw new VoxelbookError(`${file} is not a readable checkpoint`, {
        code: fault.code,
        path: 'pickle',
        given: fault.given,
        expected: fault.expected,
        fix: 'Fetch the file again, or save it again with torch.save.',
      });
    }
  }
  throw new VoxelbookError(
    `${file} holds Python objects that are not data; nothing was run`,
    [...unknown].map((name) => ({
      code: 'unknown-global',
      path: name,
      given: `the Python name ${name}`,
      expected: 'tensors, numbers, text and containers only',
      fix: 'If you trust the file, load it in PyTorch and save its state_dict alone: torch.save(model.state_dict(), …).',
    })),
  );
}

function interpret(bytes: Buffer, start: number, unknown: Set<string>): { value: unknown; end: number } {
  const stack: unknown[] = [];
  const memo = new Map<number, unknown>();
  let at = start;

  const need = (n: number) => {
    if (n < 0 || at + n > bytes.length)
      throw new PickleFault('truncated', `the pickle ends at byte ${bytes.length}`, `${n} more bytes at ${at}`);
    at += n;
    return at - n;
  };
  const take = (n: number) => {
    const from = need(n);
    return bytes.subarray(from, from + n);
  };
  const size8 = () => {
    const n = bytes.readBigUInt64LE(need(8));
    if (n > BigInt(bytes.length)) throw new PickleFault('truncated', `a length of ${n}`, `at most ${bytes.length}`);
    return Number(n);
  };
  const line = () => {
    const end = bytes.indexOf(10, at);
    if (end < 0) throw new PickleFault('truncated', 'a line without end', 'a newline');
    const text = bytes.toString('utf8', at, end);
    at = end + 1;
    return text;
  };
  const pop = (): unknown => {
    if (stack.length === 0) throw new PickleFault('pickle', `an empty stack at byte ${at}`, 'a value');
    return stack.pop();
  };
  const top = (): unknown => {
    if (stack.length === 0) throw new PickleFault('pickle', `an empty stack at byte ${at}`, 'a value');
    return stack[stack.length - 1];
  };
  const toMark = (): unknown[] => {
    const i = stack.lastIndexOf(mark);
    if (i < 0) throw new PickleFault('pickle', `no mark at byte ${at}`, 'a mark');
    const items = stack.splice(i + 1);
    stack.pop();
    return items;
  };
  const list = (v: unknown): unknown[] => {
    if (!Array.isArray(v)) throw new PickleFault('pickle', 'an append to something that is no list', 'a list');
    return v;
  };
  const setItems = (target: unknown, items: unknown[]) => {
    if (target instanceof Unknown) return;
    if (!(target instanceof Map) || items.length % 2 !== 0)
      throw new PickleFault('pickle', 'items for something that is no dict', 'a dict');
    for (let i = 0; i < items.length; i += 2) target.set(items[i], items[i + 1]);
  };
  const find = (module: string, name: string): unknown => {
    const value = known[`${module} ${name}`];
    if (value !== undefined) return value;
    unknown.add(`${module}.${name}`);
    return new Unknown(`${module}.${name}`);
  };
  const reduce = (target: unknown, args: unknown): unknown => {
    if (target instanceof Unknown) return target;
    const call = (target as Constructor)?.call;
    if (typeof call !== 'function' || !Object.values(known).includes(target))
      throw new PickleFault('pickle', 'a call of something that is no constructor', 'one of the known constructors');
    return call(Array.isArray(args) ? args : []);
  };
  const build = (target: unknown, state: unknown) => {
    // OrderedDict and Parameter carry attribute dicts, NumPy dtypes their byte order; none of it is a weight.
    if (target instanceof Map || isTensor(target) || target instanceof Unknown) return;
    if (typeof target === 'object' && target !== null && 'numpy' in target) return;
    throw new PickleFault('pickle', `state for ${typeof target}, ${typeof state}`, 'state for a container or a tensor');
  };
  const long = (n: number): number | bigint => {
    if (n > 1024) throw new PickleFault('pickle', `an integer of ${n} bytes`, 'at most 1024');
    let value = 0n;
    const data = take(n);
    for (let i = n - 1; i >= 0; i--) value = (value << 8n) | BigInt(data[i]);
    if (n > 0 && data[n - 1] & 0x80) value -= 1n << BigInt(8 * n);
    return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  };
  const integer = (text: string): number | boolean => {
    if (text === '00') return false;
    if (text === '01') return true;
    const n = Number(text.replace(/L$/, ''));
    if (!Number.isFinite(n) || text.length > 400)
      throw new PickleFault('pickle', `${JSON.stringify(text.slice(0, 40))} as a number`, 'a number');
    return n;
  };
  const unquote = (text: string) => text.replace(/^['"]|['"]$/g, '');
  const storage = (id: unknown): StorageReference => {
    const [what, type, key, , count] = Array.isArray(id) ? id : [];
    const dtype = (type as { storage?: string | null })?.storage;
    if (type instanceof Unknown) return { kind: 'storage', dtype: null, key: '', count: 0 };
    if (what !== 'storage' || dtype === undefined || (typeof key !== 'string' && typeof key !== 'number') || !isIndex(count))
      throw new PickleFault('storage', 'a persistent id that names no storage', "('storage', type, key, location, count)");
    return { kind: 'storage', dtype, key: String(key), count };
  };

  for (;;) {
    if (stack.length > maxStack) throw new PickleFault('pickle', `more than ${maxStack} values on the stack`, 'a checkpoint');
    const code = String.fromCharCode(bytes[need(1)]);
    switch (code) {
      case '\x80':
        need(1);
        break;
      case '\x95':
        need(8);
        break;
      case '.':
        return { value: pop(), end: at };
      case '(':
        stack.push(mark);
        break;
      case '0':
        pop();
        break;
      case '1':
        toMark();
        break;
      case '2':
        stack.push(top());
        break;
      case 'N':
        stack.push(null);
        break;
      case '\x88':
        stack.push(true);
        break;
      case '\x89':
        stack.push(false);
        break;
      case 'K':
        stack.push(bytes[need(1)]);
        break;
      case 'M':
        stack.push(bytes.readUInt16LE(need(2)));
        break;
      case 'J':
        stack.push(bytes.readInt32LE(need(4)));
        break;
      case '\x8a':
        stack.push(long(bytes[need(1)]));
        break;
      case '\x8b':
        stack.push(long(bytes.readInt32LE(need(4))));
        break;
      case 'I':
      case 'L':
        stack.push(integer(line()));
        break;
      case 'F':
        stack.push(Number(line()));
        break;
      case 'G':
        stack.push(bytes.readDoubleBE(need(8)));
        break;
      case 'S':
      case 'V':
        stack.push(code === 'S' ? unquote(line()) : line());
        break;
      case 'U':
        stack.push(take(bytes[need(1)]).toString('latin1'));
        break;
      case 'T':
        stack.push(take(bytes.readInt32LE(need(4))).toString('latin1'));
        break;
      case 'X':
        stack.push(take(bytes.readUInt32LE(need(4))).toString('utf8'));
        break;
      case '\x8c':
        stack.push(take(bytes[need(1)]).toString('utf8'));
        break;
      case '\x8d':
        stack.push(take(size8()).toString('utf8'));
        break;
      case 'C':
        stack.push(take(bytes[need(1)]));
        break;
      case 'B':
        stack.push(take(bytes.readUInt32LE(need(4))));
        break;
      case '\x8e':
      case '\x96':
        stack.push(take(size8()));
        break;
      case ')':
      case ']':
      case '\x8f':
        stack.push([]);
        break;
      case '}':
        stack.push(new Map());
        break;
      case 't':
      case 'l':
      case '\x91':
        stack.push(toMark());
        break;
      case '\x85':
        stack.push([pop()]);
        break;
      case '\x86': {
        const b = pop();
        stack.push([pop(), b]);
        break;
      }
      case '\x87': {
        const c = pop();
        const b = pop();
        stack.push([pop(), b, c]);
        break;
      }
      case 'd': {
        const items = toMark();
        const map = new Map();
        setItems(map, items);
        stack.push(map);
        break;
      }
      case 'a': {
        const item = pop();
        list(top()).push(item);
        break;
      }
      case 'e':
      case '\x90': {
        const items = toMark();
        const target = list(top());
        for (const item of items) target.push(item);
        break;
      }
      case 's': {
        const value = pop();
        const key = pop();
        setItems(top(), [key, value]);
        break;
      }
      case 'u': {
        const items = toMark();
        setItems(top(), items);
        break;
      }
      case 'p':
        memo.set(Number(line()), top());
        break;
      case 'q':
        memo.set(bytes[need(1)], top());
        break;
      case 'r':
        memo.set(bytes.readUInt32LE(need(4)), top());
        break;
      case '\x94':
        memo.set(memo.size, top());
        break;
      case 'g':
      case 'h':
      case 'j': {
        const key = code === 'g' ? Number(line()) : code === 'h' ? bytes[need(1)] : bytes.readUInt32LE(need(4));
        if (!memo.has(key)) throw new PickleFault('pickle', `memo ${key} was never set`, 'a value put before');
        stack.push(memo.get(key));
        break;
      }
      case 'c': {
        const module = line();
        stack.push(find(module, line()));
        break;
      }
      case '\x93': {
        const name = pop();
        stack.push(find(String(pop()), String(name)));
        break;
      }
      case 'R':
      case '\x81': {
        const args = pop();
        stack.push(reduce(pop(), args));
        break;
      }
      case 'b': {
        const state = pop();
        build(top(), state);
        break;
      }
      case 'Q':
        stack.push(storage(pop()));
        break;
      case 'i': {
        const module = line();
        unknown.add(`${module}.${line()}`);
        throw new PickleFault('pickle', 'an INST instruction', 'data');
      }
      default:
        throw new PickleFault('opcode', `opcode 0x${code.charCodeAt(0).toString(16)} at byte ${at - 1}`, 'one that makes data');
    }
  }
}
