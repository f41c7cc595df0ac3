// Less memory for wide layers: where a convolution of one voxel widens an image, GELU follows, and another one narrows it again (MedNeXt's
// blocks), no voxel needs its neighbours, so the three run slab by slab and the wide image never stands whole; nor does the norm's before them.
import { product } from '../base/shape.js';
import type { Trace, TracedOperator, TracedValue } from '../tensor/trace.js';

/** What is cut. */
export interface SlabOptions {
  /** Bytes of a wide image from which on it is cut, and of each slab at most. */
  most?: number;
  /** Whether the norm before it is cut too: mean and variance come first, slab by slab, and the normed image never stands whole either. */
  norms?: boolean;
}

/** The same pass with its widest parts in slabs along the first spatial axis. */
export function inSlabs(trace: Trace, { most = 2 ** 25, norms = true }: SlabOptions = {}): Trace {
  const values = [...trace.values];
  const uses = new Map<number, number>([[trace.output, 1]]);
  for (const { inputs } of trace.operators)
    for (const value of Object.values(inputs)) uses.set(value, (uses.get(value) ?? 0) + 1);
  const operators: TracedOperator[] = [];
  for (let i = 0; i < trace.operators.length; i++) {
    const [one, ...next] = trace.operators.slice(i, i + 4);
    const isWide = ({ outputs }: TracedOperator) => bytesOf(values[outputs[0]]) > most;
    const normed = norms && isNorm(one, values) && isWide(one) && uses.get(one.outputs[0]) === 1;
    if (normed && isChain(next, values, uses) && isWide(next[0]) && Object.values(next[0].inputs)[0] === one.outputs[0]) {
      operators.push(...cut(next, values, most, one));
      i += 3;
    } else if (isWide(one) && isChain([one, ...next], values, uses)) {
      operators.push(...cut([one, ...next], values, most));
      i += 2;
    } else operators.push(one);
  }
  return { ...trace, values, operators };
}

/** Mean and variance of each channel of each image over space. */
function isNorm({ name, inputs, attributes }: TracedOperator, values: readonly TracedValue[]): boolean {
  if (name !== 'groupNorm' && name !== 'instanceNorm') return false;
  const { shape } = values[Object.values(inputs)[0]];
  return attributes.groups === shape.at(-1) && attributes.batch === shape[0];
}

const bytesOf = ({ shape }: TracedValue) => 4 * product(shape);

/** Widening convolution, GELU, narrowing convolution, each used by the next alone. */
function isChain(
  [widen, act, narrow]: TracedOperator[],
  values: readonly TracedValue[],
  uses: ReadonlyMap<number, number>,
): boolean {
  if (!act || !narrow || act.name !== 'gelu' || !isPointwise(widen, values) || !isPointwise(narrow, values)) return false;
  const follows = (a: TracedOperator, b: TracedOperator) =>
    Object.values(b.inputs)[0] === a.outputs[0] && uses.get(a.outputs[0]) === 1;
  return follows(widen, act) && follows(act, narrow);
}

function isPointwise({ name, inputs, attributes }: TracedOperator, values: readonly TracedValue[]): boolean {
  if (name !== 'conv' || attributes.groups !== 1) return false;
  const [, kernel] = Object.values(inputs);
  const window = values[kernel].shape.slice(0, -2);
  return (
    window.length > 0 &&
    [...window, ...attributes.stride].every((n) => n === 1) &&
    attributes.padding.every((n: number) => n === 0)
  );
}

/** The chain on each slab, of an image that a norm goes before, and the slabs put together. Adds their values to `values`. */
function cut(
  [widen, act, narrow]: TracedOperator[],
  values: TracedValue[],
  most: number,
  norm?: TracedOperator,
): TracedOperator[] {
  const made = (shape: readonly number[]) => values.push({ shape, dtype: 'float32' }) - 1;
  const [x] = Object.values((norm ?? widen).inputs);
  const shape = values[x].shape;
  const depth = shape[1];
  const count = Math.min(depth, Math.ceil(bytesOf(values[widen.outputs[0]]) / most));
  const operators: TracedOperator[] = [];
  const add = (name: string, inputs: number[], outShape: readonly number[], attributes: Record<string, unknown> = {}) => {
    const out = made(outShape);
    operators.push({
      name,
      inputs: Object.fromEntries(inputs.map((value, i) => [String(i), value])),
      outputs: [out],
      attributes,
    });
    return out;
  };
  const like = (value: number, thick: number) => values[value].shape.map((n, axis) => (axis === 1 ? thick : n));
  const slabs = Array.from({ length: count }, (_, k) => {
    const from = Math.floor((k * depth) / count);
    return { from, thick: Math.floor(((k + 1) * depth) / count) - from };
  });
  const slabOf = ({ from, thick }: { from: number; thick: number }) => {
    const begin = shape.map((_, axis) => (axis === 1 ? from : 0));
    return add('Slice', [x], like(x, thick), { begin, size: like(x, thick) });
  };
  const normed = norm && normOf(norm, values, add, (use) => slabs.map((place) => use(slabOf(place))));
  const parts = slabs.map((place) => {
    let slab = slabOf(place);
    if (normed) slab = normed(slab);
    for (const operator of [widen, act, narrow]) {
      const [first, ...others] = Object.entries(operator.inputs);
      const out = made(like(operator.outputs[0], place.thick));
      operators.push({ ...operator, inputs: Object.fromEntries([[first[0], slab], ...others]), outputs: [out] });
      slab = out;
    }
    return slab;
  });
  const inputs = Object.fromEntries(parts.map((part, k) => [String(k), part]));
  return [...operators, { name: 'Concat', inputs, outputs: narrow.outputs, attributes: { axis: 1 } }];
}

type Add = (name: string, inputs: number[], shape: readonly number[], attributes?: Record<string, unknown>) => number;

/** Takes mean and variance of a norm's input. @returns what norms a slab of it */
function normOf(
  norm: TracedOperator,
  values: TracedValue[],
  add: Add,
  eachSlab: (use: (slab: number) => number) => number[],
): (slab: number) => number {
  const [x, ...weights] = Object.values(norm.inputs);
  const { shape } = values[x];
  const { epsilon, scale, shift } = norm.attributes;
  const space = shape.map((_, axis) => axis).slice(1, -1);
  const row = shape.map((n, axis) => (space.includes(axis) ? 1 : n));
  const number = (value: number) => values.push({ shape: [], dtype: 'float32', data: Float32Array.of(value) }) - 1;
  const over = { axis: space, keepDims: true };
  const mean = add('Mean', [x], row, over);
  const squares = eachSlab((slab) => {
    const { shape: own } = values[slab];
    return add('Sum', [add('Square', [add('Sub', [slab, mean], own)], own)], row, over);
  });
  const sum = squares.length === 1 ? squares[0] : add('AddN', squares, row);
  const variance = add('Multiply', [sum, number(1 / product(shape.slice(1, -1)))], row);
  let factor = add('Rsqrt', [add('Add', [variance, number(epsilon)], row)], row);
  if (scale) factor = add('Multiply', [factor, weights[0]], row);
  return (slab) => {
    const { shape: own } = values[slab];
    const scaled = add('Multiply', [add('Sub', [slab, mean], own), factor], own);
    return shift ? add('Add', [scaled, weights.at(-1)!], own) : scaled;
  };
}
