// nnU-Net v2's `summary.json`: overlap of label maps per case and label or region (`compute_metrics_on_folder`).
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import { progressOf, type WorkOptions } from '../base/progress.js';
import type { LabelOrRegion, Labels } from '../dataset/labels.js';
import { readVolume } from '../volume/index.js';
import { writeNnunetJson } from './json.js';

/** Voxel counts and what follows from them; Dice and IoU are NaN where neither map has the label. */
export interface NnunetMetrics {
  Dice: number;
  FN: number;
  FP: number;
  IoU: number;
  TN: number;
  TP: number;
  n_pred: number;
  n_ref: number;
}

export interface NnunetSummary {
  foreground_mean: NnunetMetrics;
  /** By label `1` or region `(1, 2)`. */
  mean: Record<string, NnunetMetrics>;
  metric_per_case: { metrics: Record<string, NnunetMetrics>; prediction_file: string; reference_file: string }[];
}

type LabelArray = ArrayLike<number>;

/** A case to evaluate; files are names for the summary, `load` is called once per evaluation. */
export interface EvaluationCase {
  prediction_file: string;
  reference_file: string;
  load(): { prediction: LabelArray; reference: LabelArray; shape: readonly number[] };
}

const metricNames = ['Dice', 'FN', 'FP', 'IoU', 'TN', 'TP', 'n_pred', 'n_ref'] as const;

/** Python's text of a label or tuple: `1`, `(1, 2)`, `(3,)`. */
export function labelKey(label: LabelOrRegion): string {
  if (typeof label === 'number') return String(label);
  return label.length === 1 ? `(${label[0]},)` : `(${label.join(', ')})`;
}

/** What nnU-Net evaluates: regions where a data set has them, else foreground labels. */
export const evaluated = (labels: Pick<Labels, 'hasRegions' | 'regions' | 'foreground'>): LabelOrRegion[] =>
  labels.hasRegions ? labels.regions! : labels.foreground;

/**
 * Metrics of one case.
 * @param prediction, reference label maps on one grid
 * @param ignore voxels of the reference with this label do not count
 */
export function nnunetMetrics(
  prediction: LabelArray,
  reference: LabelArray,
  labelsOrRegions: readonly LabelOrRegion[],
  ignore: number | null = null,
): Record<string, NnunetMetrics> {
  // Every pair of labels is counted once; all metrics are sums over these counts.
  const pairs = new Map<number, number>();
  let last = -1;
  let run = 0;
  for (let i = 0; i < reference.length; i++) {
    if (reference[i] === ignore) continue;
    const pair = reference[i] * 65536 + prediction[i];
    if (pair === last) run++;
    else {
      if (run > 0) pairs.set(last, (pairs.get(last) ?? 0) + run);
      last = pair;
      run = 1;
    }
  }
  if (run > 0) pairs.set(last, (pairs.get(last) ?? 0) + run);
  return Object.fromEntries(
    labelsOrRegions.map((label) => {
      const members = new Set([label].flat());
      let [TP, FP, FN, TN] = [0, 0, 0, 0];
      for (const [pair, count] of pairs) {
        const inReference = members.has(Math.floor(pair / 65536));
        const inPrediction = members.has(pair % 65536);
        if (inReference && inPrediction) TP += count;
        else if (inPrediction) FP += count;
        else if (inReference) FN += count;
        else TN += count;
      }
      const empty = TP + FP + FN === 0;
      const Dice = empty ? Number.NaN : (2 * TP) / (2 * TP + FP + FN);
      const IoU = empty ? Number.NaN : TP / (TP + FP + FN);
      return [labelKey(label), { Dice, FN, FP, IoU, TN, TP, n_pred: FP + TP, n_ref: FN + TP }];
    }),
  );
}

/**
 * Metrics of many cases and their means: over cases without NaN, over classes with it, as nnU-Net does.
 * @param cases evaluated and listed in the order of their prediction files
 */
