// What a network is at a given input: per stage its shape, parameters, multiply-adds and the memory it keeps for the
// backward pass. Found by running the network's own forward on shapes alone and hearing which layer is being applied.
import { VoxelbookError } from '../base/errors.js';
import { lookup } from '../base/registry.js';
import { product } from '../base/shape.js';
import { displayed, type Shown, shownTable } from '../base/show.js';
import type { Configuration } from '../plan/plan.js';
import { gradients } from '../tensor/gradients.js';
import { type SymbolicMoment, symbolic, symbolicMoment, symbolicOutput } from '../tensor/symbolic.js';
import { tf } from '../tensor/tf.js';
import { network as networkOf } from './build.js';
import type { Ends } from './define.js';
import { type Network, parameterCount, symbolicParams } from './network.js';
import type { ModelSpec } from './registry.js';

/** A stage of a network: the layers under one outermost name. */
export interface Stage {
  name: string;
  /** Output without the batch, channels last; null for parameters that take no part in the pass. */
  shape: number[] | null;
  parameters: number;
  /** Multiply-adds of convolutions and matrix products, one pass in evaluation mode. */
  macs: number;
  /** fvcore's charge for normalisations. */
  normFlops: number;
  /** What the stage keeps until the backward pass, in bytes. */
  activationBytes: number;
}

/** What a network is at one input size: shapes, parameters, multiply-adds, bytes. Shows itself as a table, a row a stage. */
export interface Description {
  spec: ModelSpec;
  /** `[…spatial, channel]`, batch 1. */
  input: number[];
  outputs: number[][];
  stages: Stage[];
  parameters: number;
  macs: number;
  /** `macs` + norms: what fvcore, and so the papers, print as FLOPs. */
  flops: number;
  /** Kept until the backward pass. */
  activationBytes: number;
  /** Largest memory of one prediction, and of one forward and backward pass without optimiser; parameters included. */
  peakBytes: { prediction: number; training: number };
  /** How FLOPs are counted, and what the network's own paper counts. */
  convention: string;
}

/** How the papers count; all of them print multiply-adds as FLOPs. */
const common =
  'FLOPs are multiply-adds of convolutions and matrix products plus norms (5 a value, 4 without weights, 2 for fixed statistics), as fvcore counts them.';

/**
 * Describes a network without allocating it: parameters, cost and memory per stage; shows itself as a table.
 *
 * @param at a plan's configuration (its patch), or the input's spatial shape in voxels, `[depth, height, width]` or `[height, width]`;
 *   default: the specification's own patch, else 128 on every axis
 * @param ends input channels, classes and deep supervision where the specification is silent
 * @example model.describe({ network: 'mednext', size: 'S', kernel: 3, inputChannels: 1, classes: 14 }, [128, 128, 128])
 * @throws VoxelbookError when nothing says the input's shape, or the shape does not divide
 */
export function describe(spec: ModelSpec, at?: Configuration | readonly number[], ends: Ends = {}): Description {
  const plan = Array.isArray(at) ? undefined : (at as Configuration | undefined);
  const built = networkOf(spec, plan, ends);
  const { network } = built;
  const own = (built.spec as { patchSize?: number[] }).patchSize;
  const patch = [...(plan?.patch_size ?? (at as readonly number[] | undefined) ?? own ?? nearest([], network.divisibleBy))];
  checkPatch(patch, network.divisibleBy);
  const input = [...patch, built.spec.inputChannels!];

  const cost = watch(network, input, false);
  const memory = watch(network, input, true);
  const names = [...cost.stages.keys()];
  const layers = new Set(network.layers);
  const parametersOf = new Map<string, number>();
  for (const p of network.parameters) {
    if (p.aliasOf) continue;
    const stage = stageOf(p.name, layers);
    if (!names.includes(stage)) names.push(stage);
    const size = p.buffer ? 0 : product(p.shape);
    parametersOf.set(stage, (parametersOf.get(stage) ?? 0) + size);
  }
  const stages = names.map((name): Stage => {
    const used = cost.stages.get(name);
    return {
      name,
      shape: used ? used.shape.slice(1) : null,
      parameters: parametersOf.get(name) ?? 0,
      macs: used?.macs ?? 0,
      normFlops: used?.normFlops ?? 0,
      activationBytes: memory.stages.get(name)?.bytes ?? 0,
    };
  });
  const sum = (key: 'macs' | 'normFlops' | 'activationBytes') => stages.reduce((total, stage) => total + stage[key], 0);
  const description: Description = {
    spec: built.spec,
    input,
    outputs: cost.outputs.map((shape) => shape.slice(1)),
    stages,
    parameters: parameterCount(network),
    macs: sum('macs'),
    flops: sum('macs') + sum('normFlops'),
    activationBytes: sum('activationBytes'),
    peakBytes: { prediction: cost.peakBytes, training: memory.peakBytes },
    convention: [common, lookup('networks', spec.network).convention].filter(Boolean).join(' '),
  };
  return displayed(description, table(description));
}

