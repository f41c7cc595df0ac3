// The comparisons every architecture shares: forward, gradients and buffers of a fixture; names, shapes and cost at full size.
import type { StoredTensor } from '../../../src/base/safetensors.js';
import { memoryAxes, type ParamInfo, type Params, parameterCount } from '../../../src/model/network.js';
import { gradients } from '../../../src/tensor/gradients.js';
import { symbolic, symbolicOutput } from '../../../src/tensor/symbolic.js';
import { tf } from '../../../src/tensor/tf.js';
import { close, equal, errors, type Row } from '../case.js';
import type { Checked, Fixture } from './arch.js';

/** A stored array as a float (or int32) tensor of the same axes. */
export function toTensor(stored: StoredTensor, integer = false): tf.Tensor {
  const values = integer ? Int32Array.from(stored.data as never, Number) : Float32Array.from(stored.data as never, Number);
  return tf.tensor(values, stored.shape, integer ? 'int32' : 'float32');
}

/** From the checkpoint's axes to memory. The caller owns the tensor. */
export const toMemory = (info: ParamInfo, stored: StoredTensor): tf.Tensor =>
  tf.tidy(() => tf.transpose(toTensor(stored, info.dtype === 'int32'), memoryAxes(info)));

/** From memory to the checkpoint's axes, as numbers. */
export function toOfficial(info: ParamInfo, tensor: tf.Tensor): Float32Array {
  const axes = memoryAxes(info);
  const inverse = axes.map((_, axis) => axes.indexOf(axis));
  return tf.tidy(() => Float32Array.from(tf.transpose(tensor, inverse).dataSync()));
}

const channelsLast = (x: tf.Tensor) => tf.transpose(x, [0, ...Array.from({ length: x.rank - 2 }, (_, i) => i + 2), 1]);
const channelsFirst = (x: tf.Tensor) => tf.transpose(x, [0, x.rank - 1, ...Array.from({ length: x.rank - 2 }, (_, i) => i + 1)]);

/**
 * Runs a fixture: outputs, loss, gradients of every parameter and input, changed buffers.
 *
 * Tolerances are the fixture's own. Convolutional fixtures: ten times what PyTorch's float32 is from float64
 * (`float32_vs_float64`), gradients by ‖ours − g‖ / (‖g‖ + 1e-3 · g_largest · √n). The others: the numbers in their README.
 */
export function compareFixture(net: Checked, json: Fixture, tensors: Record<string, StoredTensor>): Row[] {
  const rows: Row[] = [];
  const precision = json.float32_vs_float64;
  const transformers = json.gradients !== undefined;
  const relativeFor = (i: number) =>
    transformers ? (json.kind === 'network' ? 1e-4 : 1e-5) : Math.max(10 * (precision?.y_rel_l2?.[i] ?? 1e-6), 1e-6);
  const params: Params = {};
  const infos = net.parameters.filter((p) => !p.aliasOf);
  rows.push(
    equal(
      'parameter names and shapes',
      infos.filter((p) => `w.${p.name}` in tensors).map((p) => [p.name, p.shape]),
      infos.filter((p) => `w.${p.name}` in tensors).map((p) => [p.name, tensors[`w.${p.name}`].shape]),
    ),
  );
  const missing = infos.filter((p) => !(`w.${p.name}` in tensors) && !(json.buffers_not_stored ?? []).includes(p.name));
  const surplus = Object.keys(tensors).filter((k) => k.startsWith('w.') && !infos.some((p) => `w.${p.name}` === k));
  rows.push(equal('parameters the fixture lacks, or we lack', [missing.map((p) => p.name), surplus], [[], []]));
  const order = net.parameters.map((p) => p.name);
  if (json.state_dict_order?.length > 0)
    rows.push(
      equal(
        'order of names',
        order.filter((n) => json.state_dict_order.includes(n)),
        json.state_dict_order,
      ),
    );
  if (rows.some((r) => !r.pass)) return rows;
  for (const info of infos) if (tensors[`w.${info.name}`]) params[info.name] = toMemory(info, tensors[`w.${info.name}`]);

  const isFirst = net.channelsFirst ?? ((_: string, shape: readonly number[]) => shape.length === 4 || shape.length === 5);
  const inputs: Record<string, tf.Tensor> = {};
  const inputKeys = Object.keys(tensors).filter((k) => k === 'x' || k.startsWith('in.'));
  for (const key of inputKeys) {
    const name = key.replace(/^in\./, '');
    const stored = tensors[key];
    inputs[name] = tf.tidy(() => {
      const x = toTensor(stored, stored.dtype.startsWith('I'));
      return isFirst(name, stored.shape) ? channelsLast(x) : x;
    });
  }
  const outputKeys = Object.keys(tensors)
    .filter((k) => /^y\d+$/.test(k))
    .sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
  const before = tf.memory().numTensors;
  const updates: Params = {};
  const context = { params, training: json.mode === 'train', updates };
  const outputs = net.forward(context, inputs.x, inputs);
  rows.push(equal('number of outputs', outputs.length, outputKeys.length));
  for (const [i, key] of outputKeys.entries()) {
    if (!outputs[i]) continue;
    const reference = tensors[key];
    const ours = tf.tidy(() => (isFirst(key, reference.shape) ? channelsFirst(outputs[i]) : tf.clone(outputs[i])));
    rows.push(equal(`shape of ${key}`, ours.shape, reference.shape));
    rows.push(close(key, ours.dataSync(), reference.data as Float32Array, { rel: relativeFor(i) }));
    ours.dispose();
  }
  const changed = Object.keys(tensors).filter((k) => k.startsWith('after.'));
  for (const key of changed) {
    const name = key.slice('after.'.length);
    const ours = updates[name] ?? params[name];
    const reference = Float32Array.from(tensors[key].data as never, Number);
    rows.push(close(key, ours ? ours.dataSync() : [], reference, { rel: 1e-5, abs: 1e-6 }));
  }
  if (changed.length === 0) rows.push(equal('buffers changed', Object.keys(updates), []));
  tf.dispose([outputs, updates]);
  for (const name of Object.keys(updates)) delete updates[name];
  rows.push(equal('tensors left by forward', tf.memory().numTensors - before, 0));

  if (Object.keys(tensors).some((k) => k.startsWith('r'))) {
    rows.push(...compareGradients(net, json, tensors, params, inputs, isFirst, transformers));
    rows.push(equal('tensors left by a gradient', tf.memory().numTensors - before, 0));
  }
  tf.dispose([params, inputs]);
  return rows;
}

