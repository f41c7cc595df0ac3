// Voxels and where they lie: volumes, files, resampling.
export { readBmp } from './bmp.js';
export { endingOf, fileEndings, type ReadOptions, readGrid, readVolume, writeVolume } from './io.js';
export { decodeNifti, encodeNifti, readNifti, writeNifti } from './nifti.js';
export { type NiftiHeader, readNiftiHeader } from './niftiHeader.js';
export { type Box, boundingBox, type Cropped, cropToNonzero, cut, nonzeroMask, transposeAxes } from './nonzero.js';
export { decodePng, type Picture, pictureOf, readPng, writePng } from './png.js';
export { type Grid, type ResampleRule, resample, separateAxis } from './resample.js';
export { resizeLabels, resizeValues } from './resize.js';
export { decodeTiff, readTiff } from './tiff.js';
export { identityDirection, isPicture, type LabelMap, type Volume, type VoxelArray, voxelCount } from './volume.js';
