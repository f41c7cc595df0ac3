// How predictions are scored: what counts as a class, by which definition, at which tolerance; and stored predictions scored by any rule.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteJson } from '../base/atomicWrite.js';
import { fileSha256, sha256 } from '../base/checksum.js';
import { FaultList } from '../base/errors.js';
import { progressOf, type WorkOptions } from '../base/progress.js';
import { type CaseFiles, type Dataset, type Labels, labels, open, readAs } from '../dataset/index.js';
import type { Variant } from '../report/index.js';
import {
  connectedComponents,
  definitionOf,
  instanceF1OfPicture,
  type Rule,
  type Scoring,
  scoreWith,
  volumeInThreads,
} from '../score/index.js';
import { type ClassScore, canonicalJson, type Experiment, type RunScores } from '../train/index.js';
import type { Volume } from '../volume/index.js';
import { restoreNonFinite } from './folder.js';

export interface Scorer {
  /** What scores.json says of NSD; a tolerance per class is NaN there. */
  nsd: RunScores['nsd'];
  /** Scores of each class; both maps have the reference's geometry. */
  score(reference: Volume<Uint8Array>, answer: Volume<Uint8Array>): Record<string, ClassScore>;
  /** The same with the classes spread over threads. */
  scoreInThreads(reference: Volume<Uint8Array>, answer: Volume<Uint8Array>): Promise<Record<string, ClassScore>>;
}

/**
 * The scorer of a `scoring`: by default the data set's labels or regions, and the score room's own definition. A class that the scoring
 * calls by another name is found under its own.
 * @throws VoxelbookError with every class that the scoring names and the data set does not have
 */
export function scorerOf(scoring: Experiment['scoring'] | Scoring, labels: Labels): Scorer {
  const own = (scoring ?? {}) as Scoring;
  const { definition, instances } = own;
  const classes = classesOf(own, labels);
  const { nsdToleranceMm, betweenReferenceSlices } = checkedNames(own, Object.keys(classes));
  const options = {
    classes,
    definition,
    nsdToleranceMm,
    betweenReferenceSlices,
    ignoreLabel: labels.ignoreLabel ?? undefined,
  };
  // What a table scores is told by its rule's definition; further metrics are an experiment's own.
  const further = furtherOf(scoring) ?? [];
  const cells = (reference: Volume<Uint8Array>, answer: Volume<Uint8Array>) =>
    instances ? { [instances.name]: objectScore(reference, answer, instances) } : {};
  return {
    nsd: nsdOf(own),
    score: (reference, answer) => ({ ...scoreWith(further, reference, answer, options), ...cells(reference, answer) }),
    // A metric of one's own is known in this thread alone.
    scoreInThreads: async (reference, answer) => ({
      ...(further.length > 0
        ? scoreWith(further, reference, answer, options)
        : await volumeInThreads(reference, answer, options)),
      ...cells(reference, answer),
    }),
  };
}

/** The scored classes by the scoring's names. */
function classesOf({ classes, names = {} }: Scoring, labels: Labels): Record<string, number[]> {
  const entries = labels.regions ?? labels.foreground;
  const known = classes ?? Object.fromEntries(labels.names.map((name, i) => [name, [entries[i]].flat()]));
  const called = new Map(Object.entries(names).map(([short, long]) => [long, short]));
  return Object.fromEntries(Object.entries(known).map(([name, list]) => [called.get(name) ?? name, list]));
}

/** A scoring whose class names are all scored, and tolerances for all that are. */
function checkedNames(scoring: Scoring, classes: readonly string[]): Scoring {
  const faults = new FaultList();
  const { nsdToleranceMm: tolerance, betweenReferenceSlices: between } = scoring;
  const at = (path: string, given: string, expected: readonly string[], fix: string) =>
    faults.add('rule-class', path, given, expected.join(', '), fix);
  if (typeof tolerance === 'object')
    for (const name of classes)
      if (!Object.hasOwn(tolerance, name))
        at(
          'nsdToleranceMm',
          `none for ${name}`,
          classes,
          'Give a tolerance to every class, or say what the rule calls it in names.',
        );
  for (const name of between?.classes ?? [])
    if (!classes.includes(name)) at('betweenReferenceSlices', name, classes, 'Name classes as the rule does.');
  faults.throwIfAny('this data set cannot be scored by this rule');
  return scoring;
}

/** F1 of whole objects in a picture; both without one counts 0, as the challenge's script has it. Four digits, as it prints. */
function objectScore(
  reference: Volume<Uint8Array>,
  answer: Volume<Uint8Array>,
  { label, iou }: NonNullable<Scoring['instances']>,
): ClassScore {
  const shape = reference.shape.slice(1);
  const objects = (map: ArrayLike<number>) =>
    connectedComponents(
      Uint8Array.from(map, (v) => (v === label ? 1 : 0)),
      shape,
      8,
    ).labels;
  const found = instanceF1OfPicture(objects(reference.data), objects(answer.data), shape, iou);
  const state =
    found.reference + found.prediction === 0
      ? 'both-empty'
      : found.prediction === 0
        ? 'missed'
        : found.reference === 0
          ? 'false-alarm'
          : 'ok';
  const f1 = Number.isNaN(found.f1) ? 0 : Math.round(found.f1 * 1e4) / 1e4;
  return { dsc: Number.NaN, nsd: Number.NaN, hd95: Number.NaN, state, f1 };
}

/** The `nsd` entry of scores.json. */
export function nsdOf(scoring: Scoring): RunScores['nsd'] {
  const definition = definitionOf(scoring);
  const tolerance = scoring.nsdToleranceMm ?? definition.toleranceMm ?? 1;
  return { toleranceMm: typeof tolerance === 'number' ? tolerance : Number.NaN, definition: definition.label };
}