function compareGradients(
  net: Checked,
  json: Fixture,
  tensors: Record<string, StoredTensor>,
  params: Params,
  inputs: Record<string, tf.Tensor>,
  isFirst: (name: string, shape: readonly number[]) => boolean,
  transformers: boolean,
): Row[] {
  const rows: Row[] = [];
  const infos = net.parameters.filter((p) => !p.aliasOf && !p.buffer && params[p.name]);
  const floatInputs = Object.keys(inputs).filter((k) => inputs[k].dtype === 'float32');
  const weights = Object.keys(tensors)
    .filter((k) => /^r\d+$/.test(k))
    .map((k) => {
      const r = toTensor(tensors[k]);
      const ours = isFirst(k.replace('r', 'y'), r.shape) ? tf.tidy(() => channelsLast(r)) : r;
      if (ours !== r) r.dispose();
      return { index: Number(k.slice(1)), ours };
    });
  const mean = json.loss!.startsWith('mean_i');
  const updates: Params = {};
  const loss = () => {
    const outputs = net.forward({ params, training: json.mode === 'train', updates }, inputs.x, inputs);
    const terms = weights.map(({ index, ours }) => tf.mean(tf.mul(outputs[index], ours)));
    return tf.div(tf.addN(terms), mean ? terms.length : 1);
  };
  const xs = [...infos.map((p) => params[p.name]), ...floatInputs.map((k) => inputs[k])];
  const { value, grads } = gradients(loss, xs);
  rows.push(
    close('loss', value.dataSync(), [json.loss_value], { abs: 1e-6 + 10 * (json.float32_vs_float64?.loss_abs ?? 0), rel: 1e-4 }),
  );

  const precision = json.float32_vs_float64;
  const largest = precision?.g_largest ?? 0;
  const zero = new Set<string>(json.gradients_zero_in_exact_arithmetic ?? []);
  const unused = new Set<string>(json.unused_parameters ?? []);
  const scaled = Math.max(10 * (precision?.g_scaled_worst ?? 1e-6), 1e-6);
  for (const [i, info] of infos.entries()) {
    const stored = tensors[`g.${info.name}`];
    if (!stored) continue;
    const reference = stored.data as Float32Array;
    if (unused.has(info.name)) {
      const values = grads[i] ? toOfficial(info, grads[i]) : Float32Array.of(0);
      rows.push(
        equal(
          `g.${info.name}: no part in the pass`,
          values.every((v) => v === 0),
          true,
        ),
      );
      continue;
    }
    const ours = grads[i] ? toOfficial(info, grads[i]) : new Float32Array(reference.length);
    rows.push(gradientRow(`g.${info.name}`, ours, reference, { zero: zero.has(info.name), largest, scaled, transformers }));
  }
  for (const [i, name] of floatInputs.entries()) {
    const stored = tensors[name === 'x' && tensors.gx ? 'gx' : `gin.${name}`];
    const gradient = grads[infos.length + i];
    if (!stored) continue;
    const ours = gradient
      ? tf.tidy(() => (isFirst(name, stored.shape) ? channelsFirst(gradient) : tf.clone(gradient)).dataSync())
      : new Float32Array(stored.data.length);
    const reference = stored.data as Float32Array;
    const bound = transformers
      ? json.kind === 'network'
        ? 1e-3
        : 1e-5
      : Math.max(10 * (precision?.gx_rel_l2 ?? precision?.g_scaled_worst ?? 1e-6), 2e-6);
    rows.push(close(`gradient of ${name}`, ours, reference, { rel: bound }));
  }
  tf.dispose([value, grads.filter(Boolean), weights.map((w) => w.ours), updates]);
  return rows;
}

