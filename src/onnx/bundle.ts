// A bundle: the networks of one or several folds as ONNX, and `bundle.json`, which says everything else that a prediction needs. Whoever
// runs a bundle reads nothing but this folder.
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { fileSha256 } from '../base/checksum.js';
import { FaultList, VoxelbookError } from '../base/errors.js';
import { readJsonFile, shortJson } from '../base/json.js';
import { above, either, flag, key, line, list, number, object, one, openObject, optional, parse, whole } from '../base/schema.js';
import type { DatasetJson } from '../dataset/dataset.js';
import { labels } from '../dataset/labels.js';
import type { Plan } from '../plan/plan.js';
import type { CaseModel } from '../predict/case.js';
import type { PatchNetwork } from '../predict/windows.js';
import type { PredictionSettings } from '../train/experiment.js';

/** Name of the file that says everything besides the graphs. */
export const bundleFile = 'bundle.json';
const format = 'voxelbook-onnx';
/** Raised where an older reader would predict something else, or nothing. */
const version = 1;

const form = (kind: string, more: z.ZodRawShape = {}) => object({ kind: z.literal(kind), ...more });
const finite = () => number(-1e30, 1e30);
const normalisation = () =>
  either(
    [
      form('CTNormalization', {
        low: key(finite(), 'Values below become this', { example: -900 }),
        high: key(finite(), 'Values above become this', { example: 300 }),
        mean: key(finite(), 'Taken off after that'),
        std: key(above(0, 1e30), 'Divided by after that'),
      }),
      form('ZScoreNormalization', {
        useMask: key(flag(), 'Mean and deviation are those of voxels that are not zero in some channel; others stay as they are'),
      }),
      form('RescaleTo01Normalization'),
      form('RGBTo01Normalization'),
      form('NoNormalization'),
    ],
    'one of CTNormalization, ZScoreNormalization, RescaleTo01Normalization, RGBTo01Normalization, NoNormalization',
  );

const order = () => either([z.literal(0), z.literal(1), z.literal(3)], '0, 1 or 3');
const resampling = (orders: z.ZodType) =>
  object({
    order: key(orders, 'Order of the spline within the plane, or along all axes'),
    orderZ: key(orders, 'Order along an axis that is resampled on its own'),
    separateAxis: key(
      one('byAnisotropy', 'always', 'never'),
      'Whether the axis of the largest voxel size is resampled on its own: where it is more than three times the smallest, always, never',
    ),
  });

const axes = (low: number, high: number) => list(whole(0, 2), low, high, 'axes 0 to 2');
const labelNumber = () => whole(0, 65535);
const fileName = () => line(200).regex(/^[\w][\w.-]*$/, { error: 'the name of a file in the bundle' });
const sha256 = () => line(64).regex(/^[0-9a-f]{64}$/, { error: '64 hexadecimal digits' });
const stored = () => ({
  file: key(fileName(), 'Its name in the bundle'),
  bytes: key(whole(1), 'Its size'),
  sha256: key(sha256(), 'Its checksum'),
});

