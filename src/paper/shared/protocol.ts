// On which cases a table's numbers were scored, as data, and how a run's cases compare with them.
import path from 'node:path';
import { VoxelbookError } from '../../base/errors.js';
import { describedNames, descriptor, type Split } from '../../dataset/index.js';
import type { RunScores } from '../../train/experiment.js';

/**
 * `cross-validation`: every training case scored once, by the fold that holds it out. `all and test`: trained on all training cases, scored on
 * test cases. `published split`: one split of the training cases that the paper prints. `validation split`: one fold's held-out cases.
 * `direct inference`: no training on the target. `external test`: cases whose labels others hold.
 */
export type ProtocolKind =
  | 'cross-validation'
  | 'all and test'
  | 'published split'
  | 'validation split'
  | 'direct inference'
  | 'external test'
  | 'nothing scored'
  | 'not said';

/** On which cases a published table was trained and scored. */
export interface Protocol {
  kind: ProtocolKind;
  /** Folds of a cross-validation. */
  folds?: number;
  /** Data set → cases scored. */
  cases?: Record<string, number>;
  /** Data set → cases trained on, where they are others. */
  train?: Record<string, number>;
  /** What the kind does not say. */
  text?: string;
  source: string;
}

const list = (cases: Record<string, number>) =>
  Object.entries(cases)
    .map(([name, n]) => `${name} ${n}`)
    .join(', ');

/** One sentence: `cross-validation in 5 folds; cases scored: BTCV 30, AMOS22 200. Source: …`. */
export function protocolText({ kind, folds, cases, train, text, source }: Protocol): string {
  return [
    kind === 'cross-validation' ? `cross-validation in ${folds} folds` : kind,
    ...(train ? [`trained on: ${list(train)}`] : []),
    ...(cases ? [`cases scored: ${list(cases)}`] : []),
    ...(text ? [text] : []),
  ]
    .join('; ')
    .concat(`. Source: ${source}.`);
}

/**
 * The split of a data set that a paper published, for `Experiment.split`.
 * @param ids the training cases at hand
 * @throws VoxelbookError naming the papers that published one, and the test cases that are not at hand
 */
export function publishedSplit(dataset: string, paper: string, ids: readonly string[]): Split {
  const all = descriptor(dataset).protocols.filter((p) => p.test);
  const found = all.find((p) => p.paper === paper);
  const missing = (found?.test ?? []).filter((id) => !ids.includes(id));
  if (!found || missing.length > 0)
    throw new VoxelbookError(`there is no such split of ${dataset}`, {
      code: 'published-split',
      path: found ? 'cases' : 'paper',
      given: found ? `without ${missing.join(', ')}` : JSON.stringify(paper),
      expected: found ? `all test cases of ${paper}` : all.map((p) => p.paper).join(', ') || 'none is published',
      fix: found ? 'Bring the whole data set into the raw layout.' : 'Choose one of these, or take a fold.',
    });
  return { train: ids.filter((id) => !found.test!.includes(id)), val: ids.filter((id) => found.test!.includes(id)) };
}

/**
 * What a row was scored on, beside what the paper's was: `fold 0 of 5, 6 of 30 cases`. Data of another name are told apart first.
 * @param dataset what the runs were scored on
 * @returns the words, and whether these are all of the paper's cases
 */
export function scoredOn(protocol: Protocol, dataset: string, runs: readonly RunScores[]): { text: string; same: boolean } {
  const folds = [...new Set(runs.map((run) => run.fold))].sort();
  const cases = new Set(runs.flatMap((run) => run.cases.map((c) => c.id))).size;
  const on = new Set(runs.map((run) => run.on ?? 'validation'));
  const name = publicName(dataset);
  const theirs = protocol.cases?.[name];
  const what = on.has('training') ? 'its own training cases' : on.has('test') ? 'test cases' : foldText(folds, protocol);
  const number = theirs === undefined ? `${cases} cases` : `${cases} of ${theirs} cases`;
  const whole =
    (protocol.kind === 'cross-validation' && on.has('validation') && folds.length === protocol.folds) ||
    (['all and test', 'external test', 'direct inference'].includes(protocol.kind) && on.has('test') && on.size === 1);
  return { text: [what, number].filter(Boolean).join(', '), same: whole && theirs === cases };
}

/** `BTCV` for a folder `Dataset017_BTCV`. */
function publicName(dataset: string): string {
  const base = path.basename(dataset);
  return (
    describedNames().find((name) => name.toLowerCase() === dataset.toLowerCase() || descriptor(name).folder === base) ?? dataset
  );
}

function foldText(folds: readonly (number | 'all')[], { folds: all = 5 }: Protocol): string {
  if (folds.length === all) return `${all} folds`;
  return `fold${folds.length === 1 ? '' : 's'} ${folds.join(', ')} of ${all}`;
}
