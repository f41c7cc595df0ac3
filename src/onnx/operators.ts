// What each traced operator is in ONNX (operator set 18, https://onnx.ai/onnx/operators).
import { product } from '../base/shape.js';
import { tf } from '../tensor/tf.js';
import type { TracedOperator } from '../tensor/trace.js';
import { type Emission, type Layout, refused } from './emission.js';
import { type Attribute, elementTypes, type Graph } from './graph.js';
import { scanNodes } from './scan.js';

export type Emit = (e: Emission, operator: TracedOperator) => void;

const first = ({ inputs }: TracedOperator) => Object.values(inputs)[0];

/** By the traced name. */
const table: Record<string, Emit> = {
  conv: (e, o) => convolution(e, o, 'Conv'),
  depthwiseConv: (e, o) => convolution(e, o, 'Conv'),
  convTranspose: (e, o) => convolution(e, o, 'ConvTranspose'),
  depthwiseConvTranspose: (e, o) => convolution(e, o, 'ConvTranspose'),
  linear,
  instanceNorm: spatialNorm,
  groupNorm: spatialNorm,
  layerNorm,
  resize,
  selectiveScan: scanNodes,
  leakyRelu: (e, o) => e.elementwise(o, 'LeakyRelu', { alpha: { float: o.attributes.slope } }),
  silu: (e, o) => e.inPlace(o, (x) => e.graph.add('Mul', [x, e.graph.add('Sigmoid', [x])])),
  gelu: (e, o) => e.inPlace(o, (x) => gelu(e.graph, x)),

  LeakyRelu: (e, o) => e.elementwise(o, 'LeakyRelu', { alpha: { float: o.attributes.alpha } }),
  Square: (e, o) => e.inPlace(o, (x) => e.graph.add('Mul', [x, x])),
  Rsqrt: (e, o) => e.inPlace(o, (x) => e.graph.add('Reciprocal', [e.graph.add('Sqrt', [x])])),
  Expm1: (e, o) => e.inPlace(o, (x) => e.graph.add('Sub', [e.graph.add('Exp', [x]), e.graph.scalar(1)])),
  Log1p: (e, o) => e.inPlace(o, (x) => e.graph.add('Log', [e.graph.add('Add', [x, e.graph.scalar(1)])])),
  Relu6: (e, o) => e.inPlace(o, (x) => e.graph.add('Clip', [x, e.graph.scalar(0), e.graph.scalar(6)])),
  ClipByValue: (e, o) =>
    e.inPlace(o, (x) =>
      e.graph.add('Clip', [x, e.graph.scalar(o.attributes.clipValueMin), e.graph.scalar(o.attributes.clipValueMax)]),
    ),
  Identity: (e, o) => e.inPlace(o, (x) => x),
  Cast: (e, o) => e.elementwise(o, 'Cast', { to: { int: elementTypes[e.type(o.outputs[0])] } }),
  ZerosLike: (e, o) => filled(e, o, 0),
  OnesLike: (e, o) => filled(e, o, 1),
  FloorDiv: (e, o) => {
    e.elementwise(o, 'Div');
    e.inPlace({ ...o, inputs: { x: o.outputs[0] } }, (x) => e.graph.add('Floor', [x]));
  },
  SquaredDifference: (e, o) => {
    e.elementwise(o, 'Sub');
    e.inPlace({ ...o, inputs: { x: o.outputs[0] } }, (x) => e.graph.add('Mul', [x, x]));
  },
  NotEqual: (e, o) => {
    e.elementwise(o, 'Equal');
    e.inPlace({ ...o, inputs: { x: o.outputs[0] } }, (x) => e.graph.add('Not', [x]));
  },
  AddN: (e, o) => e.elementwise(o, 'Sum'),
  Select: (e, o) => e.elementwise(o, 'Where'),
  Softmax: (e, o) => alongChannels(e, o, 'Softmax'),
  LogSoftmax: (e, o) => alongChannels(e, o, 'LogSoftmax'),

  Sum: (e, o) => reduce(e, o, 'ReduceSum'),
  Mean: (e, o) => reduce(e, o, 'ReduceMean'),
  Max: (e, o) => reduce(e, o, 'ReduceMax'),
  Min: (e, o) => reduce(e, o, 'ReduceMin'),
  Prod: (e, o) => reduce(e, o, 'ReduceProd'),

  Reshape: reshaped,
  ExpandDims: reshaped,
  Transpose: (e, o) => e.put(o.outputs[0], 'last', e.turned(first(o), o.attributes.perm)),
  Concat(e, o) {
    const parts = Object.values(o.inputs);
    const layout = e.layoutOf(parts);
    const axis = e.axis(o.attributes.axis, e.rank(parts[0]), layout);
    const names = parts.map((part) => e.get(part, layout));
    e.put(o.outputs[0], layout, e.graph.add('Concat', names, { axis: { int: axis } }));
  },
  Pack(e, o) {
    const shape = [...e.shape(o.outputs[0])];
    const axis = o.attributes.axis < 0 ? o.attributes.axis + shape.length : o.attributes.axis;
    shape[axis] = 1;
    const parts = Object.values(o.inputs).map((part) => reshape(e, e.get(part, 'last'), shape));
    e.put(o.outputs[0], 'last', e.graph.add('Concat', parts, { axis: { int: axis } }));
  },
  Unpack(e, o) {
    const axis = e.axis(o.attributes.axis, e.rank(first(o)), 'last');
    const sizes = Array<number>(o.outputs.length).fill(1);
    split(e, e.get(first(o), 'last'), axis, sizes).forEach((part, i) => {
      e.put(o.outputs[i], 'last', reshape(e, part, e.shape(o.outputs[i])));
    });
  },
  SplitV(e, o) {
    const layout = e.layoutOf([first(o)]);
    const rank = e.rank(first(o));
    const own = e.axis(o.attributes.axis, rank, 'last');
    const sizes = o.outputs.map((part) => e.shape(part)[own]);
    split(e, e.get(first(o), layout), e.axis(own, rank, layout), sizes).forEach((part, i) => {
      e.put(o.outputs[i], layout, part);
    });
  },
  Slice(e, o) {
    const layout = e.layoutOf([first(o)]);
    const [begin] = tf.slice_util.parseSliceParams(
      { shape: [...e.shape(first(o))], rank: e.rank(first(o)) } as tf.Tensor,
      o.attributes.begin,
      o.attributes.size,
    );
    const end = begin.map((b, axis) => b + e.shape(o.outputs[0])[axis]);
    const bounds = [begin, end].map((list) => e.graph.integers(e.perAxis(list, layout)));
    e.put(o.outputs[0], layout, e.graph.add('Slice', [e.get(first(o), layout), ...bounds]));
  },
  Reverse(e, o) {
    const layout = e.layoutOf([first(o)]);
    const rank = e.rank(first(o));
    const axes = [o.attributes.dims].flat().map((axis: number) => e.axis(axis, rank, layout));
    const all = (value: number) => e.graph.integers(axes.map(() => value));
    const names = [e.get(first(o), layout), all(-1), all(-(2 ** 31)), e.graph.integers(axes), all(-1)];
    e.put(o.outputs[0], layout, e.graph.add('Slice', names));
  },
  PadV2: (e, o) => padded(e, o, 'constant', [e.graph.scalar(o.attributes.constantValue)]),
  MirrorPad(e, o) {
    if (o.attributes.mode !== 'reflect') throw refused('MirrorPad that repeats the border', 'mode reflect');
    padded(e, o, 'reflect');
  },
  Tile(e, o) {
    const layout = e.layoutOf([first(o)]);
    const repeats = e.graph.integers(e.perAxis(o.attributes.reps, layout));
    e.put(o.outputs[0], layout, e.graph.add('Tile', [e.get(first(o), layout), repeats]));
  },
  BroadcastTo: (e, o) =>
    e.put(o.outputs[0], 'last', e.graph.add('Expand', [e.get(first(o), 'last'), e.graph.integers(e.shape(o.outputs[0]))])),
  GatherV2(e, o) {
    if (o.attributes.batchDims) throw refused('GatherV2 with batches of indices', 'one list of indices');
    const axis = e.axis(o.attributes.axis, e.rank(o.inputs.x), 'last');
    const names = [e.get(o.inputs.x, 'last'), e.get(o.inputs.indices, 'last')];
    e.put(o.outputs[0], 'last', e.graph.add('Gather', names, { axis: { int: axis } }));
  },
  BatchMatMul(e, o) {
    const { a, b } = o.inputs;
    const { transposeA, transposeB } = o.attributes;
    const names = [matrixOf(e, a, transposeA), matrixOf(e, b, transposeB)];
    e.put(o.outputs[0], 'last', e.graph.add('MatMul', names));
  },
  Einsum(e, o) {
    const names = Object.values(o.inputs).map((value) => e.get(value, 'last'));
    e.put(o.outputs[0], 'last', e.graph.add('Einsum', names, { equation: { text: o.attributes.equation } }));
  },
  MaxPool: (e, o) => pool(e, o, 'MaxPool'),
  MaxPool3D: (e, o) => pool(e, o, 'MaxPool'),
  AvgPool: (e, o) => pool(e, o, 'AveragePool'),
  AvgPool3D: (e, o) => pool(e, o, 'AveragePool'),
};

