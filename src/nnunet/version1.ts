// Trained models of nnU-Net v1 and the papers built on it (MedNeXt, STU-Net): `fold_k/model_final_checkpoint.model` with its pickled plans
// beside it (`.model.pkl`). Read as data, never run; given on in the form of version 2.
import fs from 'node:fs';
import path from 'node:path';
import { FaultList, VoxelbookError } from '../base/errors.js';
import { shortJson } from '../base/json.js';
import type { StoredTensor } from '../base/safetensors.js';
import type { DatasetJson, Fold } from '../dataset/index.js';
import { type Plan, planFromJson, unetEntry } from '../plan/index.js';
import { openWeights } from '../weights/index.js';
import { readPickle } from '../weights/pickle.js';
import type { CheckpointAbout, FoldCheckpoint } from './modelFolder.js';
import { isNnunets } from './networks.js';
import { specOf } from './trainers.js';

const endings = ['model_final_checkpoint.model', 'model_best.model', 'model_latest.model'];
/** Largest pickled plans that are read, bytes; a thousand cases make about one megabyte. */
const mostBytes = 64e6;

/** The folds of a model of version 1; empty where a folder is none. */
export function version1Folds(folder: string, checkpoint = endings[0]): FoldCheckpoint[] {
  const name = endings.find((e) => e.startsWith(checkpoint)) ?? checkpoint;
  const folds: Fold[] = ['all', 0, 1, 2, 3, 4];
  return folds.flatMap((fold): FoldCheckpoint[] => {
    const file = path.join(folder, fold === 'all' ? 'all' : `fold_${fold}`, name);
    return fs.existsSync(file) && fs.existsSync(`${file}.pkl`) ? [{ fold, file }] : [];
  });
}

/** What a checkpoint of version 1 comes to in the form of version 2. */
export interface Version1Model {
  plan: Plan;
  dataset: DatasetJson;
  about: CheckpointAbout;
  tensors: Record<string, StoredTensor>;
}

/**
 * Reads one checkpoint.
 * @param name of the data set in version 2, `Dataset017_BTCV`
 * @throws VoxelbookError with every fault: Python objects that are no data, plans that lack something, a network that is not here
 */
export function readVersion1(file: string, name: string): Version1Model {
  const size = fs.statSync(`${file}.pkl`).size;
  if (size > mostBytes)
    throw new VoxelbookError(`${file}.pkl is not read`, {
      code: 'too-large',
      path: `${file}.pkl`,
      given: `${size} bytes`,
      expected: `pickled plans of at most ${mostBytes} bytes`,
      fix: 'Name the folder of a trained model.',
    });
  const { value } = readPickle(fs.readFileSync(`${file}.pkl`), `${file}.pkl`);
  const said = plain(value);
  const faults = new FaultList();
  const fix = 'Save the model again with the code that trained it.';
  const trainer = record(said).name;
  const plans = record(record(said).plans);
  if (typeof trainer !== 'string') faults.add('trainer', 'name', shortJson(trainer), 'the name of the trainer', fix);
  if (Object.keys(plans).length === 0)
    faults.add('plans', 'plans', shortJson(record(said).plans), 'the plans of nnU-Net v1', fix);
  faults.throwIfAny(`${file}.pkl cannot be used`);
  const init = Array.isArray(record(said).init) ? (record(said).init as unknown[]) : [];
  const converted = convertPlans(plans, name, init[5]);
  const about: CheckpointAbout = {
    trainer: trainer as string,
    configuration: converted.configuration,
    mirrorAxes: converted.plan.configurations[converted.configuration].patch_size.map((_, axis) => axis),
    average: 'probabilities',
  };
  const spec = specOf(about.trainer, converted.plan.configurations[converted.configuration]);
  if (!spec || isNnunets(spec.network))
    throw new VoxelbookError('this network is not here', {
      code: 'unknown-network',
      path: file,
      given: `the network of ${about.trainer}`,
      expected: 'a trainer of MedNeXt (nnUNetTrainerV2_MedNeXt_S_kernel3, …) or STU-Net (STUNetTrainer_base, …)',
      fix: 'nnU-Net v1’s own Generic_UNet has other weights than version 2’s; predict with nnU-Net v1, or train again with version 2.',
    });
  return { plan: converted.plan, dataset: converted.dataset, about, tensors: openWeights(file).tensors };
}

