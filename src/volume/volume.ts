// A volume: voxels with their geometry. Axis order is the array's: slowest first, `[depth, height, width, channel]`.

import { VoxelbookError } from '../base/errors.js';

/** The arrays that hold voxels. */
export type VoxelArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

/** Shape and place of voxels. */
export interface Geometry {
  /** `[depth, height, width]` in voxels. */
  shape: [number, number, number];
  /** Voxel size in mm along `[depth, height, width]`. */
  spacingMm: [number, number, number];
  /** Distance of neighbouring voxels in the file's world, where that is not the voxel size (a NIfTI sform unlike pixdim). */
  stepMm?: [number, number, number];
  /** World position (mm, RAS+) of voxel (0,0,0), as (x, y, z). */
  originMm: [number, number, number];
  /** Columns are the unit directions (RAS+) of the file's x, y and z axes; row-major 3×3. */
  direction: [number, number, number, number, number, number, number, number, number];
}

/**
 * Voxels and where they lie. NIfTI's (x, y, z) is read as (z, y, x) as nnU-Net does, so `data[((z*h)+y)*w+x]` for one channel.
 * A 2-D image has depth 1 and `sliceSpacing` between slices. Channel-last; a label map has no channel axis (`channels` 1).
 */
export interface Volume<A extends VoxelArray = VoxelArray> extends Geometry {
  data: A;
  channels: number;
}

/** A volume of integer labels, 0 = background. */
export type LabelMap = Volume<Uint8Array | Uint16Array | Int16Array>;

/** Voxels of a volume, channels not counted. */
export const voxelCount = (v: Pick<Volume, 'shape'>) => v.shape[0] * v.shape[1] * v.shape[2];
/** The axes of the array are those of the patient. */
export const identityDirection: Volume['direction'] = [1, 0, 0, 0, 1, 0, 0, 0, 1];

/** Spacing along the depth of a 2-D image, by which nnU-Net's planner knows it: 999 times the larger pixel size. Source: SimpleITKIO. */
export const sliceSpacing = (y: number, x: number) => 999 * Math.max(y, x);

/** Whether the volume is a 2-D image. */
export const isPicture = ({ shape, spacingMm: [z, y, x] }: Pick<Volume, 'shape' | 'spacingMm'>) =>
  shape[0] === 1 && Math.abs(z / sliceSpacing(y, x) - 1) < 1e-6;

/** @throws VoxelbookError when data and shape disagree */
export function checkLength({ data, shape, channels }: Volume): void {
  const expected = voxelCount({ shape }) * channels;
  if (data.length !== expected)
    throw new VoxelbookError('this volume cannot be written', {
      code: 'volume-shape',
      path: 'data',
      given: `${data.length} values`,
      expected: `${shape.join('×')}×${channels} = ${expected}`,
      fix: 'Pass data and shape that agree.',
    });
}
