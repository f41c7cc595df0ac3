// A finished run, as a cell gets it.
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import type { Fold } from '../dataset/index.js';
import type { Scoring } from '../score/index.js';
import { canonicalJson, type Experiment, type ProgressLine, type RunScores } from '../train/index.js';
import { readStart, startText } from '../train/initial.js';
import { readOrder, readProgress, readScores } from './folder.js';
import { dataChangesOf } from './fresh.js';
import { picture } from './live.js';
import { scoreBy } from './scoring.js';

/** A finished run: its scores, and where its files are. */
export interface FinishedRun {
  name: string;
  folder: string;
  experiment: Experiment;
  fold: Fold;
  seed: number;
  scores: RunScores;
  progress: ProgressLine[];
  /** What changed of its inputs since, in sentences; absent where nothing did. */
  outdated?: string[];
}

/** Reads a finished run from its folder. In a cell it shows its curves and its mean scores. */
export function finishedRun(folder: string): FinishedRun {
  const order = readOrder(folder);
  const scores = readScores(folder);
  if (!order || !scores)
    throw new VoxelbookError('this run is not finished', {
      code: 'run-unfinished',
      path: folder,
      given: `no ${order ? 'scores.json' : 'experiment.json'} that can be read`,
      expected: 'a finished run',
      fix: 'Start it: run.start(experiment) goes on where it stopped.',
    });
  const outdated = dataChangesOf(order, folder);
  return shown({
    name: path.basename(folder),
    folder,
    ...order,
    scores,
    progress: readProgress(folder),
    ...(outdated.length > 0 && { outdated }),
  });
}

/** Gives a run its picture in a cell. */
function shown(run: FinishedRun): FinishedRun {
  return Object.defineProperty(run, Symbol.for('Jupyter.display'), {
    value: () =>
      picture(
        run.experiment.name,
        run.progress,
        [meanText(run.scores), startOf(run.folder), outdatedText(run.outdated ?? [])].filter(Boolean).join('\n'),
      ),
  });
}

/**
 * A finished run under the name and scoring it is asked for: runs are the same whatever they are scored by, and another scoring is computed
 * from the stored predictions.
 */
export async function asAsked(run: FinishedRun, experiment: Experiment): Promise<FinishedRun> {
  const same = canonicalJson(run.experiment.scoring ?? {}) === canonicalJson(experiment.scoring ?? {});
  const scores = same ? run.scores : await scoreBy(run, (experiment.scoring ?? {}) as Scoring);
  return shown({ ...run, experiment, scores: { ...scores, experiment: experiment.name } });
}

/** What the run started from, as one line; nothing where its parameters were drawn. */
function startOf(folder: string): string | undefined {
  const record = readStart(folder);
  return record && startText({ ...record, from: path.basename(record.from) });
}

/** Said beside a result that is no longer that of its inputs. */
export const outdatedText = (outdated: readonly string[]) => {
  if (outdated.length === 0) return '';
  const does = outdated.every((text) => text.startsWith('test ')) ? 'scores' : 'computes';
  return `out of date: ${outdated.join('; ')}; starting it ${does} it again`;
};

/** `DSC 0.812 · NSD 0.87`, over classes and cases, values that do not exist left out. */
export function meanText(scores: RunScores): string {
  const all = scores.cases.flatMap((c) => Object.values(c.classes));
  const mean = (key: 'dsc' | 'nsd') => {
    const values = all.map((c) => c[key]).filter((v) => Number.isFinite(v));
    return values.length === 0 ? '-' : (values.reduce((a, b) => a + b, 0) / values.length).toFixed(3);
  };
  return `DSC ${mean('dsc')} · NSD ${mean('nsd')} on ${scores.cases.length} cases`;
}
