// How the numbers of a published table come about, as data: whose metrics, which tolerance, what an empty mask counts, and in which order
// scores are averaged. A rule belongs to a table, not to a run: the same predictions are scored by any number of rules.
import type { ClassScore } from '../train/experiment.js';
import { type Definition, type DefinitionName, definitions } from './definitions.js';

/** From two label maps of a case to the scores of its classes. */
export interface Scoring {
  /** Whose NSD and HD95, which spacing, and what empty masks score; default `default`. */
  definition?: DefinitionName;
  /** Tolerance of NSD (mm), for all classes or by name; default the definition's own, else 1 mm. */
  nsdToleranceMm?: number | Record<string, number>;
  /** Class → the labels it is made of; default the data set's labels or regions. */
  classes?: Record<string, number[]>;
  /** What the table calls a class → its name in the data set; the scores carry the table's name. */
  names?: Record<string, string>;
  /** Classes scored only between the first and the last slice of the reference, the last left out. */
  betweenReferenceSlices?: { classes: string[]; axis?: 0 | 1 | 2 };
  /** Scored by whole objects: each connected part of `label` (8 neighbours) is one; F1 at this IoU is the metric `f1` of class `name`. */
  instances?: { name: string; label: number; iou: number };
}

/**
 * What is averaged first. `cases within class`: each class over cases, then over classes (nnU-Net). `classes within case`: each case over its
 * classes, then over cases. `pooled`: all scores at once.
 */
export type Order = 'cases within class' | 'classes within case' | 'pooled';

/** How a table scores and averages. */
export interface Rule extends Scoring {
  /** What the metrics are, in words. */
  label: string;
  /** The table's metrics: `dsc`, `nsd`, `hd95`, `f1`. */
  metrics: string[];
  order: Order;
  /** Only classes present in the reference or the prediction of a case count there. */
  presentOnly?: boolean;
  /** Digits the mean over a case's classes is rounded to before cases are averaged. */
  caseDigits?: number;
  /** Where it is read. */
  source: string;
  /** What is not certain about it. */
  doubt?: string;
}

/** The definition behind a rule. */
export const definitionOf = ({ definition = 'default' }: Scoring): Definition => definitions[definition];

const places: Record<string, 0 | 1 | 2> = { dsc: 0, nsd: 1, hd95: 2 };
const empties = { 'both-empty': 'bothEmpty', missed: 'missed', 'false-alarm': 'falseAlarm' } as const;

/** A metric of one class of one case as the rule counts it; NaN = left out. */
export function countedByRule(score: ClassScore, metric: string, rule: Rule): number {
  if (score.state === 'both-empty' && rule.presentOnly) return Number.NaN;
  const place = places[metric];
  if (score.state !== 'ok' && place !== undefined) return definitionOf(rule)[empties[score.state]][place];
  return typeof score[metric] === 'number' ? (score[metric] as number) : Number.NaN;
}

const orders: Record<Order, string> = {
  'cases within class': 'mean over cases within each class, then over classes',
  'classes within case': 'mean over classes within each case, then over cases',
  pooled: 'mean over all classes of all cases at once',
};

/** The methods sentences that stand under a table scored by a rule. */
export function ruleNotes(rule: Rule): string[] {
  const definition = definitionOf(rule);
  const wanted = rule.metrics.filter((m) => places[m] !== undefined);
  const counts = (key: 'bothEmpty' | 'falseAlarm' | 'missed') =>
    wanted.map((m) => `${m.toUpperCase()} ${counted(definition[key][places[m]])}`).join(', ');
  const tolerance = rule.nsdToleranceMm ?? definition.toleranceMm ?? 1;
  const unit = definition.spacingMm?.every((s) => s === 1) ? 'voxel' : 'mm';
  const byClass =
    typeof tolerance === 'number'
      ? `${tolerance} ${unit}`
      : Object.entries(tolerance)
          .map(([name, mm]) => `${name} ${mm}`)
          .join(', ');
  const names = Object.entries(rule.names ?? {}).map(([short, long]) => `${short} = ${long}`);
  const between = rule.betweenReferenceSlices?.classes.join(', ');
  return [
    `Rule: ${rule.label}.`,
    ...(rule.metrics.includes('nsd')
      ? [`Tolerance of NSD: ${byClass}${typeof tolerance === 'number' ? '' : ` (${unit})`}.`]
      : []),
    ...(between ? [`${between}: only from the first slice of the reference to the one before its last.`] : []),
    ...(definition.spacingMm && wanted.some((m) => m !== 'dsc')
      ? [`Spacing taken as ${definition.spacingMm.join(' × ')}, whatever the image says.`]
      : []),
    ...(wanted.length > 0
      ? [
          `Empty masks: both ${rule.presentOnly ? 'left out' : counts('bothEmpty')}; false alarm ${counts('falseAlarm')}; missed ${counts('missed')}.`,
        ]
      : []),
    `Average: ${orders[rule.order]}.`,
    ...(names.length > 0 ? [`Names: ${names.join(', ')}.`] : []),
    `Source of the rule: ${rule.source}.`,
    ...(rule.doubt ? [`Not certain: ${rule.doubt}.`] : []),
  ];
}

const counted = (value: number) => (Number.isNaN(value) ? 'left out' : value === Number.POSITIVE_INFINITY ? '∞' : String(value));