/** ONNX's operator where it is the same by another, or by the same name. */
const same: Record<string, string> = {
  ...Object.fromEntries(
    'Abs Ceil Cos Erf Exp Floor Log Neg Reciprocal Relu Round Sigmoid Sign Sin Softplus Sqrt Tan Tanh Elu Add Greater Less Equal Pow'
      .split(' ')
      .map((name) => [name, name]),
  ),
  Sub: 'Sub',
  Multiply: 'Mul',
  RealDiv: 'Div',
  Maximum: 'Max',
  Minimum: 'Min',
  GreaterEqual: 'GreaterOrEqual',
  LessEqual: 'LessOrEqual',
  LogicalAnd: 'And',
  LogicalOr: 'Or',
  LogicalXor: 'Xor',
  LogicalNot: 'Not',
};

/** Adds what an operator is to the graph. @throws VoxelbookError naming an operator that has no form there */
export function emit(e: Emission, operator: TracedOperator): void {
  if (Object.hasOwn(table, operator.name)) table[operator.name](e, operator);
  else if (Object.hasOwn(same, operator.name)) e.elementwise(operator, same[operator.name]);
  else
    throw refused(
      `the operator ${operator.name}`,
      `operators that have a form in ONNX: ${[...Object.keys(table), ...Object.keys(same)].join(', ')}`,
    );
}

