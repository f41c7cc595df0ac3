// Checkpoints: everything a run needs to go on as if nothing had happened, in one safetensors file that appears whole or not at all.
//
// Parameters stand under the official names in PyTorch's layout, so that any safetensors reader can use them; the
// optimiser's slots beside them under `optimiser.`; position and sums as JSON in the header, with a checksum over it all.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { atomicWriteJson, sweepTemporaryFiles } from '../base/atomicWrite.js';
import { contentChecksum } from '../base/checksum.js';
import { VoxelbookError } from '../base/errors.js';
import { openSafetensors, type StoredTensor, writeSafetensors } from '../base/safetensors.js';
import type { TensorSource } from '../base/tensorData.js';
import { fromMemoryInParts, type Network, type ParamInfo, type Params, toMemory } from '../model/network.js';
import type { tf } from '../tensor/tf.js';
import { initialState, type OptimiserState } from './optim/optimiser.js';
import type { Counts } from './pseudoDice.js';

const format = 'voxelbook-checkpoint-1';

/** Where a run stands. Random numbers are drawn by name and step, so the step is the random state as well. */
export interface Position {
  epoch: number;
  /** Training iterations done in this epoch. */
  iteration: number;
  /** Training iterations done in all. */
  step: number;
  /** Training and validation iterations done in all: orders the checkpoints. */
  done: number;
  /** Sum of the losses of this epoch's iterations so far. */
  lossSum: number;
  /** Validation iterations done in this epoch, and their sums. */
  validated: number;
  validationLossSum: number;
  counts: Counts | null;
  /** Running pseudo-Dice and its best value so far. */
  ema: number | null;
  bestEma: number | null;
  /** Epoch of that value; undefined before there is one, and in checkpoints of an earlier version. */
  bestEpoch?: number;
  /** Sum and number of the gradient norms of this epoch's steps so far; undefined in checkpoints of an earlier version. */
  norms?: { sum: number; count: number };
  /** Lines of progress.jsonl that belong to this position. */
  logLines: number;
  /** Seconds of training so far, over all sittings. */
  seconds: number;
  seed: number;
}

/** Where a run with this seed begins. */
export const startPosition = (seed: number): Position => ({
  epoch: 0,
  iteration: 0,
  step: 0,
  done: 0,
  lossSum: 0,
  validated: 0,
  validationLossSum: 0,
  counts: null,
  ema: null,
  bestEma: null,
  logLines: 0,
  seconds: 0,
  seed,
});

/** Everything a run needs to go on. */
export interface Checkpoint {
  params: Params;
  optimiser: OptimiserState;
  position: Position;
  /** Threads TensorFlow computed with; undefined in checkpoints of an earlier version. */
  threads?: number;
}

/** Threads TensorFlow computes with in this process. */
export const computeThreads = () => Number(process.env.TF_NUM_INTRAOP_THREADS) || os.availableParallelism();

type Stored = Record<string, TensorSource>;
const slotPrefix = 'optimiser.';

/**
 * Writes one checkpoint file; a file of that name stays intact on any failure.
 * @param run hash of the run it belongs to; loading checks it
 * @returns bytes written
 */
export function writeCheckpoint(file: string, run: string, network: Pick<Network, 'parameters'>, checkpoint: Checkpoint): number {
  const stored: Stored = {};
  for (const info of network.parameters) {
    if (info.aliasOf) continue;
    stored[info.name] = toDisk(info, checkpoint.params[info.name]);
    for (const [slot, tensor] of slotsOf(info.name, checkpoint.optimiser.slots)) stored[slotPrefix + slot] = toDisk(info, tensor);
  }
  const { step, steps } = checkpoint.optimiser;
  const header = JSON.stringify({
    format,
    run,
    optimiserStep: step,
    optimiserSteps: behind(step, steps),
    position: checkpoint.position,
    threads: computeThreads(),
  });
  writeSafetensors(file, stored, { voxelbook: header, checksum: contentChecksum(header, stored) });
  return fs.statSync(file).size;
}

