// Finished runs as the rows of a published table. Apart from scoring itself: a run's own process needs no paper.
import { VoxelbookError } from '../base/errors.js';
import type { WorkOptions } from '../base/progress.js';
import { type PaperName, publishedTable, ruleFor, ruleOf } from '../paper/index.js';
import type { Variant } from '../report/index.js';
import { type Predictions, rowBy } from './scoring.js';

/**
 * Rows of a published table from finished runs: each experiment's runs scored by the table's rule, which the reports then count by.
 * @param runs as `run.study` and `run.reproduce` give them
 * @param rule another rule of the paper by name, to compare
 * @throws VoxelbookError where the table has no rule at hand
 */
export async function tableRows(
  paper: PaperName,
  id: string,
  runs: readonly Predictions[],
  { rule: other, ...work }: WorkOptions & { rule?: string } = {},
): Promise<Variant[]> {
  const rule = ruleOf(paper, id, other);
  if (!rule)
    throw new VoxelbookError('no run can be scored as this table was', {
      code: 'no-rule',
      path: `${paper}/${id}`,
      given: publishedTable(paper, id).ruleNote ?? 'no rule',
      expected: 'a table whose rule is at hand',
      fix: 'Use the rows as run.reproduce gives them; they are scored by their own experiment.',
    });
  const names = [...new Set(runs.map((run) => run.experiment.name))];
  const rows: Variant[] = [];
  for (const name of names) {
    const own = runs.filter((run) => run.experiment.name === name);
    rows.push(await rowBy(name, own, ruleFor(rule, own[0].experiment), work));
  }
  return rows;
}