export function nnunetSummary(
  cases: readonly EvaluationCase[],
  labelsOrRegions: readonly LabelOrRegion[],
  ignore: number | null = null,
  options: WorkOptions = {},
): NnunetSummary {
  const report = progressOf(cases.length, options);
  const sorted = [...cases].sort((a, b) => (a.prediction_file < b.prediction_file ? -1 : 1));
  const metric_per_case = sorted.map((c, i) => {
    report(i, `evaluate ${path.basename(c.prediction_file)}`);
    const { prediction, reference } = c.load();
    if (prediction.length !== reference.length)
      throw new VoxelbookError('a prediction cannot be evaluated', {
        code: 'shape',
        path: c.prediction_file,
        given: `${prediction.length} voxels`,
        expected: `${reference.length} as in ${c.reference_file}`,
        fix: 'Write the prediction in the geometry of the reference.',
      });
    const metrics = nnunetMetrics(prediction, reference, labelsOrRegions, ignore);
    return { metrics, prediction_file: c.prediction_file, reference_file: c.reference_file };
  });
  const keys = labelsOrRegions.map(labelKey);
  const over = (values: (name: keyof NnunetMetrics) => number[], skipNaN: boolean) =>
    Object.fromEntries(metricNames.map((name) => [name, mean(values(name), skipNaN)])) as unknown as NnunetMetrics;
  const means = Object.fromEntries(
    keys.map((key) => [key, over((name) => metric_per_case.map((c) => c.metrics[key][name]), true)]),
  );
  const foreground = keys.filter((key) => key !== '0');
  const foreground_mean = over((name) => foreground.map((key) => means[key][name]), false);
  return { foreground_mean, mean: means, metric_per_case };
}

function mean(values: readonly number[], skipNaN: boolean): number {
  const used = skipNaN ? values.filter((v) => !Number.isNaN(v)) : values;
  return used.reduce((a, b) => a + b, 0) / used.length;
}

/** Names of the files with an ending in a folder, sorted. */
export const filesIn = (folder: string, ending: string) =>
  fs
    .readdirSync(folder)
    .filter((name) => name.endsWith(ending))
    .sort();

/** Cases of a folder of predictions, each with the reference of the same name. */
export function casesOf(predictions: string, references: string, ending: string): EvaluationCase[] {
  const names = filesIn(predictions, ending);
  const missing = names.filter((name) => !fs.existsSync(path.join(references, name)));
  if (names.length === 0 || missing.length > 0)
    throw new VoxelbookError('these predictions cannot be evaluated', {
      code: 'missing-reference',
      path: names.length === 0 ? predictions : references,
      given: names.length === 0 ? `no file ending in ${ending}` : `no ${missing.join(', ')}`,
      expected: 'predictions, and a reference of the same name for each',
      fix: 'Check the two folders and file_ending in dataset.json.',
    });
  return names.map((name) => ({
    prediction_file: path.join(predictions, name),
    reference_file: path.join(references, name),
    load() {
      const prediction = readVolume(this.prediction_file);
      const reference = readVolume(this.reference_file);
      if (prediction.shape.join() !== reference.shape.join())
        throw new VoxelbookError('a prediction cannot be evaluated', {
          code: 'shape',
          path: this.prediction_file,
          given: prediction.shape.join('×'),
          expected: `${reference.shape.join('×')} as in ${this.reference_file}`,
          fix: 'Write the prediction in the geometry of the reference.',
        });
      return { prediction: prediction.data, reference: reference.data, shape: reference.shape };
    },
  }));
}

/**
 * Evaluates a folder of predictions and writes nnU-Net's `summary.json` into it.
 * @param references folder of label files of the same names
 * @param output another file for the summary
 */
export function evaluateFolder(
  predictions: string,
  references: string,
  labels: Pick<Labels, 'hasRegions' | 'regions' | 'foreground' | 'ignoreLabel'>,
  {
    ending = '.nii.gz',
    output = path.join(predictions, 'summary.json'),
    ...work
  }: { ending?: string; output?: string } & WorkOptions = {},
): NnunetSummary {
  const summary = nnunetSummary(casesOf(predictions, references, ending), evaluated(labels), labels.ignoreLabel, work);
  writeNnunetJson(output, summary);
  return summary;
}
