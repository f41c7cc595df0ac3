// Contours of an RTSTRUCT as voxels: those whose centre lies inside. A contour inside another one of the same structure is a hole.
// Source: DICOM PS3.3, C.8.8.5 and C.8.8.6 (Structure Set, ROI Contour).
import { type Elements, items, number, numbersOf, text } from './elements.js';
import { type PlaneMask, refusal, type Segment } from './masks.js';
import { placeIn, type Series } from './series.js';

const closed = (contour: Elements) => text(contour, 'ContourGeometricType') === 'CLOSED_PLANAR';

/** Contours of each structure that encloses anything; marked points enclose nothing. */
function closedContours(e: Elements): { roi: number; contours: Elements[] }[] {
  return items(e, 'ROIContourSequence')
    .map((s) => ({ roi: number(s, 'ReferencedROINumber') ?? -1, contours: items(s, 'ContourSequence').filter(closed) }))
    .filter(({ contours }) => contours.length > 0);
}

/** Names and numbers of the structures. @throws VoxelbookError where there is none */
export function structuresOf(file: string, e: Elements): Segment[] {
  const drawn = new Set(closedContours(e).map(({ roi }) => roi));
  const segments = items(e, 'StructureSetROISequence').flatMap((s): Segment[] => {
    const found = number(s, 'ROINumber');
    return found !== undefined && drawn.has(found) ? [{ number: found, label: text(s, 'ROIName') ?? '' }] : [];
  });
  if (segments.length > 0) return segments;
  throw refusal(file, 'seg-segments', 'no structure with closed contours', 'at least one', 'Export it again.');
}

/** @throws VoxelbookError where a contour lies on no plane of the series */
export function* contourMasks(file: string, e: Elements, series: Series): Generator<PlaneMask> {
  const [depth, rows, columns] = series.geometry.shape;
  for (const { roi, contours } of closedContours(e)) {
    const byPlane = new Map<number, number[][][]>();
    for (const [k, contour] of contours.entries()) {
      const points = pointsOf(file, roi, k, contour).map((p) => placeIn(p, series));
      const plane = Math.round(points[0][2]);
      if (points.some(([, , z]) => Math.abs(z - plane) > 0.1) || plane < 0 || plane >= depth)
        throw refusal(
          file,
          'seg-grid',
          `contour ${k + 1} of structure ${roi}, which lies on no plane of the series`,
          'contours on the planes of the images',
          'Export it again for this series.',
        );
      byPlane.set(plane, [...(byPlane.get(plane) ?? []), points]);
    }
    for (const [plane, polygons] of byPlane) yield { segment: roi, plane, mask: filled(polygons, rows, columns) };
  }
}

function pointsOf(file: string, roi: number, k: number, contour: Elements): number[][] {
  const data = numbersOf(contour, 'ContourData');
  if (data === undefined || data.length < 9 || data.length % 3 !== 0)
    throw refusal(
      file,
      'contour',
      `contour ${k + 1} of structure ${roi} of ${data?.length ?? 0} numbers`,
      'three for each of at least three points',
      'Export it again.',
    );
  return Array.from({ length: data.length / 3 }, (_, i) => data.slice(3 * i, 3 * i + 3));
}

/** Pixels whose centre is inside an odd number of polygons (even-odd rule), line after line. */
function filled(polygons: readonly number[][][], rows: number, columns: number): Uint8Array {
  const crossings: number[][] = Array.from({ length: rows }, () => []);
  for (const points of polygons)
    points.forEach(([x1, y1], i) => {
      const [x2, y2] = points[(i + 1) % points.length];
      const [low, high] = [Math.min(y1, y2), Math.max(y1, y2)];
      // Half open: an edge that ends on a line of pixels counts once.
      for (let y = Math.max(0, Math.ceil(low)); y < Math.min(rows, high); y++)
        crossings[y].push(x1 + ((y - y1) / (y2 - y1)) * (x2 - x1));
    });
  const mask = new Uint8Array(rows * columns);
  for (let y = 0; y < rows; y++) {
    const xs = crossings[y].sort((a, b) => a - b);
    for (let k = 0; k + 1 < xs.length; k += 2)
      for (let x = Math.max(0, Math.ceil(xs[k])); x < Math.min(columns, xs[k + 1]); x++) mask[y * columns + x] = 1;
  }
  return mask;
}
