// What a run's parameters start from: drawn afresh, then whatever the experiment's `init` puts in their place, with a record of it.
//
// A head belongs to its task and is never carried over to another one, also where the numbers of classes agree. Whatever else a rule
// names it must fill: a start that fits a few tensors only would be a training from scratch that calls itself something else.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteSealedJson, readSealedJson } from '../base/atomicWrite.js';
import { FaultList, VoxelbookError } from '../base/errors.js';
import type { StoredTensor } from '../base/safetensors.js';
import type { Fold } from '../dataset/index.js';
import { type Network, network as networkOf, type ParamInfo, type Params } from '../model/index.js';
import { inputChannels } from '../plan/index.js';
import { tf } from '../tensor/tf.js';
import {
  isVmamba,
  openWeights,
  sameShape,
  type TransferRow,
  type TransferRule,
  toParams,
  transfer,
  upkern,
  vmambaRule,
  vmambaTargets,
  vmambaTransfer,
} from '../weights/index.js';
import { initOf } from './dependencies.js';
import type { Experiment, Start } from './experiment.js';
import type { runFolderOf } from './identity.js';
import { endsOf, modelOf } from './model.js';
import type { Prepared } from './prepared.js';

/** What became of one parameter of the network, or of one tensor that the checkpoint has besides. */
export interface StartRow {
  name: string;
  /** `skipped`: by the rule; `fresh`: the checkpoint has nothing that fits; `unused`: the network has no place for it. */
  outcome: 'copied' | 'interpolated' | 'skipped' | 'fresh' | 'unused';
  why: string;
  /** PyTorch's shapes in the checkpoint and in the network. */
  from: readonly number[] | null;
  to: readonly number[] | null;
}

/** What a run started from; `start.json` in its folder. */
export interface StartRecord {
  /** The file the weights were read from. */
  from: string;
  rule: 'everything' | 'everything but the heads' | 'whatever fits but the heads' | 'only' | 'UpKern' | 'VMamba-Tiny';
  rows: StartRow[];
}

/** Writes what a run started from into its folder (`start.json`). */
export const saveStart = (folder: string, record: StartRecord) => atomicWriteSealedJson(path.join(folder, 'start.json'), record);

/** What a run of this folder started from; undefined where its parameters were drawn. */
export const readStart = (folder: string) => readSealedJson<StartRecord>(path.join(folder, 'start.json'));

/** `started from …: 205 of 257 tensors taken (205 copied, 0 interpolated), 4 skipped, 48 left fresh`. */
export function startText({ from, rule, rows }: StartRecord): string {
  const count = (outcome: StartRow['outcome']) => rows.filter((row) => row.outcome === outcome).length;
  const [copied, interpolated] = [count('copied'), count('interpolated')];
  const all = rows.length - count('unused');
  return `started from ${from} (${rule}): ${copied + interpolated} of ${all} tensors taken (${copied} copied, ${interpolated} interpolated), ${count('skipped')} skipped, ${count('fresh')} left fresh`;
}

/**
 * Parameters a run begins with; the caller owns them.
 * @returns `record` is undefined where the experiment has no `init`
 * @throws VoxelbookError naming every tensor that the start's rule should have filled and did not
 */
export function startingParams(
  experiment: Experiment,
  fold: Fold,
  seed: number,
  prepared: Prepared,
  folderOf: typeof runFolderOf,
): { params: Params; record?: StartRecord } {
  const own = modelOf(experiment, prepared, seed);
  const { init } = experiment;
  if (!init) return own;
  try {
    const file = 'weights' in init ? init.weights : finalWeights(initOf(experiment)!, fold, seed, folderOf);
    const { tensors } = openWeights(file);
    const before = initOf(experiment);
    const target = { network: own.network, params: own.params };
    const started =
      'upkernFrom' in init
        ? fromSmallKernels(experiment, prepared, target, tensors)
        : isVmambaStart(experiment, tensors)
          ? fromVmamba(experiment, prepared, target, tensors)
          : before?.dataset === experiment.dataset && !('only' in init && init.only)
            ? fromWhole(target, tensors)
            : fromAnotherTask(init, target, tensors);
    return { params: started.params, record: { from: file, rule: started.rule, rows: started.rows } };
  } finally {
    tf.dispose(own.params);
  }
}

interface Target {
  network: Network;
  params: Params;
}
interface Started {
  params: Params;
  rule: StartRecord['rule'];
  rows: StartRow[];
}
type Tensors = Record<string, StoredTensor>;

function finalWeights(before: Experiment, fold: Fold, seed: number, folderOf: typeof runFolderOf): string {
  const file = path.join(folderOf(before, fold, seed), 'checkpoints', 'final.safetensors');
  if (fs.existsSync(file)) return file;
  throw new VoxelbookError('what this run starts from is not there', {
    code: 'dependency-missing',
    path: file,
    given: 'no such file',
    expected: `the final weights of "${before.name}", fold ${fold}, seed ${seed}`,
    fix: 'Run that experiment first, or start both as a study.',
  });
}

/** The same network on the same task. */
function fromWhole({ network }: Target, tensors: Tensors): Started {
  const rows = stored(network).map(
    ({ name, shape }): StartRow => ({ name, outcome: 'copied', why: 'same task', from: shape, to: shape }),
  );
  return { params: toParams(network, tensors), rule: 'everything', rows };
}

