// A paper's table, run again: a study, and its scores grouped as the rows of a report.
import type { Claim, Variant } from '../report/index.js';
import type { Experiment, Scale } from '../train/index.js';
import { type Study, type StudyOptions, study } from './study.js';

/** Experiments of a paper: a list, or one made for a scale, with what was published for each row by its name. */
export type Reproducible =
  | readonly Experiment[]
  | { experiments: readonly Experiment[] | ((scale: Scale) => readonly Experiment[]); published?: Record<string, Claim[]> };

export interface Reproduction extends Study {
  /** What `report.ablation` and `report.perClass` take: one row per experiment, in the order given. */
  rows: Variant[];
}

/**
 * Runs the experiments of a paper's table and everything they start from.
 * @param options.scale `demo` (default): the variants that fit a desk; `paper`: the full budget
 * @returns rows for `report.ablation`; a row without scores says why
 */
export async function reproduce(list: Reproducible, options: StudyOptions & { scale?: Scale } = {}): Promise<Reproduction> {
  const { scale = 'demo', ...rest } = options;
  const { experiments: given, published = {} } = 'experiments' in list ? list : { experiments: list };
  const experiments = (typeof given === 'function' ? given(scale) : given).filter((e) => e.scale === scale);
  const done = await study(experiments, rest);
  const rows = experiments.map((experiment): Variant => {
    const scores = done.runs.filter((run) => run.experiment === experiment).map((run) => run.scores);
    const failure = done.failures.find(({ run }) => run.experiment === experiment);
    return {
      name: experiment.name,
      scores,
      published: published[experiment.name],
      missing: scores.length === 0 ? (failure?.error.message.split('\n')[0] ?? 'not run') : undefined,
    };
  });
  return { ...done, rows };
}
