// The selective scan of Mamba as ONNX's Scan: a loop over positions in the graph itself, standard operators only.
//
//   h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t u_t        y_t = C_t · h_t + D u_t
import type { TracedOperator } from '../tensor/trace.js';
import { type Emission, refused } from './emission.js';

/** Inputs u, Δ, A, B, C, D and bias as `tensor/ops/selectiveScan.ts` has them; B and C `[batch, length, group, state]`. */
export function scanNodes(e: Emission, { inputs, outputs, attributes }: TracedOperator): void {
  if (attributes.wantState) throw refused('a selective scan whose last state is used', 'a scan that gives its sequence');
  const [u, delta, A, B, C, D, bias] = Object.values(inputs);
  const { graph } = e;
  const [batch, length, channels] = e.shape(u);
  const [groups, states] = [e.shape(B)[2], e.shape(A)[1]];
  const perGroup = channels / groups;
  const name = (value: number) => e.get(value, 'last');
  const reshape = (x: string, shape: readonly number[]) => graph.add('Reshape', [x, graph.integers(shape)]);

  const raw = graph.add('Add', [name(delta), name(bias)]);
  const step = attributes.deltaSoftplus ? graph.add('Softplus', [raw]) : raw;
  const sequence = [batch, length, groups, perGroup, 1];
  const steps = reshape(step, sequence);
  const drive = reshape(graph.add('Mul', [step, name(u)]), sequence);
  const [into, out] = [B, C].map((x) => reshape(name(x), [batch, length, groups, 1, states]));
  const rate = reshape(name(A), [groups, perGroup, states]);
  const start = graph.constant(new Float32Array(batch * channels * states), [batch, groups, perGroup, states]);

  const body = graph.body('position');
  const port = (label: string, shape: readonly number[]) => ({ name: graph.fresh(label), shape });
  const column = [batch, groups, perGroup, 1];
  const row = [batch, groups, 1, states];
  const before = port('state', [batch, groups, perGroup, states]);
  const [stepAt, driveAt] = [port('step', column), port('drive', column)];
  const [intoAt, outAt] = [port('into', row), port('out', row)];
  body.inputs.push(before, stepAt, driveAt, intoAt, outAt);
  const decay = body.add('Exp', [body.add('Mul', [stepAt.name, rate])]);
  const state = body.add('Add', [body.add('Mul', [decay, before.name]), body.add('Mul', [driveAt.name, intoAt.name])]);
  const y = body.add('ReduceSum', [body.add('Mul', [state, outAt.name]), body.integers([-1])], { keepdims: { int: 0 } });
  body.outputs.push({ name: state, shape: before.shape }, { name: y, shape: [batch, groups, perGroup] });

  const [, found] = graph.addMany('Scan', [start, steps, drive, into, out], 2, {
    body: { graph: body },
    num_scan_inputs: { int: 4 },
    scan_input_axes: { ints: [1, 1, 1, 1] },
    scan_output_axes: { ints: [1] },
  });
  const skip = graph.add('Mul', [name(u), name(D)]);
  e.put(outputs[0], 'last', graph.add('Add', [reshape(found, [batch, length, channels]), skip]));
}
