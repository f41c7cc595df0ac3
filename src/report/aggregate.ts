// From the scores of runs to one number per case: what an empty mask counts, and how seeds are joined.
import type { Fold } from '../dataset/index.js';
import { countedByRule, type Order, type Rule } from '../score/rule.js';
import type { ClassScore, RunScores } from '../train/experiment.js';
import type { Claim } from './claim.js';

/** One line of a comparison: the runs (folds × seeds) of one variant, and what was published for it. */
export interface Variant {
  name: string;
  scores: RunScores[];
  published?: Claim[];
  /** What its runs were trained on, and what tells it from its neighbours in a figure. */
  dataset?: string;
  labels?: Record<string, string | number>;
  /** The rule its scores were computed by, where that is the rule of a published table. */
  rule?: Rule;
  /** Why there are no scores, where there are none. */
  missing?: string;
}

/**
 * What an undefined value counts in a mean. `metrics-reloaded` (default): both empty = best (1 or 0 mm), one empty = worst (0, or
 * the image diagonal in mm). `nnunet`: both empty is left out, one empty counts 0, cases are averaged within each class first.
 * `undefined`: whatever is not a number is left out.
 */
export type EmptyPolicy = 'metrics-reloaded' | 'nnunet' | 'undefined';

/** How scores become one number: a policy, or the rule of a published table. */
export type Counting = EmptyPolicy | Rule;

/** How a report counts: as asked for, else by the rule its rows were scored by, else as Metrics Reloaded. */
export const countingOf = (rows: readonly Variant[], asked?: Counting): Counting =>
  asked ?? rows.find((row) => row.rule)?.rule ?? 'metrics-reloaded';

/** Metrics a report shows unless asked for others. */
export const metricsOf = (counting: Counting, otherwise: readonly string[]): readonly string[] =>
  typeof counting === 'object' ? counting.metrics : otherwise;

const orderOf = (counting: Counting): Order =>
  typeof counting === 'object' ? counting.order : counting === 'nnunet' ? 'cases within class' : 'classes within case';

/** Metrics in mm: less is better. */
export const isDistance = (metric: string) => /^(hd|hd95|assd|masd)$/.test(metric) || /Mm3?$/.test(metric);

/** A metric of one class of one case; NaN = left out. A miss without a known worst distance is infinitely far: it is never left out. */
export function countedValue(score: ClassScore | undefined, metric: string, counting: Counting): number {
  if (!score) return Number.NaN;
  if (typeof counting === 'object') return countedByRule(score, metric, counting);
  const value = typeof score[metric] === 'number' ? (score[metric] as number) : Number.NaN;
  if (score.state === 'ok' || counting === 'undefined') return Number.isFinite(value) ? value : Number.NaN;
  if (score.state === 'both-empty') return counting === 'nnunet' ? Number.NaN : isDistance(metric) ? 0 : 1;
  if (!isDistance(metric)) return 0;
  if (counting === 'nnunet') return value;
  return typeof score.worstDistanceMm === 'number' ? score.worstDistanceMm : Number.POSITIVE_INFINITY;
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

export function longRows(variants: readonly Variant[], metrics: readonly string[], counting: Counting): LongRow[] {
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
            value: countedValue(score, metric, counting),
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
  counting: Counting,
): Map<string, number> {
  const digits = typeof counting === 'object' ? counting.caseDigits : undefined;
  const rounded = (value: number) => (digits === undefined ? value : Math.round(value * 10 ** digits) / 10 ** digits);
  const bySeed = new Map<string, number[]>();
  for (const run of runs)
    for (const { id, classes: scores } of run.cases) {
      const values = classes.map((name) => countedValue(scores[name], metric, counting)).filter((v) => !Number.isNaN(v));
      if (values.length > 0) bySeed.set(id, [...(bySeed.get(id) ?? []), rounded(mean(values))]);
    }
  return new Map([...bySeed].map(([id, values]) => [id, mean(values)]));
}

/**
 * The number of a table's cell: all scores of the runs averaged in the order the counting says, a case's seeds first.
 * @param cases only these, in this order; a case may stand in it several times (a bootstrap sample)
 * @returns NaN where nothing is defined
 */
export function overall(
  runs: readonly RunScores[],
  classes: readonly string[],
  metric: string,
  counting: Counting,
  cases?: readonly string[],
): number {
  return averager(runs, classes, metric, counting)(cases);
}

/** `overall` for many choices of cases. */
export function averager(runs: readonly RunScores[], classes: readonly string[], metric: string, counting: Counting) {
  const order = orderOf(counting);
  if (order === 'classes within case') {
    const values = perCase(runs, classes, metric, counting);
    return (cases?: readonly string[]) => (cases ? meanOf(cases.map((id) => values.get(id))) : meanOf([...values.values()]));
  }
  const lists = classes.map((name) => perCase(runs, [name], metric, counting));
  const chosen = (list: Map<string, number>, cases?: readonly string[]) =>
    cases ? cases.map((id) => list.get(id)) : [...list.values()];
  return (cases?: readonly string[]) =>
    order === 'pooled'
      ? meanOf(lists.flatMap((list) => chosen(list, cases)))
      : meanOf(lists.map((list) => meanOf(chosen(list, cases))));
}

const meanOf = (values: readonly (number | undefined)[]) =>
  mean(values.filter((v): v is number => v !== undefined && !Number.isNaN(v)));

/** One value per run (fold × seed): its cases and classes averaged as the counting says. */
export function perRun(runs: readonly RunScores[], classes: readonly string[], metric: string, counting: Counting): number[] {
  return runs.map((run) => overall([run], classes, metric, counting)).filter((value) => !Number.isNaN(value));
}

/**
 * Standard deviation (n − 1) of the kind a table prints: over the cases of one run, over folds, or over runs of other seeds.
 * @returns NaN where there are not two of the kind, or the runs differ in more than it
 */
export function spreadOf(
  runs: readonly RunScores[],
  classes: readonly string[],
  metric: string,
  counting: Counting,
  over: SpreadOver,
) {
  const distinct = (values: readonly unknown[]) => new Set(values).size;
  const [folds, seeds] = [distinct(runs.map((r) => r.fold)), distinct(runs.map((r) => r.seed))];
  const values =
    over === 'cases'
      ? runs.length === 1
        ? [...perCase(runs, classes, metric, counting).values()]
        : []
      : (over === 'folds' ? seeds === 1 && folds > 1 : folds === 1 && seeds > 1)
        ? perRun(runs, classes, metric, counting)
        : [];
  return values.length > 1 ? deviation(values) : Number.NaN;
}

/** What a ± of a table is taken over. */
export type SpreadOver = 'cases' | 'folds' | 'runs';

/** A number for a cell; infinite distances are ∞. */
export const numberText = (value: number, digits: number) =>
  value === Number.POSITIVE_INFINITY ? '∞' : value === Number.NEGATIVE_INFINITY ? '−∞' : value.toFixed(digits);

/** A difference with its sign. */
export const signed = (value: number, digits: number) => `${value < 0 ? '−' : '+'}${numberText(Math.abs(value), digits)}`;

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