const ints = (values: readonly number[]): Attribute => ({ ints: values });

function convolution(e: Emission, { inputs, outputs, attributes: a }: TracedOperator, op: 'Conv' | 'ConvTranspose'): void {
  const [x, kernel, bias] = Object.values(inputs);
  const rank = e.rank(kernel);
  // […k, b, a] in memory, [a, b, …k] in ONNX as in PyTorch.
  const order = [rank - 1, rank - 2, ...Array.from({ length: rank - 2 }, (_, i) => i)];
  const names = [e.get(x, 'first'), e.turned(kernel, order), ...(bias === undefined ? [] : [e.get(bias, 'last')])];
  const attributes: Record<string, Attribute> = {
    kernel_shape: ints(e.shape(kernel).slice(0, -2)),
    strides: ints(a.stride),
    pads: ints([...a.padding, ...a.padding]),
    group: { int: a.groups },
    ...(a.dilation && { dilations: ints(a.dilation) }),
    ...(a.outputPadding && { output_padding: ints(a.outputPadding) }),
  };
  e.put(outputs[0], 'first', e.graph.add(op, names, attributes));
}

/** On a grid that stands with channels first a convolution with a window of one voxel, else a product of matrices. */
function linear(e: Emission, { inputs, outputs }: TracedOperator): void {
  const [x, weight, bias] = Object.values(inputs);
  const rank = e.rank(x);
  if (rank >= 3 && e.isFirst(x) && e.data(weight)) {
    const window = Array<number>(rank - 2).fill(1);
    const kernel = reshape(e, e.turned(weight, [1, 0]), [e.shape(weight)[1], e.shape(weight)[0], ...window]);
    const names = [e.get(x, 'first'), kernel, ...(bias === undefined ? [] : [e.get(bias, 'last')])];
    e.put(outputs[0], 'first', e.graph.add('Conv', names, { kernel_shape: ints(window) }));
    return;
  }
  const y = e.graph.add('MatMul', [e.get(x, 'last'), e.get(weight, 'last')]);
  e.put(outputs[0], 'last', bias === undefined ? y : e.graph.add('Add', [y, e.get(bias, 'last')]));
}

