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

/** A name that makes data of its arguments. */
class Constructor {
  constructor(readonly call: (args: unknown[]) => unknown) {}
}

/** The type of a storage, of a tensor's values, of a NumPy scalar. */
class StorageType {
  constructor(readonly dtype: string | null) {}
}
class NumpyType {
  bigEndian = false;
  constructor(readonly name: string) {}
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

/** Axes a tensor may have: PyTorch's own limit. */
const maxRank = 64;
/** Values, containers and their entries that one pickle may make; a checkpoint has some dozens per tensor. */
const maxMade = 5_000_000;

const isTensor = (v: unknown): v is TensorView => typeof v === 'object' && v !== null && (v as TensorView).kind === 'tensor';
const isIndex = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0;
const isIndexList = (v: unknown): v is number[] => Array.isArray(v) && v.length <= maxRank && v.every(isIndex);

/** Only text is text: a list of shared lists would make text of any length. */
function text(v: unknown): string {
  if (typeof v !== 'string') throw new PickleFault('pickle', `no text but a value of type ${typeof v}`, 'text');
  return v;
}

function rebuildTensor([storage, offset, shape, stride]: unknown[]): TensorView {
  const reference = storage as StorageReference;
  const lists = isIndexList(shape) && isIndexList(stride) && shape.length === stride.length;
  if (reference?.kind !== 'storage' || !isIndex(offset) || !lists)
    throw new PickleFault(
      'tensor',
      'a tensor without storage, offset, shape and stride',
      `what torch.save writes, of at most ${maxRank} axes`,
    );
  return { kind: 'tensor', storage: reference, offset, shape, stride };
}

/** Numbers NumPy pickles: dtype name → reader of one little-endian value. */
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
  const { name, bigEndian } = dtype instanceof NumpyType ? dtype : new NumpyType('?');
  const data = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
  const width = Number(name.slice(1));
  if (!Object.hasOwn(numpyScalars, name) || !Buffer.isBuffer(data) || data.length !== width)
    throw new PickleFault(
      'numpy',
      `a NumPy scalar of type ${JSON.stringify(name.slice(0, 40))}`,
      Object.keys(numpyScalars).join(', '),
    );
  return numpyScalars[name](bigEndian ? Buffer.from(data).reverse() : data);
}

/** A NumPy array: made empty, then filled by its state. */
class NumpyArray {
  value: unknown = [];
}

/** Values of arrays that one pickle may hold; plans hold a few thousand. */
const maxArrayValues = 1_000_000;

/** Values of an array from its state `(version, shape, dtype, Fortran order, bytes or list)`, as nested lists. */
function arrayValues(state: unknown, spend: (n: number) => void): unknown {
  const [, shape, dtype, fortran, raw] = Array.isArray(state) ? state : [];
  const fault = (given: string) => new PickleFault('numpy', given, 'an array of numbers in C order');
  const bytes = typeof raw === 'string' ? Buffer.from(raw, 'latin1') : raw;
  if (!isIndexList(shape) || !(dtype instanceof NumpyType)) throw fault('a NumPy array without shape and type');
  const count = shape.reduce((a, b) => a * b, 1);
  if (!(count <= maxArrayValues)) throw fault(`a NumPy array of ${count} values`);
  // The bytes of one array may be named again and again.
  spend(count);
  if (fortran === true && shape.length > 1) throw fault('a NumPy array in Fortran order');
  let flat: unknown[];
  if (Array.isArray(raw) && raw.length === count) flat = raw;
  else {
    const width = Number(dtype.name.slice(1));
    if (!Buffer.isBuffer(bytes) || bytes.length !== count * width)
      throw fault(`a NumPy array of type ${dtype.name.slice(0, 20)}`);
    flat = Array.from({ length: count }, (_, i) => numpyScalar([dtype, bytes.subarray(i * width, (i + 1) * width)]));
  }
  return shape.length === 0 ? flat[0] : shape.slice(1).reduceRight((list: unknown[], n) => chunks(list, n), flat);
}

const chunks = (list: unknown[], n: number): unknown[] =>
  n === 0 ? [] : Array.from({ length: list.length / n }, (_, i) => list.slice(i * n, (i + 1) * n));

/** A value with every array in it as lists. */
function withoutArrays(root: unknown): unknown {
  const done = new Map<unknown, unknown>();
  const step = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    if (value instanceof NumpyArray) return step(value.value);
    if (done.has(value)) return done.get(value);
    done.set(value, value);
    if (value instanceof Map) for (const [k, v] of value) value.set(k, step(v));
    else if (Array.isArray(value)) for (const [i, v] of value.entries()) value[i] = step(v);
    return value;
  };
  return step(root);
}

const makes = (call: Constructor['call']) => new Constructor(call);
const numpyReader = makes(numpyScalar);

