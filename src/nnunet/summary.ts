// nnU-Net v2's `summary.json`: overlap of label maps per case and label or region (`compute_metrics_on_folder`).
import fs from 'node:fs';
import path from 'node:path';
import { type Fault, FaultList, VoxelbookError } from '../base/errors.js';
import { progressOf, type WorkOptions } from '../base/progress.js';
import { countValues, labelValueFaults } from '../dataset/caseFindings.js';
import { some } from '../dataset/groups.js';
import { type LabelOrRegion, type Labels, maxLabel } from '../dataset/labels.js';
import { isMacFile } from '../dataset/names.js';
import { readAs } from '../dataset/reader.js';
import type { LabelGrid } from '../volume/postprocess.js';
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

/** nnU-Net v2's `summary.json`. */
export interface NnunetSummary {
  foreground_mean: NnunetMetrics;
  /** By label `1` or region `(1, 2)`. */
  mean: Record<string, NnunetMetrics>;
  metric_per_case: { metrics: Record<string, NnunetMetrics>; prediction_file: string; reference_file: string }[];
}

type LabelArray = ArrayLike<number>;

/** Two labels as one number. */
const perReference = maxLabel + 1;

/** A case to evaluate; files are names for the summary, `load` is called once per evaluation. */
export interface EvaluationCase {
  prediction_file: string;
  reference_file: string;
  load(): { prediction: LabelArray; reference: LabelArray } & LabelGrid;
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
 * @param prediction, reference label maps on one grid, whole numbers from 0 to 32767
 * @param ignore voxels of the reference with this label do not count
 * @throws VoxelbookError for values that are no labels
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
    const pair = reference[i] * perReference + prediction[i];
    if (pair === last) run++;
    else {
      checkLabels(prediction[i], reference[i]);
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
        const inReference = members.has(Math.floor(pair / perReference));
        const inPrediction = members.has(pair % perReference);
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

/** Whatever is no label would be counted as another one. */
function checkLabels(prediction: number, reference: number): void {
  for (const [path, label] of [
    ['prediction', prediction],
    ['reference', reference],
  ] as const)
    if (!(Number.isInteger(label) && label >= 0 && label <= maxLabel))
      throw new VoxelbookError('these label maps cannot be evaluated', {
        code: 'label',
        path,
        given: `label ${label}`,
        expected: `whole numbers from 0 to ${maxLabel}`,
        fix: 'Export the labels again with nearest neighbour; give what is to be left out a label of its own.',
      });
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
  const faults = new FaultList();
  const metric_per_case = sorted.flatMap((c, i): NnunetSummary['metric_per_case'] => {
    report(i, `evaluate ${path.basename(c.prediction_file)}`);
    try {
      const { prediction, reference } = c.load();
      if (prediction.length !== reference.length)
        faults.faults.push(
          shapeFault(c.prediction_file, `${prediction.length} voxels`, String(reference.length), c.reference_file),
        );
      const metrics = nnunetMetrics(prediction, reference, labelsOrRegions, ignore);
      return [{ metrics, prediction_file: c.prediction_file, reference_file: c.reference_file }];
    } catch (error) {
      if (!(error instanceof VoxelbookError)) throw error;
      faults.faults.push(...error.faults);
      return [];
    }
  });
  faults.throwIfAny(`${faults.faults.length === 1 ? 'a prediction' : 'predictions'} cannot be evaluated`);
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

/** Names of the files with an ending in a folder, sorted; without what macOS leaves there. */
export const filesIn = (folder: string, ending: string) =>
  (fs.existsSync(folder) ? fs.readdirSync(folder) : []).filter((name) => name.endsWith(ending) && !isMacFile(name)).sort();

export interface FolderOptions extends WorkOptions {
  ending?: string;
  /** How the label files are read. */
  reader?: 'reorient';
  /** Evaluate the cases that are on both sides, and only say which are not (nnU-Net's `--chill`). */
  chill?: boolean;
  /** Told what was left out with `chill`; default the error stream. */
  onWarning?: (text: string) => void;
}

/**
 * Cases of a folder of predictions, each with the reference of the same name.
 * @throws VoxelbookError naming predictions and references that have no counterpart, unless `chill`
 */
export function casesOf(
  predictions: string,
  references: string,
  { ending = '.nii.gz', reader, chill = false, onWarning = (text) => console.warn(text) }: FolderOptions = {},
): EvaluationCase[] {
  const names = filesIn(predictions, ending);
  const known = filesIn(references, ending);
  const both = names.filter((name) => known.includes(name));
  const faults = new FaultList();
  const say = (code: string, where: string, list: readonly string[]) => {
    if (list.length === 0 || names.length === 0) return;
    const expected = 'predictions, and a reference of the same name for each';
    faults.add(
      code,
      where,
      `no ${some(list)}`,
      expected,
      'Check the two folders, or give --chill to evaluate what is on both sides.',
    );
  };
  say(
    'missing-reference',
    references,
    names.filter((name) => !known.includes(name)),
  );
  say(
    'missing-prediction',
    predictions,
    known.filter((name) => !names.includes(name)),
  );
  if (names.length === 0 || both.length === 0) {
    const given = fs.existsSync(predictions)
      ? `no file ending in ${ending}${names.length > 0 ? ' that is on both sides' : ''}`
      : 'no such folder';
    const expected = 'predictions, and a reference of the same name for each';
    faults.add('missing-reference', predictions, given, expected, 'Check the two folders and file_ending in dataset.json.');
  }
  if (both.length === 0 || !chill) faults.throwIfAny('these predictions cannot be evaluated');
  for (const f of faults.faults) onWarning(`warning: ${f.path}: ${f.given}; evaluated without`);
  return both.map((name) => ({
    prediction_file: path.join(predictions, name),
    reference_file: path.join(references, name),
    load() {
      const [prediction, reference] = [this.prediction_file, this.reference_file].map((file) => readAs(file, reader));
      const found = new FaultList();
      if (prediction.shape.join() !== reference.shape.join())
        found.faults.push(
          shapeFault(this.prediction_file, prediction.shape.join('×'), reference.shape.join('×'), this.reference_file),
        );
      labelValueFaults(this.prediction_file, countValues(prediction.data), found);
      labelValueFaults(this.reference_file, countValues(reference.data), found);
      found.throwIfAny('a prediction cannot be evaluated');
      const { data, shape, spacingMm } = reference;
      return { prediction: prediction.data, reference: data, shape, spacingMm };
    },
  }));
}

const shapeFault = (file: string, given: string, expected: string, as: string): Fault => ({
  code: 'shape',
  path: file,
  given,
  expected: `${expected} as in ${as}`,
  fix: 'Write the prediction in the geometry of the reference.',
});

/**
 * Evaluates a folder of predictions and writes nnU-Net's `summary.json` into it.
 * @param references folder of label files of the same names
 * @param output another file for the summary
 * @throws VoxelbookError with every case that cannot be evaluated; nothing is written then
 */
export function evaluateFolder(
  predictions: string,
  references: string,
  labels: Pick<Labels, 'hasRegions' | 'regions' | 'foreground' | 'ignoreLabel'>,
  { output = path.join(predictions, 'summary.json'), ...options }: { output?: string } & FolderOptions = {},
): NnunetSummary {
  const cases = casesOf(predictions, references, options);
  const summary = nnunetSummary(cases, evaluated(labels), labels.ignoreLabel, options);
  writeNnunetJson(output, summary);
  return summary;
}
