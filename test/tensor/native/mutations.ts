// Calls our operators with shapes and settings that mostly do not fit, by one to eight threads, in a process of its own: a crash is a result.
// Arguments: the seed, the number of calls. Prints `<returned> <refused>`; dies where a kernel dies.
import { Random } from '../../../src/base/random.js';
import { execute, executeOnList, native, setNativeThreads } from '../../../src/tensor/native/load.js';
import { tf } from '../../../src/tensor/tf.js';

interface Call {
  name: string;
  shapes: number[][];
  outputs: number;
  ints: number[];
  floats: number[];
  /** Takes lists of this many tensors. */
  list?: number;
  /** Places of inputs that are whole numbers. */
  integers?: number[];
  /** Contents of an input that random numbers would not fit, by its place. */
  contents?: Record<number, number[]>;
}

const block = [[1, 3, 4, 5, 6], [3, 3, 3, 1, 6], [6], [6], [6], [1, 1, 1, 6, 7], [7], [1, 1, 1, 7, 6], [6]];
const down = [...block.slice(0, 7), [1, 1, 1, 7, 9], [9], [1, 1, 1, 6, 9], [9]];
const up = [...block.slice(0, 7), [1, 1, 1, 7, 5], [5], [1, 1, 1, 5, 6], [5]];
const plainInts = [0, 1, 1, 1, 1, 1, 1, 1];
const stridedInts = [2, 2, 2, 1, 1, 1];
const scan = [[2, 12, 6], [2, 12, 24], [24, 4], [2, 12, 4, 4], [2, 12, 4, 4], [24], [24]];

