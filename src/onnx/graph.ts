// An ONNX graph being built, and its form in a file (onnx.proto of onnx 1.13: IR version 8, operators 18).
import path from 'node:path';
import { atomicWrite } from '../base/atomicWrite.js';
import { bytes, float, integer, type Pieces, text } from '../base/protobuf.js';
import { product } from '../base/shape.js';

export const operatorSet = 18;
const irVersion = 8;

export const elementTypes = { float32: 1, uint8: 2, int32: 6, int64: 7, bool: 9, float16: 10 } as const;
export type ElementType = keyof typeof elementTypes;

/** float16 as its bits. */
type Data = Float32Array | Int32Array | Uint8Array | BigInt64Array | Uint16Array;

export type Attribute = { int: number } | { float: number } | { ints: readonly number[] } | { text: string } | { graph: Graph };

export interface Node {
  op: string;
  inputs: readonly string[];
  outputs: readonly string[];
  attributes: Record<string, Attribute>;
}

export interface Constant {
  name: string;
  type: ElementType;
  shape: readonly number[];
  data: Data;
}

export interface Port {
  name: string;
  shape: readonly number[];
  type?: ElementType;
}

/** Weights above this many bytes lie in a file of their own: a message of Protocol Buffers ends at 2 GiB. */
const mostInside = 1.9e9;

/** An ONNX graph in the making: nodes, inputs, outputs and constants, in the order of computation. */
export class Graph {
  readonly nodes: Node[] = [];
  readonly inputs: Port[] = [];
  readonly outputs: Port[] = [];
  /** Forecast of what a pass holds at once besides weights. */
  passBytes = 0;
  readonly constants: Constant[] = [];
  private readonly known = new Map<string, string>();

  /** @param names how often each name was taken; a body within a graph shares its graph's, for it sees that graph's values */
  constructor(
    readonly name: string,
    private readonly names = new Map<string, number>(),
  ) {}

  /** A graph within this one. */
  body(name: string): Graph {
    return new Graph(this.fresh(name), this.names);
  }

  fresh(name: string): string {
    const count = this.names.get(name) ?? 0;
    this.names.set(name, count + 1);
    return count === 0 ? name : this.fresh(`${name}_${count}`);
  }

  /** Adds a node. @returns the name of its output */
  add(op: string, inputs: readonly string[], attributes: Record<string, Attribute> = {}): string {
    return this.addMany(op, inputs, 1, attributes)[0];
  }

  addMany(op: string, inputs: readonly string[], count: number, attributes: Record<string, Attribute> = {}): string[] {
    const outputs = Array.from({ length: count }, () => this.fresh(op));
    this.nodes.push({ op, inputs, outputs, attributes });
    return outputs;
  }

  /** Values that stand in the file. @returns their name */
  constant(data: Data, shape: readonly number[], type: ElementType = 'float32', name?: string): string {
    const key = data.length <= 16 && !name ? `${type} ${shape} ${data}` : undefined;
    const known = key && this.known.get(key);
    if (known) return known;
    const made = this.fresh(name ?? 'constant');
    this.constants.push({ name: made, type, shape, data });
    if (key) this.known.set(key, made);
    return made;
  }

  /** Whole numbers as operators take them for shapes and axes. */
  integers(values: readonly number[]): string {
    return this.constant(BigInt64Array.from(values, BigInt), [values.length], 'int64');
  }

  scalar(value: number): string {
    return this.constant(Float32Array.of(value), []);
  }

  /**
   * Writes the graph as a model.
   * @param most bytes of weights that lie in the file itself
   * @returns the files' names: `file`, and beside it `<file>.data` where the weights are too large for one message
   */
  write(file: string, metadata: Record<string, string> = {}, most = mostInside): string[] {
    const weights = this.constants.reduce((sum, c) => sum + c.data.byteLength, 0);
    const apart = weights > most ? new Apart(`${path.basename(file)}.data`) : undefined;
    const model: Pieces = [
      ...integer(1, irVersion),
      ...text(2, 'voxelbook'),
      ...bytes(7, this.message(apart)),
      ...bytes(8, [...text(1, ''), ...integer(2, operatorSet)]),
      ...Object.entries(metadata).flatMap(([key, value]) => bytes(14, [...text(1, key), ...text(2, value)])),
    ];
    atomicWrite(file, together(model));
    if (!apart) return [path.basename(file)];
    atomicWrite(path.join(path.dirname(file), apart.name), together(apart.pieces));
    return [path.basename(file), apart.name];
  }

