// Scores of one prediction against its reference, class by class.
import { VoxelbookError } from '../base/errors.js';
import type { ClassScore } from '../train/experiment.js';
import { identityDirection, type LabelMap } from '../volume/volume.js';
import { type Definition, type DefinitionName, definitions } from './definitions.js';
import { type Census, census, cut, type Labels, type MaskPair, type Shape3 } from './masks.js';
import {
  assd,
  boundaryDistances,
  directedMeanNsd,
  hausdorff,
  hausdorffByArea,
  hausdorffPooled,
  masd,
  nsd,
  type Surfaces,
  surfelDistances,
} from './surface.js';

/** The built-in metrics, in the order of tables. */
export const metricNames = [
  'dsc',
  'iou',
  'sensitivity',
  'specificity',
  'precision',
  'nsd',
  'hd95',
  'hd',
  'assd',
  'masd',
  'worstDistanceMm',
  'volumeReferenceMm3',
  'volumePredictionMm3',
  'volumeDifferenceMm3',
  'tp',
  'fp',
  'fn',
  'tn',
] as const;
/** Name of a built-in metric. */
export type MetricName = (typeof metricNames)[number];

/** What a report needs: scores, what a missed structure costs in mm, and volumes. */
export const defaultMetrics: readonly MetricName[] = [
  'dsc',
  'nsd',
  'hd95',
  'worstDistanceMm',
  'volumeReferenceMm3',
  'volumePredictionMm3',
];

/** Which classes are scored, and by whose rules. */
export interface ScoreOptions {
  /** Class name → its labels; a region (WT of ET, NCR and ED) has several. */
  regions?: Record<string, readonly number[]>;
  /** The same under the name of plain classes. */
  classes?: Record<string, number | readonly number[]>;
  /** Voxel size along `[depth, height, width]`; default the reference's own. */
  spacingMm?: readonly [number, number, number];
  /** Tolerance of NSD, for all classes or by name; default 1 mm. */
  nsdToleranceMm?: number | Record<string, number>;
  /** Default `defaultMetrics`. */
  metrics?: readonly MetricName[];
  /** Whose NSD and HD95, and what empty masks score. */
  definition?: DefinitionName | Definition;
  /** A map of depth 1: `contour` (default) = a picture with outlines, `volume` = one slice whose top and bottom are surface. */
  oneSlice?: 'contour' | 'volume';
  /** Classes scored only between the first and the last slice of the reference, the last left out (U-Mamba's aorta, IVC, oesophagus). */
  betweenReferenceSlices?: { classes: readonly string[]; axis?: 0 | 1 | 2 };
  /** Label of voxels that count nowhere. */
  ignoreLabel?: number;
}

/**
 * Scores each class of a prediction.
 *
 * Definitions: `definitions` (default: area-weighted NSD, HD95 = max of the directed 95th percentiles of boundary voxels). Empty
 * masks are not hidden: `state` tells `both-empty` (NaN), `missed` and `false-alarm` (0 and +Infinity mm) apart from `ok`.
 * @param reference label map `[depth, height, width]`; depth 1 is scored as a picture
 * @returns metrics by class name; lengths in mm, volumes in mm³
 * @throws VoxelbookError when shapes differ, or classes, metrics or tolerances make no sense
 */
export function volume(reference: LabelMap, prediction: LabelMap, options: ScoreOptions): Record<string, ClassScore> {
  const request = check(reference, prediction, options);
  const cropped = options.betweenReferenceSlices;
  return Object.fromEntries(
    Object.keys(request.regions).map((name) => [
      name,
      cropped?.classes.includes(name) ? scoreBetween(reference, prediction, request, name, options) : scoreClass(request, name),
    ]),
  );
}

/** Scores two masks as class `mask`: all metrics under a definition. */
export function scoreMasks(
  reference: Uint8Array,
  prediction: Uint8Array,
  shape: Shape3,
  spacingMm: readonly [number, number, number],
  definition: DefinitionName | Definition = 'default',
): ClassScore {
  const map = (data: Uint8Array): LabelMap => ({
    data,
    shape: [...shape],
    channels: 1,
    spacingMm: [...spacingMm],
    originMm: [0, 0, 0],
    direction: [...identityDirection],
  });
  const metrics = ['dsc', 'hd95', 'sensitivity', 'specificity', 'tp', 'fp', 'fn'] as const;
  return volume(map(reference), map(prediction), { classes: { mask: 1 }, definition, spacingMm, metrics, oneSlice: 'volume' })
    .mask;
}

/** A checked question: plain data, so that a worker can answer a part of it. */
export interface Request {
  reference: Labels;
  prediction: Labels;
  shape: Shape3;
  spacingMm: readonly [number, number, number];
  regions: Record<string, readonly number[]>;
  toleranceMm: Record<string, number>;
  metrics: readonly MetricName[];
  definition: Definition;
  census: Census;
  planar: boolean;
}

