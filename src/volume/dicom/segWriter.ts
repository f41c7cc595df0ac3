// Label maps as DICOM segmentations that refer to their series.
// Source: DICOM PS3.3, A.51 (Segmentation IOD); binary frames, eight pixels a byte, the first in the lowest bit.
import { atomicWrite } from '../../base/atomicWrite.js';
import type { Geometry, Volume } from '../volume.js';
import { dcmjs, type Elements, readElements } from './elements.js';
import { refusal } from './masks.js';
import type { Series } from './series.js';

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
