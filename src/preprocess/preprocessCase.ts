// One case from its files to what the network sees (nnU-Net v2 `DefaultPreprocessor.run_case`):
// transpose, crop to non-zero, normalise, resample, class locations.
import { VoxelbookError } from '../base/errors.js';
import { roundHalfEven } from '../base/numpy/round.js';
import type { Labels, LoadedCase } from '../dataset/index.js';
import { configuration, normalize, type Resampling, resamplingOf } from '../plan/index.js';
import type { Configuration, Plan } from '../plan/plan.js';
import { type Box, cropToNonzero, resample, separateAxis, transposeAxes, type Volume } from '../volume/index.js';
import { classLocations, locationEntries } from './classLocations.js';

type Shape = [number, number, number];

/** What is remembered of a case to bring a prediction back, under nnU-Net's names. */
export interface CaseProperties {
  /** Of the file, mm, in the file's order of axes. */
  spacing: number[];
  originMm: Volume['originMm'];
  direction: Volume['direction'];
  /** Shapes and box in the plan's order of axes. */
  shape_before_cropping: number[];
  bbox_used_for_cropping: Box;
  shape_after_cropping_and_before_resampling: number[];
}

/** A case as the network sees it: cropped, normalised, resampled. */
export interface PreprocessedCase {
  /** Float32 `[depth, height, width, channel]`, the plan's order of axes. */
  data: Float32Array;
  /** Labels `[depth, height, width]`; −1 outside the non-zero mask. Without a label file 0 inside. */
  seg: Int16Array;
  shape: Shape;
  channels: number;
  /** (z, y, x) triples by `locationKey`; empty without a label file. */
  classLocations: Map<string, Int32Array>;
  properties: CaseProperties;
}

/**
 * Preprocesses a case for one configuration.
 * @param loaded channels and label as read; the arrays may be taken over and changed
 * @param labels what to keep locations of; without, or without a label, none are drawn
 * @param stage told what is being done
 */
export function preprocessCase(
  loaded: LoadedCase,
  plan: Plan,
  configurationName: string,
  labels?: Labels,
  stage: (name: string) => void = () => {},
): PreprocessedCase {
  const config = configuration(plan, configurationName);
  const { image, label } = loaded;
  const order = plan.transpose_forward;
  const before = order.map((axis) => image.shape[axis]) as Shape;
  const spacing = order.map((axis) => image.spacingMm[axis]);
  stage('crop');
  const cropped = cropToNonzero(
    transposeAxes(image.data, image.shape, image.channels, order),
    before,
    image.channels,
    label && transposeAxes(label.data, image.shape, 1, order),
  );
  const properties: CaseProperties = {
    spacing: [...image.spacingMm],
    originMm: image.originMm,
    direction: image.direction,
    shape_before_cropping: before,
    bbox_used_for_cropping: cropped.box,
    shape_after_cropping_and_before_resampling: cropped.shape,
  };
  const target = targetSpacing(spacing, config);
  const shape = preprocessedShape(properties, plan, configurationName);
  if (shape.some((n) => n < 1))
    throw new VoxelbookError(`case ${loaded.id} would shrink to nothing`, {
      code: 'vanishing-case',
      path: loaded.id,
      given: `${cropped.shape.join('×')} voxels of ${spacing.join('×')} mm become ${shape.join('×')} at the spacing of ${configurationName}`,
      expected: 'at least one voxel along every axis',
      fix: 'The voxel size in its header is probably wrong; correct it, or leave the case out.',
    });
  stage('normalise and resample');
  const data = channelsTo(cropped, before, image.channels, shape, spacing, target, plan, config);
  stage('resample labels');
  const seg = resample({ data: cropped.seg, shape: cropped.shape }, shape, {
    kind: 'labels',
    ...rule(resamplingOf(config, 'seg'), spacing, target),
  });
  stage('class locations');
  const locations = label && labels ? classLocations(seg, shape, locationEntries(labels)) : new Map<string, Int32Array>();
  return { data, seg, shape, channels: image.channels, classLocations: locations, properties };
}

/** Shape that preprocessing for a configuration gives a case, `[depth, height, width]`. */
export function preprocessedShape(
  { spacing: file, shape_after_cropping_and_before_resampling: cropped }: CaseProperties,
  plan: Plan,
  configurationName: string,
): Shape {
  const spacing = plan.transpose_forward.map((axis) => file[axis]);
  const config = configuration(plan, configurationName);
  if (resamplingOf(config, 'data').function === 'no_resampling_hack') return [...cropped] as Shape;
  const target = targetSpacing(spacing, config);
  return cropped.map((n, i) => roundHalfEven((spacing[i] / target[i]) * n)) as Shape;
}

/** A 2-D configuration leaves the distance of slices as it is. */
const targetSpacing = (spacing: readonly number[], config: Configuration) =>
  config.spacing.length === 3 ? config.spacing : [spacing[0], ...config.spacing];

/** Every channel normalised on the original grid, then resampled. */
function channelsTo(
  { image, seg, shape: from }: { image: Float32Array; seg: Int16Array; shape: Shape },
  shapeBeforeCropping: Shape,
  channels: number,
  shape: Shape,
  spacing: number[],
  target: number[],
  plan: Plan,
  config: Configuration,
): Float32Array {
  const how = { kind: 'values' as const, ...rule(resamplingOf(config, 'data'), spacing, target) };
  const voxels = from[0] * from[1] * from[2];
  const size = shape[0] * shape[1] * shape[2];
  const out = channels > 1 ? new Float32Array(size * channels) : undefined;
  const channel = channels > 1 ? new Float32Array(voxels) : image;
  for (let c = 0; c < channels; c++) {
    if (channels > 1) for (let v = 0; v < voxels; v++) channel[v] = image[v * channels + c];
    normalize(channel, config.normalization_schemes[c], {
      statistics: plan.foreground_intensity_properties_per_channel[String(c)],
      useMask: config.use_mask_for_norm[c],
      seg,
      fileOrder: { order: plan.transpose_forward, shape: from, shapeBeforeCropping },
    });
    const resampled = resample({ data: channel, shape: from }, shape, how);
    if (!out) return resampled;
    for (let v = 0; v < size; v++) out[v * channels + c] = resampled[v];
  }
  return out!;
}

/** Order and separate axis of a configuration's resampling. */
const rule = ({ order, orderZ, forceSeparateZ, labels }: Resampling, spacing: number[], target: number[]) => ({
  order,
  orderZ,
  labels,
  axis: separateAxis(spacing, target, forceSeparateZ),
});