/** One call of every operator that fits, and of both kinds where an operator has several. */
const fitting: Call[] = [
  { name: 'VoxelbookMednextBlock', shapes: [...block, [0], [0]], outputs: 3, ints: plainInts, floats: [1e-5] },
  { name: 'VoxelbookMednextBlock', shapes: down, outputs: 3, ints: [1, 1, ...stridedInts], floats: [1e-5] },
  { name: 'VoxelbookMednextBlock', shapes: up, outputs: 3, ints: [2, 1, ...stridedInts], floats: [1e-5] },
  {
    name: 'VoxelbookMednextBlockGradient',
    shapes: [...block, [0], [0], [1, 3, 4, 5, 6], [1, 2, 6], [1, 3, 4, 5, 6]],
    outputs: 11,
    ints: plainInts,
    floats: [1e-5],
  },
  {
    name: 'VoxelbookMednextBlockGradient',
    shapes: [...down, [1, 2, 2, 3, 6], [1, 2, 6], [1, 2, 2, 3, 9]],
    outputs: 11,
    ints: [1, 1, ...stridedInts],
    floats: [1e-5],
  },
  {
    name: 'VoxelbookMednextBlockGradient',
    shapes: [...up, [1, 5, 7, 9, 6], [1, 2, 6], [1, 6, 8, 10, 5]],
    outputs: 11,
    ints: [2, 1, ...stridedInts],
    floats: [1e-5],
  },
  {
    name: 'VoxelbookDepthwise',
    shapes: [[2, 5, 4, 3, 9], [3, 1, 5, 1, 9], [9]],
    outputs: 1,
    ints: [1, 2, 1, 1, 0, 2],
    floats: [],
  },
  {
    name: 'VoxelbookDepthwiseTransposed',
    shapes: [[1, 2, 3, 2, 9], [3, 3, 3, 1, 9], [9]],
    outputs: 1,
    ints: [...stridedInts, 4, 6, 4],
    floats: [],
  },
  {
    name: 'VoxelbookDepthwiseKernelGradient',
    shapes: [
      [1, 4, 6, 4, 9],
      [1, 2, 3, 2, 9],
      [3, 3, 3, 1, 9],
    ],
    outputs: 2,
    ints: stridedInts,
    floats: [],
  },
  { name: 'VoxelbookNorm', shapes: [[2, 3, 4, 6], [6], [6], [2, 3, 4, 6]], outputs: 2, ints: [2, 3], floats: [1e-5, 0.01] },
  {
    name: 'VoxelbookNormGradient',
    shapes: [[2, 3, 4, 6], [6], [6], [2, 2, 6], [2, 3, 4, 6], [2, 3, 4, 6]],
    outputs: 4,
    ints: [2, 3],
    floats: [1e-5, 0.01],
  },
  { name: 'VoxelbookConv', shapes: [[2, 3, 4, 5, 6], [3, 3, 3, 6, 9], [9]], outputs: 1, ints: [0], floats: [] },
  { name: 'VoxelbookConv', shapes: [[2, 4, 5, 9], [3, 3, 6, 9], [0]], outputs: 1, ints: [1], floats: [] },
  {
    name: 'VoxelbookConvFilterGradient',
    shapes: [
      [2, 3, 4, 5, 6],
      [2, 3, 4, 5, 9],
    ],
    outputs: 2,
    ints: [3],
    floats: [],
  },
  {
    name: 'VoxelbookStridedConv',
    shapes: [[2, 5, 4, 7, 6], [3, 3, 3, 6, 9], [9]],
    outputs: 1,
    ints: [2, 2, 2, 1, 1, 1],
    floats: [],
  },
  { name: 'VoxelbookStridedConv', shapes: [[2, 4, 7, 6], [3, 2, 6, 9], [0]], outputs: 1, ints: [1, 1, 2, 0, 1, 0], floats: [] },
  {
    name: 'VoxelbookStridedConvTransposed',
    shapes: [[2, 3, 2, 4, 9], [3, 3, 3, 6, 9], [6]],
    outputs: 1,
    ints: [2, 2, 2, 1, 1, 1, 5, 4, 7],
    floats: [],
  },
  {
    name: 'VoxelbookStridedConvFilterGradient',
    shapes: [
      [2, 5, 4, 7, 6],
      [2, 3, 2, 4, 9],
    ],
    outputs: 2,
    ints: [2, 2, 2, 1, 1, 1, 3, 3, 3, 0],
    floats: [],
  },
  { name: 'VoxelbookLayerNorm', shapes: [[2, 3, 7], [7], [7]], outputs: 2, ints: [], floats: [1e-5] },
  { name: 'VoxelbookLayerNormGradient', shapes: [[2, 3, 7], [7], [7], [6, 2], [2, 3, 7]], outputs: 3, ints: [], floats: [1e-5] },
  { name: 'VoxelbookActivation', shapes: [[3, 5, 7]], outputs: 1, ints: [0], floats: [0.01] },
  {
    name: 'VoxelbookActivationGradient',
    shapes: [
      [3, 5, 7],
      [3, 5, 7],
    ],
    outputs: 1,
    ints: [1],
    floats: [0.01],
  },
  {
    name: 'VoxelbookAlongAxis',
    shapes: [[2, 5, 3], [4], [6], [6]],
    outputs: 1,
    ints: [],
    floats: [],
    contents: { 1: [0, 1, 4, 6], 2: [0, 4, 2, 1, 3, 3] },
  },
  {
    name: 'VoxelbookOptimiserStep',
    shapes: [[4, 5], [3], [4, 5], [3], [4, 5], [3], [10]],
    outputs: 1,
    ints: [0, 2, 0],
    floats: [],
    list: 7,
  },
  {
    name: 'VoxelbookOptimiserStep',
    shapes: [[4, 5], [4, 5], [4, 5], [4, 5], [4, 5], [11]],
    outputs: 1,
    ints: [1, 1, 1],
    floats: [],
    list: 6,
  },
  { name: 'VoxelbookGlobalNorm', shapes: [[4, 5], [3]], outputs: 1, ints: [], floats: [], list: 2 },
  {
    name: 'VoxelbookLabelLoss',
    shapes: [
      [2, 3, 4, 5],
      [2, 3, 4],
    ],
    outputs: 2,
    ints: [1, 0, 0, 0, 1, 5],
    floats: [1e-5, 1, 1, 0.1, 1, 1, 2, 3, 4, 5],
    list: 1,
    integers: [1],
  },
  {
    name: 'VoxelbookRegionLoss',
    shapes: [
      [2, 3, 4, 5],
      [2, 3, 4, 6],
    ],
    outputs: 2,
    ints: [1, 1, 1, 1, 1, 0],
    floats: [1, 1, 1, 0, 1],
    list: 1,
  },
  { name: 'VoxelbookFresh', shapes: [[4, 5]], outputs: 1, ints: [1], floats: [] },
  { name: 'VoxelbookSelectiveScan', shapes: scan, outputs: 3, ints: [4, 1, 1, 3, 4], floats: [] },
];

