// The rule of a published table, and what becomes of it on other data than the paper's.
import { VoxelbookError } from '../../base/errors.js';
import { type Rule, ruleNotes } from '../../score/index.js';
import type { Experiment } from '../../train/experiment.js';
import { type PaperName, type PublishedTable, published } from './claims.js';
import { demoSettings } from './demoExperiment.js';
import { type Protocol, protocolText } from './protocol.js';
import shared from './rules.json' with { type: 'json' };

/**
 * A table as its paper published it.
 * @throws VoxelbookError naming the papers, or the tables, there are
 */
export function publishedTable(paper: PaperName, id: string): PublishedTable {
  const tables = Object.hasOwn(published, paper) ? published[paper].tables : undefined;
  const found = tables?.find((t) => t.id === id);
  if (found) return found;
  throw new VoxelbookError('no such published table', {
    code: 'table',
    path: `${paper}/${id}`,
    given: JSON.stringify(tables ? id : paper),
    expected: tables ? tables.map((t) => t.id).join(', ') : Object.keys(published).join(', '),
    fix: 'Choose one of these.',
  });
}

/**
 * The rule of a table; undefined where none is at hand.
 * @param other another rule of the same paper by name, to compare
 */
export function ruleOf(paper: PaperName, id: string, other?: string): Rule | undefined {
  const name = other ?? publishedTable(paper, id).rule;
  if (name === null) return undefined;
  const rules = { ...(shared as unknown as Record<string, Rule>), ...published[paper].rules };
  if (Object.hasOwn(rules, name)) return rules[name];
  throw new VoxelbookError('no such rule', {
    code: 'rule',
    path: `${paper}/${id}`,
    given: JSON.stringify(name),
    expected: Object.keys(rules).join(', '),
    fix: 'Choose one of these.',
  });
}

/** On which cases a table was scored. */
export const protocolOf = (paper: PaperName, id: string): Protocol =>
  published[paper].protocols[publishedTable(paper, id).protocol];

/**
 * A table's rule on the data of an experiment. An embedded set has neither the organs nor the resolution of the paper's data: its classes are
 * its own and, where the rule has a tolerance for each organ, so is its tolerance; all else is the table's.
 */
export function ruleFor(rule: Rule, { scale, dataset }: Pick<Experiment, 'scale' | 'dataset'>): Rule {
  const own = scale === 'demo' ? demoSettings[dataset]?.scoring : undefined;
  if (!own) return rule;
  const { names: _names, betweenReferenceSlices: _between, ...rest } = rule;
  const perOrgan = typeof rule.nsdToleranceMm === 'object';
  return {
    ...rest,
    ...(own.classes ? { classes: own.classes } : {}),
    ...(perOrgan ? { nsdToleranceMm: own.nsdToleranceMm } : {}),
    label: perOrgan ? `${rule.label} (on ${dataset}: its own classes and tolerance)` : rule.label,
  };
}

/** Protocol and rule as they stand under a table. */
export function methodNotes(paper: PaperName, id: string, rule = ruleOf(paper, id)): string[] {
  const table = publishedTable(paper, id);
  const spread = table.spread
    ? [`± in the published table: over ${table.spread}${table.spreadSource ? ` (${table.spreadSource})` : ''}.`]
    : [];
  return [
    `Protocol: ${protocolText(protocolOf(paper, id))}`,
    ...(rule ? ruleNotes(rule) : [`Rule: ${table.ruleNote}.`]),
    ...spread,
  ];
}
