// Rotation, scaling and elastic deformation in one resampling, cut to the network's patch (batchgeneratorsv2 `SpatialTransform`).
//
// An output voxel at g (from the middle of the patch) reads the input at A·(g + offset), from the middle of the input.
// Image: linear (nnU-Net v2) or cubic (v1), 0 outside. Labels: the label with the largest linear weight, outside counts as label -1.

import { z } from 'zod';
import { type Functions, nativeFunctions } from '../base/native/load.js';
import { centreStart, cutBox } from './crop.js';
import { splineImage } from './cubic.js';
import { elasticOffsets } from './elastic.js';
import { fromPlanes, type Planes, type Sample, spares, toPlanes, voxels } from './sample.js';
import { type Reading, resample } from './spatialPlain.js';
import { balanced, probability, range, type Transform } from './transform.js';

const settings = z.strictObject({
  rotation: z.strictObject({
    probability,
    /** Each axis is turned with this probability; default 1. */
    perAxis: probability.optional(),
    /** Largest angle about each axis in radians, where the patch is not anisotropic; default ±30°. */
    limit: z.number().optional(),
  }),
  scale: z.strictObject({
    probability,
    range,
    /** Below and above 1 with probability one half each (nnU-Net v1); plain uniform otherwise. */
    balanced: z.boolean(),
    /** With this probability each axis has a factor of its own. */
    perAxis: probability,
    /** What the loader's patch is enlarged for; default 0.85, although nnU-Net scales down to 0.7. */
    smallest: z.number().optional(),
  }),
  /** `range`: smoothness as a fraction of the patch. */
  elastic: z.strictObject({ probability, range }).optional(),
  /** Of the image; nnU-Net v2 linear, v1 cubic. */
  interpolation: z.enum(['nearest', 'linear', 'cubic']),
  /** Of the labels: the largest linear weight (default), or the nearest voxel. */
  labels: z.enum(['linear', 'nearest']).optional(),
});

declare module './transform.js' {
  interface Transforms {
    spatial: z.infer<typeof settings>;
  }
}

/** Angles in radians about axes 0, 1, 2 (in plane: only the last is used, as nnU-Net does); null = not drawn. */
export interface SpatialDraw extends Reading {
  transform: 'spatial';
  angles: number[] | null;
  /** One factor an axis; above 1 shows more of the image. */
  scale: number[] | null;
  elastic: { sigmas: number[]; magnitudes: number[]; seed: number } | null;
}

export const spatial: Transform<z.infer<typeof settings>, SpatialDraw> = {
  name: 'spatial',
  settings,
  draw(random, { rotation, scale, elastic, interpolation, labels }, context) {
    const { patch, inPlane } = context;
    const axes = inPlane ? [1, 2] : [0, 1, 2];
    const drawn: SpatialDraw = { ...middle(patch, inPlane), interpolation, ...(labels && { labels }) };
    if (elastic && random.chance(elastic.probability)) {
      const smoothness = random.uniform(...elastic.range);
      const sigmas = patch.map((side) => smoothness * side);
      // Magnitude follows the smoothness: a small one does not show, a larger one folds the image over itself.
      const magnitudes = sigmas.map((sigma, axis) => (axes.includes(axis) ? random.uniform(sigma / 8, sigma / 2) : 0));
      drawn.elastic = { sigmas, magnitudes, seed: random.bits() };
    }
    if (random.chance(rotation.probability)) {
      const angle = () => random.uniform(-context.rotation, context.rotation);
      drawn.angles = axes.map(() => (rotation.perAxis === undefined || random.chance(rotation.perAxis) ? angle() : 0));
    }
    if (random.chance(scale.probability)) {
      const factor = () => (scale.balanced ? balanced(random, scale.range) : random.uniform(...scale.range));
      const own = random.chance(scale.perAxis);
      const one = factor();
      drawn.scale = axes.map(() => (own ? factor() : one));
    }
    return drawn;
  },
  apply: applySpatial,
};

/** The middle of the loader's patch, as it is. */
export const middle = (patchSize: SpatialDraw['patchSize'], inPlane: boolean): SpatialDraw => ({
  ...{ transform: 'spatial', patchSize, inPlane, interpolation: 'linear', angles: null, scale: null, elastic: null },
});

/** Row-major 3×3 matrix of a draw: Rz·Ry·Rx·scale; in plane a turn by the last angle. */
export function affineMatrix({ angles, scale, inPlane }: Pick<SpatialDraw, 'angles' | 'scale' | 'inPlane'>): number[] {
  if (inPlane) {
    const angle = angles?.at(-1) ?? 0;
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    const [a, b] = scale ?? [1, 1];
    return [1, 0, 0, 0, c * a, -s * b, 0, s * a, c * b];
  }
  const [x, y, z] = angles ?? [0, 0, 0];
  const [a, b, c] = scale ?? [1, 1, 1];
  const rx = [1, 0, 0, 0, Math.cos(x), -Math.sin(x), 0, Math.sin(x), Math.cos(x)];
  const ry = [Math.cos(y), 0, Math.sin(y), 0, 1, 0, -Math.sin(y), 0, Math.cos(y)];
  const rz = [Math.cos(z), -Math.sin(z), 0, Math.sin(z), Math.cos(z), 0, 0, 0, 1];
  return matrixProduct(matrixProduct(matrixProduct(rz, ry), rx), [a, 0, 0, 0, b, 0, 0, 0, c]);
}

