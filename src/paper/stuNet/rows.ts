// This run's rows as STU-Net's tables and figures want them.
import { classNames, mean, overall } from '../../report/aggregate.js';
import type { DataShareCurve, Variant } from '../../report/index.js';
import type { Experiment, RunScores } from '../../train/experiment.js';
import { ruleOf } from '../shared/rules.js';
import { groups, sizes } from './experiments.js';

/** Mean DSC in per cent by the paper's rule, one decimal; undefined without scores. */
export function percentDsc(row: Variant | undefined): string | undefined {
  const rule = row?.rule ?? ruleOf('stuNet', 'totalsegmentator-mean')!;
  const value = row ? overall(row.scores, classNames([row]), 'dsc', rule) : Number.NaN;
  return Number.isNaN(value) ? undefined : (100 * value).toFixed(1);
}

/** One curve a size from rows labelled with size and share. */
export function shareCurves(rows: readonly Variant[]): DataShareCurve[] {
  const rule = rows.find((row) => row.rule)?.rule ?? ruleOf('stuNet', 'data-efficiency');
  return sizes.map((size) => ({
    name: `STU-Net-${size}`,
    rule,
    points: rows
      .filter(({ labels }) => labels?.size === size && labels.share !== undefined)
      .map(({ labels, scores }) => ({ share: Number(labels!.share), scores })),
  }));
}

/** The column of one share, by the names of the figure's rows. */
export function shareColumn(rows: readonly Variant[], percent: number): Record<string, string> {
  return Object.fromEntries(
    sizes.flatMap((size) => {
      const value = percentDsc(rows.find(({ labels }) => labels?.size === size && labels.share === percent / 100));
      return value === undefined ? [] : [[`STU-Net-${size}`, value]];
    }),
  );
}

/** Mean training seconds of each row. */
export function trainSeconds(rows: readonly Variant[]): Record<string, string> {
  return Object.fromEntries(
    rows
      .filter((row) => row.scores.length > 0)
      .map((row) => [row.name, mean(row.scores.map((s) => s.cost.trainSeconds)).toFixed(1)]),
  );
}

/**
 * The experts of each size as one row: every case has the classes of all its experts, a seed's experts side by side. Their data sets
 * hold the same cases in the same order, so that case 7 of one is case 7 of the other.
 * @param runs as `run.reproduce` gives them
 */
export function expertRows(runs: readonly { experiment: Experiment; scores: RunScores }[]): Variant[] {
  const number = (id: string) => id.slice(id.lastIndexOf('_') + 1);
  return sizes.map((size) => {
    const name = `STU-Net-${size}, 5 experts`;
    const [first, ...others] = groups.map((group) =>
      runs.filter(({ experiment: { labels } }) => labels?.size === size && labels.expert === group),
    );
    const scores = first.flatMap(({ scores: own }): RunScores[] => {
      const same = others.map((list) => list.find((run) => run.scores.seed === own.seed && run.scores.fold === own.fold));
      if (same.some((run) => !run)) return [];
      const all = [own, ...same.map((run) => run!.scores)];
      const cases = own.cases.map(({ id }) => ({
        id,
        classes: Object.assign({}, ...all.map((s) => s.cases.find((c) => number(c.id) === number(id))!.classes)),
      }));
      const sum = (key: 'parameters' | 'flops' | 'trainSeconds' | 'predictSeconds') =>
        all.reduce((total, s) => total + s.cost[key], 0);
      const cost = {
        ...own.cost,
        parameters: sum('parameters'),
        flops: sum('flops'),
        trainSeconds: sum('trainSeconds'),
        predictSeconds: sum('predictSeconds'),
      };
      return [{ ...own, experiment: name, cases, cost }];
    });
    return { name, scores, missing: scores.length === 0 ? 'an expert of this size has no finished run' : undefined };
  });
}
