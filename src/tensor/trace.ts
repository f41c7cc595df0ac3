// A forward pass as a list of operators: the pass runs on shapes alone while every operator is written down, with the values of its
// constants. What leaves this library (ONNX) is made of it.
import { product } from '../base/shape.js';
import { withPlainOperators } from './native/load.js';
import { type Recorder, symbolic, symbolicOutput } from './symbolic.js';
import { tf } from './tf.js';

export interface TracedValue {
  shape: readonly number[];
  dtype: tf.DataType;
  /** Of a constant. */
  data?: Values;
  /** Of a parameter. */
  name?: string;
}

export type Values = Float32Array | Int32Array | Uint8Array;

export interface TracedOperator {
  /** A kernel of tfjs by its name (`Concat`), or an operator of `ops/` by its own (`conv`). */
  name: string;
  /** Numbers of values, by the kernel's names of its inputs (`x`, `a`, `b`, `0`, `1`). */
  inputs: Record<string, number>;
  outputs: number[];
  /** The kernel's, or what the operator says of itself. */
  attributes: Record<string, any>;
}

export interface Trace {
  values: TracedValue[];
  /** In order; none that the output does not need. Those that only work on constants are done: their outputs are constants. */
  operators: TracedOperator[];
  input: number;
  output: number;
}

/**
 * Writes down a pass.
 * @param shape of its input, float32
 * @param parameters values in memory's layout; they keep their names
 * @param pass one output for one input; where it gives several tensors, the first
 * @throws VoxelbookError for a pass that looks at values
 */
export function trace(
  shape: readonly number[],
  parameters: Record<string, { shape: readonly number[]; data: Values }>,
  pass: (x: tf.Tensor, parameters: Record<string, tf.Tensor>) => tf.Tensor | readonly tf.Tensor[],
): Trace {
  const values: TracedValue[] = [];
  const operators: TracedOperator[] = [];
  const numbers = new Map<object, number>();
  const constants = new Map<object, Values>();
  const numberOf = ({ dataId, shape, dtype }: { dataId: object; shape: number[]; dtype: tf.DataType }): number => {
    if (!numbers.has(dataId)) numbers.set(dataId, values.push({ shape: [...shape], dtype, data: constants.get(dataId) }) - 1);
    return numbers.get(dataId)!;
  };
  const recorder: Recorder = {
    constant: (dataId, data) => void constants.set(dataId, data as Values),
    operator(name, inputs, outputs, attributes) {
      const entries = Object.entries(inputs).map(([key, info]): [string, number] => [key, numberOf(info)]);
      operators.push({ name, inputs: Object.fromEntries(entries), outputs: outputs.map(numberOf), attributes });
    },
  };
  const { result } = withPlainOperators(() =>
    symbolic(() => {
      const x = symbolicOutput(shape);
      const tensors: Record<string, tf.Tensor> = {};
      for (const [name, { shape, data }] of Object.entries(parameters)) {
        tensors[name] = tf.tensor(data, [...shape], data instanceof Int32Array ? 'int32' : 'float32');
        values[numberOf(tensors[name])].name = name;
      }
      const outputs = pass(x, tensors);
      return [numberOf(x), numberOf(Array.isArray(outputs) ? outputs[0] : (outputs as tf.Tensor))];
    }, recorder),
  );
  const [input, output] = result;
  const needed = neededFor(output, operators);
  return { values, operators: needed.filter((o) => !folded(o, values)), input, output };
}

function neededFor(output: number, operators: readonly TracedOperator[]): TracedOperator[] {
  const wanted = new Set([output]);
  const kept: TracedOperator[] = [];
  for (const operator of [...operators].reverse()) {
    if (!operator.outputs.some((o) => wanted.has(o))) continue;
    for (const i of Object.values(operator.inputs)) wanted.add(i);
    kept.push(operator);
  }
  return kept.reverse();
}

/** Largest sum of bytes alive at once in a pass that frees what no later operator needs; constants do not count. */
export function peakBytes({ values, operators, input, output }: Trace): number {
  const last = new Map<number, number>();
  for (const [i, { inputs }] of operators.entries()) for (const value of Object.values(inputs)) last.set(value, i);
  last.set(output, operators.length);
  const bytes = (value: number) => (values[value].data ? 0 : 4 * product(values[value].shape));
  let alive = bytes(input);
  let most = alive;
  for (const [i, { inputs, outputs }] of operators.entries()) {
    for (const value of outputs) alive += bytes(value);
    most = Math.max(most, alive);
    for (const value of new Set([...Object.values(inputs), ...outputs])) if ((last.get(value) ?? i) <= i) alive -= bytes(value);
  }
  return most;
}

/** Computes a kernel of tfjs whose inputs are all constants. @returns whether it was one */
function folded({ name, inputs, outputs, attributes }: TracedOperator, values: TracedValue[]): boolean {
  if (Object.values(inputs).some((i) => !values[i].data) || !tf.getKernel(name, tf.getBackend())) return false;
  tf.tidy(() => {
    const tensors = Object.entries(inputs).map(([key, i]): [string, tf.Tensor] => {
      const { data, shape, dtype } = values[i];
      return [key, tf.tensor(data!, [...shape], dtype)];
    });
    // Kernels of a list of tensors want a list.
    const list = tensors.length > 0 && tensors.every(([key]) => /^\d+$/.test(key));
    const given = list ? tensors.map(([, t]) => t) : Object.fromEntries(tensors);
    const found = tf.engine().runKernel(name, given as Record<string, tf.Tensor>, { ...attributes }) as tf.Tensor | tf.Tensor[];
    for (const [i, tensor] of [found].flat().entries()) values[outputs[i]].data = tensor.dataSync() as Values;
  });
  if (sameValues.has(name)) values[outputs[0]].name = values[Object.values(inputs)[0]].name;
  return true;
}

/** Kernels that only put values another way: what they make of a parameter still bears its name. */
const sameValues = new Set(['Identity', 'Reshape', 'Transpose', 'ExpandDims']);