type Json = Record<string, unknown>;
const record = (v: unknown): Json => (typeof v === 'object' && v !== null && !Array.isArray(v) ? (v as Json) : {});

/** Most values of plans; a few hundred are usual. */
const mostValues = 200_000;

/** Maps as objects. What is shared is copied, so all copies together are bounded. */
function plain(root: unknown): unknown {
  let left = mostValues;
  const step = (value: unknown, depth: number): unknown => {
    if (left-- <= 0 || depth > 16)
      throw new VoxelbookError('these plans of nnU-Net v1 cannot be used', {
        code: 'too-large',
        path: 'plans',
        given: depth > 16 ? 'deeper nesting' : `more than ${mostValues} values`,
        expected: 'plans as nnU-Net v1 writes them',
        fix: 'Save the model again with the code that trained it.',
      });
    if (Array.isArray(value)) return value.map((v) => step(v, depth + 1));
    if (!(value instanceof Map)) return typeof value === 'bigint' ? Number(value) : value;
    // Lists over all cases are long and not needed.
    const entries = [...value].filter(([key]) => !overCases.includes(String(key)));
    return Object.fromEntries(entries.map(([k, v]) => [String(k), step(v, depth + 1)]));
  };
  return step(root, 0);
}

const overCases = [
  'list_of_npz_files',
  'all_sizes',
  'all_spacings',
  'original_sizes',
  'original_spacings',
  'size_reductions',
  'local_props',
];

const schemes: Record<string, string> = { CT: 'CTNormalization', nonCT: 'ZScoreNormalization', noNorm: 'NoNormalization' };

