// A trained model as a bundle.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteJson } from '../base/atomicWrite.js';
import { fileSha256 } from '../base/checksum.js';
import { FaultList } from '../base/errors.js';
import { colourOfLabel, hex } from '../base/labelColours.js';
import { projectRoot } from '../base/paths.js';
import { progressOf, type WorkOptions } from '../base/progress.js';
import type { StoredTensor } from '../base/safetensors.js';
import { parse } from '../base/schema.js';
import type { DatasetJson } from '../dataset/dataset.js';
import { labelEntries, labels } from '../dataset/labels.js';
import { readerFor } from '../dataset/reader.js';
import type { Network } from '../model/network.js';
import { configuration } from '../plan/configuration.js';
import { inputChannels } from '../plan/inputChannels.js';
import { normalisationEntry } from '../plan/normalisations.js';
import type { Configuration, Plan } from '../plan/plan.js';
import { type Resampling, resamplingOf } from '../plan/resampling.js';
import type { PredictionSettings } from '../train/experiment.js';
import { type Bundle, bundleFile, bundleHead, bundleSchema } from './bundle.js';
import { halve } from './half.js';
import { networkGraph } from './networkGraph.js';

/** What is exported: the networks of folds or seeds of one experiment, and what they were trained by. */
export interface ExportModel {
  name: string;
  /** The network's name. */
  kind: string;
  plan: Plan;
  configuration: string;
  dataset: DatasetJson;
  settings: PredictionSettings;
  /** Read one after another: weights may be large. */
  members: readonly { fold: string; load(): { network: Network; tensors: Record<string, StoredTensor> } }[];
}

/** How a bundle is written. */
export interface ExportOptions extends WorkOptions {
  /** Replace a bundle that stands there. */
  overwrite?: boolean;
  /** `fp16`: weights and values in half precision, norms and sums in single; half the size. */
  precision?: 'fp32' | 'fp16';
}

/** What other programs can run: names that a module brought mean nothing elsewhere. */
const normalisations = [
  'CTNormalization',
  'ZScoreNormalization',
  'RescaleTo01Normalization',
  'RGBTo01Normalization',
  'NoNormalization',
];
const postprocessings = ['remove_all_but_largest_component_from_segmentation', 'replace_if_small'];

/**
 * Writes a bundle: a graph for each member, `bundle.json`, and `predict.py`, which runs it.
 * @param folder is created; must be empty, or hold an older bundle where `overwrite` says so
 * @throws VoxelbookError with everything that has no form in a bundle, before anything is written; naming an operator that ONNX has not
 */
export function exportBundle(
  model: ExportModel,
  folder: string,
  { overwrite = false, precision = 'fp32', ...work }: ExportOptions = {},
): Bundle {
  const config = configuration(model.plan, model.configuration);
  check(model, config, folder, overwrite);
  fs.mkdirSync(folder, { recursive: true });
  for (const name of fs.readdirSync(folder)) if (isOurs(name)) fs.rmSync(path.join(folder, name));
  const report = progressOf(model.members.length, work);
  const stored = (file: string) => {
    const place = path.join(folder, file);
    return { file, bytes: fs.statSync(place).size, sha256: fileSha256(place) };
  };
  const graphs = model.members.map(({ fold, load }, i): Bundle['graphs'][number] => {
    report(i, `fold ${fold}`);
    const { network, tensors } = load();
    // Half precision holds no sum of squares, so a norm stays one operator there.
    const graph = networkGraph(network, tensors, config.patch_size, inputChannels(model.dataset, config), {
      norms: precision !== 'fp16',
    });
    if (precision === 'fp16') halve(graph);
    const name = `model_${fold.replace(/\W+/g, '_')}.onnx`;
    const [file, data] = graph.write(path.join(folder, name), { network: model.kind, name: model.name });
    return { ...stored(file), fold, passBytes: graph.passBytes, ...(data && { data: stored(data) }) };
  });
  const bundle = parse(
    bundleSchema(),
    {
      ...description(model, config),
      ...(precision === 'fp16' && { precision: { kind: precision } }),
      graphs,
    },
    'this bundle cannot be written',
  );
  fs.copyFileSync(path.join(projectRoot, 'environment/onnx/predict.py'), path.join(folder, 'predict.py'));
  // Last: a folder without it is no bundle.
  atomicWriteJson(path.join(folder, bundleFile), bundle);
  report(model.members.length, 'export');
  return bundle;
}

