// Memory before the start: the very training step, run on shapes alone, and what the process needs besides.
import { VoxelbookError } from '../base/errors.js';
import { availableBytes } from '../base/memory.js';
import { product, rollingAxis } from '../base/shape.js';
import { type Network, type Params, parameterCount, symbolicParams } from '../model/network.js';
import { symbolic, symbolicOutput } from '../tensor/symbolic.js';
import { onGpu, tf } from '../tensor/tf.js';
import type { Recipe } from './experiment.js';
import { deepSupervisionWeights } from './loss/deepSupervision.js';
import type { Objective } from './objective.js';
import { initialState, isFrozen, optimiserOf } from './optim/optimiser.js';
import { trainStep } from './step.js';

/** Memory in bytes and arithmetic that a training will need. */
export interface Forecast {
  parameters: number;
  /** Multiply-adds of one forward pass on one patch. */
  flops: number;
  /** Shapes of the outputs, full resolution first, without batch and channel. */
  outputShapes: number[][];
  bytes: {
    /** Node, TensorFlow's library and the code, before any tensor. */
    process: number;
    /** Their values, and the arrays the first ones came in: the first step copies them, and they are collected late. */
    parameters: number;
    optimiser: number;
    /** Activations, gradients and the step's other intermediate results, at their largest. */
    activations: number;
    /** Batches made ahead, with room for a copy of each: where tensors cannot lie in a batch's own memory. */
    batches: number;
    /** Preprocessed cases that the augmentation workers keep. */
    cases: number;
    /** Predicting the largest case: one patch through the network, the accumulators, the case. Comes after training. */
    prediction: number;
    /** What the process will have at its largest: training, or prediction where that is more. */
    total: number;
    /** On a GPU: every tensor alive at the largest moment, without what its allocator keeps in reserve. */
    device: number;
    /** Beside a GPU: the process, batches, and cases or the prediction's accumulators; without CUDA's own libraries. */
    host: number;
  };
  /** Bytes of checkpoints on disk: the last two, the best, the final, and those the recipe keeps. */
  diskBytes: number;
}

/** The training step whose memory is forecast. */
export interface ForecastInput {
  network: Network;
  recipe: Recipe;
  objective: Objective;
  patch: readonly number[];
  batchSize: number;
  inputChannels: number;
  /** Bytes of the cases workers will keep; 0 when unknown. */
  caseBytes?: number;
  /** Shape of the largest preprocessed case, for prediction. */
  largestCase?: readonly number[];
  /** Bytes the process has before any tensor; default what was measured for one that has just loaded TensorFlow. */
  processBytes?: number;
  workers?: number;
  checkpointing?: boolean;
}

// Measured on Linux x64, TensorFlow 2.21, MedNeXt, STU-Net and SegResNet from 0.5 to 2 GB.
/** A process that has loaded TensorFlow and the library. */
const loadedBytes = 450e6;
/** What the first step leaves for good: threads, generated code, pools. */
const firstStepBytes = 45e6;
/** Resident over live bytes of activations: scratch of the kernels, and holes that freed tensors leave in the heap. */
const heapFactor = 1.5;
/** An augmentation worker with its code, before any case. */
const workerBytes = 60e6;
const batchesAhead = 3;

/** What a training run will need. No tensor is made. */
export function forecast(input: ForecastInput): Forecast {
  const { network, recipe, objective, patch, batchSize, inputChannels } = input;
  const shape = [batchSize, ...patch, inputChannels];
  const { outputShapes, flops } = shapesAndFlops(network, patch, inputChannels);
  const trained = network.parameters.filter(
    (p) => !p.buffer && !p.aliasOf && p.dtype === 'float32' && !isFrozen(recipe.freeze, p.name, Number.MAX_SAFE_INTEGER),
  );
  const trainable = trained.map((p) => p.name);
  const optimiser = optimiserOf(recipe.optimiser, { ema: recipe.ema?.decay });
  const step = symbolic(() => {
    const params = symbolicParams(network);
    const slots: Params = {};
    for (const name of trainable)
      for (const kind of slotKinds(recipe)) slots[`${kind}.${name}`] = symbolicOutput(params[name].shape);
    const x = symbolicOutput(shape);
    const targets = outputShapes.map((s) => objective.target(symbolicOutput([batchSize, ...s], 'int32')));
    const weights = deepSupervisionWeights(recipe.deepSupervision, outputShapes.length);
    const settings = { network, optimiser, objective, weights, gradientClip: recipe.gradientClip, trainable };
    trainStep(
      { ...settings, checkpointing: input.checkpointing },
      { params, optimiser: { ...initialState(), step: 1, slots } },
      x,
      targets,
      1e-3,
    );
  });
  const parameters = 4 * network.parameters.filter((p) => !p.aliasOf).reduce((sum, p) => sum + product(p.shape), 0);
  const trainedBytes = 4 * trained.reduce((sum, p) => sum + product(p.shape), 0);
  const optimiserBytes = slotKinds(recipe).length * trainedBytes;
  // The gradients of a step's earlier batches.
  const summed = (recipe.accumulate ?? 1) > 1 ? trainedBytes : 0;
  const voxels = product(patch) * batchSize;
  const targets = outputShapes.reduce((sum, s) => sum + product(s), 0) * batchSize;
  const workers = input.workers ?? 0;
  const prediction = predictionBytes(input);
  const bytes = {
    process: (input.processBytes ?? loadedBytes) + firstStepBytes + workers * workerBytes,
    parameters: 2 * parameters,
    optimiser: optimiserBytes,
    activations: heapFactor * Math.max(0, step.peakBytes - parameters - optimiserBytes) + summed,
    batches: batchesAhead * 4 * (voxels * inputChannels + targets) * 2,
    cases: (input.caseBytes ?? 0) * Math.max(1, workers),
    prediction: heapFactor * prediction.activations + prediction.arrays,
    total: 0,
    device: Math.max(step.peakBytes + summed, parameters + prediction.activations),
    host: 0,
  };
  const training = bytes.optimiser + bytes.activations + bytes.batches + bytes.cases;
  bytes.total = bytes.process + bytes.parameters + Math.max(training, bytes.prediction);
  bytes.host = bytes.process + Math.max(bytes.batches + bytes.cases, prediction.arrays);
  const kept = recipe.keepEvery ? Math.floor(recipe.epochs / recipe.keepEvery) : 0;
  const diskBytes = 2 * (parameters + optimiserBytes) + (2 + kept) * parameters;
  return { parameters: parameterCount(network), flops, outputShapes, bytes, diskBytes };
}

