// What one DICOM file is: planes of an image series, a segmentation, or something else.
import { type Fault, VoxelbookError } from '../../base/errors.js';
import { type Elements, isDicom, items, number, numbers, readElements, text } from './elements.js';

/** One plane of an image: a file's own, or a frame of it. */
export interface Plane {
  file: string;
  frame: number;
  /** Patient coordinates (LPS, mm) of the middle of the first pixel. */
  position: number[];
  /** Directions (LPS) along a row and along a column. */
  orientation: number[];
  /** mm between rows, between columns. */
  pixelSpacing: number[];
  slope: number;
  intercept: number;
}

/** What the conversion needs of an image file; nothing of the patient. */
export interface ImageHeader {
  kind: 'image';
  file: string;
  sopClass: string;
  sopInstance: string;
  /** How its pixels are packed. */
  syntax: string;
  series: string;
  study: string;
  /** Tells patients apart while a folder is looked through; never written. */
  patient: string;
  modality: string;
  description: string;
  frameOfReference: string;
  rows: number;
  columns: number;
  samples: number;
  bitsAllocated: number;
  bitsStored: number;
  highBit: number;
  signed: boolean;
  /** mm; of a series of a single plane the only word on its depth. */
  thickness?: number;
  planes: Plane[];
}

/** A segmentation: SEG, or contours (RTSTRUCT). */
export interface SegHeader {
  kind: 'seg';
  file: string;
  series: string;
  study: string;
  /** The series it was drawn on. */
  references: string;
}

/** `other`: an object that is no image (a report, a plan, a contour). `none`: no DICOM. */
export type DicomHeader =
  | ImageHeader
  | SegHeader
  | { kind: 'other'; file: string; modality: string }
  | { kind: 'none'; file: string }
  | { kind: 'bad'; file: string; faults: readonly Fault[] };

const segmentation = '1.2.840.10008.5.1.4.1.1.66.4';
const structureSet = '1.2.840.10008.5.1.4.1.1.481.3';
const directory = '1.2.840.10008.1.3.10';

/** Reads what stands before the pixels. Never throws for what a file holds: that is said as `bad`. */
export async function readHeader(file: string): Promise<DicomHeader> {
  if (!isDicom(file)) return { kind: 'none', file };
  try {
    return headerOf(file, await readElements(file, { pixels: false }));
  } catch (error) {
    if (error instanceof VoxelbookError) return { kind: 'bad', file, faults: error.faults };
    throw error;
  }
}

export function headerOf(file: string, e: Elements): DicomHeader {
  const sopClass = text(e, 'SOPClassUID') ?? directory;
  const modality = text(e, 'Modality') ?? 'unknown';
  if (sopClass === directory) return { kind: 'other', file, modality: 'DICOMDIR' };
  const ids = { series: text(e, 'SeriesInstanceUID') ?? '', study: text(e, 'StudyInstanceUID') ?? '' };
  if (sopClass === segmentation) {
    const [reference] = items(e, 'ReferencedSeriesSequence');
    return { kind: 'seg', file, ...ids, references: (reference && text(reference, 'SeriesInstanceUID')) ?? '' };
  }
  if (sopClass === structureSet) return { kind: 'seg', file, ...ids, references: structuresReference(e) ?? '' };
  const [rows, columns] = [number(e, 'Rows'), number(e, 'Columns')];
  const planes = planesOf(file, e);
  if (rows === undefined || columns === undefined || planes === undefined) return { kind: 'other', file, modality };
  const bitsAllocated = number(e, 'BitsAllocated') ?? 0;
  const bitsStored = number(e, 'BitsStored') ?? bitsAllocated;
  return {
    ...{ kind: 'image', file, sopClass, modality, ...ids, rows, columns, planes, bitsAllocated, bitsStored },
    sopInstance: text(e, 'SOPInstanceUID') ?? '',
    syntax: text(e, 'TransferSyntaxUID') ?? '',
    patient: text(e, 'PatientID') ?? '',
    description: text(e, 'SeriesDescription') ?? '',
    frameOfReference: text(e, 'FrameOfReferenceUID') ?? '',
    samples: number(e, 'SamplesPerPixel') ?? 1,
    highBit: number(e, 'HighBit') ?? bitsStored - 1,
    signed: number(e, 'PixelRepresentation') === 1,
    thickness: number(e, 'SpacingBetweenSlices') ?? number(e, 'SliceThickness'),
  };
}

/** Planes with a place in the patient; undefined where there is none (a scanned page, a report's picture). */
function planesOf(file: string, e: Elements): Plane[] | undefined {
  const frames = items(e, 'PerFrameFunctionalGroupsSequence');
  const [shared] = items(e, 'SharedFunctionalGroupsSequence');
  const groups = frames.length > 0 ? frames.map((frame) => [frame, ...(shared ? [shared] : [])]) : [[]];
  const planes = groups.flatMap((group, frame): Plane[] => {
    const inGroup = (sequence: Parameters<typeof items>[1]) => group.flatMap((g) => items(g, sequence))[0] ?? e;
    const position = numbers(inGroup('PlanePositionSequence'), 'ImagePositionPatient', 3);
    const orientation = numbers(inGroup('PlaneOrientationSequence'), 'ImageOrientationPatient', 6);
    const pixelSpacing = numbers(inGroup('PixelMeasuresSequence'), 'PixelSpacing', 2);
    const rescale = inGroup('PixelValueTransformationSequence');
    const [slope, intercept] = [number(rescale, 'RescaleSlope') ?? 1, number(rescale, 'RescaleIntercept') ?? 0];
    return position && orientation && pixelSpacing
      ? [{ file, frame, position, orientation, pixelSpacing, slope, intercept }]
      : [];
  });
  return planes.length === groups.length ? planes : undefined;
}

/** Whether a file holds contours. */
export const isStructureSet = (e: Elements) => text(e, 'SOPClassUID') === structureSet;

/** The series that the contours were drawn on. */
function structuresReference(e: Elements): string | undefined {
  const series = items(e, 'ReferencedFrameOfReferenceSequence')
    .flatMap((frame) => items(frame, 'RTReferencedStudySequence'))
    .flatMap((study) => items(study, 'RTReferencedSeriesSequence'));
  return series.length > 0 ? text(series[0], 'SeriesInstanceUID') : undefined;
}
