// From a fingerprint to a plan: nnU-Net v2's ExperimentPlanner and its ResEnc variants, in float64 and in their order of operations.

import { FaultList, VoxelbookError } from '../base/errors.js';
import { roundHalfEven } from '../base/numpy/round.js';
import { definitions, lookup, register, registered } from '../base/registry.js';
import { faultsOf, object, withDefaults } from '../base/schema.js';
import { product } from '../base/shape.js';
import type { Dataset, DatasetJson } from '../dataset/dataset.js';
import { readerNames } from '../dataset/reader.js';
import { architecture } from './architecture.js';
import { featureMapEstimate } from './featureMapEstimate.js';
import { normalisationNamed, normalizationOf } from './normalisations.js';
import { argmax, argmaxLast, columns, median, percentile } from './numbers.js';
import { override } from './override.js';
import type { Configuration, Fingerprint, Plan } from './plan.js';
import { planFaults } from './planJson.js';
import { type Planable, type PlanOptions, plannerEntry, plansNameBy } from './plannerDefinition.js';
import { type PlannerSettings, planners } from './planners.js';
import { displayPlan } from './show.js';
import { topology } from './topology.js';

const anisotropyThreshold = 3;
const lowresThreshold = 0.25;
const spacingStep = 1.03;
const minBatchSize = 2;
const referenceBatch = { 2: 12, 3: 2 };

/**
 * Plans a data set: target spacing, patch, pooling, batch size for 2d, 3d_fullres, 3d_lowres and the cascade.
 * @param dataset opened data set, or its name with `dataset.json`
 * @returns nnU-Net's `plans.json`, key for key; plain JSON
 * @throws VoxelbookError for overrides that no network can have, with the nearest legal values; naming cases of which nothing would be left
 * at the planned spacing, and for anything else that would give a configuration which cannot exist
 */
export function plan(dataset: Planable, fingerprint: Fingerprint, options: PlanOptions = {}): Plan {
  checkInput(fingerprint, options);
  const { planner, overrides = {}, existing, ...own } = options;
  const { kind, settings } = plannerEntry(planner);
  const definition = lookup('planners', kind, 'planner');
  const plansName = own.plansName ?? plansNameBy(planner);
  const planned = definition.plan(dataset, fingerprint, { ...own, plansName }, withDefaults(definition.settings, settings));
  const result = { ...planned, configurations: { ...planned?.configurations } };
  for (const [name, kept] of Object.entries(existing?.configurations ?? {}))
    if (!standard.includes(name)) result.configurations[name] ??= kept;
  // A data set known by its description alone has no intensities yet.
  const intensities = 'foreground_intensity_properties_per_channel';
  const described = Object.keys(fingerprint[intensities]).length === 0;
  const impossible = planFaults(JSON.parse(JSON.stringify(result))).filter(
    ({ path }) => !described || !path.startsWith(intensities),
  );
  if (impossible.length > 0) throw new VoxelbookError(`${dataset.name} cannot be planned`, impossible);
  return displayPlan(Object.entries(overrides).reduce((p, [name, changes]) => override(p, name, changes), result));
}

for (const settings of Object.values(planners))
  register('planners', {
    name: settings.name,
    settings: object({}),
    plansName: settings.plansName,
    plan: (dataset, fingerprint, options) => nnunetPlan(settings, dataset, fingerprint, options),
  });

const standard = ['2d', '3d_lowres', '3d_fullres', '3d_cascade_fullres'];

