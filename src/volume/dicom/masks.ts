// What a segment or a contour gives: voxels of one plane.
import { VoxelbookError } from '../../base/errors.js';

/** A segment: its number in the file and its label. */
export interface Segment {
  number: number;
  label: string;
}

/** The voxels of a segment in one plane of its series: 1 where it is, row after row. */
export interface PlaneMask {
  segment: number;
  plane: number;
  mask: Uint8Array;
}

export const refusal = (file: string, code: string, given: string, expected: string, fix: string) =>
  new VoxelbookError(`${file} cannot be used as labels`, { code, path: file, given, expected, fix });