/** Shapes of the outputs in training and multiply-adds of one pass on one patch. */
export function shapesAndFlops(network: Network, patch: readonly number[], inputChannels: number) {
  const pass = symbolic(() => {
    const params = symbolicParams(network);
    const x = symbolicOutput([1, ...patch, inputChannels]);
    return network.forward({ params, training: true, updates: {}, onePatch: true }, x).map((y) => y.shape.slice(1, -1));
  });
  return { outputShapes: pass.result, flops: pass.macs };
}

/** One patch through the network without gradients; as arrays the rolling accumulators and the largest case with its labels. */
function predictionBytes({ network, patch, inputChannels, largestCase }: ForecastInput): { activations: number; arrays: number } {
  const pass = symbolic(() => {
    const params = symbolicParams(network);
    const outputs = network.forward({ params, training: false, updates: {} }, symbolicOutput([1, ...patch, inputChannels]));
    return outputs[0].shape.at(-1)!;
  });
  const parameters = 4 * network.parameters.filter((p) => !p.aliasOf).reduce((sum, p) => sum + product(p.shape), 0);
  const activations = Math.max(0, pass.peakBytes - parameters);
  if (!largestCase) return { activations, arrays: 0 };
  const heads = pass.result;
  const window = patch.length === 3 ? patch : [1, ...patch];
  const extent = largestCase.map((n, axis) => Math.max(n, window[axis]));
  const held = patch.length === 3 ? rollingAxis(extent, window).voxels : product(extent.slice(1));
  const accumulators = 2 * 4 * held * (heads + 1);
  return { activations, arrays: accumulators + product(largestCase) * (4 * inputChannels + 8) };
}

const slotKinds = ({ optimiser, ema }: Recipe) => [
  ...(optimiser.kind === 'sgd' ? ['momentum'] : ['m', 'v']),
  ...(ema ? ['ema'] : []),
];

const gb = (bytes: number) => `${(bytes / 1e9).toFixed(bytes < 1e9 ? 2 : 1)} GB`;

/**
 * Refuses a run that will not fit, with the settings that would. Beside a GPU only what stays on the host must fit here; whether the
 * rest fits on the device is for its own allocator to say.
 * @param available bytes; default what the machine has now
 */
export function refuseIfTooLarge(input: ForecastInput, found: Forecast, available = availableBytes()): void {
  const b = found.bytes;
  if (onGpu()) {
    if (b.host > available)
      throw new VoxelbookError('this run does not fit into memory', {
        code: 'too-little-memory',
        path: `batch ${input.batchSize}, ${input.workers ?? 0} workers`,
        given: `${gb(b.host)} needed beside the GPU (batches ${gb(b.batches)}, cases ${gb(b.cases)}, process ${gb(b.process)})`,
        expected: `at most the ${gb(available)} that are free`,
        fix: 'Use fewer workers, or a machine with more memory.',
      });
  } else if (b.total > available) {
    const { total } = b;
    throw new VoxelbookError('this run does not fit into memory', {
      code: 'too-little-memory',
      path: `patch [${input.patch}], batch ${input.batchSize}`,
      given: `${gb(total)} needed (parameters ${gb(b.parameters)}, optimiser ${gb(b.optimiser)}, activations ${gb(b.activations)}, batches ${gb(b.batches)}, cases ${gb(b.cases)}, prediction ${gb(b.prediction)}, process ${gb(b.process)})`,
      expected: `at most the ${gb(available)} that are free`,
      fix: whatFits(input, available),
    });
  }
}

/** The first change that fits: recomputation, batch 1, then ever smaller patches. */
function whatFits(input: ForecastInput, available: number): string {
  const patches = [1, 0.75, 0.5, 0.375, 0.25].map((share) =>
    input.patch.map((n, i) =>
      Math.max(
        input.network.divisibleBy[i],
        Math.floor((n * share) / input.network.divisibleBy[i]) * input.network.divisibleBy[i],
      ),
    ),
  );
  const tries: [string, ForecastInput][] = [
    ['checkpointing on', { ...input, checkpointing: true }],
    ['batch size 1', { ...input, batchSize: 1 }],
    ...patches
      .slice(1)
      .map((patch): [string, ForecastInput] => [`patch [${patch}], batch size 1`, { ...input, patch, batchSize: 1 }]),
  ];
  for (const [name, changed] of tries) {
    let total: number;
    try {
      total = forecast(changed).bytes.total;
    } catch (error) {
      // A patch may be too small for the network: a norm over a single voxel.
      if (error instanceof VoxelbookError) continue;
      throw error;
    }
    if (total <= available) return `With ${name} it needs ${gb(total)}.`;
  }
  return 'Use a smaller network or a machine with more memory.';
}

/** Memory of TensorFlow's tensors now; for comparing with a forecast. */
export const tensorBytes = () => tf.memory().numBytes;