/** Files that an export writes. */
const isOurs = (name: string) => /^(model_\w+\.onnx(\.data)?|bundle\.json|predict\.py)$/.test(name);

function check(model: ExportModel, config: Configuration, folder: string, overwrite: boolean): void {
  const faults = new FaultList();
  if (config.previous_stage)
    faults.add(
      'onnx-cascade',
      model.configuration,
      `the second stage of a cascade, after ${config.previous_stage}`,
      'a configuration that takes images alone',
      'Export the first stage, or predict the cascade with voxelbook.',
    );
  for (const entry of config.normalization_schemes) {
    const { kind } = normalisationEntry(entry);
    if (!normalisations.includes(kind))
      faults.add(
        'onnx-normalisation',
        'normalization_schemes',
        kind,
        normalisations.join(', '),
        'Predict with voxelbook: other programs do not have it.',
      );
  }
  for (const { kind } of model.settings.postprocessing ?? [])
    if (!postprocessings.includes(kind))
      faults.add(
        'onnx-postprocessing',
        'prediction.postprocessing',
        kind,
        postprocessings.join(', '),
        'Predict with voxelbook: other programs do not have it.',
      );
  const there = fs.existsSync(folder) ? fs.readdirSync(folder) : [];
  const others = there.filter((name) => !isOurs(name));
  if (others.length > 0 || (there.length > 0 && !overwrite))
    faults.add(
      'bundle-there',
      folder,
      others.length > 0 ? `a folder with ${others.slice(0, 3).join(', ')}` : 'a bundle that stands there',
      'a new or empty folder',
      others.length > 0 ? 'Give another --out.' : 'Give --overwrite, or another --out.',
    );
  faults.throwIfAny('this model cannot be exported');
}

function description(model: ExportModel, config: Configuration): Omit<Bundle, 'graphs' | '$schema'> {
  const { plan, dataset, settings } = model;
  const { heads, hasRegions, regionsClassOrder } = labels(dataset);
  const colours = hasRegions ? regionsClassOrder! : undefined;
  let region = 0;
  return {
    ...bundleHead,
    name: model.name,
    network: model.kind,
    dataset: plan.dataset_name,
    configuration: model.configuration,
    fileEnding: dataset.file_ending,
    reader: readerFor(plan.image_reader_writer) === 'reorient' ? 'ras' : 'stored',
    channels: config.normalization_schemes.map((entry, i) => ({
      name: dataset.channel_names[String(i)],
      normalisation: normalisation(normalisationEntry(entry).kind, plan, config, i),
    })),
    spacingMm: config.spacing,
    transposeForward: plan.transpose_forward,
    transposeBackward: plan.transpose_backward,
    resampling: {
      skip: resamplingOf(config, 'data').function === 'no_resampling_hack',
      image: rule(resamplingOf(config, 'data')),
      outputs: rule(resamplingOf(config, 'probabilities')) as Bundle['resampling']['outputs'],
    },
    patch: config.patch_size,
    stepSize: settings.stepSize,
    gaussian: settings.gaussian,
    mirrorAxes: settings.mirrorAxes.filter((axis) => axis < config.patch_size.length),
    average: settings.average,
    activation: hasRegions ? 'sigmoid' : 'softmax',
    heads,
    labels: labelEntries(dataset).map(([name, label]) => {
      const shown = [label].flat().some((v) => v > 0) && name !== 'ignore';
      const written = !shown ? 0 : colours ? colours[region++] : (label as number);
      return { name, label, ...(shown && { colour: hex(colourOfLabel(Number(written))) }) };
    }),
    ...(regionsClassOrder && { regionsClassOrder }),
    postprocessing: settings.postprocessing ?? [],
  };
}

function normalisation(kind: string, plan: Plan, config: Configuration, channel: number) {
  if (kind === 'ZScoreNormalization') return { kind, useMask: config.use_mask_for_norm[channel] };
  if (kind !== 'CTNormalization') return { kind };
  const { mean, std, percentile_00_5, percentile_99_5 } = plan.foreground_intensity_properties_per_channel[String(channel)];
  return { kind, low: percentile_00_5, high: percentile_99_5, mean, std };
}

const rule = ({ order, orderZ, forceSeparateZ }: Resampling) => ({
  order,
  orderZ,
  separateAxis: forceSeparateZ === null ? ('byAnisotropy' as const) : forceSeparateZ ? ('always' as const) : ('never' as const),
});