/** The files of a case, of training or test. */
export const caseOf = (dataset: Pick<Dataset, 'cases' | 'testCases'>, id: string): CaseFiles =>
  (dataset.cases.find((c) => c.id === id) ?? dataset.testCases.find((c) => c.id === id))!;

/** The reference labels of a case, as its reader gives them. */
export function referenceOf(dataset: Pick<Dataset, 'cases' | 'testCases'>, id: string): Volume<Uint8Array> {
  const { label, reader } = caseOf(dataset, id);
  return readAs(label!, reader, { onWarning: () => {} }) as Volume<Uint8Array>;
}

/** Predictions of cases on disk: a finished run, or an ensemble. */
export interface Predictions {
  /** Holds the label files `<case><ending>`, itself or in `predictions`; scores by other rules are kept in its `scored`. */
  folder: string;
  experiment: Experiment;
  scores: RunScores;
}

/** What one rule makes of one folder of predictions; each case with the files it was computed from. */
interface Scored {
  scoring: unknown;
  nsd: RunScores['nsd'];
  cases: { id: string; prediction: string; reference: string; classes: Record<string, ClassScore> }[];
}

/** The part of a rule that decides the scores of a case. */
function scoringPart(scoring: Experiment['scoring'] | Scoring) {
  const { definition, nsdToleranceMm, classes, names, betweenReferenceSlices, instances } = scoring as Scoring;
  return { definition, nsdToleranceMm, classes, names, betweenReferenceSlices, instances, metrics: furtherOf(scoring) };
}

/** An experiment's further metrics; the `metrics` of a rule are those its table shows. */
const furtherOf = (scoring: Experiment['scoring'] | Scoring): string[] | undefined =>
  !scoring || 'order' in scoring ? undefined : (scoring as Experiment['scoring'])?.metrics;

/**
 * Scores stored predictions by a rule, without any training or prediction. Kept by prediction, reference and rule: what is unchanged is not
 * computed twice, and a changed file is.
 * @throws VoxelbookError with every prediction and reference that is not there
 */
export async function scoreBy(
  { folder, experiment, scores }: Predictions,
  rule: Scoring,
  work: WorkOptions = {},
): Promise<RunScores> {
  const dataset = open(experiment.dataset);
  const scoring = scoringPart(rule);
  const ending = dataset.json.file_ending;
  const faults = new FaultList();
  const files = scores.cases.map(({ id }) => {
    const [own, direct] = ['predictions', '.'].map((part) => path.join(folder, part, `${id}${ending}`));
    const prediction = fs.existsSync(own) ? own : direct;
    const reference = caseOf(dataset, id)?.label;
    if (!fs.existsSync(prediction))
      faults.add('no-prediction', prediction, 'no file', 'the prediction of every scored case', 'Run the experiment again.');
    if (!reference || !fs.existsSync(reference))
      faults.add(
        'no-reference',
        `${dataset.folder}, ${id}`,
        'no label file',
        'the reference of every scored case',
        'Put it back.',
      );
    return { id, prediction, reference: reference ?? '' };
  });
  faults.throwIfAny(`the predictions in ${folder} cannot be scored`);
  const scorer = scorerOf(scoring, labels(dataset.json));
  const name = sha256(canonicalJson(scoring)).slice(0, 12);
  const store = path.join(folder, 'scored', `${name}.json`);
  const known = readScored(store);
  const cases: Scored['cases'] = [];
  const report = progressOf(files.length, work);
  let changed = false;
  for (const [i, { id, prediction, reference }] of files.entries()) {
    report(i, `score ${id}`);
    const made = { prediction: fileSha256(prediction), reference: fileSha256(reference) };
    const before = known?.cases.find((c) => c.id === id && c.prediction === made.prediction && c.reference === made.reference);
    if (before) {
      cases.push(before);
      continue;
    }
    changed = true;
    const truth = referenceOf(dataset, id);
    const { reader } = caseOf(dataset, id);
    const answer = readAs(prediction, reader, { onWarning: () => {} }) as Volume<Uint8Array>;
    const sized = truth.data.length > 1e6 ? scorer.scoreInThreads(truth, answer) : scorer.score(truth, answer);
    cases.push({ id, ...made, classes: await sized });
  }
  report(files.length, 'scored');
  if (changed || !known) {
    fs.mkdirSync(path.dirname(store), { recursive: true });
    atomicWriteJson(store, { scoring, nsd: scorer.nsd, cases } satisfies Scored);
  }
  return { ...scores, nsd: scorer.nsd, cases: cases.map(({ id, classes }) => ({ id, classes })) };
}

/** Scores kept before; anything unreadable is computed again. */
function readScored(file: string): Scored | undefined {
  try {
    const stored: Scored = JSON.parse(fs.readFileSync(file, 'utf8'));
    for (const { classes } of stored.cases) restoreNonFinite(classes);
    return stored;
  } catch {
    return undefined;
  }
}

/** Stored predictions by a rule, as one row of a table that its reports count by the same rule. */
export async function rowBy(name: string, runs: readonly Predictions[], rule: Rule, work?: WorkOptions): Promise<Variant> {
  const scores: RunScores[] = [];
  for (const run of runs) scores.push({ ...(await scoreBy(run, rule, work)), experiment: name });
  const { dataset, labels: told } = runs[0]?.experiment ?? {};
  return { name, scores, rule, dataset, labels: told, missing: scores.length === 0 ? 'no finished run' : undefined };
}
