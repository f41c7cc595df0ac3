// The loop: epochs of training and validation iterations, from wherever the last checkpoint left it, to the end.
//
// Everything random is drawn by name (`train/<step>/<sample>`), so a resumed run meets the same batches as one that was never
// interrupted, and every sum that the log shows is in the checkpoint.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWrite } from '../base/atomicWrite.js';
import { failedOn, VoxelbookError } from '../base/errors.js';
import type { WorkOptions } from '../base/progress.js';
import { Random } from '../base/random.js';
import type { Network, Params } from '../model/network.js';
import { tf } from '../tensor/tf.js';
import { CheckpointFolder, computeThreads, type Position, startPosition } from './checkpoint.js';
import type { Recipe } from './experiment.js';
import type { BatchSource } from './feed/feed.js';
import type { Phase } from './feed/sample.js';
import { type HookState, hooksOf } from './hooks.js';
import type { Objective } from './objective.js';
import { averagedParams, initialState, isFrozen, type TrainState } from './optim/optimiser.js';
import { learningRate } from './optim/schedule.js';
import { ema, pseudoDice } from './pseudoDice.js';
import {
  type Accumulated,
  accumulate,
  batchTensors,
  disposeOf,
  firstNotFiniteLayer,
  type StepSettings,
  settingsOf,
  trainStep,
  validationStep,
} from './step.js';

/** One line of progress.jsonl. Times and memory differ from run to run; everything else is a function of the experiment. */
export interface ProgressLine {
  epoch: number;
  epochs: number;
  /** Training iterations done. */
  step: number;
  steps: number;
  /** Mean loss of this epoch so far. */
  loss: number;
  /** At the end of an epoch: loss, pseudo-Dice per class and their mean on the validation patches; null before. */
  validationLoss: number | null;
  pseudoDsc: number | null;
  pseudoDscPerClass: (number | null)[] | null;
  lr: number;
  /** Mean norm of all gradients together, before clipping, over the steps of this epoch so far; null before the first. */
  gradientNorm: number | null;
  /** At the last epoch of a run that stopped early. */
  stoppedEarly?: true;
  /** Seconds of training over all sittings, and the share of them spent waiting for batches. */
  seconds: number;
  waitingShare: number;
  rssBytes: number;
  etaSeconds: number;
}

/** What the loop trains: network, data and recipe. */
export interface LoopInput {
  /** Hash of the run: checkpoints of another are refused. */
  run: string;
  folder: string;
  recipe: Recipe;
  network: Network;
  /** Parameters to begin with; not called when there is a checkpoint. */
  initial: () => Params;
  objective: Objective;
  feed: BatchSource;
  /** Shapes of the outputs, full resolution first, `[depth, height, width]`. */
  outputShapes: readonly (readonly number[])[];
  dimensions: 2 | 3;
  seed: number;
  /** Recompute activations in the backward pass. */
  checkpointing?: boolean;
}

/** Who hears of each iteration, and how often checkpoints are written. */
export interface LoopOptions extends WorkOptions {
  onLine?: (line: ProgressLine) => void;
  /** Share of the time that saving may take; 0 saves at the end of every epoch. */
  savingShare?: number;
  /** Seconds without a checkpoint after which one is written inside an epoch too, so that a kill costs minutes; default 600, 0 after every iteration. */
  saveSeconds?: number;
  /** Told what a person should know: what the run started from, a checkpoint that could not be used. Default: standard error. */
  onNotice?: (text: string) => void;
  /** Called before anything is written; throws when another process has taken the run over. */
  beforeSave?: () => void;
}

/** Thrown after the checkpoint was written, when the signal asked to stop. */
export class Stopped extends Error {
  constructor(
    readonly position: Position,
    readonly reason: unknown,
  ) {
    super(`stopped at step ${position.step} with a checkpoint written`);
    this.name = 'Stopped';
  }
}

/**
 * Trains to the recipe's last epoch, or goes on to it from the run folder's newest checkpoint.
 * @returns the final parameters (the caller owns them) and where the run ended
 * @throws Stopped after an abort; VoxelbookError when loss or gradients are not finite, or a checkpoint is damaged
 */
