// Where things lie: the project, the runs, the data sets made or prepared here. Environment variables move them.
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's root folder (this file is one folder deep in `src/` or `dist/`). */
export const projectRoot = fileURLToPath(new URL('../../', import.meta.url)).replace(/\/$/, '');

/** Run folders; `VOXELBOOK_RUNS` moves them. */
export const runsFolder = () => path.resolve(process.env.VOXELBOOK_RUNS ?? path.join(projectRoot, 'runs'));

/** Generated and preprocessed data sets; `VOXELBOOK_DATA` moves them. */
export const dataFolder = () => path.resolve(process.env.VOXELBOOK_DATA ?? path.join(runsFolder(), 'data'));

/** Where a data set's preprocessed cases, plans and splits go when nothing is said. */
export const preprocessedFolder = ({ name }: { name: string }) => path.join(dataFolder(), 'preprocessed', name);
