// nnU-Net's evaluation: summary.json, post-processing, the best configuration.
import fs from 'node:fs';
import path from 'node:path';
import { readSafetensors } from '../../../src/base/safetensors.js';
import { labels } from '../../../src/dataset/labels.js';
import { type Candidate, chooseBest, inferenceInformation } from '../../../src/nnunet/best.js';
import { choosePostprocessing, postprocessingFile } from '../../../src/nnunet/postprocessing.js';
import { casesOf, type NnunetSummary, nnunetSummary } from '../../../src/nnunet/summary.js';
import { readVolume } from '../../../src/volume/index.js';
import { postprocess } from '../../../src/volume/postprocess.js';
import { close, entriesOf, equal, type GoldenCase, type Row, readJson, unknownCase } from '../case.js';
import { channelsLast } from './layout.js';

export const owns: string[] = ['evaluation'];

export function cases(root: string): GoldenCase[] {
  const base = path.join(root, 'nnunet', 'evaluation');
  if (!fs.existsSync(base)) return [];
  return entriesOf(base).map((name): GoldenCase => {
    const folder = path.join(base, name);
    const golden = `nnunet/evaluation/${name}`;
    if (name.startsWith('metrics')) return { name: golden, run: () => metrics(folder) };
    if (name.startsWith('postprocessing')) return { name: golden, run: () => postprocessing(folder) };
    if (name.startsWith('find_best')) return { name: golden, run: () => findBest(folder) };
    return unknownCase(golden, 'no check claims it');
  });
}

/** Numbers within 1e-12, everything else equal. File names are compared without their folders. */
function same(what: string, ours: unknown, reference: unknown): Row[] {
  const numbers: [number[], number[]] = [[], []];
  const shape = (value: unknown, into: number[]): unknown => {
    if (typeof value === 'number') {
      into.push(value);
      return '#';
    }
    if (typeof value === 'string') return path.basename(value).replace(/\.pkl$/, '.json');
    if (Array.isArray(value)) return value.map((v) => shape(v, into));
    if (value && typeof value === 'object')
      return Object.fromEntries(
        Object.entries(value)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([k, v]) => [k, shape(v, into)]),
      );
    return value;
  };
  const [a, b] = [shape(ours, numbers[0]), shape(reference, numbers[1])];
  return [equal(`${what}: structure`, a, b), close(`${what}: numbers`, numbers[0], numbers[1], { abs: 1e-12 })];
}

function metrics(folder: string): Row[] {
  const found = casesOf(path.join(folder, 'pred'), path.join(folder, 'ref'), { ending: '.nii.gz' });
  return readJson<any[]>(path.join(folder, 'config.json')).flatMap((c) =>
    same(c.summary, nnunetSummary(found, c.labels_or_regions, c.ignore_label ?? null), readJson(path.join(folder, c.summary))),
  );
}

function postprocessing(folder: string): Row[] {
  const json = readJson(path.join(folder, 'dataset.json'));
  const heads = labels(json);
  const found = casesOf(path.join(folder, 'pred'), path.join(folder, 'ref'), { ending: json.file_ending });
  const choice = choosePostprocessing(found, heads);
  const files = fs.readdirSync(path.join(folder, 'postprocessed')).filter((name) => name.endsWith(json.file_ending));
  return [
    ...same('postprocessing.json', postprocessingFile(choice), readJson(path.join(folder, 'postprocessing.json'))),
    ...summaryRows('before', choice.before, path.join(folder, 'summary_before.json')),
    ...summaryRows('after', choice.after, path.join(folder, 'summary_after.json')),
    ...files.map((name) => {
      const volume = readVolume(path.join(folder, 'pred', name));
      const ours = postprocess(volume.data as Uint8Array, volume, choice.steps);
      return close(name, ours, readVolume(path.join(folder, 'postprocessed', name)).data, { abs: 0 });
    }),
  ];
}

/** A stored summary may hold the means only. */
function summaryRows(what: string, { metric_per_case, ...means }: NnunetSummary, file: string): Row[] {
  const reference = readJson(file);
  return same(what, 'metric_per_case' in reference ? { ...means, metric_per_case } : means, reference);
}

function findBest(folder: string): Row[] {
  const json = readJson(path.join(folder, 'dataset.json'));
  const config = readJson(path.join(folder, 'config.json'));
  const reference = readJson(path.join(folder, 'inference_information.json'));
  const { tensors } = readSafetensors(path.join(folder, 'predictions.safetensors'));
  const heads = labels(json);
  const ids = Object.keys(config.folds).sort();
  const candidates = (reference.considered_models as Candidate['model'][]).map(
    (model): Candidate => ({
      model,
      cases: ids.map((id) => {
        const reference_file = path.join(folder, 'gt', id + json.file_ending);
        const stored = tensors[`${model.configuration}.${id}.segmentation`];
        return {
          id,
          prediction_file: id + json.file_ending,
          reference_file,
          load: () => ({
            prediction: stored.data as Uint8Array,
            reference: readVolume(reference_file).data,
            shape: stored.shape,
            spacingMm: [1, 1, 1],
          }),
          probabilities: () => {
            const p = tensors[`${model.configuration}.${id}.probabilities`];
            return channelsLast(p.data as Float32Array, p.shape[0]);
          },
        };
      }),
    }),
  );
  const found = chooseBest(candidates, heads, { folds: reference.folds, ensembles: reference.ensembling_allowed });
  const information = inferenceInformation(
    config.dataset,
    candidates.map((c) => c.model),
    reference.folds,
    reference.ensembling_allowed,
    found,
  );
  const rows = same('inference_information.json', information, reference);
  const slash = (text: string) => text.replace(/\.pkl$/, '.json');
  rows.push(
    equal(
      'postprocessing file',
      information.best_model_or_ensemble.postprocessing_file,
      slash(reference.best_model_or_ensemble.postprocessing_file),
    ),
    equal('plans file', information.best_model_or_ensemble.some_plans_file, reference.best_model_or_ensemble.some_plans_file),
  );
  for (const [file, ours] of expectedFiles(found, reference.folds))
    if (fs.existsSync(path.join(folder, 'expected', file)))
      rows.push(...same(file, ours, readJson(path.join(folder, 'expected', file))));
  return rows;
}

/** What nnU-Net leaves in its results folder, by path. */
function expectedFiles(found: ReturnType<typeof chooseBest>, folds: number[]): [string, unknown][] {
  const place = (name: string) =>
    name.startsWith('ensemble___') ? `ensembles/${name}` : `${name}/crossval_results_folds_${folds.join('_')}`;
  const files = Object.entries(found.summaries).map(([name, summary]): [string, NnunetSummary | unknown] => [
    `${place(name)}/summary.json`,
    summary,
  ]);
  return [
    ...files,
    [`${place(found.best)}/postprocessing.json`, postprocessingFile(found.postprocessing)],
    [`${place(found.best)}/postprocessed/summary.json`, found.postprocessing.after],
  ];
}
