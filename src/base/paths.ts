// Where things lie: the project, the runs, the data sets made or prepared here. Environment variables move them.
import path from 'node:path';
import { places, root } from '../../environment/places.mjs';

export { commandText, packageFolder, places } from '../../environment/places.mjs';

/** The package's own folder: the checkout, or what npm installed. */
export const projectRoot = root;

/** Run folders: in the checkout, or in the working folder of whoever has the package; `VOXELBOOK_RUNS` moves them. */
export const runsFolder = () => path.resolve(process.env.VOXELBOOK_RUNS ?? path.join(places().work, 'runs'));

/** Generated and preprocessed data sets; `VOXELBOOK_DATA` moves them. */
export const dataFolder = () => path.resolve(process.env.VOXELBOOK_DATA ?? path.join(runsFolder(), 'data'));

/** nnU-Net's folder of preprocessed data sets, where ours is not set. */
const nnunetPreprocessed = () => (process.env.VOXELBOOK_DATA === undefined ? process.env.nnUNet_preprocessed : undefined);

/** Folder of all preprocessed data sets: ours, or `nnUNet_preprocessed` where `VOXELBOOK_DATA` is not set. */
export const preprocessedRoot = () => path.resolve(nnunetPreprocessed() || path.join(dataFolder(), 'preprocessed'));

/** Where a data set's preprocessed cases, plans and splits go when nothing is said. */
export const preprocessedFolder = ({ name }: { name: string }) => path.join(preprocessedRoot(), name);

/** Whether a data set's preprocessed folder is nnU-Net's, with files of nnU-Net's own in it. */
export const isNnunetsFolder = (preprocessed: string): boolean =>
  Boolean(nnunetPreprocessed()) && path.dirname(path.resolve(preprocessed)) === preprocessedRoot();

/**
 * Where the cases of a plan's `data_identifier` lie in the preprocessed folder of a data set. Beside nnU-Net's plans and splits they lie
 * apart: nnU-Net takes every file in a folder of cases for its own.
 */
export const casesFolder = (preprocessed: string, identifier: string) =>
  path.join(preprocessed, ...(isNnunetsFolder(preprocessed) ? ['voxelbook'] : []), identifier);
