// A tfjs backend that computes no numbers: every kernel only works out its output's shape, counts multiply-adds and
// keeps the books of live bytes. The same `forward` that trains therefore also says its FLOPs, shapes and memory, and a
// network of billions of parameters costs nothing to look at.
//
// Counting follows fvcore: one multiply-add is one FLOP; convolutions, matrix products and einsums count, elementwise
// work does not, and normalisations are charged apart (see `countNorm`).
import type * as TF from '@tensorflow/tfjs';
import { VoxelbookError } from '../base/errors.js';
import { product } from '../base/shape.js';
import { tf } from './tf.js';

export interface OpCount {
  /** How often the operator ran. */
  calls: number;
  /** Multiply-adds. */
  macs: number;
  /** Bytes of all outputs it made. */
  bytes: number;
}

/** Hears every operator of a symbolic run (`trace.ts`). Each output is then a datum of its own: no two share memory. */
export interface Recorder {
  operator(
    name: string,
    inputs: Record<string, TF.TensorInfo>,
    outputs: TF.TensorInfo[],
    attributes: Record<string, unknown>,
  ): void;
  /** Values that came from JavaScript. */
  constant(dataId: object, values: TF.backend_util.TypedArray): void;
}

export interface Symbolic<T> {
  /** What the function returned; tensors in it are disposed, their shapes can still be read. */
  result: T;
  /** Multiply-adds of convolutions and matrix products. */
  macs: number;
  /** What fvcore charges for normalisations. */
  normFlops: number;
  /** Largest sum of bytes alive at once, parameters made with `symbolicOutput` included. */
  peakBytes: number;
  perOp: Record<string, OpCount>;
}

/** fvcore's charge per element: 5 with scale and shift, 4 without; a batch norm with fixed statistics 2 and 1. */
export type NormKind = 'affine' | 'plain' | 'batchEvalAffine' | 'batchEval';

/** True while a function runs inside `symbolic`: operators then give `symbolicOutput` or `symbolicOp` instead of values. */
export const isSymbolic = () => tf.getBackend() === backendName;

/** True while a symbolic run is recorded: an operator whose parts all have names of their own is then composed of them. */
export const isRecorded = () => isSymbolic() && symbolicBackend().recorder !== undefined;

/**
 * Runs a function on shapes alone and says what it would cost.
 *
 * @param fn forward pass or whole training step (`tf.grads`, `tf.variableGrads`); make parameters with `symbolicOutput`
 * @param recorder hears every operator
 * @returns the counts; no tensor made inside is left, and the backend is the previous one again, also after a throw
 */
export function symbolic<T>(fn: () => T, recorder?: Recorder): Symbolic<T> {
  const backend = symbolicBackend();
  const previous = tf.getBackend();
  const outer = backend.begin(recorder);
  const engine = tf.engine();
  const variablesBefore = new Set(Object.keys(engine.registeredVariables));
  use(backendName);
  engine.startScope('symbolic');
  try {
    const result = fn();
    return { result, ...backend.counts };
  } finally {
    for (const [name, variable] of Object.entries(engine.registeredVariables)) if (!variablesBefore.has(name)) variable.dispose();
    engine.endScope();
    backend.end(outer);
    use(previous);
  }
}

/**
 * A tensor without values, for parameters and for operators of our own.
 *
 * @param options.macs multiply-adds to charge, under `options.name`
 */
export function symbolicOutput<R extends TF.Rank = TF.Rank>(
  shape: readonly number[],
  dtype: TF.DataType = 'float32',
  options: { name?: string; macs?: number } = {},
): TF.Tensor<R> {
  if (!isSymbolic())
    throw new VoxelbookError('A tensor without values was asked for outside a symbolic run.', {
      code: 'notSymbolic',
      path: 'symbolicOutput',
      given: `backend ${tf.getBackend()}`,
      expected: 'a call inside symbolic(…)',
      fix: 'Test isSymbolic() first.',
    });
  const backend = symbolicBackend();
  const info = backend.make(shape, dtype);
  if (options.name || options.macs) backend.count(options.name ?? 'symbolicOutput', options.macs ?? 0, [info]);
  return tf.engine().makeTensorFromTensorInfo(info, backend as unknown as TF.KernelBackend) as TF.Tensor<R>;
}