export async function loop(input: LoopInput, options: LoopOptions = {}): Promise<{ params: Params; position: Position }> {
  const { recipe, network, objective, feed, folder } = input;
  options.beforeSave?.(); // nothing in the folder is touched by a process that no longer owns it
  const checkpoints = new CheckpointFolder(folder, input.run, network);
  const log = new Log(path.join(folder, 'progress.jsonl'));
  const found = checkpoints.load(options.onNotice);
  if (found?.threads !== undefined && found.threads !== computeThreads())
    options.onNotice?.(
      `this run computed with ${found.threads} threads so far and goes on with ${computeThreads()}: sums are added up in another order, so the result agrees with an uninterrupted run within round-off (about 1e-5 of the loss after 100 steps), not bit for bit; with ${found.threads} threads it would`,
    );
  const position = found?.position ?? startPosition(input.seed);
  let state: TrainState = found
    ? { params: found.params, optimiser: found.optimiser }
    : { params: input.initial(), optimiser: initialState() };
  log.keep(position.logLines);

  const names = network.parameters.filter((p) => !p.buffer && !p.aliasOf && p.dtype === 'float32').map((p) => p.name);
  const settings: StepSettings = {
    ...settingsOf(recipe, network, objective, input.outputShapes.length),
    checkpointing: input.checkpointing,
  };
  const steps = recipe.epochs * recipe.iterationsPerEpoch;
  const perEpoch = recipe.iterationsPerEpoch + recipe.validationIterationsPerEpoch;
  const batches = recipe.accumulate ?? 1;
  /** What is validated, kept as best and final, and predicts. */
  const evaluated = (): Params => (recipe.ema?.evaluate ? averagedParams(state) : state.params);
  const logEvery = Math.max(1, Math.ceil(recipe.iterationsPerEpoch / 10));
  const hooks = hooksOf(recipe);
  const clock = new Clock(position.seconds);
  let savedAt = performance.now();
  let savingTook = 0;

  const save = () => {
    const begin = performance.now();
    options.beforeSave?.();
    position.seconds = clock.seconds();
    const file = checkpoints.save({ ...state, position });
    savedAt = performance.now();
    savingTook = savedAt - begin;
    return file;
  };
  const saveIfDue = () => {
    if (performance.now() - savedAt >= 1000 * (options.saveSeconds ?? 600)) save();
  };
  const stopIfAsked = () => {
    if (!options.signal?.aborted) return;
    save();
    throw new Stopped({ ...position }, options.signal.reason);
  };
  const batch = async (phase: Phase, index: number) => {
    const begin = performance.now();
    const next = await feed.next(phase, index);
    clock.waited(performance.now() - begin);
    const tensors = batchTensors(next, input.outputShapes, input.dimensions, objective);
    const dispose = () => {
      tf.dispose([tensors.x, ...tensors.targets]);
      // Tensors may lie in the batch's own memory.
      next.release?.();
    };
    return { ...tensors, caseIds: next.caseIds, dispose };
  };
  /** One step on the mean gradient of its batches, of which `first` is there. */
  const takeStep = async (first: Awaited<ReturnType<typeof batch>>, rate: number) => {
    let next = first;
    let sum: Accumulated | undefined;
    for (let index = position.step * batches; ; index++) {
      const { x, targets, caseIds, dispose } = next;
      const random = new Random(input.seed).split('network').split(index);
      try {
        if ((index + 1) % batches === 0) return { caseIds, result: trainStep(settings, state, x, targets, rate, random, sum) };
        sum = accumulate(settings, state, x, targets, random, sum);
        if (!Number.isFinite(sum.loss)) {
          disposeOf(sum);
          return { caseIds, result: { what: 'loss', layer: firstNotFiniteLayer(network, state.params, x, random) } as const };
        }
      } finally {
        dispose();
      }
      if (options.signal?.aborted) disposeOf(sum); // a step is taken whole or not at all: its batches come again
      stopIfAsked();
      next = await batch('train', index + 1);
    }
  };
  const line = (extra: Partial<ProgressLine> = {}): void => {
    const left = recipe.epochs * perEpoch - position.done;
    const entry: ProgressLine = {
      epoch: position.epoch,
      epochs: recipe.epochs,
      step: position.step,
      steps,
      loss: position.lossSum / Math.max(1, position.iteration),
      validationLoss: null,
      pseudoDsc: null,
      pseudoDscPerClass: null,
      lr: learningRate(recipe, position.epoch),
      gradientNorm: position.norms ? position.norms.sum / position.norms.count : null,
      seconds: clock.seconds(),
      waitingShare: clock.waitingShare(),
      rssBytes: process.memoryUsage.rss(),
      etaSeconds: position.done === 0 ? 0 : (clock.seconds() / position.done) * left,
      ...extra,
    };
    log.append(entry);
    position.logLines++;
    options.onLine?.(entry);
    options.onProgress?.({ what: 'train', done: position.step, total: steps, etaSeconds: entry.etaSeconds });
  };

  try {
    while (position.epoch < recipe.epochs && !isOver(recipe, position)) {
      const at: HookState = {
        epoch: position.epoch,
        epochs: recipe.epochs,
        step: position.step,
        steps,
        learningRate: learningRate(recipe, position.epoch),
        loss: null,
        pseudoDsc: null,
        params: state.params,
        folder,
      };
      hooks.call('onEpochStart', at);
      settings.onGradients = hooks.gradients && ((gradients) => hooks.gradients!(gradients, at));
      settings.trainable = names.filter((name) => !isFrozen(recipe.freeze, name, position.epoch));

      while (position.iteration < recipe.iterationsPerEpoch) {
        stopIfAsked();
        const first = await batch('train', position.step * batches);
        Object.assign(at, { step: position.step, loss: null, params: state.params });
        hooks.call('onStepStart', at);
        const { result, caseIds } = await takeStep(first, at.learningRate);
        if ('what' in result) throw notFinite(result.what, result.layer, caseIds, position, checkpoints);
        state = result.state;
        position.lossSum += result.loss;
        position.norms = { sum: (position.norms?.sum ?? 0) + result.norm, count: (position.norms?.count ?? 0) + 1 };
        position.iteration++;
        position.step++;
        position.done++;
        Object.assign(at, { step: position.step, loss: result.loss, params: state.params });
        hooks.call('onStepEnd', at);
        const last = position.iteration === recipe.iterationsPerEpoch;
        if (!last && position.iteration % logEvery === 0) line();
        saveIfDue();
        await new Promise(setImmediate); // signals and messages get their turn
      }

      while (position.validated < recipe.validationIterationsPerEpoch) {
        stopIfAsked();
        const index = position.epoch * recipe.validationIterationsPerEpoch + position.validated;
        const { x, targets, caseIds, dispose } = await batch('validation', index);
        const { loss, counts } = validationStep(settings, evaluated(), x, targets, position.counts);
        dispose();
        if (!Number.isFinite(loss)) throw notFinite('validation loss', 'output', caseIds, position, checkpoints);
        position.validationLossSum += loss;
        position.counts = counts;
        position.validated++;
        position.done++;
        saveIfDue();
        await new Promise(setImmediate);
      }

      const dice = position.counts ? pseudoDice(position.counts) : null;
      const pseudoDsc = dice && Number.isFinite(dice.mean) ? dice.mean : null;
      hooks.call('onEpochEnd', Object.assign(at, { loss: position.lossSum / Math.max(1, position.iteration), pseudoDsc }));
      if (dice && Number.isFinite(dice.mean)) position.ema = ema(position.ema, dice.mean);
      const isBest = position.ema !== null && (position.bestEma === null || position.ema > position.bestEma);
      if (isBest) Object.assign(position, { bestEma: position.ema, bestEpoch: position.epoch });
      const early = isOver(recipe, { ...position, epoch: position.epoch + 1 }) && position.epoch + 1 < recipe.epochs;
      line({
        lr: at.learningRate,
        validationLoss: position.validated > 0 ? position.validationLossSum / position.validated : null,
        pseudoDsc,
        pseudoDscPerClass: dice?.perClass.map((d) => (Number.isNaN(d) ? null : d)) ?? null,
        ...(early && { stoppedEarly: true, etaSeconds: 0 }),
      });
      position.epoch++;
      position.iteration = 0;
      position.lossSum = 0;
      position.norms = undefined;
      position.validated = 0;
      position.validationLossSum = 0;
      position.counts = null;
      const due = savingTook <= (options.savingShare ?? 0.02) * (performance.now() - savedAt);
      const end = early || position.epoch === recipe.epochs;
      const weights = { ...state, params: evaluated(), position };
      const kept = recipe.keepEvery !== undefined && position.epoch % recipe.keepEvery === 0;
      if (isBest || kept) options.beforeSave?.();
      if (isBest) checkpoints.saveParams('best', weights);
      if (kept) checkpoints.saveParams(`epoch-${String(position.epoch).padStart(6, '0')}`, weights);
      if (due || end || options.savingShare === 0) save();
      if (early)
        options.onNotice?.(
          `stopped early after epoch ${position.epoch} of ${recipe.epochs}: the running pseudo-Dice has not risen since epoch ${position.bestEpoch! + 1}`,
        );
    }
    const params = evaluated();
    checkpoints.saveParams('final', { ...state, params, position });
    const returned = new Set(Object.values(params));
    tf.dispose([...Object.values(state.optimiser.slots), ...Object.values(state.params)].filter((t) => !returned.has(t)));
    return { params, position };
  } catch (error) {
    tf.dispose(state.params);
    tf.dispose(state.optimiser.slots);
    throw error;
  }
}