/** Mean and variance over space, of each channel or of a group of channels. */
function spatialNorm(e: Emission, { name, inputs, outputs, attributes: a }: TracedOperator): void {
  const [x, ...weights] = Object.values(inputs);
  const shape = e.shape(x);
  const channels = shape.at(-1)!;
  if (a.batch !== shape[0]) throw refused(`${name} over the whole batch`, 'a norm of each image');
  const gamma = a.scale ? weights[0] : undefined;
  const beta = a.shift ? weights.at(-1) : undefined;
  const table = (value: number | undefined, fill: number, count: number) =>
    value === undefined ? e.graph.constant(new Float32Array(count).fill(fill), [count]) : e.get(value, 'last');
  const epsilon: Attribute = { float: a.epsilon };
  const input = e.get(x, 'first');
  if (a.groups === channels) {
    const names = [input, table(gamma, 1, channels), table(beta, 0, channels)];
    e.put(outputs[0], 'first', e.graph.add('InstanceNormalization', names, { epsilon }));
    return;
  }
  const rows = reshape(e, input, [shape[0], a.groups, product(shape.slice(1)) / a.groups]);
  const none = [table(undefined, 1, a.groups), table(undefined, 0, a.groups)];
  const normed = e.graph.add('InstanceNormalization', [rows, ...none], { epsilon });
  let y = reshape(e, normed, [shape[0], channels, ...shape.slice(1, -1)]);
  if (gamma !== undefined) y = e.graph.add('Mul', [y, e.among(gamma, shape.length, 'first')]);
  if (beta !== undefined) y = e.graph.add('Add', [y, e.among(beta, shape.length, 'first')]);
  e.put(outputs[0], 'first', y);
}

function layerNorm(e: Emission, { inputs, outputs, attributes: a }: TracedOperator): void {
  const [x, ...weights] = Object.values(inputs);
  const channels = e.shape(x).at(-1)!;
  const gamma = a.scale ? e.get(weights[0], 'last') : e.graph.constant(new Float32Array(channels).fill(1), [channels]);
  const names = [e.get(x, 'last'), gamma, ...(a.shift ? [e.get(weights.at(-1)!, 'last')] : [])];
  const attributes: Record<string, Attribute> = { axis: { int: -1 }, epsilon: { float: a.epsilon } };
  e.put(outputs[0], 'last', e.graph.add('LayerNormalization', names, attributes));
}

function resize(e: Emission, o: TracedOperator): void {
  const { mode, alignCorners } = o.attributes;
  const sizes = e.graph.integers(e.perAxis(e.shape(o.outputs[0]), 'first'));
  const attributes: Record<string, Attribute> =
    mode === 'nearest'
      ? { mode: { text: 'nearest' }, coordinate_transformation_mode: { text: 'asymmetric' }, nearest_mode: { text: 'floor' } }
      : { mode: { text: 'linear' }, coordinate_transformation_mode: { text: alignCorners ? 'align_corners' : 'half_pixel' } };
  e.put(o.outputs[0], 'first', e.graph.add('Resize', [e.get(first(o), 'first'), '', '', sizes], attributes));
}