/** Everything a checkpoint may name. Values make data; nothing here reaches outside this file. */
const known = new Map<string, unknown>([
  ['collections OrderedDict', makes(() => new Map())],
  ['collections defaultdict', makes(() => new Map())],
  ['__builtin__ set', makes(([list]) => list ?? [])],
  ['builtins set', makes(([list]) => list ?? [])],
  ['torch._utils _rebuild_tensor', makes(rebuildTensor)],
  ['torch._utils _rebuild_tensor_v2', makes(rebuildTensor)],
  ['torch._utils _rebuild_parameter', makes(([tensor]) => tensor)],
  ['torch._utils _rebuild_parameter_with_state', makes(([tensor]) => tensor)],
  ['torch Size', makes(([list]) => list)],
  ['torch device', makes(([type, index]) => (isIndex(index) ? `${text(type)}:${index}` : text(type)))],
  ['torch.serialization _get_layout', makes(([name]) => name)],
  ['numpy dtype', makes(([name]) => new NumpyType(text(name)))],
  ['numpy.core.multiarray scalar', numpyReader],
  ['numpy._core.multiarray scalar', numpyReader],
  ['numpy ndarray', new NumpyType('ndarray')],
  ['numpy.core.multiarray _reconstruct', makes(() => new NumpyArray())],
  ['numpy._core.multiarray _reconstruct', makes(() => new NumpyArray())],
  ['_codecs encode', makes(([characters]) => Buffer.from(text(characters), 'latin1'))],
  ['torch.storage UntypedStorage', new StorageType(null)],
  ['torch UntypedStorage', new StorageType(null)],
  ...Object.entries(storageTypes).flatMap(([name, dtype]): [string, unknown][] => [
    [`torch ${name}`, new StorageType(dtype)],
    [`torch.storage ${name}`, new StorageType(dtype)],
  ]),
  ...Object.entries(torchDtypes).map(([name, dtype]): [string, unknown] => [`torch ${name}`, { dtype }]),
]);

/**
 * Reads one pickle.
 * @param file for messages
 * @param start where it begins; legacy checkpoints hold several one after another
 * @returns the value (dict → Map, list/tuple → array, bytes → Buffer, big integers → number or bigint) and where the next begins
 * @throws VoxelbookError naming every global that is not data; truncated or malformed pickles
 */
export function readPickle(bytes: Buffer, file: string, start = 0): { value: unknown; end: number } {
  const machine = new Machine(bytes, start);
  let fault: unknown;
  try {
    const value = machine.run();
    if (machine.unknown.size === 0) return { value: machine.arrays ? withoutArrays(value) : value, end: machine.at };
  } catch (error) {
    fault = error;
  }
  if (machine.unknown.size > 0)
    throw new VoxelbookError(
      `${file} holds Python objects that are not data; nothing was run`,
      [...machine.unknown].slice(0, 100).map((name) => ({
        code: 'unknown-global',
        path: name,
        given: `the Python name ${name}`,
        expected: 'tensors, numbers, text and containers only',
        fix: 'If you trust the file, load it in PyTorch and save its state_dict alone: torch.save(model.state_dict(), …).',
      })),
    );
  const { code, given, expected } =
    fault instanceof PickleFault ? fault : new PickleFault('pickle', (fault as Error).message, 'a complete pickle');
  throw new VoxelbookError(`${file} is not a readable checkpoint`, {
    code,
    path: 'pickle',
    given,
    expected,
    fix: 'Fetch the file again, or save it again with torch.save.',
  });
}

const mark = Symbol('mark');

/** The stack, the memo and the place in the bytes; what each opcode does stands in the table below. */
class Machine {
  readonly stack: unknown[] = [];
  readonly memo = new Map<number, unknown>();
  /** Names met that stand for no data. */
  readonly unknown = new Set<string>();
  /** Whether a NumPy array was met. */
  arrays = false;
  private made = 0;

  constructor(
    private readonly bytes: Buffer,
    public at: number,
  ) {}

  run(): unknown {
    for (;;) {
      const from = this.at;
      const code = this.u1();
      if (code === 0x2e) return this.pop(); // STOP
      const act = opcodes[code];
      if (!act) throw new PickleFault('opcode', `opcode 0x${code.toString(16)} at byte ${from}`, 'one that makes data');
      act(this);
    }
  }

  /** Counts what is made, so that a small file cannot ask for memory without end. */
  spend(n: number): void {
    this.made += n;
    if (this.made > maxMade) throw new PickleFault('too-large', `more than ${maxMade} values`, 'a checkpoint');
  }

  push(value: unknown): void {
    this.spend(1);
    this.stack.push(value);
  }

  pop(): unknown {
    if (this.stack.length === 0) throw new PickleFault('pickle', `an empty stack at byte ${this.at}`, 'a value');
    return this.stack.pop();
  }

