// Direct inference: trained runs on another data set's cases, without any training there; labels are joined by name.
import { VoxelbookError } from '../base/errors.js';
import { type Dataset, labels, loadCase, open } from '../dataset/index.js';
import { predictCase } from '../predict/index.js';
import type { Variant } from '../report/index.js';
import type { Rule, Scoring } from '../score/index.js';
import type { RunScores } from '../train/index.js';
import { trainedModel } from './predictFolder.js';
import type { FinishedRun } from './result.js';
import { referenceOf, scorerOf } from './scoring.js';

/** Which cases of another data set are predicted, and which of its classes are which labels. */
export interface DirectInferenceOptions {
  /** Folder or embedded name of the data set predicted on. */
  dataset: string;
  /** Cases scored; default all that have labels. */
  cases?: readonly string[];
  /** Class of that data set → the training labels, by name, it is made of; default the classes both name alike. */
  mapping?: Record<string, readonly string[]>;
  /** Tolerance of NSD, mm; default the rule's, else 1. */
  nsdToleranceMm?: number | Record<string, number>;
  /** Score by the rule of a table. */
  rule?: Rule;
  signal?: AbortSignal;
}

/**
 * Predicts another data set with finished runs and scores it after mapping labels: only mapped classes count, every other predicted
 * label is background (STU-Net, Table 4). Each run is one entry of the row's scores.
 * @returns a row for `report.ablation`
 * @throws VoxelbookError naming classes that one of the data sets does not have
 */
export async function directInference(
  name: string,
  runs: readonly FinishedRun[],
  { dataset, cases, mapping, nsdToleranceMm, rule, signal }: DirectInferenceOptions,
): Promise<Variant> {
  const target = open(dataset);
  const scores: RunScores[] = [];
  for (const run of runs) {
    const { model, dispose } = trainedModel([run.folder]);
    const begin = performance.now();
    try {
      const { classes, table } = mappingOf(model.dataset, target.json, mapping);
      const scoring: Scoring = { ...rule, classes, ...(nsdToleranceMm === undefined ? {} : { nsdToleranceMm }) };
      const scorer = scorerOf(scoring, labels(target.json));
      const scored: RunScores['cases'] = [];
      for (const files of [...target.cases, ...target.testCases].filter((c) => c.label && (!cases || cases.includes(c.id)))) {
        signal?.throwIfAborted();
        const predicted = await predictCase(model, loadCase({ ...files, label: undefined }), { signal });
        const reference = referenceOf(target, files.id);
        const mapped = { ...reference, data: Uint8Array.from(predicted.labels, (v) => table.get(v) ?? 0), channels: 1 };
        scored.push({ id: files.id, classes: scorer.score(reference, mapped) });
      }
      const seconds = (performance.now() - begin) / 1000;
      const { nsd } = scorer;
      scores.push({
        ...run.scores,
        experiment: name,
        nsd,
        on: 'test',
        cases: scored,
        cost: { ...run.scores.cost, predictSeconds: seconds },
      });
    } finally {
      dispose();
    }
  }
  return { name, scores, ...(rule ? { rule } : {}) };
}

/** Target class → its label, and training label → target label. */
function mappingOf(trained: Dataset['json'], target: Dataset['json'], given?: Record<string, readonly string[]>) {
  const [from, to] = [labels(trained), labels(target)];
  const labelOf = (of: typeof from, className: string) => {
    const entry = of.foreground[of.names.indexOf(className)];
    return typeof entry === 'number' ? entry : undefined;
  };
  const shared = Object.fromEntries(to.names.filter((n) => from.names.includes(n)).map((n) => [n, [n]]));
  const mapping = given ?? shared;
  const classes: Record<string, number[]> = {};
  const table = new Map<number, number>();
  const unknown: string[] = [];
  for (const [className, sources] of Object.entries(mapping)) {
    const label = labelOf(to, className);
    if (label === undefined) unknown.push(className);
    else classes[className] = [label];
    for (const source of sources) {
      const own = labelOf(from, source);
      if (own === undefined) unknown.push(source);
      else if (label !== undefined) table.set(own, label);
    }
  }
  if (unknown.length > 0 || table.size === 0)
    throw new VoxelbookError('these labels cannot be mapped', {
      code: 'label-mapping',
      path: 'mapping',
      given: unknown.length > 0 ? unknown.join(', ') : 'no class in common',
      expected: `classes of the data set (${to.names.join(', ')}) made of trained ones (${from.names.join(', ')})`,
      fix: 'Give mapping: { class: [trained classes] }.',
    });
  return { classes, table };
}
