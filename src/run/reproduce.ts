// A paper's table, run again: a study, and its scores grouped as the rows of a report.
import type { Claim, Variant } from '../report/index.js';
import type { Experiment, Scale } from '../train/index.js';
import { type Study, type StudyOptions, study } from './study.js';

/** Experiments of a paper: a list, or what makes one for a scale (`paper.mednext.ablation`). */
export type Reproducible = readonly Experiment[] | ((options: { scale: Scale }) => readonly Experiment[]);

export interface Reproduction extends Study {
  /** What `report.ablation` and `report.perClass` take: one row per experiment, in the order given. */
  rows: Variant[];
}

/**
 * Runs the experiments of a paper's table and everything they start from.
 * @param options.scale `demo` (default): the variants that fit a desk; `paper`: the full budget
 * @param options.published claims by the name of the experiment they belong to
 * @returns rows for `report.ablation`; a row without scores says why
 */
export async function reproduce(
  list: Reproducible,
  options: StudyOptions & { scale?: Scale; published?: Record<string, Claim[]> } = {},
): Promise<Reproduction> {
  const { scale = 'demo', published = {}, ...rest } = options;
  const experiments = (typeof list === 'function' ? list({ scale }) : list).filter((e) => e.scale === scale);
  const done = await study(experiments, rest);
  const rows = experiments.map((experiment): Variant => {
    const scores = done.runs.filter((run) => run.experiment === experiment).map((run) => run.scores);
    const failure = done.failures.find(({ run }) => run.experiment === experiment);
    return {
      name: experiment.name,
      scores,
      dataset: experiment.dataset,
      labels: experiment.labels,
      published: published[experiment.name],
      missing: scores.length === 0 ? (failure?.error.message.split('\n')[0] ?? 'not run') : undefined,
    };
  });
  return { ...done, rows };
}