/** A plan by the rules of nnU-Net's planners. */
function nnunetPlan(
  settings: PlannerSettings,
  dataset: Planable,
  fingerprint: Fingerprint,
  { plansName, ...options }: PlanOptions & { plansName: string },
): Plan {
  const { json } = dataset;
  const target = options.targetSpacing ? [...options.targetSpacing] : targetSpacing(fingerprint);
  const shapes = fingerprint.shapes_after_crop.map((shape, i) =>
    shape.map((n, a) => roundHalfEven((fingerprint.spacings[i][a] / target[a]) * n)),
  );
  checkShapes(dataset.cases, fingerprint, shapes, target);
  const forward = options.suppressTranspose ? target.map((_, i) => i) : transposeOf(target);
  const backward = forward.map((_, i) => forward.indexOf(i));
  const transposed = (list: readonly number[]) => forward.map((i) => list[i]);
  const spacing = transposed(target);
  const medianShape = transposed(columns(shapes).map(median));
  const voxels = product(medianShape) * json.numTraining;

  const sizes = sizeRule(settings, options.gpuMemoryGb ?? settings.gpuGb, Object.keys(json.labels).length);
  const common = commonEntries(json, fingerprint);
  const make = (mm: number[], shape: number[], approxVoxels: number, name: string, batchDice: boolean): Configuration => {
    const { patch, batch, network } = sizes(mm, shape, approxVoxels, options.patchSizes?.[name]);
    return {
      data_identifier: identifier(plansName, settings, name),
      preprocessor_name: 'DefaultPreprocessor',
      batch_size: batch,
      patch_size: patch,
      median_image_size_in_voxels: shape,
      spacing: mm,
      ...structuredClone(common),
      architecture: network,
      batch_dice: batchDice,
    };
  };

  const configurations: Plan['configurations'] = {};
  const planned: Plan['configurations'] = {};
  planned['2d'] = make(spacing.slice(1), medianShape.slice(1), voxels, '2d', true);
  if (medianShape[0] !== 1) {
    const fullres = make(spacing, medianShape, voxels, '3d_fullres', false);
    const lowres = lowresOf(fullres, medianShape, json.numTraining, (mm, shape, n) => make(mm, shape, n, '3d_lowres', false));
    if (lowres) {
      planned['3d_lowres'] = { ...lowres, next_stage: '3d_cascade_fullres' };
      planned['3d_fullres'] = { ...fullres, batch_dice: true };
      planned['3d_cascade_fullres'] = { inherits_from: '3d_fullres', previous_stage: '3d_lowres' } as Configuration;
    } else planned['3d_fullres'] = fullres;
  }
  for (const name of standard) if (planned[name]) configurations[name] = planned[name];

  return {
    dataset_name: dataset.name,
    plans_name: plansName,
    original_median_spacing_after_transp: transposed(columns(fingerprint.spacings).map(median)),
    original_median_shape_after_transp: transposed(columns(fingerprint.shapes_after_crop).map(median)).map(roundHalfEven),
    image_reader_writer: readerNameOf(json, fingerprint),
    transpose_forward: forward,
    transpose_backward: backward,
    configurations,
    experiment_planner_used: settings.name,
    label_manager: 'LabelManager',
    foreground_intensity_properties_per_channel: structuredClone(fingerprint.foreground_intensity_properties_per_channel),
  };
}

function checkInput({ spacings, shapes_after_crop: shapes }: Fingerprint, options: PlanOptions): void {
  const faults = new FaultList();
  const { planner, gpuMemoryGb: gb, targetSpacing: target } = options;
  const { kind, settings } = plannerEntry(planner);
  const known = definitions('planners').find(({ name }) => name === kind);
  if (!known) faults.add('planner', 'planner', String(kind), `one of ${registered('planners').join(', ')}`, 'Check the name.');
  else faults.faults.push(...faultsOf(known.settings, settings, 'planner.'));
  if (gb !== undefined && !(gb > 0 && Number.isFinite(gb)))
    faults.add('gpu-memory', 'gpuMemoryGb', String(gb), 'a number above 0', 'Give the memory of the GPU in GB.');
  const positive = (list: unknown) => Array.isArray(list) && list.length === 3 && list.every((n) => n > 0 && Number.isFinite(n));
  if (target !== undefined && !positive(target))
    faults.add(
      'target-spacing',
      'targetSpacing',
      JSON.stringify(target),
      'three voxel sizes above 0 mm',
      "In the order of the file's axes.",
    );
  if (
    !(
      Array.isArray(spacings) &&
      Array.isArray(shapes) &&
      spacings.length > 0 &&
      spacings.length === shapes.length &&
      spacings.every(positive) &&
      shapes.every(positive)
    )
  )
    faults.add(
      'fingerprint',
      'fingerprint',
      'spacings and shapes_after_crop that are missing or wrong',
      'three numbers above 0 for every case',
      'Make it with plan.fingerprint.',
    );
  faults.throwIfAny('this data set cannot be planned');
}