/** Plans of version 1 as those of version 2, which judge them; with the labels and channels they name. */
function convertPlans(plans: Json, name: string, stageGiven: unknown) {
  const faults = new FaultList();
  const fix = 'Save the model again with the code that trained it.';
  const need = <T>(key: string, value: unknown, fits: (v: unknown) => boolean, expected: string): T => {
    if (!fits(value)) faults.add('plans', key, shortJson(value), expected, fix);
    return value as T;
  };
  const stages = record(plans.plans_per_stage);
  const last = Object.keys(stages).length - 1;
  const stage = Number.isInteger(stageGiven) && String(stageGiven) in stages ? (stageGiven as number) : last;
  const s = record(stages[String(stage)]);
  const numbers = (v: unknown): v is number[] => Array.isArray(v) && v.length > 0 && v.every((n) => typeof n === 'number');
  const rows = (v: unknown): v is number[][] => Array.isArray(v) && v.length > 0 && v.every(numbers);
  const at = (key: string) => `plans_per_stage[${stage}].${key}`;
  const patch = need<number[]>(at('patch_size'), s.patch_size, numbers, 'voxels an axis');
  const spacing = need<number[]>(at('current_spacing'), s.current_spacing, numbers, 'mm an axis');
  const pools = need<number[][]>(at('pool_op_kernel_sizes'), s.pool_op_kernel_sizes, rows, 'a list an axis for each pooling');
  const kernels = need<number[][]>(at('conv_kernel_sizes'), s.conv_kernel_sizes, rows, 'a list an axis for each stage');
  const modalities = need<Json>(
    'modalities',
    plans.modalities,
    (v) => Object.keys(record(v)).length > 0,
    'the channels by number',
  );
  const count = Number(
    need(
      'num_classes',
      plans.num_classes,
      (v) => Number.isInteger(v) && (v as number) > 0 && (v as number) < 1000,
      'the number of labels',
    ),
  );
  const all = need<number[]>('all_classes', plans.all_classes, numbers, 'the labels');
  const scheme = record(plans.normalization_schemes);
  const channels = Object.keys(modalities).length;
  for (let c = 0; c < Math.min(channels, 64); c++)
    if (!Object.hasOwn(schemes, String(scheme[c])))
      faults.add('plans', `normalization_schemes[${c}]`, shortJson(scheme[c]), `one of ${Object.keys(schemes).join(', ')}`, fix);
  if (numbers(all) && all.length !== count)
    faults.add('plans', 'all_classes', `${all.length} labels`, `num_classes ${count}`, fix);
  faults.throwIfAny('these plans of nnU-Net v1 cannot be used');

  const dim = patch.length;
  const flat = dim === 2;
  const configuration = flat ? '2d' : stage === 0 && last > 0 ? '3d_lowres' : '3d_fullres';
  const order = plans.transpose_forward;
  const base = typeof plans.base_num_features === 'number' ? plans.base_num_features : 32;
  const most = flat ? 480 : 320;
  const indices = Array.from({ length: channels }, (_, c) => c);
  const mask = record(plans.use_mask_for_norm);
  const intensities = record(record(plans.dataset_properties).intensityproperties);
  const kwargs = (isSeg: boolean, degree: number) => ({ is_seg: isSeg, order: degree, order_z: 0, force_separate_z: null });
  const strides = [new Array(dim).fill(1), ...pools];
  const whole = (list: unknown, fallback: unknown) => (numbers(list) ? list.map((n) => Math.max(1, Math.round(n))) : fallback);
  const value = {
    dataset_name: name,
    plans_name: 'nnUNetPlansV1',
    original_median_spacing_after_transp: flat ? [1, ...spacing] : numbers(s.original_spacing) ? s.original_spacing : spacing,
    original_median_shape_after_transp: flat ? [1, ...patch] : whole(s.median_patient_size_in_voxels, patch),
    image_reader_writer: 'SimpleITKIO',
    transpose_forward: order,
    transpose_backward: plans.transpose_backward,
    configurations: {
      [configuration]: {
        data_identifier: `nnUNetPlansV1_${configuration}`,
        preprocessor_name: 'DefaultPreprocessor',
        batch_size: s.batch_size,
        patch_size: patch,
        median_image_size_in_voxels: flat ? patch : whole(s.median_patient_size_in_voxels, patch),
        spacing: flat ? spacing.slice(-2) : spacing,
        normalization_schemes: indices.map((c) => schemes[String(scheme[c])]),
        use_mask_for_norm: indices.map((c) => mask[c] === true),
        resampling_fn_data: 'resample_data_or_seg_to_shape',
        resampling_fn_seg: 'resample_data_or_seg_to_shape',
        resampling_fn_data_kwargs: kwargs(false, 3),
        resampling_fn_seg_kwargs: kwargs(true, 1),
        resampling_fn_probabilities: 'resample_data_or_seg_to_shape',
        resampling_fn_probabilities_kwargs: kwargs(false, 1),
        architecture: unetEntry({
          name: 'PlainConvUNet',
          dim,
          stages: strides.length,
          base,
          most,
          kernels,
          strides,
          blocks: { n_conv_per_stage: strides.map(() => 2), n_conv_per_stage_decoder: pools.map(() => 2) },
        }),
        batch_dice: false,
      },
    },
    experiment_planner_used: 'nnU-Net v1',
    label_manager: 'LabelManager',
    foreground_intensity_properties_per_channel: Object.fromEntries(
      indices.map((c) => [c, statisticsOf(record(intensities[c]))]),
    ),
  };
  const dataset: DatasetJson = {
    channel_names: Object.fromEntries(indices.map((c) => [c, String(modalities[c])])),
    labels: { background: 0, ...Object.fromEntries(all.map((label) => [`label ${label}`, label])) },
    numTraining: 0,
    file_ending: '.nii.gz',
  };
  return { plan: planFromJson(value), dataset, configuration };
}

/** Names of version 1; a channel without statistics is not CT, and none of them act. */
const statisticsOf = (p: Json) => ({
  max: p.mx ?? 0,
  mean: p.mean ?? 0,
  median: p.median ?? 0,
  min: p.mn ?? 0,
  percentile_00_5: p.percentile_00_5 ?? 0,
  percentile_99_5: p.percentile_99_5 ?? 0,
  std: p.sd ?? 1,
});