/** Whether a run has waited for a better pseudo-Dice as long as its recipe allows. */
const isOver = ({ earlyStopping }: Recipe, { epoch, bestEpoch }: Position): boolean =>
  earlyStopping !== undefined && bestEpoch !== undefined && epoch - 1 - bestEpoch >= earlyStopping.patience;

function notFinite(what: string, layer: string, caseIds: string[], position: Position, checkpoints: CheckpointFolder): Error {
  const good = checkpoints.newest();
  return new VoxelbookError(`training stopped at step ${position.step}: the ${what} is not finite`, {
    code: 'not-finite',
    path: `step ${position.step}, layer ${layer}, cases ${caseIds.join(', ')}`,
    given: `NaN or infinity in the ${what}`,
    expected: 'finite numbers',
    fix: `Look at these cases and at the learning rate; the last good checkpoint is ${good ? checkpoints.file(good) : 'none yet'}.`,
  });
}

/** Seconds of training over all sittings, and how many of this sitting's were spent waiting for batches. */
class Clock {
  private readonly begin = performance.now();
  private waitingMs = 0;
  constructor(private readonly before: number) {}
  waited(ms: number): void {
    this.waitingMs += ms;
  }
  seconds(): number {
    return this.before + (performance.now() - this.begin) / 1000;
  }
  waitingShare(): number {
    return this.waitingMs / Math.max(1, performance.now() - this.begin);
  }
}

/** progress.jsonl: appended line by line, cut back to a checkpoint's lines when a run resumes. */
class Log {
  constructor(private readonly file: string) {}

  /** Keeps the first `lines` lines, so that a resumed run leaves neither gaps nor doubles. */
  keep(lines: number): void {
    if (!fs.existsSync(this.file)) return;
    const all = fs.readFileSync(this.file, 'utf8').split('\n').slice(0, -1);
    atomicWrite(
      this.file,
      all
        .slice(0, lines)
        .map((l) => `${l}\n`)
        .join(''),
    );
  }

  append(entry: ProgressLine): void {
    try {
      fs.appendFileSync(this.file, `${JSON.stringify(entry)}\n`);
    } catch (error) {
      throw failedOn(this.file, error, 'write', { kept: 'the checkpoints are whole, and the run goes on from the newest' });
    }
  }
}