/**
 * An operator of our own as `symbolic` sees it: one output, a gradient for every input, and what it keeps in between.
 *
 * @param options.keep shapes (float32) that stay alive from the forward to the backward pass, besides the inputs
 * @param options.keepOutput the output stays alive instead of the inputs
 * @param options.keepInputs so many of the first inputs stay alive, whatever the output does
 * @param options.attributes what a recorder is told besides the inputs
 */
export function symbolicOp<T extends TF.Tensor>(
  name: string,
  inputs: TF.Tensor[],
  shape: readonly number[],
  options: {
    macs?: number;
    gradientMacs?: number;
    keep?: number[][];
    keepOutput?: boolean;
    keepInputs?: number;
    attributes?: Record<string, unknown>;
  } = {},
): T {
  return tf.customGrad((...args: unknown[]) => {
    const save = args.pop() as TF.GradSaveFunc;
    const xs = args as TF.Tensor[];
    const kept = (options.keep ?? []).map((s) => symbolicOutput(s));
    const value = symbolicOutput(shape, 'float32', { name, macs: options.macs ?? 0 });
    symbolicBackend().recorder?.operator(name, Object.fromEntries(xs.entries()), [value], options.attributes ?? {});
    const inputs = xs.slice(0, options.keepInputs ?? (options.keepOutput ? 0 : xs.length));
    save([...(options.keepOutput ? [value] : []), ...inputs, ...kept]);
    const gradFunc = () =>
      xs.map((x, i) =>
        symbolicOutput(x.shape, 'float32', { name: `${name} gradient`, macs: i === 0 ? (options.gradientMacs ?? 0) : 0 }),
      );
    return { value, gradFunc };
  })(...inputs) as T;
}

/** What a symbolic run has counted so far: differences between two moments are the cost of what ran between them. */
export interface SymbolicMoment {
  macs: number;
  normFlops: number;
  /** Bytes alive now. */
  liveBytes: number;
  /** Output shape of the last operator that multiplied. */
  lastShape: readonly number[];
}

/** The moment inside `symbolic(…)`; zeros outside. */
export function symbolicMoment(): SymbolicMoment {
  if (!isSymbolic()) return { macs: 0, normFlops: 0, liveBytes: 0, lastShape: [] };
  return symbolicBackend().moment();
}

/** Charges a normalisation of `elements` values; called by our norm operators, no effect outside `symbolic`. */
export function countNorm(elements: number, kind: NormKind): void {
  if (!isSymbolic()) return;
  symbolicBackend().counts.normFlops += elements * { affine: 5, plain: 4, batchEvalAffine: 2, batchEval: 1 }[kind];
}

// ——— The backend ———

const backendName = 'symbolic';
type Info = TF.TensorInfo;
type Shape = readonly number[];
type Counts = Omit<Symbolic<unknown>, 'result'>;

interface Entry {
  bytes: number;
  references: number;
  /** Values of small tensors written from JavaScript, so that code that reads its own constants works. */
  values?: TF.backend_util.TypedArray | Uint8Array[];
  size: number;
  dtype: TF.DataType;
}

const smallValues = 16384;

const bytesOf = (shape: Shape, dtype: TF.DataType) => product(shape) * (dtype === 'string' ? 8 : tf.util.bytesPerElement(dtype));

class SymbolicBackend {
  private entries = new Map<object, Entry>();
  private liveBytes = 0;
  counts: Counts = { macs: 0, normFlops: 0, peakBytes: 0, perOp: {} };

  private lastShape: Shape = [];

  moment = (): SymbolicMoment => ({
    macs: this.counts.macs,
    normFlops: this.counts.normFlops,
    liveBytes: this.liveBytes,
    lastShape: this.lastShape,
  });

  /** Live bytes when this run began: what an outer run holds, or a failed one left behind, is not this one's. */
  private base = 0;
  recorder: Recorder | undefined;