/** MedNeXt's UpKern. The small network must have all that the large one has; heads of another task stay out. */
function fromSmallKernels(experiment: Experiment, prepared: Prepared, { network, params }: Target, tensors: Tensors): Started {
  const before = initOf(experiment)!;
  const sameTask = before.dataset === experiment.dataset;
  const { network: smallNetwork } = networkOf(before.model, prepared.configuration, endsOf(before, prepared));
  const isHead = new Set(network.parameters.filter((p) => p.head && !sameTask).map((p) => p.name));
  const small = toParams(
    { parameters: smallNetwork.parameters.filter((p) => !isHead.has(p.name)) },
    Object.fromEntries(Object.entries(tensors).filter(([name]) => !isHead.has(name))),
  );
  try {
    const { params: made, transferred } = upkern(small, params, network.parameters);
    const rows = transferred.map(({ name, how, from, to }): StartRow => {
      if (how !== 'kept')
        return { name, outcome: how, why: how === 'copied' ? 'same name and shape' : 'resized kernel', from, to };
      return isHead.has(name)
        ? { name, outcome: 'skipped', why: 'a head of another task', from, to }
        : { name, outcome: 'fresh', why: 'not in the checkpoint', from, to };
    });
    return complete({ params: made, rule: 'UpKern', rows }, (row) => row.outcome === 'fresh');
  } finally {
    tf.dispose(small);
  }
}

const isVmambaStart = ({ init, model }: Experiment, tensors: Tensors) =>
  init !== undefined && 'weights' in init && /^swin-umamba(-d)?$/.test(model.network) && isVmamba(Object.keys(tensors));

/** Swin-UMamba's start from an ImageNet encoder. */
function fromVmamba(experiment: Experiment, prepared: Prepared, { network, params }: Target, tensors: Tensors): Started {
  const entries = Object.entries(tensors).map(([name, { shape }]) => [name, shape] as const);
  const channels = inputChannels(prepared.dataset.json, prepared.configuration);
  const kind = experiment.model.network as 'swin-umamba' | 'swin-umamba-d';
  const decided = vmambaTransfer(entries, { network: kind, inputChannels: channels, parameters: network.parameters });
  const wanted = new Set(vmambaTargets(decided, network.parameters));
  const moved = transfer(network, params, tensors, vmambaRule(decided));
  const reasons = new Map(decided.map((row) => [row.name, row.why]));
  const rows = rowsOf(moved.table, (row) => !wanted.has(row.name)).map((row) =>
    row.outcome === 'unused' ? { ...row, why: reasons.get(row.name) ?? row.why } : row,
  );
  return complete({ params: moved.params, rule: 'VMamba-Tiny', rows }, (row) => wanted.has(row.name) && row.outcome !== 'copied');
}

/** Fine-tuning: everything but the heads, or `only` what is named, or, when the experiment says so, whatever fits. */
function fromAnotherTask(
  init: Exclude<Start, { upkernFrom: Experiment }>,
  { network, params }: Target,
  tensors: Tensors,
): Started {
  const only = 'only' in init ? init.only : undefined;
  const named = (info: ParamInfo) => !info.head && (!only || only.some((start) => info.name.startsWith(start)));
  const rule: TransferRule = { keep: (_, info) => !named(info) };
  if (!init.partial) refuseGaps(stored(network).filter(named), tensors);
  const { params: made, table } = transfer(network, params, tensors, rule);
  const what = only ? 'only' : init.partial ? 'whatever fits but the heads' : 'everything but the heads';
  return { params: made, rule: what, rows: rowsOf(table, (row) => row.why === 'kept by rule') };
}

const rowsOf = (table: readonly TransferRow[], skipped: (row: TransferRow) => boolean): StartRow[] =>
  table.map((row) => ({
    name: row.name,
    outcome: row.outcome !== 'kept' ? row.outcome : skipped(row) ? 'skipped' : 'fresh',
    why: row.why,
    from: row.found,
    to: row.expected,
  }));

const stored = (network: Pick<Network, 'parameters'>) => network.parameters.filter((p) => !p.aliasOf);

/** All that must be filled and is not there, or not of this shape. */
function refuseGaps(wanted: readonly ParamInfo[], tensors: Tensors): void {
  const faults = new FaultList();
  for (const { name, shape } of wanted) {
    const found = Object.hasOwn(tensors, name) ? tensors[name] : undefined;
    if (found && sameShape(found.shape, shape)) continue;
    faults.add(
      'start-incomplete',
      name,
      found ? `shape [${found.shape}]` : 'no such tensor in the checkpoint',
      `[${shape}]`,
      fixOfGaps,
    );
  }
  const missing = faults.faults.length;
  if (missing > 0)
    throw new VoxelbookError(
      `these weights fill ${wanted.length - missing} of the ${wanted.length} tensors that should start from them`,
      faults.faults.slice(0, shownGaps),
    );
}

/** After a rule did its work: everything it names must be filled. */
function complete(started: Started, isGap: (row: StartRow) => boolean): Started {
  const gaps = started.rows.filter(isGap);
  if (gaps.length === 0) return started;
  tf.dispose(started.params);
  throw new VoxelbookError(
    `${started.rule} leaves ${gaps.length} tensors that should start from these weights as they were`,
    gaps.slice(0, shownGaps).map(({ name, why, from, to }) => ({
      code: 'start-incomplete',
      path: name,
      given: from ? `shape [${from}]` : why,
      expected: `[${to}]`,
      fix: 'Take weights of a network with the same stages, blocks and widths.',
    })),
  );
}

const shownGaps = 12;
const fixOfGaps = 'Take weights of the same network, or say "partial": true in init to start from whatever fits.';