/** The schema that `bundle.json` is written and read by. */
export const bundleSchema = () =>
  object(
    {
      $schema: optional(line(), 'Where an editor finds the schema'),
      format: key(z.literal(format), 'What this file is'),
      version: key(z.literal(version), 'Of the form; a reader refuses a newer one'),
      name: key(line(256), 'The experiment'),
      network: key(line(256), 'The network’s name'),
      dataset: key(line(256), 'The data set it was trained on'),
      configuration: key(line(64), 'The plan’s configuration'),
      fileEnding: key(line(16), 'Of the images it was trained on'),
      reader: key(one('stored', 'ras'), 'Images are taken as they are stored, or turned to right, forward, up, and labels back'),
      channels: key(
        list(
          object({ name: key(line(256), 'Modality'), normalisation: key(normalisation(), 'Of the cropped channel') }),
          1,
          256,
          'channels',
        ),
        'In the order in which the network takes them',
      ),
      spacingMm: key(
        list(above(0, 1e4), 2, 3, 'voxel sizes'),
        'Of what the network sees, axes after the transposition; two: the distance of slices stays',
        { unit: 'mm' },
      ),
      transposeForward: key(axes(3, 3), 'Axis of the file (depth, height, width) for each axis that the network sees'),
      transposeBackward: key(axes(3, 3), 'The way back'),
      resampling: key(
        object({
          skip: key(flag(), 'Images are not resampled at all'),
          image: key(resampling(order()), 'Of the normalised channels'),
          outputs: key(
            resampling(either([z.literal(0), z.literal(1)], '0 or 1')),
            'Of logits or probabilities, back to the image',
          ),
        }),
        'Half-pixel centres, borders repeated, as nnU-Net v2 does it',
      ),
      patch: key(list(whole(1, 4096), 2, 3, 'sides'), 'What the network takes at once; two: slice by slice', { unit: 'voxels' }),
      stepSize: key(above(0, 1), 'Distance of neighbouring tiles as a share of the patch'),
      gaussian: key(flag(), 'Voxels of a tile weigh by a Gaussian, sigma an eighth of each side; else all alike'),
      mirrorAxes: key(axes(0, 3), 'Axes of the patch along all whose combinations mirrored passes are averaged'),
      average: key(one('logits', 'probabilities'), 'What is averaged over passes, tiles and graphs'),
      activation: key(one('softmax', 'sigmoid'), 'sigmoid: every output is a region of its own'),
      heads: key(whole(1, 65536), 'Outputs of the network'),
      labels: key(
        list(
          object({
            name: key(line(256), 'Of the label or region'),
            label: key(either([labelNumber(), list(labelNumber(), 1)], 'a label or a list of labels'), 'What it stands for'),
            colour: optional(line(7).regex(/^#[0-9a-f]{6}$/, { error: 'a colour as #rrggbb' }), 'For display'),
          }),
          1,
          65536,
          'labels',
        ),
        'In the order of the outputs',
      ),
      regionsClassOrder: optional(
        list(labelNumber(), 1),
        'The label that each region writes where its probability exceeds one half, later ones over earlier ones',
      ),
      postprocessing: key(list(openObject({ kind: line(256) }), 0, 64, 'steps'), 'Of the labels, in this order'),
      precision: optional(
        object({
          kind: key(z.literal('fp16'), 'Weights and values in half precision, norms and sums in single'),
          validation: optional(
            object({
              cases: key(whole(1), 'Validation cases of the runs, each predicted by its own fold'),
              dsc: key(number(0, 1), 'Their mean DSC, of all classes, as the runs scored it'),
              lost: key(number(-1, 1), 'What the same cases lose of it by this bundle’s graphs'),
            }),
            'What it costs, measured',
          ),
        }),
        'Of the graphs; absent: single precision',
      ),
      graphs: key(
        list(
          object({
            ...stored(),
            fold: key(line(16), 'Fold or seed it was trained on'),
            passBytes: optional(whole(1), 'Forecast of what one pass holds at once besides the weights', { unit: 'bytes' }),
            data: optional(object(stored()), 'Its weights, where they are too large for one file'),
          }),
          1,
          64,
          'graphs',
        ),
        'ONNX, image [1, channel, …patch] to logits [1, head, …patch]; their results are averaged',
      ),
    },
    'a bundle',
  );

/** What `bundle.json` holds: everything that a prediction needs besides the graphs. */
export type Bundle = z.output<ReturnType<typeof bundleSchema>>;

/**
 * Reads and checks a bundle, checksums of its graphs included.
 * @throws VoxelbookError for a folder that is none, a newer form, a damaged file; with what was found and what was expected
 */
export function readBundle(folder: string): Bundle {
  const file = path.join(folder, bundleFile);
  const bundle = bundleOf(readJsonFile(file, 'this bundle'), file);
  const faults = new FaultList();
  for (const graph of bundle.graphs)
    for (const part of [graph, ...(graph.data ? [graph.data] : [])]) checkFile(path.join(folder, part.file), part, faults);
  faults.throwIfAny(`${folder} cannot predict`);
  return bundle;
}

/**
 * What stands in a `bundle.json`, checked.
 * @param file names it in errors
 * @throws VoxelbookError for another or a newer form, and with everything that is wrong in it
 */
export function bundleOf(value: unknown, file: string): Bundle {
  const what = `${file} cannot predict`;
  const { format: found, version: ofForm } = (value ?? {}) as Partial<Record<'format' | 'version', unknown>>;
  if (found !== format || ofForm !== version) {
    const newer = found === format && Number(ofForm) > version;
    throw new VoxelbookError(what, {
      code: newer ? 'bundle-version' : 'bundle-format',
      path: file,
      given: `${shortJson(found)}, version ${shortJson(ofForm)}`,
      expected: `${JSON.stringify(format)}, version ${version}`,
      fix: newer ? 'Update voxelbook, or export the model again with this one.' : 'Name a folder that export-onnx wrote.',
    });
  }
  const bundle = parse(bundleSchema(), value, what);
  consistency(bundle, file).throwIfAny(what);
  return bundle;
}

/** What no key alone can say. */
function consistency(bundle: Bundle, file: string): FaultList {
  const faults = new FaultList();
  const axes = bundle.patch.length;
  const fix = 'Export the model again.';
  const say = (key: string, given: string, expected: string) => faults.add('bundle', `${file} ${key}`, given, expected, fix);
  if (bundle.spacingMm.length !== axes) say('spacingMm', `${bundle.spacingMm.length} numbers`, `${axes}, as patch has`);
  if (bundle.mirrorAxes.some((axis) => axis >= axes))
    say('mirrorAxes', `[${bundle.mirrorAxes}]`, `axes of the patch, below ${axes}`);
  const { transposeForward: to, transposeBackward: back } = bundle;
  if (to.some((axis, i) => back[axis] !== i)) say('transposeBackward', `[${back}]`, `the inverse of [${to}]`);
  const said = labels(datasetOf(bundle));
  if (said.heads !== bundle.heads) say('labels', `${said.heads} outputs`, `${bundle.heads}, as heads says`);
  if (said.hasRegions !== (bundle.activation === 'sigmoid'))
    say('activation', bundle.activation, said.hasRegions ? 'sigmoid for regions' : 'softmax for labels');
  return faults;
}

function checkFile(file: string, { bytes, sha256 }: { bytes: number; sha256: string }, faults: FaultList): void {
  const size = fs.statSync(file, { throwIfNoEntry: false })?.size;
  const fix = 'Copy the bundle again, or export the model again.';
  if (size !== bytes)
    faults.add('bundle-damaged', file, size === undefined ? 'no such file' : `${size} bytes`, `${bytes} bytes`, fix);
  else {
    const found = fileSha256(file);
    if (found !== sha256) faults.add('bundle-damaged', file, `checksum ${found}`, sha256, fix);
  }
}

/** What predicts with a bundle's networks, in the order of its graphs. */
export const modelOf = (bundle: Bundle, networks: readonly PatchNetwork[]): CaseModel => ({
  networks,
  plan: planOf(bundle),
  configuration: bundle.configuration,
  dataset: datasetOf(bundle),
  settings: settingsOf(bundle),
  batchTiles: 1,
});

/** What `dataset.json` would say. */
function datasetOf(bundle: Bundle): DatasetJson {
  return {
    channel_names: Object.fromEntries(bundle.channels.map(({ name }, i) => [String(i), name])),
    labels: Object.fromEntries(bundle.labels.map(({ name, label }) => [name, label])),
    label_order: bundle.labels.map(({ name }) => name),
    ...(bundle.regionsClassOrder && { regions_class_order: bundle.regionsClassOrder }),
    numTraining: 0,
    file_ending: bundle.fileEnding,
    name: bundle.dataset,
  };
}

/** The part of `plans.json` that a prediction needs. */
function planOf(bundle: Bundle): Plan {
  const entry = bundle.resampling.skip ? 'no_resampling_hack' : 'resample_data_or_seg_to_shape';
  const how = ({ order, orderZ, separateAxis }: Bundle['resampling']['image' | 'outputs']) => ({
    order,
    order_z: orderZ,
    force_separate_z: separateAxis === 'byAnisotropy' ? null : separateAxis === 'always',
  });
  const statistics = bundle.channels.flatMap(({ normalisation: n }, i) => {
    if (n.kind !== 'CTNormalization') return [];
    const { low, high, mean, std } = n as unknown as { low: number; high: number; mean: number; std: number };
    return [[String(i), { mean, std, percentile_00_5: low, percentile_99_5: high, median: mean, min: low, max: high }]];
  });
  return {
    dataset_name: bundle.dataset,
    plans_name: bundle.name,
    original_median_spacing_after_transp: bundle.spacingMm,
    original_median_shape_after_transp: [],
    image_reader_writer: bundle.reader === 'ras' ? 'NibabelIOWithReorient' : 'SimpleITKIO',
    transpose_forward: bundle.transposeForward,
    transpose_backward: bundle.transposeBackward,
    configurations: {
      [bundle.configuration]: {
        data_identifier: bundle.name,
        preprocessor_name: 'DefaultPreprocessor',
        batch_size: 1,
        patch_size: bundle.patch,
        median_image_size_in_voxels: [],
        spacing: bundle.spacingMm,
        normalization_schemes: bundle.channels.map(({ normalisation }) => normalisation.kind as string),
        use_mask_for_norm: bundle.channels.map(({ normalisation: n }) => 'useMask' in n && n.useMask === true),
        resampling_fn_data: entry,
        resampling_fn_seg: entry,
        resampling_fn_data_kwargs: how(bundle.resampling.image),
        resampling_fn_seg_kwargs: { order: 1, order_z: 0, force_separate_z: null },
        resampling_fn_probabilities: entry,
        resampling_fn_probabilities_kwargs: how(bundle.resampling.outputs),
        architecture: { network_class_name: bundle.network, arch_kwargs: {}, _kw_requires_import: [] },
        batch_dice: false,
      },
    },
    experiment_planner_used: 'bundle',
    label_manager: 'LabelManager',
    foreground_intensity_properties_per_channel: Object.fromEntries(statistics),
  };
}

/** How its windows are laid and averaged. */
const settingsOf = ({ stepSize, gaussian, mirrorAxes, average, postprocessing }: Bundle): PredictionSettings => ({
  stepSize,
  gaussian,
  mirrorAxes,
  average,
  postprocessing: postprocessing as PredictionSettings['postprocessing'],
});

/** The first lines of every bundle. */
export const bundleHead = { format, version } as const;
