// Less memory for wide layers: where a convolution of one voxel widens an image, GELU follows, and another one narrows it again (MedNeXt's
// blocks), no voxel needs its neighbours, so the three run slab by slab and the wide image never stands whole.
import { product } from '../base/shape.js';
import type { Trace, TracedOperator, TracedValue } from '../tensor/trace.js';

/**
 * The same pass with its widest parts in slabs along the first spatial axis.
 * @param most bytes of a wide image from which on it is cut, and of each slab at most
 */
export function inSlabs(trace: Trace, most = 2 ** 25): Trace {
  const values = [...trace.values];
  const uses = new Map<number, number>([[trace.output, 1]]);
  for (const { inputs } of trace.operators)
    for (const value of Object.values(inputs)) uses.set(value, (uses.get(value) ?? 0) + 1);
  const operators: TracedOperator[] = [];
  for (let i = 0; i < trace.operators.length; i++) {
    const three = trace.operators.slice(i, i + 3);
    const wide = three[0].outputs[0];
    if (bytesOf(values[wide]) > most && isChain(three, values, uses)) {
      operators.push(...cut(three, values, most));
      i += 2;
    } else operators.push(three[0]);
  }
  return { ...trace, values, operators };
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

/** The chain on each slab, and the slabs put together. Adds their values to `values`. */
function cut([widen, act, narrow]: TracedOperator[], values: TracedValue[], most: number): TracedOperator[] {
  const made = (like: number, depth: number) => {
    const [batch, , ...rest] = values[like].shape;
    return values.push({ shape: [batch, depth, ...rest], dtype: 'float32' }) - 1;
  };
  const [x] = Object.values(widen.inputs);
  const shape = values[x].shape;
  const depth = shape[1];
  const count = Math.min(depth, Math.ceil(bytesOf(values[widen.outputs[0]]) / most));
  const parts: number[] = [];
  const operators: TracedOperator[] = [];
  for (let k = 0; k < count; k++) {
    const from = Math.floor((k * depth) / count);
    const thick = Math.floor(((k + 1) * depth) / count) - from;
    const begin = shape.map((_, axis) => (axis === 1 ? from : 0));
    const size = shape.map((n, axis) => (axis === 1 ? thick : n));
    let slab = made(x, thick);
    operators.push({ name: 'Slice', inputs: { x }, outputs: [slab], attributes: { begin, size } });
    for (const operator of [widen, act, narrow]) {
      const [first, ...others] = Object.entries(operator.inputs);
      const out = made(operator.outputs[0], thick);
      operators.push({ ...operator, inputs: Object.fromEntries([[first[0], slab], ...others]), outputs: [out] });
      slab = out;
    }
    parts.push(slab);
  }
  const inputs = Object.fromEntries(parts.map((part, k) => [String(k), part]));
  return [...operators, { name: 'Concat', inputs, outputs: narrow.outputs, attributes: { axis: 1 } }];
}
