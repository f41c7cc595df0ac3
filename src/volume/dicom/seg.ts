// Segmentations as labels: frames of DICOM SEG or contours of RTSTRUCT, on the grid of the series they were drawn on.
import { type Fault, VoxelbookError } from '../../base/errors.js';
import { type Volume, voxelCount } from '../volume.js';
import { contourMasks, structuresOf } from './contours.js';
import { type Elements, readElements } from './elements.js';
import { isStructureSet } from './header.js';
import type { Segment } from './masks.js';
import { segMasks, segmentsOf } from './segFrames.js';
import type { Series } from './series.js';

const segmentsIn = (file: string, e: Elements) => (isStructureSet(e) ? structuresOf(file, e) : segmentsOf(file, e));

/** Names and numbers of the segments of a file. @throws VoxelbookError for kinds of segmentation that are no labels */
export async function readSegments(file: string): Promise<Segment[]> {
  return segmentsIn(file, await readElements(file, { pixels: false }));
}

/**
 * The segments of files as one label map on the grid of their series.
 * @param labels label of a segment, by file and segment number
 * @throws VoxelbookError where one lies on no plane of the series or on another grid, or two overlap
 */
export async function readSeg(
  files: readonly string[],
  series: Series,
  labels: (file: string, number: number) => number,
): Promise<Volume<Uint16Array>> {
  const { geometry } = series;
  const size = geometry.shape[1] * geometry.shape[2];
  const data = new Uint16Array(voxelCount(geometry));
  const overlaps = new Map<string, number>();
  for (const file of files) {
    const e = await readElements(file, { pixels: true });
    const names = new Map(segmentsIn(file, e).map((s) => [s.number, s.label]));
    for (const { segment, plane, mask } of isStructureSet(e) ? contourMasks(file, e, series) : segMasks(file, e, series)) {
      const label = labels(file, segment);
      for (let i = 0; i < size; i++) {
        if (!mask[i]) continue;
        const before = data[plane * size + i];
        if (before !== 0 && before !== label) {
          const pair = `${names.get(segment) || segment} with label ${before}`;
          overlaps.set(pair, (overlaps.get(pair) ?? 0) + 1);
        }
        data[plane * size + i] = label;
      }
    }
  }
  if (overlaps.size > 0)
    throw new VoxelbookError(
      'these segments cannot become labels',
      [...overlaps].map(
        ([pair, n]): Fault => ({
          code: 'seg-overlap',
          path: files.join(', '),
          given: `${pair}: ${n} voxels in both`,
          expected: 'one label per voxel',
          fix: 'Decide which of them these voxels are, and export again.',
        }),
      ),
    );
  return { ...geometry, channels: 1, data };
}
