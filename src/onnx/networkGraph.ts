// A trained network as an ONNX graph: its own `forward`, traced, operator by operator.
import type { StoredTensor } from '../base/safetensors.js';
import type { Network } from '../model/network.js';
import { peakBytes, trace, type Values } from '../tensor/trace.js';
import { toParams } from '../weights/params.js';
import { Emission } from './emission.js';
import type { Graph } from './graph.js';
import { emit } from './operators.js';
import { inSlabs, type SlabOptions } from './slabs.js';

/**
 * Writes a network's forward pass down as an ONNX graph.
 * @param tensors a checkpoint of the network
 * @param patch the input's spatial shape, voxels
 * @param channels of the input
 * @param slabs which wide layers are computed in slabs (`slabs.ts`)
 * @returns a graph `image` `[1, channel, …patch]` → `logits` `[1, head, …patch]`, whose weights bear the checkpoint's names
 * @throws VoxelbookError naming an operator that has no form in ONNX
 */
export function networkGraph(
  network: Network,
  tensors: Record<string, StoredTensor>,
  patch: readonly number[],
  channels: number,
  slabs?: SlabOptions,
): Graph {
  const params = toParams(network, tensors);
  const parameters: Record<string, { shape: readonly number[]; data: Values }> = {};
  for (const [name, tensor] of Object.entries(params)) {
    parameters[name] = { shape: tensor.shape, data: tensor.dataSync() as Values };
    tensor.dispose();
  }
  const whole = trace([1, ...patch, channels], parameters, (x, params) =>
    network.forward({ params, training: false, updates: {} }, x),
  );
  const traced = inSlabs(whole, slabs);
  const e = new Emission(traced, 'network');
  const shape = (value: number) => e.perAxis(e.shape(value), 'first');
  const image = e.graph.fresh('image');
  e.graph.inputs.push({ name: image, shape: shape(traced.input) });
  e.put(traced.input, 'first', image);
  for (const operator of traced.operators) emit(e, operator);
  const logits = e.graph.fresh('logits');
  e.graph.nodes.push({ op: 'Identity', inputs: [e.get(traced.output, 'first')], outputs: [logits], attributes: {} });
  e.graph.passBytes = peakBytes(traced);
  e.graph.outputs.push({ name: logits, shape: shape(traced.output) });
  return e.graph;
}
