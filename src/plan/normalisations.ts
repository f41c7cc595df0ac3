// Normalisations of intensities by the name that a plan gives them: the five of nnU-Net v2, and what a module brings. In place, one channel
// at a time.
import type { z } from 'zod';
import { VoxelbookError } from '../base/errors.js';
import { codeOf } from '../base/extensions.js';
import { boxSum, pairwiseSum } from '../base/numpy/float32Sum.js';
import { definitions, lookup, openKind, register } from '../base/registry.js';
import { object, withDefaults } from '../base/schema.js';
import { transposeAxes } from '../volume/index.js';
import type { Configuration, IntensityStatistics, NormalisationEntry } from './plan.js';

/** How the channel lies in the file: a mean in float32 depends on the order of its sum. */
export interface FileOrder {
  /** Axis of the file for each axis of the channel (the plan's `transpose_forward`). */
  order: readonly number[];
  /** Of the channel, cropped. */
  shape: readonly number[];
  /** Before cropping, the channel's order of axes. */
  shapeBeforeCropping: readonly number[];
}

/** What a normalisation may know of a channel. */
export interface NormalisationInput {
  /** The plan's, of the data set's foreground; where the definition says `usesStatistics`. */
  statistics?: Pick<IntensityStatistics, 'mean' | 'std' | 'percentile_00_5' | 'percentile_99_5'>;
  /** Only voxels with seg ≥ 0 count and change. */
  useMask?: boolean;
  /** Labels of the voxels; −1 outside the non-zero mask. */
  seg?: ArrayLike<number>;
  /** Where the channel was cropped or its axes exchanged. */
  fileOrder?: FileOrder;
}

/** A normalisation by the name that `normalization_schemes` of a plan gives it. */
export interface NormalisationDefinition {
  name: string;
  settings: z.ZodObject;
  /** Name of a channel in dataset.json, in small letters, that asks for it. */
  channelName?: string;
  /** Cases are made again when the plan's statistics change. */
  usesStatistics?: boolean;
  /** Leaves out what lies outside the non-zero mask where a plan says so; the planner does for images that are mostly background. */
  usesMask?: boolean;
  /** Keeps absolute values meaningful (a fixed window): images far from those trained on are said. */
  absolute?: boolean;
  /** Changes `data`, one channel, in place. */
  normalise(data: Float32Array, about: NormalisationInput, settings: any): void;
}

declare module '../base/registry.js' {
  interface Kinds {
    normalisations: NormalisationDefinition;
  }
}

openKind('normalisations', 'normalise');

const settings = object({});
register('normalisations', {
  name: 'CTNormalization',
  settings,
  channelName: 'ct',
  usesStatistics: true,
  absolute: true,
  normalise: (data, { statistics }) => ct(data, statistics!),
});
register('normalisations', {
  name: 'ZScoreNormalization',
  settings,
  channelName: 'zscore',
  usesMask: true,
  normalise: (data, { useMask, seg, fileOrder }) => zScore(data, useMask ? seg : undefined, fileOrder),
});
register('normalisations', {
  name: 'RescaleTo01Normalization',
  settings,
  channelName: 'rescale_to_0_1',
  normalise: rescale,
});
register('normalisations', { name: 'RGBTo01Normalization', settings, channelName: 'rgb_to_0_1', normalise: rgb });
register('normalisations', { name: 'NoNormalization', settings, channelName: 'nonorm', absolute: true, normalise: () => {} });

/** The normalisation a channel's name asks for; any name but the known ones means z-score. */
export function normalizationOf(channelName: string): string {
  const name = channelName.toLowerCase();
  return definitions('normalisations').find((n) => n.channelName === name)?.name ?? 'ZScoreNormalization';
}

/** An entry of a plan's `normalization_schemes` as a name and its settings. */
export function normalisationEntry(entry: NormalisationEntry): { kind: string; settings: Record<string, unknown> } {
  if (typeof entry === 'string') return { kind: entry, settings: {} };
  const { kind, ...own } = entry;
  return { kind, settings: own };
}

/** The definition that an entry names. @throws VoxelbookError naming what there is */
export const normalisationNamed = (entry: NormalisationEntry): NormalisationDefinition =>
  lookup('normalisations', normalisationEntry(entry).kind, 'normalization_schemes');