  top(): unknown {
    if (this.stack.length === 0) throw new PickleFault('pickle', `an empty stack at byte ${this.at}`, 'a value');
    return this.stack[this.stack.length - 1];
  }

  /** The last `n` values as one tuple. */
  tuple(n: number): void {
    const items = Array.from({ length: n }, () => this.pop()).reverse();
    this.push(items);
  }

  toMark(): unknown[] {
    const i = this.stack.lastIndexOf(mark);
    if (i < 0) throw new PickleFault('pickle', `no mark at byte ${this.at}`, 'a mark');
    const items = this.stack.splice(i + 1);
    this.stack.pop();
    this.spend(items.length);
    return items;
  }

  /** Bytes of the next field; moves on. */
  take(n: number): Buffer {
    if (n < 0 || this.at + n > this.bytes.length)
      throw new PickleFault('truncated', `the pickle ends at byte ${this.bytes.length}`, `${n} more bytes at ${this.at}`);
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }

  u1 = () => this.take(1)[0];
  u2 = () => this.take(2).readUInt16LE(0);
  u4 = () => this.take(4).readUInt32LE(0);
  i4 = () => this.take(4).readInt32LE(0);

  u8(): number {
    const n = this.take(8).readBigUInt64LE(0);
    if (n > BigInt(this.bytes.length)) throw new PickleFault('truncated', `a length of ${n}`, `at most ${this.bytes.length}`);
    return Number(n);
  }

  line(): string {
    const end = this.bytes.indexOf(10, this.at);
    if (end < 0) throw new PickleFault('truncated', 'a line without end', 'a newline');
    const line = this.bytes.toString('utf8', this.at, end);
    this.at = end + 1;
    return line;
  }

  /** Two's complement, little-endian. */
  long(n: number): number | bigint {
    if (n > 1024) throw new PickleFault('pickle', `an integer of ${n} bytes`, 'at most 1024');
    const data = this.take(n);
    if (n === 0) return 0;
    const value = BigInt.asIntN(8 * n, BigInt(`0x${Buffer.from(data).reverse().toString('hex')}`));
    return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  }

  integer(): number | boolean {
    const line = this.line();
    if (line === '00') return false;
    if (line === '01') return true;
    const n = Number(line.replace(/L$/, ''));
    if (!Number.isFinite(n) || line.length > 400)
      throw new PickleFault('pickle', `${JSON.stringify(line.slice(0, 40))} as a number`, 'a number');
    return n;
  }

  find(module: string, name: string): unknown {
    const value = known.get(`${module} ${name}`);
    if (value !== undefined) return value;
    const full = `${module}.${name}`.slice(0, 200);
    this.unknown.add(full);
    return new Unknown(full);
  }

  reduce(target: unknown, args: unknown): unknown {
    if (target instanceof Unknown) return target;
    if (!(target instanceof Constructor))
      throw new PickleFault('pickle', 'a call of something that is no constructor', 'one of the known constructors');
    const made = target.call(Array.isArray(args) ? args : []);
    if (made instanceof NumpyArray) this.arrays = true;
    return made;
  }

  /** OrderedDict and Parameter carry attribute dicts, NumPy dtypes their byte order; none of it is a weight. */
  build(target: unknown, state: unknown): void {
    if (target instanceof NumpyType) {
      target.bigEndian = Array.isArray(state) && state[1] === '>';
      return;
    }
    if (target instanceof NumpyArray) {
      target.value = arrayValues(state, (n) => this.spend(n));
      return;
    }
    if (target instanceof Map || isTensor(target) || target instanceof Unknown) return;
    throw new PickleFault('pickle', `state for ${typeof target}, ${typeof state}`, 'state for a container or a tensor');
  }

  append(target: unknown, items: unknown[]): void {
    if (!Array.isArray(target)) throw new PickleFault('pickle', 'an append to something that is no list', 'a list');
    for (const item of items) target.push(item);
  }

  setItems(target: unknown, items: unknown[]): void {
    if (target instanceof Unknown) return;
    if (!(target instanceof Map) || items.length % 2 !== 0)
      throw new PickleFault('pickle', 'items for something that is no dict', 'a dict');
    for (let i = 0; i < items.length; i += 2) target.set(items[i], items[i + 1]);
  }

  storage(id: unknown): StorageReference {
    const [what, type, key, , count] = Array.isArray(id) ? id : [];
    if (type instanceof Unknown) return { kind: 'storage', dtype: null, key: '', count: 0 };
    const named = typeof key === 'string' || typeof key === 'number';
    if (what !== 'storage' || !(type instanceof StorageType) || !named || !isIndex(count))
      throw new PickleFault('storage', 'a persistent id that names no storage', "('storage', type, key, location, count)");
    return { kind: 'storage', dtype: type.dtype, key: String(key), count };
  }