const edges = [0, 1, 2, 3, 17, 64, 65, 1000];
const settings = [-(2 ** 40), -1, 0, 1, 2, 3, 64, 65, 1e6, 2 ** 31, 2 ** 40, 2 ** 53];

/** One thing changed: an edge, an axis, a setting, or the number of settings. */
function changed(call: Call, random: Random): Call {
  const pick = <T>(list: readonly T[]) => list[Math.floor(random.uniform(0, list.length))];
  const shapes = call.shapes.map((s) => [...s]);
  const ints = [...call.ints];
  const floats = [...call.floats];
  const shape = pick(shapes);
  const kind = random.uniform(0, 1);
  if (kind < 0.4 && shape.length > 0) {
    const axis = Math.floor(random.uniform(0, shape.length));
    shape[axis] = pick(edges);
    if (shape.reduce((a, b) => a * b, 1) > 1e6) shape[axis] = 2;
  } else if (kind < 0.5) shape.pop();
  else if (kind < 0.6) shape.unshift(pick([0, 1, 2]));
  else if (kind < 0.9 && ints.length > 0) ints[Math.floor(random.uniform(0, ints.length))] = pick(settings);
  else if (kind < 0.94) ints.pop();
  else if (kind < 0.97) ints.push(pick(settings));
  else if (floats.length > 0) floats[0] = pick([Number.NaN, -1, 0, 1e30]);
  return { ...call, shapes, ints, floats };
}

/** One length exchanged for another wherever it stands: most operators take that. */
function resized(call: Call, random: Random): Call {
  const lengths = [...new Set(call.shapes.flat())].filter((n) => n > 1);
  const from = lengths[Math.floor(random.uniform(0, lengths.length))];
  const to = 1 + Math.floor(random.uniform(0, 40));
  const other = (n: number) => (n === from ? to : n);
  return { ...call, shapes: call.shapes.map((s) => s.map(other)), ints: call.ints.map(other), contents: undefined };
}

const [seed, count] = process.argv.slice(2).map(Number);
const random = new Random(`mutations/${seed}`);
let [returned, refused] = [0, 0];
if (!native()) throw new Error('no compiled kernels');
// What the scan keeps depends on the machine's vectors.
const zeros = scan.map((s) => tf.zeros(s));
const kept = execute('VoxelbookSelectiveScan', zeros, 3, [4, 1, 1, 3, 4]);
fitting.push({
  name: 'VoxelbookSelectiveScanGradient',
  shapes: [...scan, kept[2].shape, [2, 12, 6], [0]],
  outputs: 7,
  ints: [4, 1, 1, 3, 4],
  floats: [],
});
tf.dispose([...zeros, ...kept]);
for (let i = 0; i < count; i++) {
  let call = fitting[i % fitting.length];
  if (i >= fitting.length && random.uniform(0, 1) < 0.3) call = resized(call, random);
  else
    for (let changes = i < fitting.length ? 0 : 1 + Math.floor(random.uniform(0, 3)); changes > 0; changes--)
      call = changed(call, random);
  setNativeThreads(1 + Math.floor(random.uniform(0, 8)));
  const inputs = call.shapes.map((s, k) => {
    const own = call.contents?.[k];
    if (call.integers?.includes(k)) return tf.randomUniform(s, -2, 8, 'int32', 1);
    return own?.length === s.reduce((a, b) => a * b, 1) ? tf.tensor(own, s, 'float32') : tf.randomUniform(s, 0, 3, 'float32', 1);
  });
  // Said beforehand: where the process dies, this line is the last.
  process.stderr.write(`${JSON.stringify(call)}\n`);
  try {
    const outputs = call.list
      ? executeOnList(call.name, inputs, call.outputs, call.ints, call.floats, call.list)
      : execute(call.name, inputs, call.outputs, call.ints, call.floats);
    // The first value is enough to wait for the result.
    for (const output of outputs) if (output.size > 0) tf.slice(tf.reshape(output, [-1]), 0, 1).dataSync();
    tf.dispose(outputs);
    returned++;
  } catch (error) {
    if (i < fitting.length) throw error;
    refused++;
  }
  tf.dispose(inputs);
}
process.stdout.write(`${returned} ${refused}\n`);
process.exit(0);