/** Reads the options into exact types; every fault at once. */
export function check(reference: LabelMap, prediction: LabelMap, options: ScoreOptions): Request {
  const faults: [string, string, string, string, string][] = [];
  if (reference.shape.join() !== prediction.shape.join())
    faults.push([
      'shape',
      'prediction.shape',
      `[${prediction.shape}]`,
      `the reference's [${reference.shape}]`,
      'Resample the prediction to the grid of the reference.',
    ]);
  const definition: Definition =
    typeof options.definition === 'object' ? options.definition : definitions[options.definition ?? 'default'];
  if (!definition)
    faults.push([
      'definition',
      'definition',
      JSON.stringify(options.definition),
      Object.keys(definitions).join(', '),
      'Choose one of these names, or pass a definition of your own.',
    ]);
  const given = Object.entries({ ...options.classes, ...options.regions });
  if (given.length === 0)
    faults.push(['classes', 'classes', 'no class', 'at least one name with its labels', 'Pass { classes: { lesion: [1] } }.']);
  const regions: Record<string, readonly number[]> = {};
  for (const [name, labels] of given) {
    const list = [labels].flat();
    if (list.length === 0 || !list.every((l) => Number.isInteger(l) && l >= 0 && l < 65536))
      faults.push(['labels', `classes.${name}`, JSON.stringify(labels), 'whole numbers from 0 to 65535', 'List its labels.']);
    regions[name] = list;
  }
  const metrics = options.metrics ?? defaultMetrics;
  for (const metric of metrics)
    if (!metricNames.includes(metric))
      faults.push(['metric', 'metrics', JSON.stringify(metric), metricNames.join(', '), 'Choose among these.']);
  const spacingMm = definition?.spacingMm ?? options.spacingMm ?? reference.spacingMm;
  if (spacingMm.length !== 3 || !spacingMm.every((s) => Number.isFinite(s) && s > 0))
    faults.push(['spacing', 'spacingMm', `[${spacingMm}]`, 'three positive numbers (mm)', 'Give the voxel size.']);
  const toleranceMm: Record<string, number> = {};
  for (const name of Object.keys(regions)) {
    const wanted = options.nsdToleranceMm ?? definition?.toleranceMm ?? 1;
    const tolerance = typeof wanted === 'number' ? wanted : wanted[name];
    if (!(tolerance >= 0))
      faults.push([
        'tolerance',
        `nsdToleranceMm.${name}`,
        String(tolerance),
        'a length of at least 0 mm',
        'Give one for each class.',
      ]);
    toleranceMm[name] = tolerance;
  }
  if (faults.length > 0)
    throw new VoxelbookError(
      'this prediction cannot be scored',
      faults.map(([code, path, given, expected, fix]) => ({ code, path, given, expected, fix })),
    );
  const [a, b] =
    options.ignoreLabel === undefined
      ? [reference.data, prediction.data]
      : without(reference.data, prediction.data, options.ignoreLabel);
  const planar = reference.shape[0] === 1 && !definition?.pictureAsVolume && options.oneSlice !== 'volume';
  const counted = census(a, b, reference.shape);
  if (options.ignoreLabel !== undefined) {
    const ignored = countOf(reference.data, options.ignoreLabel);
    counted.voxels -= ignored;
  }
  return {
    reference: a,
    prediction: b,
    shape: reference.shape,
    spacingMm: planar ? [1, spacingMm[1], spacingMm[2]] : spacingMm,
    regions,
    toleranceMm,
    metrics,
    definition,
    census: counted,
    planar,
  };
}

function countOf(data: Labels, label: number): number {
  let n = 0;
  for (let i = 0; i < data.length; i++) if (data[i] === label) n++;
  return n;
}

/** Copies with ignored voxels as background in both maps. */
function without(reference: Labels, prediction: Labels, ignore: number): [Labels, Labels] {
  const [a, b] = [reference.slice(), prediction.slice()];
  for (let i = 0; i < a.length; i++) if (a[i] === ignore) a[i] = b[i] = 0;
  return [a, b];
}