  begin(recorder: Recorder | undefined) {
    const outer = { counts: this.counts, base: this.base, recorder: this.recorder };
    this.recorder = recorder;
    this.counts = { macs: 0, normFlops: 0, peakBytes: 0, perOp: {} };
    this.base = this.liveBytes;
    return outer;
  }

  end(outer: { counts: Counts; base: number; recorder: Recorder | undefined }) {
    this.counts = outer.counts;
    this.base = outer.base;
    this.recorder = outer.recorder;
  }

  make(shape: Shape, dtype: TF.DataType, values?: Entry['values']): Info {
    const dataId = {};
    const bytes = bytesOf(shape, dtype);
    this.entries.set(dataId, { bytes, references: 1, size: product(shape), dtype, values });
    this.liveBytes += bytes;
    this.counts.peakBytes = Math.max(this.counts.peakBytes, this.liveBytes - this.base);
    return { dataId, shape: [...shape], dtype };
  }

  /** The same memory under another shape, as TensorFlow's Reshape gives it. */
  view(x: Info, shape: Shape): Info {
    if (this.recorder) return this.make(shape, x.dtype);
    const entry = this.entries.get(x.dataId);
    if (entry) {
      entry.references++;
      return { dataId: x.dataId, shape: [...shape], dtype: x.dtype };
    }
    // Memory of another backend is not ours to count.
    const dataId = {};
    this.entries.set(dataId, { bytes: 0, references: 1, size: product(shape), dtype: x.dtype });
    return { dataId, shape: [...shape], dtype: x.dtype };
  }

  count(name: string, macs: number, outputs: Info[]) {
    this.counts.perOp[name] ??= { calls: 0, macs: 0, bytes: 0 };
    const op = this.counts.perOp[name];
    op.calls++;
    op.macs += macs;
    for (const output of outputs) op.bytes += bytesOf(output.shape, output.dtype);
    this.counts.macs += macs;
    if (macs > 0) this.lastShape = outputs[0].shape;
  }

  // What tfjs asks of a backend.
  write(values: unknown, shape: number[], dtype: TF.DataType): object {
    const small = values && product(shape) <= smallValues;
    const { dataId } = this.make(shape, dtype, small ? (values as Entry['values']) : undefined);
    if (values && dtype !== 'string') this.recorder?.constant(dataId, values as TF.backend_util.TypedArray);
    return dataId;
  }
  move(dataId: object, values: unknown, shape: number[], dtype: TF.DataType, references: number) {
    const small = values && product(shape) <= smallValues;
    this.entries.set(dataId, {
      bytes: 0,
      references,
      size: product(shape),
      dtype,
      values: small ? (values as Entry['values']) : undefined,
    });
    if (values && dtype !== 'string') this.recorder?.constant(dataId, values as TF.backend_util.TypedArray);
  }
  readSync(dataId: object) {
    const entry = this.entries.get(dataId)!;
    if (this.recorder && !entry.values)
      throw new VoxelbookError('this pass cannot be recorded', {
        code: 'values-read',
        path: 'forward',
        given: 'a layer that looks at values while it runs',
        expected: 'operators on tensors alone',
        fix: 'Compute it with operators of tf.',
      });
    return entry.values ?? tf.util.makeZerosTypedArray(entry.size, entry.dtype as 'float32');
  }
  async read(dataId: object) {
    return this.readSync(dataId);
  }
  disposeData(dataId: object, force = false): boolean {
    const entry = this.entries.get(dataId);
    if (!entry) return true;
    entry.references--;
    if (!force && entry.references > 0) return false;
    this.entries.delete(dataId);
    this.liveBytes -= entry.bytes;
    return true;
  }
  refCount = (dataId: object) => this.entries.get(dataId)?.references ?? 0;
  incRef(dataId: object) {
    const entry = this.entries.get(dataId);
    if (entry) entry.references++;
  }
  numDataIds = () => this.entries.size;
  memory = () => ({ unreliable: false, numBytesInThisBackend: this.liveBytes });
  timerAvailable = () => false;
  time = async (fn: () => void) => {
    fn();
    return { kernelMs: 0 };
  };
  floatPrecision = () => 32 as const;
  epsilon = () => 1e-7;
  dispose() {
    this.entries.clear();
  }
}

