// Which post-processing helps, decided on cross-validation predictions (nnU-Net v2 `determine_postprocessing`).
import fs from 'node:fs';
import path from 'node:path';
import { progressOf, type WorkOptions } from '../base/progress.js';
import type { LabelOrRegion, Labels } from '../dataset/labels.js';
import { copyDescriptions } from '../predict/ensemble.js';
import { readVolume, writeVolume } from '../volume/index.js';
import { largestComponent, type PostprocessingStep, postprocess } from '../volume/postprocess.js';
import { readNnunetJson, writeNnunetJson } from './json.js';
import {
  casesOf,
  type EvaluationCase,
  evaluated,
  type FolderOptions,
  filesIn,
  labelKey,
  type NnunetSummary,
  nnunetSummary,
} from './summary.js';

type EvaluatedLabels = Pick<Labels, 'hasRegions' | 'regions' | 'foreground' | 'ignoreLabel'>;

/** The steps that raise the cross-validated Dice, with the summaries before and after. */
export interface PostprocessingChoice {
  /** Accepted steps, in the order to apply. */
  steps: PostprocessingStep[];
  before: NnunetSummary;
  after: NnunetSummary;
}

/** nnU-Net's `postprocessing.json`. */
export interface PostprocessingFile {
  input_folder: Pick<NnunetSummary, 'foreground_mean' | 'mean'>;
  postprocessed: Pick<NnunetSummary, 'foreground_mean' | 'mean'>;
  postprocessing_fns: string[];
  postprocessing_kwargs: Record<string, unknown>[];
}

/**
 * Tries keeping the largest component: first of the whole foreground (taken if the mean Dice rises and no class falls), then of each
 * label or region in order (taken if its own Dice rises), each on top of what was taken before.
 */
export function choosePostprocessing(
  cases: readonly EvaluationCase[],
  labels: EvaluatedLabels,
  options: WorkOptions = {},
): PostprocessingChoice {
  const each = evaluated(labels);
  const report = progressOf(each.length > 1 ? each.length + 2 : 2, options);
  const evaluate = (steps: readonly PostprocessingStep[]) =>
    nnunetSummary(
      cases.map((c) => withSteps(c, steps)),
      each,
      labels.ignoreLabel,
      { signal: options.signal },
    );
  const largest = (of: LabelOrRegion | LabelOrRegion[]): PostprocessingStep => ({
    kind: largestComponent,
    labels_or_regions: of,
  });

  report(0, 'evaluate as predicted');
  const before = evaluate([]);
  let steps: PostprocessingStep[] = [];
  let after = before;

  report(1, 'largest component of the foreground');
  const whole = evaluate([largest(labels.foreground)]);
  const better = whole.foreground_mean.Dice > before.foreground_mean.Dice;
  const worse = each.some((label) => whole.mean[labelKey(label)].Dice < before.mean[labelKey(label)].Dice);
  if (better && !worse) [steps, after] = [[largest(labels.foreground)], whole];

  if (each.length > 1)
    for (const [i, label] of each.entries()) {
      report(2 + i, `largest component of ${labelKey(label)}`);
      const trial = [...steps, largest(label)];
      const summary = evaluate(trial);
      if (summary.mean[labelKey(label)].Dice > after.mean[labelKey(label)].Dice) [steps, after] = [trial, summary];
    }
  return { steps, before, after };
}

const withSteps = (c: EvaluationCase, steps: readonly PostprocessingStep[]): EvaluationCase => ({
  ...c,
  load() {
    const loaded = c.load();
    return { ...loaded, prediction: postprocess(Uint16Array.from(loaded.prediction), loaded, steps) };
  },
});

/** The choice as nnU-Net's `postprocessing.json` says it. */
export function postprocessingFile({ steps, before, after }: PostprocessingChoice): PostprocessingFile {
  const means = ({ foreground_mean, mean }: NnunetSummary) => ({ foreground_mean, mean });
  return {
    input_folder: means(before),
    postprocessed: means(after),
    postprocessing_fns: steps.map(({ kind }) => kind),
    postprocessing_kwargs: steps.map(({ kind: _, ...settings }) => settings),
  };
}

/** Steps of a `postprocessing.json`, ours or nnU-Net's. */
export function readPostprocessing(file: string): PostprocessingStep[] {
  const { postprocessing_fns: fns, postprocessing_kwargs: kwargs } = readNnunetJson<PostprocessingFile>(file);
  return fns.map((kind, i) => ({ ...kwargs[i], kind }));
}

/**
 * Decides on a folder of predictions; writes `postprocessing.json`, and the post-processed predictions with their `summary.json` into `postprocessed/`.
 */
export function determinePostprocessing(
  predictions: string,
  references: string,
  labels: EvaluatedLabels,
  { ending = '.nii.gz', ...work }: FolderOptions = {},
): PostprocessingChoice {
  const choice = choosePostprocessing(casesOf(predictions, references, { ending, ...work }), labels, work);
  writeNnunetJson(path.join(predictions, 'postprocessing.json'), postprocessingFile(choice));
  const output = path.join(predictions, 'postprocessed');
  applyPostprocessing(predictions, output, choice.steps, { ending });
  const files = choice.after.metric_per_case.map((c) => ({
    ...c,
    prediction_file: path.join(output, path.basename(c.prediction_file)),
  }));
  writeNnunetJson(path.join(output, 'summary.json'), { ...choice.after, metric_per_case: files });
  return choice;
}

/** Post-processes every label file of a folder into another. */
export function applyPostprocessing(
  input: string,
  output: string,
  steps: readonly PostprocessingStep[],
  { ending = '.nii.gz', ...work }: { ending?: string } & WorkOptions = {},
): void {
  fs.mkdirSync(output, { recursive: true });
  copyDescriptions(input, output);
  const names = filesIn(input, ending);
  const report = progressOf(names.length, work);
  for (const [i, name] of names.entries()) {
    report(i, `post-process ${name}`);
    const volume = readVolume(path.join(input, name));
    const data = postprocess(volume.data as Uint8Array, volume, steps);
    writeVolume(path.join(output, name), { ...volume, data });
  }
}
