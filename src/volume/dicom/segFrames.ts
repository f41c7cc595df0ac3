// Frames of a DICOM segmentation on the planes of its series.
// Source: DICOM PS3.3, A.51 (Segmentation IOD); binary frames, eight pixels a byte, the first in the lowest bit.
import { type Elements, items, number, numbers, pixelBytes, text } from './elements.js';
import { type PlaneMask, refusal, type Segment } from './masks.js';
import { placeIn, type Series } from './series.js';

/** Names and numbers of the segments. @throws VoxelbookError for kinds of segmentation that are no labels */
export function segmentsOf(file: string, e: Elements): Segment[] {
  const kind = text(e, 'SegmentationType');
  if (kind !== 'BINARY')
    throw refusal(
      file,
      'seg-kind',
      `a segmentation of type ${kind ?? 'unknown'}`,
      'BINARY',
      'Export it as a binary segmentation.',
    );
  const segments = items(e, 'SegmentSequence').map((s) => ({
    number: number(s, 'SegmentNumber') ?? 0,
    label: text(s, 'SegmentLabel') ?? '',
  }));
  if (segments.length === 0 || segments.some((s) => !(Number.isInteger(s.number) && s.number > 0)))
    throw refusal(file, 'seg-segments', `${segments.length} segments`, 'segments with numbers from 1', 'Export it again.');
  return segments;
}

/** @throws VoxelbookError where a frame lies on no plane of the series or on another grid */
export function* segMasks(file: string, e: Elements, { geometry, planes }: Series): Generator<PlaneMask> {
  const [, rows, columns] = geometry.shape;
  const size = rows * columns;
  const found = [number(e, 'Rows'), number(e, 'Columns')];
  if (found[0] !== rows || found[1] !== columns)
    throw refusal(
      file,
      'seg-grid',
      `${found.join('×')} pixels`,
      `${rows}×${columns} as its series`,
      'Export it on the grid of the images.',
    );
  const bytes = pixelBytes(e);
  const frames = framesOf(file, e);
  const needed = Math.ceil((frames.length * size) / 8);
  if (!bytes || bytes.length < needed)
    throw refusal(file, 'dicom-pixels', `${bytes?.length ?? 0} bytes of pixels`, `${needed}`, 'Fetch it again.');
  for (const [f, { segment, position, orientation, pixelSpacing }] of frames.entries()) {
    const [x, y, z] = placeIn(position, { geometry, planes });
    const plane = Math.round(z);
    const on = plane >= 0 && plane < planes.length && Math.abs(z - plane) < 0.05 && Math.hypot(x, y) < 0.05;
    const other =
      orientation.some((v, i) => Math.abs(v - planes[0].orientation[i]) > 1e-3) ||
      pixelSpacing.some((v, i) => Math.abs(v / planes[0].pixelSpacing[i] - 1) > 1e-3);
    if (!on || other)
      throw refusal(
        file,
        'seg-grid',
        `frame ${f + 1} at ${position.map((v) => +v.toFixed(2)).join(', ')} mm, which is ${other ? 'another grid' : 'no plane'} of the series`,
        'the planes and pixels of its series',
        'Export it on the grid of the images.',
      );
    const mask = Uint8Array.from({ length: size }, (_, i) => (bytes[(f * size + i) >>> 3] >>> ((f * size + i) & 7)) & 1);
    yield { segment, plane, mask };
  }
}

interface Frame {
  segment: number;
  position: number[];
  orientation: number[];
  pixelSpacing: number[];
}

function framesOf(file: string, e: Elements): Frame[] {
  const [shared] = items(e, 'SharedFunctionalGroupsSequence');
  return items(e, 'PerFrameFunctionalGroupsSequence').map((frame, f) => {
    const of = (name: Parameters<typeof items>[1]): Elements => items(frame, name)[0] ?? (shared && items(shared, name)[0]) ?? {};
    const segment = number(of('SegmentIdentificationSequence'), 'ReferencedSegmentNumber');
    const position = numbers(of('PlanePositionSequence'), 'ImagePositionPatient', 3);
    const orientation = numbers(of('PlaneOrientationSequence'), 'ImageOrientationPatient', 6);
    const pixelSpacing = numbers(of('PixelMeasuresSequence'), 'PixelSpacing', 2);
    if (segment === undefined || !position || !orientation || !pixelSpacing)
      throw refusal(file, 'seg-frame', `frame ${f + 1} without segment or place`, 'both for every frame', 'Export it again.');
    return { segment, position, orientation, pixelSpacing };
  });
}
