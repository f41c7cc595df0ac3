// A traced pass on its way to ONNX. Traced values have their channels last, ONNX convolves with channels first: every value stands in the
// graph in one of the two layouts, or in both where both are asked for, and is turned where it is first asked for in the other. An operator
// that does not care for the layout (`elementwise`) works in the one its input has, so that a convolutional network is turned nowhere.
import { VoxelbookError } from '../base/errors.js';
import type { Trace, TracedOperator } from '../tensor/trace.js';
import { type Attribute, type ElementType, Graph, permuted } from './graph.js';

export type Layout = 'last' | 'first';

/** Axes of a value of `rank` axes with channels first, as axes of the same with channels last. */
const toFirst = (rank: number) => [0, rank - 1, ...Array.from({ length: rank - 2 }, (_, i) => i + 1)];
const toLast = (rank: number) => [0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1];

export class Emission {
  readonly graph: Graph;
  private readonly places = new Map<number, Partial<Record<Layout, string>>>();
  /** By value and order of axes: several operators may share a weight. */
  private readonly turnedConstants = new Map<string, string>();

  constructor(
    readonly trace: Trace,
    name: string,
  ) {
    this.graph = new Graph(name);
  }

  shape = (value: number): readonly number[] => this.trace.values[value].shape;
  rank = (value: number): number => this.shape(value).length;

  type(value: number): ElementType {
    const { dtype } = this.trace.values[value];
    if (dtype === 'float32' || dtype === 'int32' || dtype === 'bool') return dtype;
    throw refused(`a tensor of ${dtype}`, 'numbers');
  }

  /** Of a constant. */
  data = (value: number) => this.trace.values[value].data;

  /** Whether a value stands with channels first only: turning it would cost a pass over it. */
  isFirst(value: number): boolean {
    const place = this.places.get(value);
    return place?.first !== undefined && place.last === undefined;
  }

  /** The layout that an operator works in which takes either. All tensors of the full rank decide. */
  layoutOf(values: readonly number[]): Layout {
    const rank = Math.max(...values.map(this.rank));
    return rank >= 3 && values.some((v) => this.rank(v) === rank && this.isFirst(v)) ? 'first' : 'last';
  }

  /** The value's name in a layout; with channels first it needs three axes. */
  get(value: number, layout: Layout): string {
    const place = this.places.get(value) ?? {};
    this.places.set(value, place);
    const known = place[layout];
    if (known) return known;
    const { data, name } = this.trace.values[value];
    const shape = this.shape(value);
    const order = layout === 'first' ? toFirst(shape.length) : toLast(shape.length);
    if (data) {
      const turned = layout === 'first' ? permuted(data, shape, order) : data;
      const own = layout === 'first' ? order.map((axis) => shape[axis]) : shape;
      place[layout] = this.graph.constant(turned, own, this.type(value), name);
    } else {
      const other = place[layout === 'first' ? 'last' : 'first'];
      if (!other) throw new Error(`value ${value} is used before it is made`);
      place[layout] = this.graph.add('Transpose', [other], { perm: { ints: order } });
    }
    return place[layout];
  }

  /** The value among others of `rank` axes, in a layout: axes of length 1 stand before its own, as broadcasting reads it. */
  among(value: number, rank: number, layout: Layout): string {
    const own = this.rank(value);
    if (layout === 'last' || own === 0) return this.get(value, 'last');
    if (own === rank) return this.get(value, 'first');
    const shape = [...Array<number>(rank - own).fill(1), ...this.shape(value)];
    const order = toFirst(rank);
    if (this.data(value)) return this.turnedConstant(value, shape, order);
    const whole = this.graph.add('Reshape', [this.get(value, 'last'), this.graph.integers(shape)]);
    return this.graph.add('Transpose', [whole], { perm: { ints: order } });
  }

  put(value: number, layout: Layout, name: string): void {
    this.places.set(value, { ...this.places.get(value), [layout]: name });
  }

  /** The value with its axes in another order, one turn from whichever layout it has. @param order of the axes with channels last */
  turned(value: number, order: readonly number[]): string {
    const shape = this.shape(value);
    if (this.data(value)) return this.turnedConstant(value, shape, order);
    const first = this.isFirst(value);
    const perm = first ? order.map((axis) => toFirst(shape.length).indexOf(axis)) : order;
    return this.graph.add('Transpose', [this.get(value, first ? 'first' : 'last')], { perm: { ints: perm } });
  }

  /** A constant, taken as of `shape`, with its axes in another order: once, however often it is asked for. */
  private turnedConstant(value: number, shape: readonly number[], order: readonly number[]): string {
    const key = `${value} ${shape} ${order}`;
    const known = this.turnedConstants.get(key);
    if (known) return known;
    const { data, name } = this.trace.values[value];
    const turned = order.map((axis) => shape[axis]);
    const made = this.graph.constant(permuted(data!, shape, order), turned, this.type(value), name);
    this.turnedConstants.set(key, made);
    return made;
  }

  /** An axis, or numbers one an axis, as they stand in a layout. */
  axis = (axis: number, rank: number, layout: Layout): number => {
    const own = axis < 0 ? axis + rank : axis;
    return layout === 'first' ? toFirst(rank).indexOf(own) : own;
  };
  perAxis = <T>(numbers: readonly T[], layout: Layout): T[] =>
    layout === 'first' ? toFirst(numbers.length).map((axis) => numbers[axis]) : [...numbers];

  /** One operator on values in the layout that they have. */
  elementwise(operator: TracedOperator, op: string, attributes: Record<string, Attribute> = {}): void {
    const inputs = Object.values(operator.inputs);
    const layout = this.layoutOf(inputs);
    const rank = this.rank(operator.outputs[0]);
    const names = inputs.map((value) => this.among(value, rank, layout));
    this.put(operator.outputs[0], layout, this.graph.add(op, names, attributes));
  }

  /** Several operators on one value in the layout that it has. */
  inPlace({ inputs, outputs }: TracedOperator, work: (x: string) => string): void {
    const [x] = Object.values(inputs);
    const layout = this.layoutOf([x]);
    this.put(outputs[0], layout, work(this.get(x, layout)));
  }
}

export const refused = (given: string, expected: string) =>
  new VoxelbookError('this network cannot be exported', {
    code: 'onnx-operator',
    path: 'forward',
    given,
    expected,
    fix: 'Predict with voxelbook, or export a network without it.',
  });