/** The text a checkpoint carries about itself; undefined when it is no JSON object. */
function headerIn(text: string): any {
  try {
    return Object(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/**
 * Reads a checkpoint back into tensors, which the caller owns.
 * @throws VoxelbookError naming the file when it is missing, damaged, of another run, or of another network
 */
export function readCheckpoint(file: string, run: string, network: Pick<Network, 'parameters'>): Checkpoint {
  const refuse = (code: string, given: string, expected: string, fix: string): never => {
    throw new VoxelbookError(`checkpoint ${file} cannot be used`, { code, path: file, given, expected, fix });
  };
  const again = 'Restore the file from a copy, or remove the run folder to begin again.';
  if (!fs.existsSync(file)) refuse('checkpoint-missing', 'no such file', 'the checkpoint that checkpoints.json names', again);
  let content: ReturnType<typeof openSafetensors>;
  try {
    content = openSafetensors(file);
  } catch (error) {
    return refuse('checkpoint-damaged', (error as Error).message, 'a complete safetensors file', again);
  }
  const { tensors, metadata, checked } = content;
  // A checksum over everything has been asked already where the file carries one: an earlier version's has this one alone.
  if (!metadata.voxelbook || (!checked && metadata.checksum !== contentChecksum(metadata.voxelbook, tensors)))
    refuse('checkpoint-damaged', 'a checksum that does not fit the content', 'the content as it was written', again);
  const header = headerIn(metadata.voxelbook) ?? refuse('checkpoint-damaged', 'a header that is no JSON', 'JSON', again);
  if (header.format !== format) refuse('checkpoint-format', header.format, format, 'Use the version that wrote it.');
  if (header.run !== run)
    refuse('checkpoint-of-another-run', `run ${header.run}`, `run ${run}`, 'Put each file back into its own run folder.');
  const missing = network.parameters.filter((p) => !p.aliasOf && !tensors[p.name]);
  if (missing.length > 0)
    refuse(
      'checkpoint-network',
      `no ${missing[0].name}`,
      'every parameter of the network',
      'Build the network that was trained.',
    );
  const params: Params = {};
  const slots: Params = {};
  for (const info of network.parameters) {
    if (info.aliasOf) continue;
    const read = ({ data }: StoredTensor) => toMemory(info, data as Float32Array);
    try {
      params[info.name] = read(tensors[info.name]);
      for (const kind of slotKinds) {
        const slot = tensors[`${slotPrefix}${kind}.${info.name}`];
        if (slot) slots[`${kind}.${info.name}`] = read(slot);
      }
    } catch (error) {
      // Arrays are read one by one: the file may have been replaced or taken away since it was checked.
      for (const tensor of [...Object.values(params), ...Object.values(slots)]) tensor.dispose();
      return refuse('checkpoint-damaged', (error as Error).message, 'the file as it was opened', again);
    }
  }
  const step = header.optimiserStep;
  const steps: Record<string, number> = { ...header.optimiserSteps };
  // Written only where a parameter is behind; one with slots and no count has taken every step.
  for (const slot of Object.keys(slots)) steps[slot.slice(slot.indexOf('.') + 1)] ??= step;
  return { params, optimiser: { step, steps, slots }, position: header.position, threads: header.threads };
}

/** Counts of the parameters that have taken fewer steps than the optimiser. */
const behind = (step: number, steps: Record<string, number>) =>
  Object.fromEntries(Object.entries(steps).filter(([, n]) => n !== step));

const slotKinds = ['momentum', 'm', 'v', 'ema'];
const slotsOf = (name: string, slots: Params): [string, tf.Tensor][] =>
  slotKinds.flatMap((kind) => (slots[`${kind}.${name}`] ? [[`${kind}.${name}`, slots[`${kind}.${name}`]]] : []));

/** In PyTorch's order; an exact reordering, made in parts so that no second copy of the weights stands beside them. */
const toDisk = (info: ParamInfo, tensor: tf.Tensor): TensorSource => ({
  shape: info.shape,
  dtype: tensor.dtype === 'int32' ? 'I32' : 'F32',
  read: () => fromMemoryInParts(info, tensor),
});

/** The checkpoints of one run folder: the last two, the best, the final, those kept by the recipe; an index beside them says what must be there. */
export class CheckpointFolder {
  readonly folder: string;
  private readonly indexFile: string;

  constructor(
    runFolder: string,
    private readonly run: string,
    private readonly network: Pick<Network, 'parameters'>,
  ) {
    this.folder = path.join(runFolder, 'checkpoints');
    this.indexFile = path.join(runFolder, 'checkpoints.json');
    fs.mkdirSync(this.folder, { recursive: true });
    sweepTemporaryFiles(this.folder);
    sweepTemporaryFiles(runFolder);
  }

  readonly file = (name: string) => path.join(this.folder, `${name}.safetensors`);

  /** Saves the position; keeps the one before, removes older ones. */
  save(checkpoint: Checkpoint): string {
    const name = `at-${String(checkpoint.position.done).padStart(9, '0')}`;
    this.write(name, checkpoint);
    const kept = [...this.indexed().filter((n) => n !== name), name].slice(-2);
    atomicWriteJson(this.indexFile, { checkpoints: kept });
    for (const old of this.onDisk()) if (!kept.includes(old) && old < kept[0]) fs.rmSync(this.file(old), { force: true });
    return this.file(name);
  }

  /** Saves parameters alone under a name of their own: `best`, `final`, `epoch-<n>`. */
  saveParams(name: 'best' | 'final' | `epoch-${string}`, { params, position }: Checkpoint): string {
    this.write(name, { params, optimiser: initialState(), position });
    return this.file(name);
  }

  /** An error that stops the writing also says what the run can go on from. */
  private write(name: string, checkpoint: Checkpoint): void {
    try {
      writeCheckpoint(this.file(name), this.run, this.network, checkpoint);
    } catch (error) {
      if (!(error instanceof VoxelbookError)) throw error;
      const before = this.newest();
      const kept = before ? `The newest checkpoint is whole: ${this.file(before)}.` : 'No checkpoint was saved before.';
      throw new VoxelbookError(
        error.message.split('\n')[0],
        error.faults.map((f) => ({ ...f, fix: `${f.fix} ${kept} The run goes on from there when it is started again.` })),
      );
    }
  }

  /** The newest checkpoint's name, or undefined when none was ever saved. */
  newest(): string | undefined {
    return this.names().at(-1);
  }

  /** What is newer than the checkpoint that is gone on from is damaged: it keeps its bytes under another name. */
  private setAside(name: string): void {
    for (const newer of this.onDisk()) if (newer > name) fs.renameSync(this.file(newer), `${this.file(newer)}.damaged`);
    atomicWriteJson(this.indexFile, { checkpoints: [name] });
  }

  /** All that there are or should be, oldest first. */
  private names(): string[] {
    return [...new Set([...this.indexed(), ...this.onDisk()])].sort();
  }

  /**
   * The newest checkpoint, or the one before where that is missing or damaged.
   * @param onNotice told which checkpoint could not be used, and which one is used instead
   * @returns undefined when none was ever saved
   * @throws VoxelbookError, never a new beginning, when none of them can be read, or one is of another run or network
   */
  load(onNotice: (text: string) => void = () => {}): Checkpoint | undefined {
    const names = this.names();
    let first: VoxelbookError | undefined;
    for (const name of names.reverse()) {
      try {
        const found = readCheckpoint(this.file(name), this.run, this.network);
        if (first) {
          onNotice(`${first.message}\nGoing on from the checkpoint before, ${this.file(name)}.`);
          this.setAside(name);
        }
        return found;
      } catch (error) {
        const lost = error instanceof VoxelbookError && /^checkpoint-(missing|damaged)$/.test(error.code);
        if (!lost) throw error;
        first ??= error;
      }
    }
    if (first) throw first;
    return undefined;
  }

  private onDisk(): string[] {
    if (!fs.existsSync(this.folder)) return [];
    return fs
      .readdirSync(this.folder)
      .filter((n) => /^at-\d+\.safetensors$/.test(n))
      .map((n) => n.replace(/\.safetensors$/, ''))
      .sort();
  }

  private indexed(): string[] {
    if (!fs.existsSync(this.indexFile)) return [];
    try {
      return JSON.parse(fs.readFileSync(this.indexFile, 'utf8')).checkpoints.filter((n: unknown) => typeof n === 'string');
    } catch (error) {
      throw new VoxelbookError(`${this.indexFile} cannot be read`, {
        code: 'checkpoint-index-damaged',
        path: this.indexFile,
        given: (error as Error).message,
        expected: 'the list of checkpoints',
        fix: 'Delete this file to go on from the newest checkpoint that is whole.',
      });
    }
  }
}