/** Scores a class in the slices `first … last - 1` of its reference. */
export function scoreBetween(
  reference: LabelMap,
  prediction: LabelMap,
  request: Request,
  name: string,
  options: ScoreOptions,
): ClassScore {
  const axis = options.betweenReferenceSlices?.axis ?? 0;
  const wanted = new Set(request.regions[name]);
  const [, height, width] = reference.shape;
  let [first, last] = [Number.POSITIVE_INFINITY, -1];
  for (let i = 0; i < reference.data.length; i++) {
    if (!wanted.has(reference.data[i])) continue;
    const slice = axis === 0 ? Math.floor(i / (height * width)) : axis === 1 ? Math.floor(i / width) % height : i % width;
    first = Math.min(first, slice);
    last = Math.max(last, slice);
  }
  if (last < 0) return scoreClass(request, name);
  const slab = (map: LabelMap): LabelMap => {
    const shape = map.shape.map((n, k) => (k === axis ? last - first : n)) as [number, number, number];
    const start = [0, 0, 0];
    start[axis] = first;
    const data = new Uint16Array(shape[0] * shape[1] * shape[2]);
    for (let z = 0, i = 0; z < shape[0]; z++)
      for (let y = 0; y < shape[1]; y++)
        for (let x = 0; x < shape[2]; x++, i++)
          data[i] = map.data[((z + start[0]) * height + y + start[1]) * width + x + start[2]];
    return { ...map, data, shape };
  };
  const empty = [Number.NaN, Number.NaN, Number.NaN] as const;
  return volume(slab(reference), slab(prediction), {
    classes: { [name]: request.regions[name] },
    nsdToleranceMm: { [name]: request.toleranceMm[name] },
    metrics: request.metrics,
    spacingMm: request.spacingMm,
    definition: { ...request.definition, bothEmpty: empty },
    oneSlice: 'volume',
  })[name];
}

/** Scores one class of a checked request. */
export function scoreClass(request: Request, name: string): ClassScore {
  const { reference, prediction, shape, spacingMm, definition, metrics } = request;
  const pair = cut(reference, prediction, shape, request.regions[name], request.census);
  const { tp, fp, fn, tn } = pair;
  const state = tp + fp + fn === 0 ? 'both-empty' : tp + fn === 0 ? 'false-alarm' : tp + fp === 0 ? 'missed' : 'ok';
  const voxelMm3 = spacingMm[0] * spacingMm[1] * spacingMm[2];
  const values: Record<MetricName, () => number> = {
    dsc: () => round((2 * tp) / (2 * tp + fp + fn + (definition.dscEpsilon ?? 0)), definition.digits),
    iou: () => tp / (tp + fp + fn),
    sensitivity: () => tp / (tp + fn),
    specificity: () => tn / (tn + fp),
    precision: () => tp / (tp + fp),
    nsd: () => Number.NaN,
    hd95: () => Number.NaN,
    hd: () => Number.NaN,
    assd: () => Number.NaN,
    masd: () => Number.NaN,
    worstDistanceMm: () => Math.hypot(...shape.map((n, axis) => (request.planar && axis === 0 ? 0 : n * spacingMm[axis]))),
    volumeReferenceMm3: () => (tp + fn) * voxelMm3,
    volumePredictionMm3: () => (tp + fp) * voxelMm3,
    volumeDifferenceMm3: () => (fp - fn) * voxelMm3,
    tp: () => tp,
    fp: () => fp,
    fn: () => fn,
    tn: () => tn,
  };
  if (state === 'ok' && pair.bits) {
    const whole = { ...pair, planar: request.planar };
    Object.assign(values, surfaceMetrics(whole, spacingMm, definition, request.toleranceMm[name]));
  } else if (state !== 'ok') {
    const [dsc, nsdValue, hd95] =
      definition[({ 'both-empty': 'bothEmpty', 'false-alarm': 'falseAlarm', missed: 'missed' } as const)[state]];
    const far = () => (state === 'both-empty' ? Number.NaN : Number.POSITIVE_INFINITY);
    Object.assign(values, { dsc: () => dsc, nsd: () => nsdValue, hd95: () => hd95, hd: () => hd95, assd: far, masd: far });
  }
  const score = { state } as ClassScore;
  for (const metric of metrics) score[metric] = values[metric]();
  return score;
}

/** Each distance field is made when the first metric asks for it. */
function surfaceMetrics(pair: MaskPair, spacingMm: readonly number[], definition: Definition, toleranceMm: number) {
  let bySurfel: Surfaces | undefined;
  let byVoxel: Surfaces | undefined;
  const surfelsOf = () => {
    bySurfel ??= surfelDistances(pair, spacingMm);
    return bySurfel;
  };
  const voxelsOf = () => {
    byVoxel ??= boundaryDistances(pair, spacingMm);
    return byVoxel;
  };
  const nsdBy = {
    area: () => nsd(surfelsOf(), toleranceMm),
    voxel: () => nsd(voxelsOf(), toleranceMm),
    'directed-mean': () => directedMeanNsd(voxelsOf(), toleranceMm),
  };
  const hausdorffBy = {
    max: (percent: number) => hausdorff(voxelsOf(), percent),
    pooled: (percent: number) => hausdorffPooled(voxelsOf(), percent),
    area: (percent: number) => hausdorffByArea(surfelsOf(), percent),
  };
  return {
    nsd: () => round(nsdBy[definition.nsd](), definition.digits),
    hd95: () => hausdorffBy[definition.hd95](95),
    hd: () => hausdorffBy[definition.hd95](100),
    assd: () => assd(voxelsOf()),
    masd: () => masd(voxelsOf()),
  };
}

const round = (x: number, digits?: number) => (digits === undefined ? x : Math.round(x * 10 ** digits) / 10 ** digits);