  private message(apart?: Apart): Pieces {
    return [
      ...this.nodes.flatMap((node) => bytes(1, nodeMessage(node, apart))),
      ...text(2, this.name),
      ...this.constants.flatMap((constant) => bytes(5, tensorMessage(constant, apart))),
      ...this.inputs.flatMap((port) => bytes(11, portMessage(port))),
      ...this.outputs.flatMap((port) => bytes(12, portMessage(port))),
    ];
  }

  /** AttributeProto of a graph. */
  asAttribute(apart?: Apart): Pieces {
    return [...bytes(6, this.message(apart)), ...integer(20, 5)];
  }
}

/** Weights in a file of their own. */
class Apart {
  readonly pieces: Uint8Array[] = [];
  private size = 0;

  constructor(readonly name: string) {}

  /** @returns where the bytes will lie; each tensor begins at a page, so that it can be mapped */
  add(data: Uint8Array): number {
    const gap = (4096 - (this.size % 4096)) % 4096;
    if (gap > 0) this.pieces.push(new Uint8Array(gap));
    const at = this.size + gap;
    this.pieces.push(data);
    this.size = at + data.byteLength;
    return at;
  }
}

function nodeMessage({ op, inputs, outputs, attributes }: Node, apart?: Apart): Pieces {
  return [
    ...inputs.flatMap((name) => text(1, name)),
    ...outputs.flatMap((name) => text(2, name)),
    ...text(3, `${op} ${outputs[0]}`),
    ...text(4, op),
    ...Object.entries(attributes).flatMap(([name, value]) => bytes(5, [...text(1, name), ...attributeMessage(value, apart)])),
  ];
}

function attributeMessage(value: Attribute, apart?: Apart): Pieces {
  if ('float' in value) return [...float(2, value.float), ...integer(20, 1)];
  if ('int' in value) return [...integer(3, value.int), ...integer(20, 2)];
  if ('text' in value) return [...text(4, value.text), ...integer(20, 3)];
  if ('graph' in value) return value.graph.asAttribute(apart);
  return [...value.ints.flatMap((n) => integer(8, n)), ...integer(20, 7)];
}

function tensorMessage({ name, type, shape, data }: Constant, apart?: Apart): Pieces {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const head = [...shape.flatMap((n) => integer(1, n)), ...integer(2, elementTypes[type]), ...text(8, name)];
  if (!apart || raw.byteLength < 1024) return [...head, ...bytes(9, [raw])];
  const entry = (key: string, value: string) => bytes(13, [...text(1, key), ...text(2, value)]);
  const where = { location: apart.name, offset: String(apart.add(raw)), length: String(raw.byteLength) };
  return [...head, ...Object.entries(where).flatMap(([key, value]) => entry(key, value)), ...integer(14, 1)];
}

function portMessage({ name, shape, type = 'float32' }: Port): Pieces {
  const dimensions = shape.flatMap((n) => bytes(1, integer(1, n)));
  const tensor = [...integer(1, elementTypes[type]), ...bytes(2, dimensions)];
  return [...text(1, name), ...bytes(2, bytes(1, tensor))];
}

/** Small pieces together: a call of the system for each would take longer than the weights. */
function* together(pieces: Pieces): Generator<Uint8Array> {
  let small: Uint8Array[] = [];
  let size = 0;
  for (const piece of pieces) {
    if (piece.byteLength < 2 ** 20) {
      small.push(piece);
      size += piece.byteLength;
      if (size < 2 ** 22) continue;
    }
    yield Buffer.concat(small);
    [small, size] = [[], 0];
    if (piece.byteLength >= 2 ** 20) yield piece;
  }
  yield Buffer.concat(small);
}

/** Values of `[…shape]` with their axes in another order: output axis i is input axis `order[i]`. */
export function permuted<A extends Data>(data: A, shape: readonly number[], order: readonly number[]): A {
  const strides = shape.map((_, axis) => product(shape.slice(axis + 1)));
  const out = data.slice() as A;
  const size = order.map((axis) => shape[axis]);
  const step = order.map((axis) => strides[axis]);
  const at = size.map(() => 0);
  let from = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = data[from];
    for (let axis = size.length - 1; axis >= 0; axis--) {
      from += step[axis];
      if (++at[axis] < size[axis]) break;
      from -= step[axis] * size[axis];
      at[axis] = 0;
    }
  }
  return out;
}