function gradientRow(
  what: string,
  ours: Float32Array,
  reference: Float32Array,
  how: { zero: boolean; largest: number; scaled: number; transformers: boolean },
): Row {
  const { maxAbs, relative } = errors(ours, reference);
  const root = Math.sqrt(reference.length);
  const norm = Math.hypot(...chunked(reference));
  let difference = 0;
  for (let i = 0; i < ours.length; i++) difference += (ours[i] - reference[i]) ** 2;
  difference = Math.sqrt(difference);
  if (how.transformers) {
    const allowed = 1e-3 * norm + 1e-5 * how.largest * root;
    return { what, maxAbs, relative, tolerance: `l2 ${allowed.toExponential(1)}`, pass: difference <= allowed };
  }
  // Zero in exact arithmetic: what is stored is round-off, so only its smallness can agree.
  const measure = difference / (norm + 1e-3 * how.largest * root || 1);
  const bound = how.zero ? Math.max(how.scaled, 1e-2) : how.scaled;
  return {
    what,
    maxAbs,
    relative,
    tolerance: `scaled ${bound.toExponential(1)}`,
    pass: measure <= bound,
    note: `measure ${measure.toExponential(1)}`,
  };
}

/** Partial norms, so that hypot gets no argument list of millions. */
function chunked(values: Float32Array): number[] {
  const norms: number[] = [];
  for (let i = 0; i < values.length; i += 4096) norms.push(Math.hypot(...values.subarray(i, i + 4096)));
  return norms;
}

/** A full-size catalog entry: parameter count, ordered names with shapes and aliases, output shapes, multiply-adds. */
export function compareCatalog(net: Checked, json: Fixture & Record<string, any>, stateDict: unknown[][]): Row[] {
  const dtype = { float32: 'F32', int32: 'I64' };
  const kind = (p: ParamInfo) => (p.aliasOf ? `alias of ${p.aliasOf}` : p.buffer ? 'buffer' : 'parameter');
  const rows = [
    equal('parameters', parameterCount(net), json.parameters),
    equal(
      'names, shapes and aliases in order',
      net.parameters.map((p) => [p.name, [...p.shape], dtype[p.dtype], kind(p)]),
      stateDict,
    ),
  ];
  const counted = countForward(net, json.input_shape);
  rows.push(equal('output shapes', counted.outputs, json.output_shapes));
  rows.push(within('multiply-adds', counted.macs, json.macs, 0.01));
  rows.push(within('fvcore FLOPs', counted.macs + counted.normFlops, json.fvcore_flops, 0.01));
  return rows;
}

/** Evaluation-mode cost of one pass; `shape` and the output shapes are channels first. */
export function countForward(net: Checked, shape: number[], training = false) {
  const last = (s: readonly number[]) => [s[0], ...s.slice(2), s[1]];
  const first = (s: readonly number[]) => [s[0], s.at(-1)!, ...s.slice(1, -1)];
  const { result, macs, normFlops, perOp } = symbolic(() => {
    const params: Params = {};
    for (const p of net.parameters)
      if (!p.aliasOf)
        params[p.name] = symbolicOutput(
          memoryAxes(p).map((axis) => p.shape[axis]),
          p.dtype,
        );
    const x = symbolicOutput(shape.length > 3 ? last(shape) : shape);
    return net.forward({ params, training, updates: {} }, x, { x }).map((y) => (y.rank > 3 ? first(y.shape) : y.shape));
  });
  return { outputs: result, macs, normFlops, perOp };
}

/** Row for a number that may differ by a fraction. */
export function within(what: string, ours: number, reference: number, fraction: number): Row {
  const relative = Math.abs(ours - reference) / reference;
  return {
    what,
    maxAbs: Math.abs(ours - reference),
    relative,
    tolerance: `rel ${fraction}`,
    pass: relative <= fraction,
    note: `ours ${ours}, reference ${reference}`,
  };
}
