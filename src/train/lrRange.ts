// The learning-rate range test (Smith 2017, https://arxiv.org/abs/1506.01186, section 3.3): a rate that grows with every step, and the
// loss beside it. Nothing is written; the run that follows begins afresh.

import { progressOf, type WorkOptions } from '../base/progress.js';
import { Random } from '../base/random.js';
import { displayed } from '../base/show.js';
import type { Fold } from '../dataset/index.js';
import { tf } from '../tensor/tf.js';
import { type Experiment, foldsOf } from './experiment.js';
import { forecast } from './forecast.js';
import { runFolderOf } from './identity.js';
import { startingParams } from './initial.js';
import { lrRangePicture } from './lrRangePicture.js';
import { initialState, isFrozen, type TrainState } from './optim/optimiser.js';
import { prepare } from './prepare.js';
import { previousStageOf } from './previousStage.js';
import { assembled, forecastInput } from './run.js';
import { type Accumulated, accumulate, batchTensors, settingsOf, trainStep } from './step.js';

/** The range of rates that is tried, and on which fold. */
export interface LrRangeOptions extends WorkOptions {
  /** Smallest and largest rate; default 1e-6 and 10. */
  from?: number;
  to?: number;
  /** Steps between them; default 100. */
  steps?: number;
  /** Default: the experiment's first. */
  fold?: Fold;
  seed?: number;
  /** Augmentation threads; default 1. */
  workers?: number;
  onStage?: (stage: string) => void;
}

/** What each rate did; shows itself as a picture. */
export interface LrRange {
  experiment: string;
  rates: number[];
  /** Of each step's batch, before the step. */
  losses: number[];
  /** Their running mean (decay 0.9, without the bias of its beginning). */
  smoothed: number[];
  /** Why it ended: at the largest rate, because the loss ran away, or because it was no number. */
  ended: 'end' | 'diverged' | 'not finite';
  /** Where the smoothed loss falls fastest, a rate to train with; null where it never falls. */
  steepest: number | null;
  /** Where it is lowest; beyond, training becomes unstable. */
  lowest: number | null;
}

const decay = 0.9;
/** Steps at both ends of which nothing is concluded: the mean is not settled. */
const settling = 5;

/**
 * Trains from the experiment's start with a rate that grows from `from` to `to` by the same factor in every step, with its own optimiser,
 * loss, augmentation and groups; warm-up, schedule and averages are left out.
 * @throws VoxelbookError when the experiment cannot be trained
 */
export async function lrRange(experiment: Experiment, options: LrRangeOptions = {}): Promise<LrRange> {
  const { from = 1e-6, to = 10, steps = 100, workers = 1, onStage = () => {} } = options;
  const { fold = foldsOf(experiment)[0], seed = experiment.seeds[0], signal } = options;
  const { recipe } = experiment;
  const prepared = await prepare(experiment, { signal, onStage, fold });
  const previous = previousStageOf(experiment, prepared, fold, seed, runFolderOf);
  const input = forecastInput(experiment, prepared, workers);
  const { network, objective } = input;
  const { source, startFeed } = assembled(experiment, fold, seed, prepared, forecast(input).outputShapes, previous);
  const names = network.parameters.filter((p) => !p.buffer && !p.aliasOf && p.dtype === 'float32').map((p) => p.name);
  const settings = {
    ...settingsOf({ ...recipe, ema: undefined }, network, objective, source.outputShapes.length),
    trainable: names.filter((name) => !isFrozen(recipe.freeze, name, 0)),
  };
  onStage('train');
  const feed = startFeed({ workers, turn: (phase, index) => ({ phase, index: index + 1 }) });
  const report = progressOf(steps, options);
  const batches = recipe.accumulate ?? 1;
  let state: TrainState = {
    params: startingParams(experiment, fold, seed, prepared, runFolderOf).params,
    optimiser: initialState(),
  };
  const [rates, losses, smoothed]: number[][] = [[], [], []];
  let mean = 0;
  let ended: LrRange['ended'] = 'end';
  try {
    for (let step = 0; step < steps && ended === 'end'; step++) {
      const rate = from * (to / from) ** (step / Math.max(1, steps - 1));
      report(step, `rate ${rate.toPrecision(2)}`);
      let sum: Accumulated | undefined;
      for (let index = step * batches; index < (step + 1) * batches; index++) {
        const batch = await feed.next('train', index);
        const { x, targets } = batchTensors(batch, source.outputShapes, source.dimensions, objective);
        const random = new Random(seed).split('network').split(index);
        const last = index === (step + 1) * batches - 1;
        const result = last ? trainStep(settings, state, x, targets, rate, random, sum) : undefined;
        if (!last) sum = accumulate(settings, state, x, targets, random, sum);
        tf.dispose([x, ...targets]);
        batch.release?.();
        if (!result) continue;
        if ('what' in result) {
          ended = 'not finite';
          break;
        }
        state = result.state;
        mean = decay * mean + (1 - decay) * result.loss;
        rates.push(rate);
        losses.push(result.loss);
        smoothed.push(mean / (1 - decay ** (step + 1)));
      }
      if (ranAway(smoothed)) ended = 'diverged';
      await new Promise(setImmediate); // signals get their turn
    }
    report(steps, 'done');
    return shown({ experiment: experiment.name, rates, losses, smoothed, ended, ...conclusion(rates, smoothed) });
  } finally {
    tf.dispose([state.params, state.optimiser.slots]);
    await feed.close();
  }
}

/** The loss has risen above where it began by as much as it had fallen; with Dice in it, it may be negative, so no factor says so. */
function ranAway(smoothed: readonly number[]): boolean {
  if (smoothed.length <= 2 * settling) return false;
  const [first, now] = [smoothed[settling], smoothed.at(-1)!];
  return now > first + Math.max(first - Math.min(...smoothed), 0.5 * Math.abs(first));
}

/** The rate of the steepest fall before the lowest loss, and that of the lowest. */
export function conclusion(rates: readonly number[], smoothed: readonly number[]): Pick<LrRange, 'steepest' | 'lowest'> {
  let low = settling;
  for (let i = settling; i < smoothed.length; i++) if (smoothed[i] < smoothed[low]) low = i;
  let [steepest, fall] = [-1, 0];
  for (let i = settling; i < Math.min(low, smoothed.length - 1); i++) {
    // Rates grow by one factor, so differences between neighbours are slopes over the logarithm.
    const slope = (smoothed[i + 1] - smoothed[i - 1]) / 2;
    if (slope < fall) [steepest, fall] = [i, slope];
  }
  return { steepest: rates[steepest] ?? null, lowest: steepest < 0 ? null : rates[low] };
}

const endings = {
  end: 'up to the largest rate',
  diverged: 'until the loss ran away',
  'not finite': 'until the loss was no number',
};

function shown(range: LrRange): LrRange {
  const { experiment, rates, ended, steepest, lowest } = range;
  const number = (x: number) => x.toPrecision(2);
  const says = steepest
    ? `the loss falls fastest at ${number(steepest)} and is lowest at ${number(lowest!)}`
    : 'the loss does not fall at any of these rates';
  const text = `${experiment}: ${rates.length} steps, ${endings[ended]}; ${says}`;
  return displayed(range, { text, html: lrRangePicture(range, text) });
}