/** x · Φ(x), in the form that runtimes know and join into one operator. */
function gelu(graph: Graph, x: string): string {
  const erf = graph.add('Erf', [graph.add('Div', [x, graph.scalar(Math.SQRT2)])]);
  return graph.add('Mul', [graph.add('Mul', [x, graph.add('Add', [erf, graph.scalar(1)])]), graph.scalar(0.5)]);
}

function filled(e: Emission, { outputs }: TracedOperator, value: number): void {
  const shape = e.shape(outputs[0]);
  e.put(outputs[0], 'last', e.graph.constant(new Float32Array(product(shape)).fill(value), shape));
}

function alongChannels(e: Emission, o: TracedOperator, op: string): void {
  const layout = e.layoutOf([first(o)]);
  const axis = e.axis(-1, e.rank(first(o)), layout);
  e.put(o.outputs[0], layout, e.graph.add(op, [e.get(first(o), layout)], { axis: { int: axis } }));
}

function reduce(e: Emission, o: TracedOperator, op: string): void {
  const x = first(o);
  const rank = e.rank(x);
  const keep = e.rank(o.outputs[0]) === rank;
  const layout: Layout = keep ? e.layoutOf([x]) : 'last';
  const { axis } = o.attributes;
  const axes = (axis === undefined || axis === null ? e.shape(x).map((_, i) => i) : [axis].flat()) as number[];
  const names = [e.get(x, layout), e.graph.integers(axes.map((a) => e.axis(a, rank, layout)))];
  e.put(o.outputs[0], layout, e.graph.add(op, names, { keepdims: { int: keep ? 1 : 0 } }));
}

const reshape = (e: Emission, x: string, shape: readonly number[]) => e.graph.add('Reshape', [x, e.graph.integers(shape)]);

function reshaped(e: Emission, o: TracedOperator): void {
  e.put(o.outputs[0], 'last', reshape(e, e.get(first(o), 'last'), e.shape(o.outputs[0])));
}

const split = (e: Emission, x: string, axis: number, sizes: readonly number[]) =>
  e.graph.addMany('Split', [x, e.graph.integers(sizes)], sizes.length, { axis: { int: axis } });

function padded(e: Emission, o: TracedOperator, mode: string, more: string[] = []): void {
  const layout = e.layoutOf([first(o)]);
  const pads = e.perAxis(o.attributes.paddings as [number, number][], layout);
  const numbers = e.graph.integers([...pads.map(([before]) => before), ...pads.map(([, after]) => after)]);
  e.put(o.outputs[0], layout, e.graph.add('Pad', [e.get(first(o), layout), numbers, ...more], { mode: { text: mode } }));
}

function matrixOf(e: Emission, value: number, transposed: boolean): string {
  if (!transposed) return e.get(value, 'last');
  const axes = [...e.shape(value).keys()];
  return e.turned(value, [...axes.slice(0, -2), axes.at(-1)!, axes.at(-2)!]);
}

function pool(e: Emission, o: TracedOperator, op: 'MaxPool' | 'AveragePool'): void {
  const { filterSize, strides, pad } = o.attributes;
  const axes = e.rank(first(o)) - 2;
  const each = (value: number | number[]) => (typeof value === 'number' ? Array<number>(axes).fill(value) : value);
  if (pad !== 'valid' && pad !== 'same') throw refused(`${o.name} with a border of ${JSON.stringify(pad)}`, 'valid or same');
  const attributes: Record<string, Attribute> = {
    kernel_shape: ints(each(filterSize)),
    strides: ints(each(strides)),
    auto_pad: { text: pad === 'same' ? 'SAME_UPPER' : 'VALID' },
  };
  e.put(o.outputs[0], 'first', e.graph.add(op, [e.get(first(o), 'first')], attributes));
}