  get(key: number): void {
    if (!this.memo.has(key)) throw new PickleFault('pickle', `memo ${key} was never set`, 'a value put before');
    this.push(this.memo.get(key));
  }
}

type Opcode = (m: Machine) => void;

/** What each opcode does, by its byte; an opcode that is not here is refused. */
const opcodes: (Opcode | undefined)[] = [];
const define = (codes: string | number, act: Opcode) => {
  for (const code of typeof codes === 'number' ? [codes] : Buffer.from(codes, 'latin1')) opcodes[code] = act;
};

// Frame of the program.
define(0x80, (m) => m.take(1)); // PROTO
define(0x95, (m) => m.take(8)); // FRAME
define('(', (m) => m.push(mark));
define('0', (m) => m.pop());
define('1', (m) => m.toMark()); // POP_MARK
define('2', (m) => m.push(m.top())); // DUP
// Constants.
define('N', (m) => m.push(null));
define(0x88, (m) => m.push(true));
define(0x89, (m) => m.push(false));
define('K', (m) => m.push(m.u1())); // BININT1
define('M', (m) => m.push(m.u2())); // BININT2
define('J', (m) => m.push(m.i4())); // BININT
define(0x8a, (m) => m.push(m.long(m.u1()))); // LONG1
define(0x8b, (m) => m.push(m.long(m.i4()))); // LONG4
define('IL', (m) => m.push(m.integer())); // INT, LONG
define('F', (m) => m.push(Number(m.line()))); // FLOAT
define('G', (m) => m.push(m.take(8).readDoubleBE(0))); // BINFLOAT
// Text and bytes.
define('S', (m) => m.push(m.line().replace(/^['"]|['"]$/g, ''))); // STRING
define('V', (m) => m.push(m.line())); // UNICODE
define('U', (m) => m.push(m.take(m.u1()).toString('latin1'))); // SHORT_BINSTRING
define('T', (m) => m.push(m.take(m.i4()).toString('latin1'))); // BINSTRING
define(0x8c, (m) => m.push(m.take(m.u1()).toString('utf8'))); // SHORT_BINUNICODE
define('X', (m) => m.push(m.take(m.u4()).toString('utf8'))); // BINUNICODE
define(0x8d, (m) => m.push(m.take(m.u8()).toString('utf8'))); // BINUNICODE8
define('C', (m) => m.push(m.take(m.u1()))); // SHORT_BINBYTES
define('B', (m) => m.push(m.take(m.u4()))); // BINBYTES
define(0x8e, (m) => m.push(m.take(m.u8()))); // BINBYTES8
define(0x96, (m) => m.push(m.take(m.u8()))); // BYTEARRAY8
// Containers.
define(')]\x8f', (m) => m.push([])); // EMPTY_TUPLE, EMPTY_LIST, EMPTY_SET
define('}', (m) => m.push(new Map())); // EMPTY_DICT
define('tl\x91', (m) => m.push(m.toMark())); // TUPLE, LIST, FROZENSET
define(0x85, (m) => m.tuple(1));
define(0x86, (m) => m.tuple(2));
define(0x87, (m) => m.tuple(3));
define('d', (m) => {
  const map = new Map();
  m.setItems(map, m.toMark());
  m.push(map);
});
define('a', (m) => {
  const item = m.pop();
  m.spend(1);
  m.append(m.top(), [item]);
});
define('e\x90', (m) => {
  const items = m.toMark();
  m.append(m.top(), items);
});
define('s', (m) => {
  const value = m.pop();
  const key = m.pop();
  m.spend(1);
  m.setItems(m.top(), [key, value]);
});
define('u', (m) => {
  const items = m.toMark();
  m.setItems(m.top(), items);
});
// The memo.
define('p', (m) => m.memo.set(Number(m.line()), m.top()));
define('q', (m) => m.memo.set(m.u1(), m.top()));
define('r', (m) => m.memo.set(m.u4(), m.top()));
define(0x94, (m) => m.memo.set(m.memo.size, m.top())); // MEMOIZE
define('g', (m) => m.get(Number(m.line())));
define('h', (m) => m.get(m.u1()));
define('j', (m) => m.get(m.u4()));
// Names, and what would be calls.
define('c', (m) => {
  const module = m.line();
  m.push(m.find(module, m.line()));
});
define(0x93, (m) => {
  const name = text(m.pop());
  m.push(m.find(text(m.pop()), name));
});
define('R\x81', (m) => {
  const args = m.pop();
  m.push(m.reduce(m.pop(), args));
});
define('b', (m) => {
  const state = m.pop();
  m.build(m.top(), state);
});
define('Q', (m) => m.push(m.storage(m.pop()))); // BINPERSID
define('i', (m) => {
  const module = m.line();
  m.unknown.add(`${module}.${m.line()}`.slice(0, 200));
  throw new PickleFault('pickle', 'an INST instruction', 'data');
});
