// A paper's table, run again: a study, and its scores grouped as the rows of a report.
import { type PaperStudy, protocolOf, protocolText, ruleOf, scoredOn } from '../paper/index.js';
import type { Claim, Variant } from '../report/index.js';
import type { Experiment, Scale } from '../train/index.js';
import { completeAll, type ShortExperiment } from './complete.js';
import { type Study, type StudyOptions, study } from './study.js';
import { tableRows } from './tableRows.js';

/** Experiments of a paper: a list, or what makes one for a scale (`paper.mednext.ablation`). */
export type Reproducible =
  | readonly (ShortExperiment | Experiment)[]
  | ((options: { scale: Scale }) => readonly (ShortExperiment | Experiment)[]);

/** A study that was run, with a row of results for each experiment. */
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
  const experiments = (await completeAll(typeof list === 'function' ? list({ scale }) : list)).filter((e) => e.scale === scale);
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

/** Rows of one published table on one data set. */
export interface TableRows {
  id: string;
  dataset: string;
  rows: Variant[];
  /** What the paper's rows were scored on, and what these were. */
  note: string;
}

/**
 * The rows of every table of a reproduced study, one list for each data set (rows of different data are not one comparison), scored by the
 * table's rule; a table without one keeps the scores of its experiments.
 */
export async function rowsByTable(
  { paper, tables }: Pick<PaperStudy, 'paper' | 'tables'>,
  { runs, rows }: Pick<Reproduction, 'runs' | 'rows'>,
): Promise<TableRows[]> {
  const found: TableRows[] = [];
  for (const { id, experiments } of tables)
    for (const dataset of new Set(experiments.map((e) => e.dataset))) {
      const names = experiments.filter((e) => e.dataset === dataset).map((e) => e.name);
      const own = runs.filter(({ experiment: e }) => e.dataset === dataset && names.includes(e.name));
      const scored = ruleOf(paper, id) ? await tableRows(paper, id, own) : [];
      const plain = rows.filter((row) => row.dataset === dataset && names.includes(row.name));
      const protocol = protocolOf(paper, id);
      const on = new Set(own.map((run) => scoredOn(protocol, dataset, [run.scores]).text));
      found.push({
        id,
        dataset,
        rows: plain.map((row) => scored.find((s) => s.name === row.name) ?? row),
        note: `Published: ${protocolText(protocol)} Here: ${dataset}, ${[...on].join('; ') || 'nothing'}.`,
      });
    }
  return found;
}