/** Median spacing; the coarse axis of anisotropic data gets its 10th percentile, but stays coarser than the others. */
function targetSpacing({ spacings, shapes_after_crop }: Fingerprint): number[] {
  const target = columns(spacings).map((values) => percentile(values, 50));
  const size = columns(shapes_after_crop).map((values) => percentile(values, 50));
  const worst = argmax(target);
  const others = target.map((_, i) => i).filter((i) => i !== worst);
  const coarsestOther = Math.max(...others.map((i) => target[i]));
  const anisotropicSpacing = target[worst] > anisotropyThreshold * coarsestOther;
  const anisotropicSize = size[worst] * anisotropyThreshold < Math.min(...others.map((i) => size[i]));
  if (anisotropicSpacing && anisotropicSize) {
    let fine = percentile(columns(spacings)[worst], 10);
    if (fine < coarsestOther) fine = Math.max(coarsestOther, fine) + 1e-5;
    target[worst] = fine;
  }
  return target;
}

/** The coarsest axis first. */
function transposeOf(target: number[]): number[] {
  const first = argmax(target);
  return [first, ...target.map((_, i) => i).filter((i) => i !== first)];
}

/** Patch, batch size and network for a spacing and a median shape, shrunk until the feature maps fit; or for a given patch. */
function sizeRule(settings: PlannerSettings, gpuGb: number, outputs: number) {
  return (mm: readonly number[], shape: readonly number[], approxVoxels: number, given?: readonly number[]) => {
    const dim = mm.length as 2 | 3;
    const inverse = mm.map((s) => 1 / s);
    const scale = dim === 3 ? (256 ** 3 / product(inverse)) ** (1 / 3) : (2048 ** 2 / product(inverse)) ** (1 / 2);
    const first = inverse.map((t, i) => Math.min(roundHalfEven(t * scale), shape[i]));
    let shaped = topology(mm, given ?? first);
    const estimateOf = () => featureMapEstimate(architecture(settings.network, shaped), shaped.patch, outputs);
    let estimate = estimateOf();
    const reference = settings.reference[dim] * (gpuGb / settings.gpuGb);
    const perSample = referenceBatch[dim];
    const tooBig = () => (settings.network === 'plain' ? (estimate / perSample) * 2 > reference : estimate > reference);
    while (!given && tooBig()) {
      const patch = [...shaped.patch];
      const axis = argmaxLast(patch.map((p, i) => p / shape[i]));
      if (patch[axis] <= shaped.divisor[axis])
        throw new VoxelbookError('no patch fits', {
          code: 'gpu-memory',
          path: 'gpuMemoryGb',
          given: `${gpuGb} GB`,
          expected: `room for a patch above ${patch.join('×')} voxels`,
          fix: 'Give more memory.',
        });
      const trial = [...patch];
      trial[axis] -= shaped.divisor[axis];
      patch[axis] -= topology(mm, trial).divisor[axis];
      shaped = topology(mm, patch);
      estimate = estimateOf();
    }
    const batch = roundHalfEven((reference / estimate) * perSample);
    const cap = roundHalfEven((approxVoxels * settings.coverage) / product(shaped.patch));
    return {
      patch: shaped.patch,
      batch: Math.max(Math.min(batch, cap), minBatchSize),
      network: architecture(settings.network, shaped),
    };
  };
}