let instance: SymbolicBackend | undefined;

function symbolicBackend(): SymbolicBackend {
  if (!instance) {
    instance = new SymbolicBackend();
    tf.registerBackend(backendName, () => instance as unknown as TF.KernelBackend, 0);
    registerKernels(instance);
  }
  return instance;
}

/** Switching is synchronous for backends that start synchronously, as all of ours do. */
function use(name: string) {
  void tf.setBackend(name);
  if (tf.getBackend() !== name) throw new Error(`backend ${name} did not start`);
}

// ——— The kernels ———

type Inputs = Record<string, Info>;
/** Each kernel's own record. */
type Attributes = any;
interface Answer {
  shape: Shape;
  dtype?: TF.DataType;
  macs?: number;
}

function registerKernels(backend: SymbolicBackend) {
  const register = (name: string, kernel: (inputs: Inputs, attributes: Attributes) => Info | Info[], macs = () => 0) =>
    tf.registerKernel({
      kernelName: name,
      backendName,
      kernelFunc: ({ inputs, attrs }) => {
        const output = kernel(inputs as Inputs, attrs);
        const outputs = Array.isArray(output) ? output : [output];
        backend.count(name, macs(), outputs);
        backend.recorder?.operator(name, inputs as Inputs, outputs, (attrs ?? {}) as Record<string, unknown>);
        return output;
      },
    });
  /** A kernel with one fresh output. */
  const define = (names: string, infer: (inputs: Inputs, attributes: Attributes) => Answer) => {
    for (const name of names.split(' ')) {
      let macs = 0;
      register(
        name,
        (inputs, attributes) => {
          const answer = infer(inputs, attributes);
          macs = answer.macs ?? 0;
          return backend.make(answer.shape, answer.dtype ?? firstOf(inputs)?.dtype ?? 'float32');
        },
        () => macs,
      );
    }
  };
  /** A kernel whose output shares its input's memory. */
  const share = (names: string, shape: (inputs: Inputs, attributes: Attributes) => Shape) => {
    for (const name of names.split(' '))
      register(name, (inputs, attributes) => backend.view(firstOf(inputs)!, shape(inputs, attributes)));
  };

  define(
    'Abs Acos Acosh Asin Asinh Atan Atanh Ceil ClipByValue Cos Cosh Cumprod Cumsum Elu Erf Exp Expm1 Floor LeakyRelu Log Log1p ' +
      'LogSoftmax Neg OnesLike Reciprocal Relu Relu6 Reverse Round Rsqrt Selu Sigmoid Sign Sin Sinh Softmax Softplus Sqrt Square Step ' +
      'Tan Tanh ZerosLike FusedBatchNorm LRN Prelu',
    (inputs) => ({ shape: (inputs.x ?? inputs.logits).shape }),
  );
  define('IsFinite IsInf IsNan LogicalNot', ({ x }) => ({ shape: x.shape, dtype: 'bool' }));
  define('Add Sub Multiply RealDiv FloorDiv Mod Maximum Minimum Pow SquaredDifference Atan2', ({ a, b }) => ({
    shape: broadcast(a.shape, b.shape),
    dtype: tf.upcastType(a.dtype as 'float32', b.dtype as 'float32') as TF.DataType,
  }));
  define('Equal NotEqual Greater GreaterEqual Less LessEqual LogicalAnd LogicalOr LogicalXor', ({ a, b }) => ({
    shape: broadcast(a.shape, b.shape),
    dtype: 'bool',
  }));
  define('AddN', (inputs) => ({ shape: firstOf(inputs)!.shape }));
  define('Select', ({ t, e }) => ({ shape: broadcast(t.shape, e.shape), dtype: t.dtype }));
  define('EluGrad', ({ dy }) => ({ shape: dy.shape }));

  define('Sum Prod Max Min', ({ x }, { axis, keepDims }) => ({
    shape: reduced(x.shape, axis, keepDims),
    dtype: x.dtype === 'bool' ? 'int32' : x.dtype,
  }));
  define('Mean', ({ x }, { axis, keepDims }) => ({ shape: reduced(x.shape, axis, keepDims), dtype: 'float32' }));
  define('All Any', ({ x }, { axis, keepDims }) => ({ shape: reduced(x.shape, axis, keepDims), dtype: 'bool' }));
  define('ArgMax ArgMin', ({ x }, { axis }) => ({ shape: reduced(x.shape, axis, false), dtype: 'int32' }));

  share('Reshape', ({ x }, { shape }) => tf.util.inferFromImplicitShape(shape, product(x.shape)));
  share('ExpandDims', ({ input }, { dim }) => {
    const shape = [...input.shape];
    shape.splice(dim < 0 ? dim + shape.length + 1 : dim, 0, 1);
    return shape;
  });
  share('Identity', ({ x }) => x.shape);
  register('Cast', ({ x }, { dtype }) => (dtype === x.dtype ? backend.view(x, x.shape) : backend.make(x.shape, dtype)));

  define('Transpose', ({ x }, { perm }) => ({ shape: (perm as number[]).map((axis) => x.shape[axis]) }));
  define('Concat', (inputs, { axis }) => {
    const parts = Object.values(inputs);
    const shape = [...parts[0].shape];
    const at = axis < 0 ? axis + shape.length : axis;
    shape[at] = parts.reduce((sum, part) => sum + part.shape[at], 0);
    return { shape };
  });
  define('Pack', (inputs, { axis }) => {
    const parts = Object.values(inputs);
    const shape = [...parts[0].shape];
    shape.splice(axis < 0 ? axis + shape.length + 1 : axis, 0, parts.length);
    return { shape };
  });
  register('Unpack', ({ value }, { axis }) => {
    const at = axis < 0 ? axis + value.shape.length : axis;
    const shape = value.shape.filter((_, i) => i !== at);
    return Array.from({ length: value.shape[at] }, () => backend.make(shape, value.dtype));
  });
  register('SplitV', ({ x }, { numOrSizeSplits, axis }) => {
    const at = tf.util.parseAxisParam(axis, x.shape)[0];
    return tf.backend_util
      .prepareSplitSize(x as unknown as TF.Tensor, numOrSizeSplits, at)
      .map((size: number) => backend.make(replaced(x.shape, at, size), x.dtype));
  });
  define('Slice', ({ x }, { begin, size }) => ({
    shape: tf.slice_util.parseSliceParams(x as unknown as TF.Tensor, begin, size)[1],
  }));
  define('StridedSlice', ({ x }, a) => ({
    shape: tf.slice_util.sliceInfo(
      x.shape,
      a.begin,
      a.end,
      a.strides,
      a.beginMask,
      a.endMask,
      a.ellipsisMask,
      a.newAxisMask,
      a.shrinkAxisMask,
    ).finalShape,
  }));
  define('PadV2', ({ x }, { paddings }) => ({ shape: x.shape.map((n, i) => n + paddings[i][0] + paddings[i][1]) }));
  define('MirrorPad', ({ x }, { paddings }) => ({ shape: x.shape.map((n, i) => n + paddings[i][0] + paddings[i][1]) }));
  define('Tile', ({ x }, { reps }) => ({ shape: x.shape.map((n, i) => n * reps[i]) }));
  define('BroadcastTo', (_, { shape }) => ({ shape }));
  define('GatherV2', ({ x, indices }, { axis, batchDims }) => {
    const at = tf.util.parseAxisParam(axis, x.shape)[0];
    return {
      shape: [...x.shape.slice(0, at), ...indices.shape.slice(batchDims ?? 0), ...x.shape.slice(at + 1)],
      dtype: x.dtype,
    };
  });
  define('GatherNd', ({ params, indices }) => ({
    shape: [...indices.shape.slice(0, -1), ...params.shape.slice(indices.shape.at(-1)!)],
    dtype: params.dtype,
  }));
  define('ScatterNd', ({ updates }, { shape }) => ({ shape, dtype: updates.dtype }));
  define('TensorScatterUpdate', ({ tensor }) => ({ shape: tensor.shape, dtype: tensor.dtype }));
  define('SparseToDense', ({ sparseValues }, { outputShape }) => ({ shape: outputShape, dtype: sparseValues.dtype }));
  define('UnsortedSegmentSum', ({ x }, { numSegments }) => ({ shape: [numSegments, ...x.shape.slice(1)], dtype: x.dtype }));
  define('OneHot', ({ indices }, { depth, dtype }) => ({ shape: [...indices.shape, depth], dtype: dtype ?? 'float32' }));
  define('Fill', (_, { shape, value, dtype }) => ({ shape, dtype: dtype ?? (typeof value === 'string' ? 'string' : 'float32') }));
  define('Range', (_, { start, stop, step, dtype }) => ({
    shape: [Math.max(0, Math.ceil((stop - start) / step))],
    dtype: dtype ?? 'float32',
  }));
  define('LinSpace', (_, { num }) => ({ shape: [num], dtype: 'float32' }));
  define('Diag', ({ x }) => ({ shape: [...x.shape, ...x.shape] }));
  define('Bincount', ({ weights }, { size }) => ({ shape: [size], dtype: weights.dtype }));
  define('Multinomial', ({ logits }, { numSamples }) => ({ shape: [logits.shape[0], numSamples], dtype: 'int32' }));
  register('TopK', ({ x }, { k }) => [
    backend.make([...x.shape.slice(0, -1), k], x.dtype),
    backend.make([...x.shape.slice(0, -1), k], 'int32'),
  ]);
  define('SpaceToBatchND', ({ x }, { blockShape, paddings }) => {
    const block = product(blockShape);
    const spatial = (blockShape as number[]).map((b, i) => (x.shape[i + 1] + paddings[i][0] + paddings[i][1]) / b);
    return { shape: [x.shape[0] * block, ...spatial, ...x.shape.slice(1 + spatial.length)] };
  });
  define('BatchToSpaceND', ({ x }, { blockShape, crops }) => {
    const block = product(blockShape);
    const spatial = (blockShape as number[]).map((b, i) => x.shape[i + 1] * b - crops[i][0] - crops[i][1]);
    return { shape: [x.shape[0] / block, ...spatial, ...x.shape.slice(1 + spatial.length)] };
  });
  define('DepthToSpace', ({ x }, { blockSize, dataFormat }) => {
    const [b, p, q, r] = x.shape;
    return dataFormat === 'NCHW'
      ? { shape: [b, p / blockSize ** 2, q * blockSize, r * blockSize] }
      : { shape: [b, p * blockSize, q * blockSize, r / blockSize ** 2] };
  });
  define('ResizeBilinear ResizeNearestNeighbor', ({ images }, { size }) => ({
    shape: [images.shape[0], ...size, images.shape[3]],
    dtype: 'float32',
  }));
  define('ResizeBilinearGrad ResizeNearestNeighborGrad', ({ images }) => ({ shape: images.shape }));

  // Pooling.
  define('MaxPool AvgPool', ({ x }, a) => ({
    shape: tf.backend_util.computePool2DInfo(x.shape as Four, a.filterSize, a.strides, 1, a.pad, a.dimRoundingMode).outShape,
  }));
  define('MaxPool3D AvgPool3D', ({ x }, a) => ({
    shape: tf.backend_util.computePool3DInfo(x.shape as Five, a.filterSize, a.strides, 1, a.pad, a.dimRoundingMode, a.dataFormat)
      .outShape,
  }));
  define('MaxPoolGrad AvgPoolGrad MaxPool3DGrad AvgPool3DGrad', ({ input }) => ({ shape: input.shape, dtype: 'float32' }));

  // Matrix products: m · n · k each.
  define('BatchMatMul _FusedMatMul', ({ a, b }, { transposeA, transposeB }) => {
    const [m, k] = transposeA ? [a.shape.at(-1)!, a.shape.at(-2)!] : [a.shape.at(-2)!, a.shape.at(-1)!];
    const [inner, n] = transposeB ? [b.shape.at(-1)!, b.shape.at(-2)!] : [b.shape.at(-2)!, b.shape.at(-1)!];
    if (k !== inner)
      throw new Error(
        `matMul: inner shapes ${k} and ${inner} of [${a.shape}] and [${b.shape}] must match (transposed: ${!!transposeA}, ${!!transposeB}).`,
      );
    const shape = [...broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)), m, n];
    return { shape, dtype: a.dtype, macs: product(shape) * k };
  });
  define('Einsum', (inputs, { equation }) => {
    const parts = Object.values(inputs);
    const [left, right = ''] = (equation as string).replaceAll(' ', '').split('->');
    const sizes = new Map<string, number>();
    for (const [i, labels] of left.split(',').entries())
      for (const [axis, label] of [...labels].entries()) sizes.set(label, parts[i].shape[axis]);
    return { shape: [...right].map((label) => sizes.get(label)!), macs: parts.length > 1 ? product([...sizes.values()]) : 0 };
  });

  // Convolutions: every output value is the sum over one kernel window; a backward pass has as many products.
  define('Conv2D FusedConv2D', ({ x, filter }, a) => {
    const { outShape } = tf.backend_util.computeConv2DInfo(
      x.shape as Four,
      filter.shape as Four,
      a.strides,
      a.dilations,
      a.pad,
      a.dimRoundingMode,
      false,
      tf.backend_util.convertConv2DDataFormat(a.dataFormat ?? 'NHWC'),
    );
    return { shape: outShape, macs: product(outShape) * product(filter.shape.slice(0, 3)) };
  });
  define('Conv3D', ({ x, filter }, a) => {
    const { outShape } = tf.backend_util.computeConv3DInfo(x.shape as Five, filter.shape as Five, a.strides, a.dilations, a.pad);
    return { shape: outShape, macs: product(outShape) * product(filter.shape.slice(0, 4)) };
  });
  define('Conv2DBackpropInput Conv3DBackpropInputV2', ({ dy, filter }, { inputShape }) => ({
    shape: inputShape,
    dtype: dy.dtype,
    macs: product(dy.shape) * product(filter.shape.slice(0, -1)),
  }));
  define('Conv2DBackpropFilter Conv3DBackpropFilterV2', ({ dy }, { filterShape }) => ({
    shape: filterShape,
    dtype: dy.dtype,
    macs: product(dy.shape) * product(filterShape.slice(0, -1)),
  }));
  define('DepthwiseConv2dNative FusedDepthwiseConv2D', ({ x, filter }, a) => {
    const { outShape } = tf.backend_util.computeConv2DInfo(
      x.shape as Four,
      filter.shape as Four,
      a.strides,
      a.dilations ?? 1,
      a.pad,
      a.dimRoundingMode,
      true,
    );
    return { shape: outShape, macs: product(outShape) * product(filter.shape.slice(0, 2)) };
  });
  define('DepthwiseConv2dNativeBackpropInput', ({ dy, filter }, { inputShape }) => ({
    shape: inputShape,
    dtype: dy.dtype,
    macs: product(dy.shape) * product(filter.shape.slice(0, 2)),
  }));
  define('DepthwiseConv2dNativeBackpropFilter', ({ dy }, { filterShape }) => ({
    shape: filterShape,
    dtype: dy.dtype,
    macs: product(dy.shape) * product(filterShape.slice(0, 2)),
  }));
}

type Four = [number, number, number, number];
type Five = [number, number, number, number, number];

const firstOf = (inputs: Inputs): Info | undefined => Object.values(inputs)[0];
const replaced = (shape: Shape, axis: number, size: number) => shape.map((n, i) => (i === axis ? size : n));
const broadcast = (a: Shape, b: Shape): number[] => tf.backend_util.assertAndGetBroadcastShape([...a], [...b]);

function reduced(shape: Shape, axis: number | number[] | undefined, keepDims: boolean): number[] {
  const axes = new Set(tf.util.parseAxisParam(axis ?? [...shape.keys()], [...shape]));
  return keepDims ? shape.map((n, i) => (axes.has(i) ? 1 : n)) : shape.filter((_, i) => !axes.has(i));
}
