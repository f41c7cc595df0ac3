// What a paper's study is made of: its published tables, and what each row of them is here.
import type { Experiment, Scale } from '../../train/experiment.js';
import { type PaperName, rowName } from './claims.js';
import type { DemoBudget } from './demoExperiment.js';
import { publishedTable } from './rules.js';

/** Why a published row may be without an experiment. There is no other reason; a row without one of these is a fault. */
export const reasons = {
  noCode: 'no published code of this network',
  otherData: 'a row of a data set that is not at hand',
  notSaid: 'the paper does not say with which settings',
  noTraining: 'counted on shapes, nothing is trained',
  otherNetwork: 'a network this library does not have',
} as const;

/** Why a published row has no experiment here. */
export type Reason = (typeof reasons)[keyof typeof reasons];

/** A published table as a study sees it: the experiments behind its rows. */
export interface StudyTable {
  /** Id of the published table. */
  id: string;
  /** What a row of a plan says for it: `2`, `1 right`. */
  label: string;
  /** What it needs beyond the other tables' experiments. */
  experiments: Experiment[];
  /** Published row → name of its experiment, where they differ. */
  as?: Record<string, string>;
  /** Published rows made of several experiments' finished runs: an ensemble, experts side by side, a mean over networks. */
  joined?: Record<string, string[]>;
  /** Published rows that no experiment stands for, and why. */
  absent?: Record<string, Reason>;
}

export type StudyBudget = DemoBudget & { scale: Scale };

/** At paper scale the tables' data sets; at demo scale one embedded set each function chooses. */
export const each = (scale: Scale, sets: readonly string[], make: (dataset?: string) => Experiment[]) =>
  scale === 'demo' ? make() : sets.flatMap((set) => make(set));

/** Every row of a published table with one value. */
export const every = <T>(paper: PaperName, id: string, value: T): Record<string, T> => {
  const table = publishedTable(paper, id);
  return Object.fromEntries(table.rows.map((row) => [rowName(table, row), value]));
};

export const without = <T>(record: Record<string, T>, key: string): Record<string, T> =>
  Object.fromEntries(Object.entries(record).filter(([name]) => name !== key));

/** A table whose numbers come from shapes. */
export const counted = (paper: PaperName, id: string, label: string): StudyTable => ({
  id,
  label,
  experiments: [],
  absent: every(paper, id, reasons.noTraining),
});