interface Used {
  shape: readonly number[];
  macs: number;
  normFlops: number;
  bytes: number;
}

/** One pass on shapes alone. Work between two stages (a sum with a skip) belongs to the one before. */
function watch(network: Network, input: number[], training: boolean) {
  const stages = new Map<string, Used>();
  let outputs: number[][] = [];
  const run = symbolic(() => {
    const params = symbolicParams(network);
    const x = symbolicOutput([1, ...input]);
    let current: string | undefined;
    let before: SymbolicMoment = symbolicMoment();
    const close = () => {
      const now = symbolicMoment();
      if (current !== undefined) {
        const used = stages.get(current) ?? { shape: [], macs: 0, normFlops: 0, bytes: 0 };
        used.macs += now.macs - before.macs;
        used.normFlops += now.normFlops - before.normFlops;
        used.bytes += now.liveBytes - before.liveBytes;
        if (now.macs > before.macs || used.shape.length === 0) used.shape = now.lastShape;
        stages.set(current, used);
      }
      before = now;
    };
    let depth = 0;
    /** Only the outermost layers are stages. */
    const onLayer = <T>(name: string, apply: () => T): T => {
      if (depth === 0) {
        close();
        current = name;
      }
      depth++;
      const found = apply();
      depth--;
      return found;
    };
    const forward = () => {
      const found = network.forward({ params, training, updates: {}, onLayer }, x);
      close();
      current = undefined;
      outputs = found.map((y) => y.shape);
      return found;
    };
    if (!training) {
      forward();
      return;
    }
    const trainable = network.parameters
      .filter((p) => !p.buffer && !p.aliasOf && p.dtype === 'float32')
      .map((p) => params[p.name]);
    gradients(() => tf.addN(forward().map((y) => tf.mean(y))), trainable);
  });
  return { stages, outputs, peakBytes: run.peakBytes };
}

/** The outermost layer that a parameter belongs to; its own module where no layer bears such a name. */
function stageOf(parameter: string, layers: ReadonlySet<string>): string {
  const parts = parameter.split('.');
  const names = parts.map((_, i) => parts.slice(0, i + 1).join('.'));
  return names.find((name) => layers.has(name)) ?? names.at(-2) ?? parameter;
}

/** The nearest shape that divides; 128 where an axis is missing. */
const nearest = (patch: readonly number[], divisibleBy: readonly number[]) =>
  divisibleBy.map((step, i) => Math.max(step, Math.round((patch[i] ?? 128) / step) * step));

function checkPatch(patch: number[], divisibleBy: readonly number[]) {
  const wrong = patch.length !== divisibleBy.length || patch.some((n, i) => n % divisibleBy[i] !== 0);
  if (!wrong) return;
  throw new VoxelbookError('this input does not fit the network', {
    code: 'patch',
    path: 'inputShape',
    given: `[${patch}]`,
    expected: `${divisibleBy.length} edges, multiples of [${divisibleBy}]`,
    fix: `Nearest: [${nearest(patch, divisibleBy)}].`,
  });
}

const million = (n: number) => `${(n / 1e6).toFixed(3)} M`;
const giga = (n: number) => `${(n / 1e9).toFixed(2)} G`;
const mebibytes = (n: number) => `${(n / 2 ** 20).toFixed(1)} MiB`;

function table(d: Description): Shown {
  const rows: unknown[][] = d.stages.map((s) => [
    s.name,
    s.shape ? s.shape.join(' × ') : 'not used',
    million(s.parameters),
    giga(s.macs + s.normFlops),
    mebibytes(s.activationBytes),
  ]);
  rows.push([
    'total',
    d.outputs.map((o) => o.join(' × ')).join(', '),
    million(d.parameters),
    giga(d.flops),
    mebibytes(d.activationBytes),
  ]);
  const caption = `${d.spec.network} at ${d.input.join(' × ')} (batch 1)`;
  const shown = shownTable(caption, ['stage', 'output', 'parameters', 'FLOPs', 'kept for backward'], rows);
  const notes = [
    `Peak memory: prediction ${mebibytes(d.peakBytes.prediction)}, forward and backward ${mebibytes(d.peakBytes.training)} (parameters and their gradients included).`,
    d.convention,
  ];
  return {
    text: [shown.text, ...notes].join('\n'),
    html: shown.html + notes.map((note) => `<div>${note}</div>`).join(''),
  };
}
