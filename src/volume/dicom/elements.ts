// DICOM files as dcmjs reads them: elements by tag. Loaded when it is first needed.
import fs from 'node:fs';
import { VoxelbookError } from '../../base/errors.js';

/** An element: what stands in it, numbers as numbers, sequences as lists of elements. */
export interface Element {
  vr?: string;
  Value?: unknown[];
}
export type Elements = Record<string, Element>;

/** What is used of dcmjs, which has no types of its own. */
interface Dcmjs {
  data: {
    DicomMessage: { readFile(buffer: ArrayBuffer, options: object): { meta: Elements; dict: Elements } };
    DicomDict: new (meta: Elements) => { dict: Elements; write(options?: object): ArrayBuffer };
    DicomMetaDictionary: {
      denaturalizeDataset(dataset: object): Elements;
      uid(): string;
    };
    BitArray: { pack(pixels: Uint8Array): Uint8Array };
  };
  log: { setLevel(level: string): void; getLogger(name: string): { setLevel(level: string): void } };
}

let loaded: Promise<Dcmjs> | undefined;

export function dcmjs(): Promise<Dcmjs> {
  loaded ??= (import('dcmjs' as string) as Promise<{ default: Dcmjs }>).then((module) => {
    // Values that break a rule of the standard are common; what is used here is checked here.
    module.default.log.setLevel('silent');
    module.default.log.getLogger('validation.dcmjs').setLevel('silent');
    return module.default;
  });
  return loaded;
}

/** Tags by keyword of the standard. */
export const tags = {
  TransferSyntaxUID: '00020010',
  ImageType: '00080008',
  SOPClassUID: '00080016',
  SOPInstanceUID: '00080018',
  Modality: '00080060',
  SeriesDescription: '0008103E',
  ReferencedSeriesSequence: '00081115',
  PatientID: '00100020',
  SliceThickness: '00180050',
  SpacingBetweenSlices: '00180088',
  StudyInstanceUID: '0020000D',
  SeriesInstanceUID: '0020000E',
  ImagePositionPatient: '00200032',
  ImageOrientationPatient: '00200037',
  FrameOfReferenceUID: '00200052',
  PlanePositionSequence: '00209113',
  PlaneOrientationSequence: '00209116',
  SamplesPerPixel: '00280002',
  NumberOfFrames: '00280008',
  Rows: '00280010',
  Columns: '00280011',
  PixelSpacing: '00280030',
  BitsAllocated: '00280100',
  BitsStored: '00280101',
  HighBit: '00280102',
  PixelRepresentation: '00280103',
  RescaleIntercept: '00281052',
  RescaleSlope: '00281053',
  PixelMeasuresSequence: '00289110',
  PixelValueTransformationSequence: '00289145',
  SegmentationType: '00620001',
  SegmentSequence: '00620002',
  SegmentNumber: '00620004',
  SegmentLabel: '00620005',
  SegmentIdentificationSequence: '0062000A',
  ReferencedSegmentNumber: '0062000B',
  ReferencedFrameOfReferenceSequence: '30060010',
  RTReferencedStudySequence: '30060012',
  RTReferencedSeriesSequence: '30060014',
  StructureSetROISequence: '30060020',
  ROINumber: '30060022',
  ROIName: '30060026',
  ROIContourSequence: '30060039',
  ContourSequence: '30060040',
  ContourGeometricType: '30060042',
  ContourData: '30060050',
  ReferencedROINumber: '30060084',
  SharedFunctionalGroupsSequence: '52009229',
  PerFrameFunctionalGroupsSequence: '52009230',
  PixelData: '7FE00010',
} as const;
type Name = keyof typeof tags;

const valuesOf = (elements: Elements, name: Name): unknown[] => {
  const value = elements[tags[name]]?.Value;
  return Array.isArray(value) ? value : value === undefined || value === null ? [] : [value];
};

/** The first value as text; undefined where there is none. */
export function text(elements: Elements, name: Name): string | undefined {
  const [value] = valuesOf(elements, name);
  return typeof value === 'string' || typeof value === 'number' ? String(value).replace(/\0+$/, '').trim() : undefined;
}

/** All values as finite numbers; undefined where one is none. */
export function numbersOf(elements: Elements, name: Name): number[] | undefined {
  const found = valuesOf(elements, name).map(Number);
  return found.every(Number.isFinite) ? found : undefined;
}

/** Finite numbers; undefined unless there are as many as asked for. */
export function numbers(elements: Elements, name: Name, count: number): number[] | undefined {
  const found = numbersOf(elements, name);
  return found?.length === count ? found : undefined;
}

export const number = (elements: Elements, name: Name): number | undefined => numbers(elements, name, 1)?.[0];

/** The items of a sequence. */
export const items = (elements: Elements, name: Name): Elements[] =>
  valuesOf(elements, name).filter((item): item is Elements => typeof item === 'object' && item !== null);