/** The low resolution, if a full-resolution patch sees less than a quarter of the median image; null when it would hardly be lower. */
function lowresOf(
  fullres: Configuration,
  medianShape: number[],
  numTraining: number,
  make: (mm: number[], shape: number[], approxVoxels: number) => Configuration,
): Configuration | null {
  let spacing = [...fullres.spacing];
  let patchVoxels = product(fullres.patch_size);
  let voxels = product(medianShape);
  let lowres: Configuration | null = null;
  while (patchVoxels / voxels < lowresThreshold) {
    const coarsest = Math.max(...spacing);
    if (!(coarsest < 1e9 && voxels >= 1)) return null;
    const lagging = spacing.map((s) => coarsest / s > 2);
    spacing = spacing.map((s, i) => (lagging.some(Boolean) && !lagging[i] ? s : s * spacingStep));
    const shape = fullres.spacing.map((s, i) => (s / spacing[i]) * medianShape[i]);
    voxels = product(shape);
    lowres = make(spacing, shape.map(roundHalfEven), voxels * numTraining);
    patchVoxels = product(lowres.patch_size);
  }
  return lowres && product(medianShape) / voxels < 2 ? null : lowres;
}

/** Normalisation and resampling, the same in every configuration. */
function commonEntries(json: DatasetJson, fingerprint: Fingerprint) {
  const schemes = Object.values(json.channel_names).map(normalizationOf);
  const cropped = fingerprint.median_relative_size_after_cropping < 3 / 4;
  const kwargs = (isSeg: boolean, order: number) => ({ is_seg: isSeg, order, order_z: 0, force_separate_z: null });
  return {
    normalization_schemes: schemes,
    use_mask_for_norm: schemes.map((scheme) => cropped && (normalisationNamed(scheme).usesMask ?? false)),
    resampling_fn_data: 'resample_data_or_seg_to_shape',
    resampling_fn_seg: 'resample_data_or_seg_to_shape',
    resampling_fn_data_kwargs: kwargs(false, 3),
    resampling_fn_seg_kwargs: kwargs(true, 1),
    resampling_fn_probabilities: 'resample_data_or_seg_to_shape',
    resampling_fn_probabilities_kwargs: kwargs(false, 1),
  };
}

/** ResEnc planners share the prepared data of 2d and 3d_fullres with the default planner. */
function identifier(plansName: string, settings: PlannerSettings, name: string): string {
  const shared = settings.network === 'residual' && (name === '2d' || name === '3d_fullres');
  return `${shared ? 'nnUNetPlans' : plansName}_${name}`;
}

/**
 * nnU-Net's reader: the one `dataset.json` names, if nnU-Net has it, else the first that reads the files. A `.tif` of several pages is none
 * of NaturalImage2DIO's.
 */
function readerNameOf(json: DatasetJson, { shapes_after_crop: shapes }: Fingerprint): string {
  const wanted = json.overwrite_image_reader_writer;
  if (wanted && readerNames.includes(wanted)) return wanted;
  const ending = json.file_ending.toLowerCase();
  if (ending === '.tiff' || (ending === '.tif' && shapes.some(([depth]) => depth > 1))) return 'Tiff3DIO';
  if (['.png', '.bmp', '.tif'].includes(ending)) return 'NaturalImage2DIO';
  return ending === '.nii' ? 'NibabelIO' : 'SimpleITKIO';
}

/** Every case must have voxels left at the target spacing. */
function checkShapes(cases: Dataset['cases'] | undefined, fingerprint: Fingerprint, shapes: number[][], target: number[]): void {
  const faults = new FaultList();
  const mm = (list: readonly number[]) => `${list.map((v) => +v.toPrecision(4)).join('×')} mm`;
  for (const [i, shape] of shapes.entries())
    if (shape.some((n) => n < 1))
      faults.add(
        'vanishing-case',
        cases?.[i]?.id ?? `case ${i}`,
        `${fingerprint.shapes_after_crop[i].join('×')} voxels of ${mm(fingerprint.spacings[i])} become ${shape.join('×')} of ${mm(target)}`,
        'at least one voxel along every axis',
        'The voxel size in its header is probably wrong; correct it, or leave the case out.',
      );
  faults.throwIfAny('cases would shrink to nothing at the planned spacing');
}
