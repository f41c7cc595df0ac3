// Which post-processing helps, decided on cross-validation predictions (nnU-Net v2 `determine_postprocessing`).
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import { progressOf, type WorkOptions } from '../base/progress.js';
import { definitions } from '../base/registry.js';
import type { LabelOrRegion, Labels } from '../dataset/labels.js';
import { copyDescriptions } from '../predict/ensemble.js';
import { readVolume, writeVolume } from '../volume/index.js';
import { type PostprocessingStep, type PostprocessingTrial, postprocess } from '../volume/postprocess.js';
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
 * Tries what every registered post-processing says is worth it, each on top of what was taken before: nnU-Net's largest components, then what
 * modules bring. Taken is what raises the mean Dice while no class falls, or the Dice of the one label or region it is for.
 */
export function choosePostprocessing(
  cases: readonly EvaluationCase[],
  labels: EvaluatedLabels,
  options: WorkOptions = {},
): PostprocessingChoice {
  const each = evaluated(labels);
  const trials = trialsOf(labels.foreground, each);
  const report = progressOf(trials.length + 1, options);
  const evaluate = (steps: readonly PostprocessingStep[]) =>
    nnunetSummary(
      cases.map((c) => withSteps(c, steps)),
      each,
      labels.ignoreLabel,
      { signal: options.signal },
    );
  const diceOf = ({ mean }: NnunetSummary, label: LabelOrRegion) => mean[labelKey(label)].Dice;

  report(0, 'evaluate as predicted');
  const before = evaluate([]);
  let steps: PostprocessingStep[] = [];
  let after = before;
  for (const [i, { step, of }] of trials.entries()) {
    report(1 + i, `${step.kind}${of === undefined ? '' : ` of ${labelKey(of)}`}`);
    const trial = [...steps, step];
    const summary = evaluate(trial);
    const better =
      of === undefined
        ? summary.foreground_mean.Dice > after.foreground_mean.Dice &&
          !each.some((label) => diceOf(summary, label) < diceOf(after, label))
        : diceOf(summary, of) > diceOf(after, of);
    if (better) [steps, after] = [trial, summary];
  }
  return { steps, before, after };
}

/**
 * Every step that is tried, built-in ones first.
 * @throws VoxelbookError for trials that are none
 */
function trialsOf(foreground: LabelOrRegion[], each: LabelOrRegion[]): { step: PostprocessingStep; of?: LabelOrRegion }[] {
  const keys = each.map(labelKey);
  return definitions('postprocessing').flatMap(({ name, settings, trials }) => {
    const wanted = trials
      ? trials({ foreground: [...foreground], evaluated: [...each] })
      : settings.safeParse({}).success
        ? [{ settings: {} }]
        : [];
    const isTrial = (t: PostprocessingTrial) =>
      typeof t?.settings === 'object' && (t.of === undefined || keys.includes(labelKey(t.of)));
    if (!Array.isArray(wanted) || !wanted.every(isTrial))
      throw new VoxelbookError(`the post-processing ${name} says nothing to try`, {
        code: 'postprocessing-trials',
        path: `postprocessing.${name}.trials`,
        given: (JSON.stringify(wanted) ?? 'nothing').slice(0, 200),
        expected: `a list of { settings, of }; of left out or one of ${keys.join(', ')}`,
        fix: 'Correct what it returns.',
      });
    return wanted.map(({ settings: own, of }) => ({ step: { ...own, kind: name }, of }));
  });
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
