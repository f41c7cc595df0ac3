// A graph in half precision: weights and what flows between operators in float16, norms and sums in float32, input and output as before.
import { halfBits } from '../base/float16.js';
import { refused } from './emission.js';
import type { Constant, Graph, Node } from './graph.js';

/** Operators that work in half precision. */
const half = new Set(
  [
    'Conv ConvTranspose MatMul Add Sub Mul Div Sum Neg Abs Erf Relu LeakyRelu Elu Sigmoid Tanh Softplus Clip Min Max',
    'Concat Split Slice Pad Reshape Transpose Tile Expand Identity MaxPool AveragePool Resize',
  ].flatMap((line) => line.split(' ')),
);
/** Operators whose sums of many voxels half precision does not hold. */
const single = new Set(
  'InstanceNormalization LayerNormalization Softmax LogSoftmax ReduceMean ReduceSum Exp Log Sqrt Reciprocal Pow'.split(' '),
);
/** Inputs that say how, not what; `Resize` takes its scales in float32. */
const settings: Record<string, number> = { Resize: 1 };

/**
 * Turns a graph into half precision.
 * @throws VoxelbookError naming an operator for which that is not known (selective scans among them), and weights beyond half precision
 */
export function halve(graph: Graph): void {
  const constants = new Map(graph.constants.map((constant) => [constant.name, constant]));
  const isFloat = (name: string) => (constants.get(name)?.type ?? 'float32') === 'float32';
  const inHalf = new Map<string, Constant>();
  const kept = new Set<string>();
  const cast = (name: string, to: 'half' | 'single', nodes: Node[]) => {
    const out = graph.fresh(`${name}_${to}`);
    nodes.push({ op: 'Cast', inputs: [name], outputs: [out], attributes: { to: { int: to === 'half' ? 10 : 1 } } });
    return out;
  };
  const nodes: Node[] = [];
  const [image] = graph.inputs;
  const [logits] = graph.outputs;
  const given = cast(image.name, 'half', nodes);
  for (const node of graph.nodes) {
    const isSingle = single.has(node.op);
    if (!isSingle && !half.has(node.op))
      throw refused(`${node.op} in half precision`, 'operators that work in it; export in single precision');
    const inputs = node.inputs.map((name, i) => {
      if (name === '' || !isFloat(name)) return name;
      const constant = constants.get(name);
      if (constant && (isSingle || i >= (settings[node.op] ?? Number.POSITIVE_INFINITY))) {
        kept.add(name);
        return name;
      }
      if (constant) {
        if (!inHalf.has(name)) inHalf.set(name, halved(constant, graph.fresh(`${name}_half`)));
        return inHalf.get(name)!.name;
      }
      const value = name === image.name ? given : name;
      return isSingle ? cast(value, 'single', nodes) : value;
    });
    const outputs = node.outputs.map((name) => (isSingle || name === logits.name ? graph.fresh(`${name}_whole`) : name));
    nodes.push({ ...node, inputs, outputs });
    for (const [i, name] of node.outputs.entries()) {
      if (name === logits.name) nodes.push({ op: 'Cast', inputs: [outputs[i]], outputs: [name], attributes: { to: { int: 1 } } });
      else if (isSingle) nodes.push({ op: 'Cast', inputs: [outputs[i]], outputs: [name], attributes: { to: { int: 10 } } });
    }
  }
  const rest = graph.constants.filter(({ name, type }) => type !== 'float32' || kept.has(name));
  graph.nodes.splice(0, graph.nodes.length, ...nodes);
  // A weight keeps the checkpoint's name where it stands once.
  const free = [...inHalf].filter(([name]) => !kept.has(name));
  const names = new Map(free.map(([name, { name: given }]) => [given, name]));
  for (const node of graph.nodes) node.inputs = node.inputs.map((name) => names.get(name) ?? name);
  const turned = [...inHalf.values()].map((constant) => ({ ...constant, name: names.get(constant.name) ?? constant.name }));
  graph.constants.splice(0, graph.constants.length, ...rest, ...turned);
}

function halved({ data, ...constant }: Constant, name: string): Constant {
  const bits = Uint16Array.from(data as Float32Array, halfBits);
  const beyond = bits.findIndex((b) => (b & 0x7c00) === 0x7c00);
  if (beyond >= 0) throw refused(`${constant.name} with ${data[beyond]} in half precision`, 'weights of at most 65504');
  return { ...constant, name, type: 'float16', data: bits };
}