/** Whether a configuration's normalisations look at the plan's statistics. */
export const needsStatistics = ({ normalization_schemes }: Pick<Configuration, 'normalization_schemes'>): boolean =>
  normalization_schemes.some((entry) => normalisationNamed(entry).usesStatistics);

/** Checksums of the modules that brought a configuration's normalisations; undefined where all are built in. */
export const normalisationCode = ({ normalization_schemes }: Pick<Configuration, 'normalization_schemes'>) =>
  codeOf(
    'normalisations',
    normalization_schemes.map((entry) => normalisationEntry(entry).kind),
  );

/**
 * Normalises one channel in place.
 * Source: nnU-Net v2 `default_normalization_schemes`; arithmetic in float32 as there, sums included.
 * @param data one channel
 * @throws VoxelbookError for an unknown normalisation, and for RGB values outside 0…255
 */
export function normalize(data: Float32Array, entry: NormalisationEntry, about: NormalisationInput = {}): void {
  const definition = normalisationNamed(entry);
  definition.normalise(data, about, withDefaults(definition.settings, normalisationEntry(entry).settings));
}

const smallest = 1e-8;

function ct(
  data: Float32Array,
  statistics: { mean: number; std: number; percentile_00_5: number; percentile_99_5: number },
): void {
  const low = Math.fround(statistics.percentile_00_5);
  const high = Math.fround(statistics.percentile_99_5);
  const mean = Math.fround(statistics.mean);
  const sd = Math.fround(Math.max(statistics.std, smallest));
  for (let i = 0; i < data.length; i++) {
    const v = data[i];
    data[i] = Math.fround((v < low ? low : Math.min(v, high)) - mean) / sd;
  }
}

function zScore(data: Float32Array, seg: ArrayLike<number> | undefined, fileOrder: FileOrder | undefined): void {
  const counted = seg ? within(data, seg) : fileOrder ? inFileOrder(data, fileOrder) : data.slice();
  const n = counted.length;
  if (n === 0) return;
  const sum = seg || !fileOrder ? pairwiseSum(counted) : boxSum(counted, ...shapesInFile(fileOrder));
  const mean = Math.fround(sum / n);
  for (let i = 0; i < n; i++) {
    const away = Math.fround(counted[i] - mean);
    counted[i] = away * away;
  }
  const sd = Math.fround(Math.max(Math.fround(Math.sqrt(Math.fround(pairwiseSum(counted) / n))), smallest));
  for (let i = 0; i < data.length; i++) if (!seg || seg[i] >= 0) data[i] = Math.fround(data[i] - mean) / sd;
}

/** The values of voxels inside the mask, in order. */
function within(data: Float32Array, seg: ArrayLike<number>): Float32Array {
  const out = new Float32Array(data.length);
  let n = 0;
  for (let i = 0; i < data.length; i++) if (seg[i] >= 0) out[n++] = data[i];
  return out.subarray(0, n);
}

/** Shapes of the cropped and of the whole channel in the file's order of axes. */
function shapesInFile({ order, shape, shapeBeforeCropping }: FileOrder): [number[], number[]] {
  const places = order.map((_, axis) => order.indexOf(axis));
  return [places.map((i) => shape[i]), places.map((i) => shapeBeforeCropping[i])];
}

function inFileOrder(data: Float32Array, { order, shape }: FileOrder): Float32Array {
  return transposeAxes(
    data,
    shape as [number, number, number],
    1,
    order.map((_, axis) => order.indexOf(axis)),
  ).slice();
}

function rescale(data: Float32Array): void {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < data.length; i++) {
    if (data[i] < low) low = data[i];
    if (data[i] > high) high = data[i];
  }
  const range = Math.fround(Math.max(Math.fround(high - low), smallest));
  for (let i = 0; i < data.length; i++) data[i] = Math.fround(data[i] - low) / range;
}

function rgb(data: Float32Array): void {
  let low = 0;
  let high = 0;
  for (let i = 0; i < data.length; i++) {
    if (data[i] < low) low = data[i];
    if (data[i] > high) high = data[i];
  }
  if (low < 0 || high > 255)
    throw new VoxelbookError('this channel is no RGB picture', {
      code: 'rgb-range',
      path: 'RGBTo01Normalization',
      given: `values from ${low} to ${high}`,
      expected: 'values from 0 to 255',
      fix: 'Use zscore or rescale_to_0_1 as the channel name.',
    });
  for (let i = 0; i < data.length; i++) data[i] /= 255;
}
