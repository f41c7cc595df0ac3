// Voxels and where they lie: volumes, files, resampling.

export { type Box, boundingBox, type Cropped, cropToNonzero, cut, nonzeroMask, transposeAxes } from './crop.js';
export { type DicomHeader, type ImageHeader, readHeader as readDicomHeader, type SegHeader } from './dicom/header.js';
export type { Segment } from './dicom/masks.js';
export { readSeg as readDicomSeg, readSegments as readDicomSegments } from './dicom/seg.js';
export { writeSeg as writeDicomSeg } from './dicom/segWriter.js';
export {
  nameOf as dicomSeriesName,
  orderSeries as orderDicomSeries,
  readSeries as readDicomSeries,
  type Series as DicomSeries,
} from './dicom/series.js';
export { readBmp } from './format/bmp.js';
export {
  endingOf,
  fileEndings,
  type ReaderDefinition,
  type ReadOptions,
  readerCode,
  readGrid,
  readVolume,
  writeVolume,
} from './format/io.js';
export { decodeNifti, encodeNifti, readNifti, writeNifti } from './format/nifti.js';
export { type NiftiHeader, readNiftiHeader } from './format/niftiHeader.js';
export { decodePng, type Picture, pictureOf, readPng, writePng } from './format/png.js';
export { decodeTiff, readTiff } from './format/tiff.js';
export { fromRas, rasGeometry, toRas } from './reorient.js';
export { type Grid, type ResampleRule, resample, separateAxis } from './resample.js';
export { resizeLabels, resizeValues } from './resize.js';
export {
  type Geometry,
  identityDirection,
  isPicture,
  type LabelMap,
  type Volume,
  type VoxelArray,
  voxelCount,
} from './volume.js';
