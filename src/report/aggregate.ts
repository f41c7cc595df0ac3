// From the scores of runs to one number per case: what an empty mask counts, and how seeds are joined.
import type { Fold } from '../dataset/index.js';
import type { ClassScore, RunScores } from '../train/experiment.js';
import type { Claim } from './claim.js';

/** One line of a comparison: the runs (folds × seeds) of one variant, and what was published for it. */
export interface Variant {
  name: string;
  scores: RunScores[];
  published?: Claim[];
  /** Why there are no scores, where there are none. */
  missing?: string;
}

/**
 * What an undefined value counts in a mean. `metrics-reloaded` (default): both empty = best (1 or 0 mm), one empty = worst (0, or
 * the image diagonal in mm). `nnunet`: both empty is left out, one empty counts 0. `undefined`: whatever is not a number is left out.
 */
export type EmptyPolicy = 'metrics-reloaded' | 'nnunet' | 'undefined';

/** Metrics in mm: less is better. */
export const isDistance = (metric: string) => /^(hd|hd95|assd|masd)$/.test(metric) || /Mm3?$/.test(metric);

/** A metric of one class of one case under a policy; NaN = left out. */
export function countedValue(score: ClassScore | undefined, metric: string, policy: EmptyPolicy): number {
  if (!score) return Number.NaN;
  const value = typeof score[metric] === 'number' ? (score[metric] as number) : Number.NaN;
  if (score.state === 'ok' || policy === 'undefined') return Number.isFinite(value) ? value : Number.NaN;
  if (score.state === 'both-empty') return policy === 'nnunet' ? Number.NaN : isDistance(metric) ? 0 : 1;
  if (!isDistance(metric)) return 0;
  if (policy === 'nnunet') return Number.isFinite(value) ? value : Number.NaN;
  return typeof score.worstDistanceMm === 'number' ? score.worstDistanceMm : Number.NaN;
}

/** Every score in long form. */
export interface LongRow {
  variant: string;
  fold: Fold;
  seed: number;
  case: string;
  class: string;
  metric: string;
  value: number;
  state: string;
}

export function longRows(variants: readonly Variant[], metrics: readonly string[], policy: EmptyPolicy): LongRow[] {
  return variants.flatMap(({ name, scores }) =>
    scores.flatMap(({ fold, seed, cases }) =>
      cases.flatMap(({ id, classes }) =>
        Object.entries(classes).flatMap(([className, score]) =>
          metrics.map((metric) => ({
            variant: name,
            fold,
            seed,
            case: id,
            class: className,
            metric,
            value: countedValue(score, metric, policy),
            state: score.state,
          })),
        ),
      ),
    ),
  );
}

export const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
export const deviation = (values: readonly number[]) => {
  const center = mean(values);
  return Math.sqrt(values.reduce((sum, v) => sum + (v - center) ** 2, 0) / (values.length - 1));
};

/** Class names of all runs in the order they first appear. */
export const classNames = (variants: readonly Variant[]) => [
  ...new Set(variants.flatMap((v) => v.scores.flatMap((run) => run.cases.flatMap((c) => Object.keys(c.classes))))),
];

/**
 * One value per case: the metric's mean over the seeds that scored it; for several classes the mean over those defined.
 * @returns case id → value, undefined cases left out
 */
export function perCase(
  runs: readonly RunScores[],
  classes: readonly string[],
  metric: string,
  policy: EmptyPolicy,
): Map<string, number> {
  const bySeed = new Map<string, number[]>();
  for (const run of runs)
    for (const { id, classes: scores } of run.cases) {
      const values = classes.map((name) => countedValue(scores[name], metric, policy)).filter((v) => !Number.isNaN(v));
      if (values.length > 0) bySeed.set(id, [...(bySeed.get(id) ?? []), mean(values)]);
    }
  return new Map([...bySeed].map(([id, values]) => [id, mean(values)]));
}

/** One value per run (fold × seed): the mean over its cases of the mean over classes. */
export function perRun(runs: readonly RunScores[], classes: readonly string[], metric: string, policy: EmptyPolicy): number[] {
  return runs
    .map((run) => [...perCase([run], classes, metric, policy).values()])
    .filter((values) => values.length > 0)
    .map(mean);
}

/** How many scores were undefined, missed or false alarms. */
export function countStates(runs: readonly RunScores[], classes: readonly string[]) {
  const counts = { n: 0, 'both-empty': 0, missed: 0, 'false-alarm': 0 };
  for (const run of runs)
    for (const c of run.cases)
      for (const name of classes) {
        const state = c.classes[name]?.state;
        if (!state) continue;
        counts.n++;
        if (state !== 'ok') counts[state]++;
      }
  return counts;
}

/** One sentence per definition of NSD among the runs. */
export function nsdNotes(runs: readonly RunScores[]): string[] {
  const tolerance = (mm: number | null) => (Number.isFinite(mm) ? `at ${mm} mm` : 'at a tolerance per class');
  const list = [...new Set(runs.map(({ nsd }) => `NSD ${tolerance(nsd.toleranceMm)}; definition: ${nsd.definition}.`))];
  return list.length > 1
    ? [...list, 'Runs scored by different definitions or tolerances stand in this table: their NSD cannot be compared.']
    : list;
}