/** Bytes of the pixels. */
export function pixelBytes(elements: Elements): Uint8Array | undefined {
  const [value] = valuesOf(elements, 'PixelData');
  return value instanceof ArrayBuffer ? new Uint8Array(value) : value instanceof Uint8Array ? value : undefined;
}

/** Transfer syntaxes whose pixels are plain little-endian numbers. */
const plain = new Set(['1.2.840.10008.1.2', '1.2.840.10008.1.2.1']);

const syntaxNames: Record<string, string> = {
  '1.2.840.10008.1.2.1.99': 'deflated',
  '1.2.840.10008.1.2.2': 'big-endian',
  '1.2.840.10008.1.2.4.50': 'JPEG baseline',
  '1.2.840.10008.1.2.4.51': 'JPEG extended',
  '1.2.840.10008.1.2.4.57': 'JPEG lossless',
  '1.2.840.10008.1.2.4.70': 'JPEG lossless',
  '1.2.840.10008.1.2.4.80': 'JPEG-LS lossless',
  '1.2.840.10008.1.2.4.81': 'JPEG-LS',
  '1.2.840.10008.1.2.4.90': 'JPEG 2000 lossless',
  '1.2.840.10008.1.2.4.91': 'JPEG 2000',
  '1.2.840.10008.1.2.5': 'RLE lossless',
};

/** Whether a file says that it is DICOM: `DICM` after 128 bytes. */
export function isDicom(file: string): boolean {
  const descriptor = fs.openSync(file, 'r');
  try {
    const head = Buffer.alloc(132);
    return fs.readSync(descriptor, head, 0, 132, 0) === 132 && head.toString('latin1', 128) === 'DICM';
  } finally {
    fs.closeSync(descriptor);
  }
}

const mostBytes = 2 ** 31 - 1;

/** Whether pixels in this transfer syntax are read, and what to do with others. */
export function packedFault(syntax: string): { given: string; expected: string; fix: string } | undefined {
  if (plain.has(syntax)) return undefined;
  return {
    given: `pixels in transfer syntax ${syntax || 'unknown'}${syntaxNames[syntax] ? ` (${syntaxNames[syntax]})` : ''}`,
    expected: 'plain little-endian pixels',
    fix: 'Unpack them, for example by dcmconv, dcmdjpeg or gdcmconv --raw.',
  };
}

/**
 * Reads a file: elements with the transfer syntax among them.
 * @param pixels also the pixels; else everything before them
 * @throws VoxelbookError for what cannot be read, and for pixels that are packed in a way that is not read here
 */
export async function readElements(file: string, { pixels }: { pixels: boolean }): Promise<Elements> {
  const refuse = (code: string, given: string, expected: string, fix: string) =>
    new VoxelbookError(`${file} cannot be read`, { code, path: file, given, expected, fix });
  const { size } = fs.statSync(file);
  if (size > mostBytes)
    throw refuse('dicom-size', `${size} bytes`, `at most ${mostBytes} bytes`, 'Split the series into single images.');
  const bytes = fs.readFileSync(file);
  const syntax = syntaxOf(bytes.subarray(132)) ?? '';
  // A deflated file would be unpacked whole, however large, before its header is read.
  const packed = pixels || syntax === '1.2.840.10008.1.2.1.99' ? packedFault(syntax) : undefined;
  if (packed) throw refuse('dicom-compressed', packed.given, packed.expected, packed.fix);
  const { DicomMessage } = (await dcmjs()).data;
  try {
    const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
    const { meta, dict } = DicomMessage.readFile(buffer, pixels ? {} : { untilTag: tags.PixelData, includeUntilTagValue: false });
    // What was looked at above is what dcmjs went by.
    if (text(meta, 'TransferSyntaxUID') !== syntax) throw new Error(`transfer syntax ${text(meta, 'TransferSyntaxUID')}`);
    return { ...dict, [tags.TransferSyntaxUID]: meta[tags.TransferSyntaxUID] };
  } catch (error) {
    throw refuse(
      'dicom',
      `no readable DICOM: ${(error as Error).message}`,
      'a DICOM file',
      'Fetch the file again, or take it out.',
    );
  }
}

/** The transfer syntax of the meta header (explicit little-endian by the standard), before anything is unpacked. */
function syntaxOf(head: Buffer): string | undefined {
  for (let at = 0; at + 8 <= head.length && head.readUInt16LE(at) === 2; ) {
    const element = head.readUInt16LE(at + 2);
    const long = ['OB', 'OW', 'UN', 'SQ', 'UT', 'OF'].includes(head.toString('latin1', at + 4, at + 6));
    if (long && at + 12 > head.length) return undefined;
    const length = long ? head.readUInt32LE(at + 8) : head.readUInt16LE(at + 6);
    const start = at + (long ? 12 : 8);
    if (element === 0x10) return head.toString('latin1', start, start + length).replace(/[\0 ]+$/, '');
    at = start + length;
  }
  return undefined;
}