const matrixProduct = (a: readonly number[], b: readonly number[]) =>
  Array.from({ length: 9 }, (_, i) => {
    const [row, column] = [Math.floor(i / 3) * 3, i % 3];
    return a[row] * b[column] + a[row + 1] * b[column + 3] + a[row + 2] * b[column + 6];
  });

/** The patch of a draw; new arrays. Without rotation, scaling and deformation the middle is cut out as it is. */
export function applySpatial(draw: SpatialDraw, sample: Planes): Planes {
  if (isStill(draw)) return centreCrop(sample, [...draw.patchSize]);
  const native = nativeFunctions();
  return native
    ? resampleNative(native, draw, { ...fromPlanes(sample), previous: sample.previous })
    : resamplePlain(draw, sample);
}

/** The same of a sample as the loader cuts it: its channels need not be taken apart before. */
export function applySpatialToSample(draw: SpatialDraw, sample: Sample): Planes {
  if (isStill(draw)) return middleOf(sample, [...draw.patchSize]);
  const native = nativeFunctions();
  return native ? resampleNative(native, draw, sample) : resamplePlain(draw, toPlanes(sample));
}

/** Nothing is turned, scaled or deformed. */
export const isStill = ({ angles, scale, elastic }: SpatialDraw) => !angles && !scale && !elastic;

const resamplePlain = (draw: SpatialDraw, sample: Planes): Planes =>
  resample(draw, sample, affineMatrix(draw), offsetsOf(draw) ?? null);

const offsetsOf = ({ elastic, patchSize }: SpatialDraw) =>
  elastic && elasticOffsets(patchSize, elastic.sigmas, elastic.magnitudes, elastic.seed);

const kinds = { nearest: 0, linear: 1, cubic: 2 } as const;

function resampleNative(native: Functions, draw: SpatialDraw, sample: Sample): Planes {
  const { inPlane, interpolation, patchSize } = draw;
  const { shape, channels } = sample;
  const image = interpolation === 'cubic' ? splineImage(native, sample.image, shape, channels, inPlane) : sample.image;
  const n = voxels(patchSize);
  const planes = Array.from({ length: channels }, () => spares.plane(n));
  const maps = sample.previous ? [sample.seg, sample.previous] : [sample.seg];
  const [seg, previous] = maps.map(() => new Int16Array(n));
  native.spatial(
    ...([image, shape, patchSize, affineMatrix(draw), offsetsOf(draw), inPlane, kinds[interpolation], planes] as const),
    ...([maps, previous ? [seg, previous] : [seg], draw.labels === 'nearest'] as const),
  );
  return { shape: [...patchSize], channels: planes, seg, previous };
}

/** The middle of a sample; of channels that lie together only this part is taken apart. */
function middleOf(sample: Sample, shape: [number, number, number]): Planes {
  const start = centreStart(sample.shape, shape);
  if (start.some((s, axis) => s < 0 || s + shape[axis] > sample.shape[axis])) return centreCrop(toPlanes(sample), shape);
  const n = voxels(shape);
  const cut = <A extends Float32Array | Int16Array>(source: A, out: A, values = 1): A =>
    cutBox(source, sample.shape, start, shape, out, values);
  const labels = {
    seg: cut(sample.seg, new Int16Array(n)),
    previous: sample.previous && cut(sample.previous, new Int16Array(n)),
  };
  const native = nativeFunctions();
  if (!native) {
    const image = cut(sample.image, new Float32Array(n * sample.channels), sample.channels);
    return toPlanes({ image, ...labels, shape, channels: sample.channels });
  }
  const channels = Array.from({ length: sample.channels }, () => spares.plane(n));
  native.splitBox(sample.image, sample.shape, start, shape, channels);
  return { shape, channels, ...labels };
}

function centreCrop(sample: Planes, shape: [number, number, number]): Planes {
  const start = centreStart(sample.shape, shape);
  const n = voxels(shape);
  const crop = <A extends Float32Array | Int16Array>(source: A, out: A): A => cutBox(source, sample.shape, start, shape, out);
  return {
    shape,
    channels: sample.channels.map((plane) => crop(plane, new Float32Array(n))),
    seg: crop(sample.seg, new Int16Array(n).fill(-1)),
    previous: sample.previous && crop(sample.previous, new Int16Array(n).fill(-1)),
  };
}
