// DICOM segmentations: read onto the grid of their series, and written so that they refer to it.
// Source: DICOM PS3.3, A.51 (Segmentation IOD); binary frames, eight pixels a byte, the first in the lowest bit.
import { atomicWrite } from '../../base/atomicWrite.js';
import { type Fault, VoxelbookError } from '../../base/errors.js';
import { type Geometry, type Volume, voxelCount } from '../volume.js';
import { dcmjs, type Elements, items, number, numbers, pixelBytes, readElements, text } from './elements.js';
import { cross, dot, type Series } from './series.js';

/** A segment: its number in the file and its label. */
export interface Segment {
  number: number;
  label: string;
}

const refusal = (file: string, code: string, given: string, expected: string, fix: string) =>
  new VoxelbookError(`${file} cannot be used as labels`, { code, path: file, given, expected, fix });

/** Names and numbers of the segments of a file. @throws VoxelbookError for kinds of segmentation that are no labels */
export async function readSegments(file: string): Promise<Segment[]> {
  return segmentsOf(file, await readElements(file, { pixels: false }));
}

function segmentsOf(file: string, e: Elements): Segment[] {
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

/**
 * The segments of files as one label map on the grid of their series.
 * @param labels label of a segment, by file and segment number
 * @throws VoxelbookError where a frame lies on no plane of the series, on another grid, or two segments overlap
 */
export async function readSeg(
  files: readonly string[],
  series: Series,
  labels: (file: string, number: number) => number,
): Promise<Volume<Uint16Array>> {
  const { geometry, planes } = series;
  const [depth, rows, columns] = geometry.shape;
  const size = rows * columns;
  const data = new Uint16Array(voxelCount(geometry));
  const overlaps = new Map<string, number>();
  for (const file of files) {
    const e = await readElements(file, { pixels: true });
    const names = new Map(segmentsOf(file, e).map((s) => [s.number, s.label]));
    const bytes = pixelBytes(e);
    const found = [number(e, 'Rows'), number(e, 'Columns')];
    if (found[0] !== rows || found[1] !== columns)
      throw refusal(
        file,
        'seg-grid',
        `${found.join('×')} pixels`,
        `${rows}×${columns} as its series`,
        'Export it on the grid of the images.',
      );
    const frames = framesOf(file, e);
    if (!bytes || bytes.length < Math.ceil((frames.length * size) / 8))
      throw refusal(
        file,
        'dicom-pixels',
        `${bytes?.length ?? 0} bytes of pixels`,
        `${Math.ceil((frames.length * size) / 8)}`,
        'Fetch it again.',
      );
    frames.forEach(({ segment, position, orientation, pixelSpacing }, f) => {
      const z = planeOf(position, series);
      const o = planes[0].orientation;
      const other = orientation.some((v, i) => Math.abs(v - o[i]) > 1e-3);
      const spacing = pixelSpacing.some((v, i) => Math.abs(v / planes[0].pixelSpacing[i] - 1) > 1e-3);
      if (z === undefined || z >= depth || other || spacing)
        throw refusal(
          file,
          'seg-grid',
          `frame ${f + 1} at ${position.map((v) => +v.toFixed(2)).join(', ')} mm, which is ${other || spacing ? 'another grid' : 'no plane'} of the series`,
          'the planes and pixels of its series',
          'Export it on the grid of the images.',
        );
      const label = labels(file, segment);
      for (let i = 0, bit = f * size; i < size; i++, bit++) {
        if (!((bytes[bit >> 3] >> (bit & 7)) & 1)) continue;
        const at = z * size + i;
        if (data[at] !== 0 && data[at] !== label) {
          const pair = `${names.get(segment) || segment} with label ${data[at]}`;
          overlaps.set(pair, (overlaps.get(pair) ?? 0) + 1);
        }
        data[at] = label;
      }
    });
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

/** The plane at a position, to a twentieth of the distance of planes; undefined where there is none. */
function planeOf(position: readonly number[], { geometry, planes }: Series): number | undefined {
  const { position: origin, orientation: o } = planes[0];
  const by = position.map((v, i) => v - origin[i]);
  const z = dot(by, cross(o)) / geometry.spacingMm[0];
  const nearest = Math.round(z);
  const inPlane = Math.hypot(dot(by, o.slice(0, 3)) / geometry.spacingMm[2], dot(by, o.slice(3)) / geometry.spacingMm[1]);
  return nearest >= 0 && Math.abs(z - nearest) < 0.05 && inPlane < 0.05 ? nearest : undefined;
}

const code = (value: string, scheme: string, meaning: string) => [
  { CodeValue: value, CodingSchemeDesignator: scheme, CodeMeaning: meaning },
];
const tissue = code('85756007', 'SCT', 'Tissue');

/**
 * Writes a label map as a DICOM segmentation of its series: same patient, study and frame of reference, a segment for each label, and every
 * frame naming the image it lies on.
 * @param source an image of the series, for patient and study
 * @param names label → name of the segment; labels without a voxel become no segment
 * @throws VoxelbookError when the labels do not lie on the grid of the series, or there is none
 */
export async function writeSeg(file: string, labels: Volume, series: Series, names: ReadonlyMap<number, string>): Promise<void> {
  const fault = gridFault(labels, series.geometry);
  if (fault) throw refusal(file, 'seg-grid', fault, 'the grid of the series', 'Predict on the images made of this very series.');
  const present = [...new Set(labels.data as ArrayLike<number> as Uint16Array)].filter((l) => l !== 0).sort((a, b) => a - b);
  if (present.length === 0)
    throw refusal(
      file,
      'seg-empty',
      'no labelled voxel',
      'at least one',
      'There is nothing to show: a DICOM segmentation has at least one segment.',
    );
  const { data } = await dcmjs();
  const { DicomDict, DicomMetaDictionary, BitArray } = data;
  const source = await readElements(series.planes[0].file, { pixels: false });
  const byFile = new Map(series.headers.map((h) => [h.file, h]));
  const size = series.geometry.shape[1] * series.geometry.shape[2];
  const frames: { segment: number; z: number }[] = [];
  const bits: Uint8Array[] = [];
  for (const [s, label] of present.entries())
    for (let z = 0; z < series.planes.length; z++) {
      const plane = Uint8Array.from(labels.data.subarray(z * size, (z + 1) * size) as Uint8Array, (v) => Number(v === label));
      if (!plane.includes(1)) continue;
      frames.push({ segment: s + 1, z });
      bits.push(plane);
    }
  const pixels = new Uint8Array(bits.length * size);
  bits.forEach((plane, f) => {
    pixels.set(plane, f * size);
  });
  const packed = BitArray.pack(pixels);
  const even = new Uint8Array(packed.length + (packed.length % 2));
  even.set(packed);
  const [head] = series.headers;
  const instance = DicomMetaDictionary.uid();
  const now = new Date().toISOString().replace(/[-:]/g, '');
  const reference = (z: number) => {
    const plane = series.planes[z];
    const { sopClass, sopInstance, planes } = byFile.get(plane.file)!;
    return {
      ReferencedSOPClassUID: sopClass,
      ReferencedSOPInstanceUID: sopInstance,
      ...(planes.length > 1 && { ReferencedFrameNumber: plane.frame + 1 }),
    };
  };
  const { orientation, pixelSpacing } = series.planes[0];
  const dataset = {
    _vrMap: { PixelData: 'OB' },
    ...kept(source),
    SOPClassUID: '1.2.840.10008.5.1.4.1.1.66.4',
    SOPInstanceUID: instance,
    SeriesInstanceUID: DicomMetaDictionary.uid(),
    StudyInstanceUID: head.study,
    FrameOfReferenceUID: head.frameOfReference,
    PositionReferenceIndicator: '',
    Modality: 'SEG',
    SeriesNumber: 1000,
    InstanceNumber: 1,
    SeriesDescription: 'Segmentation',
    ContentDate: now.slice(0, 8),
    ContentTime: now.slice(9, 15),
    ContentLabel: 'SEGMENTATION',
    ContentDescription: 'predicted labels',
    ContentCreatorName: '',
    Manufacturer: 'voxelbook',
    ManufacturerModelName: 'voxelbook',
    DeviceSerialNumber: '0',
    SoftwareVersions: '0',
    ImageType: ['DERIVED', 'PRIMARY'],
    SamplesPerPixel: 1,
    PhotometricInterpretation: 'MONOCHROME2',
    PixelRepresentation: 0,
    Rows: series.geometry.shape[1],
    Columns: series.geometry.shape[2],
    BitsAllocated: 1,
    BitsStored: 1,
    HighBit: 0,
    LossyImageCompression: '00',
    SegmentationType: 'BINARY',
    NumberOfFrames: frames.length,
    SegmentSequence: present.map((label, s) => ({
      SegmentNumber: s + 1,
      SegmentLabel: (names.get(label) ?? `label ${label}`).slice(0, 64),
      SegmentAlgorithmType: 'AUTOMATIC',
      SegmentAlgorithmName: 'voxelbook',
      SegmentedPropertyCategoryCodeSequence: tissue,
      SegmentedPropertyTypeCodeSequence: tissue,
    })),
    ReferencedSeriesSequence: [
      {
        SeriesInstanceUID: head.series,
        ReferencedInstanceSequence: [...byFile.values()].map((h) => ({
          ReferencedSOPClassUID: h.sopClass,
          ReferencedSOPInstanceUID: h.sopInstance,
        })),
      },
    ],
    DimensionOrganizationSequence: [{ DimensionOrganizationUID: `${instance}.1` }],
    DimensionIndexSequence: [
      { DimensionOrganizationUID: `${instance}.1`, DimensionIndexPointer: 0x0062000b, FunctionalGroupPointer: 0x0062000a },
      { DimensionOrganizationUID: `${instance}.1`, DimensionIndexPointer: 0x00200032, FunctionalGroupPointer: 0x00209113 },
    ],
    SharedFunctionalGroupsSequence: [
      {
        PlaneOrientationSequence: [{ ImageOrientationPatient: orientation }],
        PixelMeasuresSequence: [
          {
            PixelSpacing: pixelSpacing,
            SliceThickness: series.geometry.spacingMm[0],
            SpacingBetweenSlices: series.geometry.spacingMm[0],
          },
        ],
      },
    ],
    PerFrameFunctionalGroupsSequence: frames.map(({ segment, z }) => ({
      FrameContentSequence: [{ DimensionIndexValues: [segment, z + 1] }],
      PlanePositionSequence: [{ ImagePositionPatient: series.planes[z].position }],
      SegmentIdentificationSequence: [{ ReferencedSegmentNumber: segment }],
      DerivationImageSequence: [
        {
          DerivationCodeSequence: code('113076', 'DCM', 'Segmentation'),
          SourceImageSequence: [
            {
              ...reference(z),
              PurposeOfReferenceCodeSequence: code('121322', 'DCM', 'Source image for image processing operation'),
            },
          ],
        },
      ],
    })),
    PixelData: [even.buffer],
  };
  const dict = new DicomDict(
    DicomMetaDictionary.denaturalizeDataset({
      _vrMap: { FileMetaInformationVersion: 'OB' },
      FileMetaInformationVersion: [new Uint8Array([0, 1]).buffer],
      MediaStorageSOPClassUID: dataset.SOPClassUID,
      MediaStorageSOPInstanceUID: instance,
      TransferSyntaxUID: '1.2.840.10008.1.2.1',
      ImplementationClassUID: '2.25.80302813137786398554742050926734630921603366648225212145404',
      ImplementationVersionName: 'voxelbook',
    }),
  );
  dict.dict = DicomMetaDictionary.denaturalizeDataset(dataset);
  atomicWrite(file, new Uint8Array(dict.write()));
}

/** Patient and study of the series: the segmentation belongs to them. */
const patientAndStudy = {
  PatientName: '00100010',
  PatientID: '00100020',
  PatientBirthDate: '00100030',
  PatientSex: '00100040',
  StudyDate: '00080020',
  StudyTime: '00080030',
  AccessionNumber: '00080050',
  ReferringPhysicianName: '00080090',
  StudyID: '00200010',
};

const kept = (source: Elements) =>
  Object.fromEntries(Object.entries(patientAndStudy).map(([keyword, tag]) => [keyword, source[tag]?.Value?.[0] ?? '']));

/** What keeps labels from lying on a grid; undefined where they do. */
function gridFault(labels: Volume, wanted: Geometry): string | undefined {
  if (labels.channels !== 1) return `${labels.channels} channels`;
  if (labels.shape.some((n, i) => n !== wanted.shape[i]))
    return `${labels.shape.join('×')} voxels, not ${wanted.shape.join('×')}`;
  const apart = Math.hypot(...labels.originMm.map((v, i) => v - wanted.originMm[i]));
  if (apart > 0.05 * Math.min(...wanted.spacingMm)) return `an origin ${apart.toFixed(2)} mm away`;
  if (labels.spacingMm.some((v, i) => Math.abs(v / wanted.spacingMm[i] - 1) > 1e-3))
    return `voxels of ${labels.spacingMm.join('×')} mm`;
  if (labels.direction.some((v, i) => Math.abs(v - wanted.direction[i]) > 1e-3)) return 'other directions';
  return undefined;
}
