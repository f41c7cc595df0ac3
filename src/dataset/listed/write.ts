// A raw folder whose `dataset.json` names the files where they lie (nnU-Net's `dataset` list): nothing is copied.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteJson } from '../../base/atomicWrite.js';
import { FaultList, VoxelbookError } from '../../base/errors.js';
import { dataFolder, preprocessedFolder } from '../../base/paths.js';
import { endingOf } from '../../volume/index.js';
import { datasetJsonFaults } from '../datasetJson.js';
import { groupsFile } from '../groups.js';

export interface ListedCase {
  id: string;
  /** Absolute paths; one 4-D file may hold all channels. */
  images: string[];
  label: string;
  group?: string;
  /** The fold in which it is validated. */
  fold?: number;
}

/** Where a list of cases goes. */
export interface ListOptions {
  /** Name of the raw folder. */
  as: string;
  /** Where it goes; default the environment's `nnUNet_raw`, else the own data folder. */
  root?: string;
  /** Names of the channels; labels by name. What the source says of them itself counts where these are left out. */
  channels?: readonly string[];
  labels?: readonly string[];
}

/** Names of channels, and of labels: with their numbers, or in order from 1. */
interface Named {
  channels: readonly string[];
  labels: Record<string, number> | readonly string[];
}

/** @throws VoxelbookError for another kind of name: it becomes a folder */
export function refuseName(as: string): void {
  if (/^Dataset\d{3}_[\w-]{1,60}$/.test(as)) return;
  throw new VoxelbookError('this data set needs another name', {
    code: 'dataset-name',
    path: '--as',
    given: as,
    expected: 'Dataset, three digits, _ and letters: Dataset501_Lesions',
    fix: 'Name it so.',
  });
}

/** Where a raw folder of this name goes. */
export const rawFolder = (as: string, root?: string) =>
  path.join(root ?? process.env.nnUNet_raw ?? path.join(dataFolder(), 'raw'), as);

/**
 * Writes `dataset.json` with the list of cases, `groups.json` where cases belong together, and `splits_final.json` where the source has folds
 * and there is none.
 * @param source named in errors
 * @returns the raw folder
 * @throws VoxelbookError with every file that is missing, and every name that stands twice
 */
export function writeListed(
  source: string,
  cases: readonly ListedCase[],
  { as, root, channels, labels }: Omit<ListOptions, 'channels' | 'labels'> & Named,
): string {
  refuseName(as);
  const faults = new FaultList();
  const seen = new Set<string>();
  for (const { id, images, label } of cases) {
    if (seen.has(id)) faults.add('case-id', `${source} ${id}`, 'one id twice', 'every case once', 'Rename one of the files.');
    seen.add(id);
    for (const file of [...images, label])
      if (!fs.existsSync(file))
        faults.add('case-file', `${source} ${id}`, `${file}, which is not there`, 'an existing file', 'Correct the path.');
  }
  const endings = new Set(cases.map(({ images }) => endingOf(images[0]) ?? path.extname(images[0])));
  if (endings.size > 1)
    faults.add('file-ending', source, [...endings].join(' and '), 'images of one format', 'Convert those of the other.');
  const named = Array.isArray(labels)
    ? Object.fromEntries((labels as readonly string[]).map((name, i) => [name, i + 1]))
    : labels;
  const json = {
    channel_names: Object.fromEntries(channels.map((name, i) => [String(i), name])),
    labels: { background: 0, ...named },
    numTraining: cases.length,
    file_ending: [...endings][0] ?? '',
    dataset: Object.fromEntries(cases.map(({ id, images, label }) => [id, { images, label }])),
  };
  if (cases.length === 0)
    faults.add('cases', source, 'no case with a label', 'at least one', 'Look at the paths and names in it.');
  else
    for (const fault of datasetJsonFaults(json))
      faults.faults.push({ ...fault, fix: `${fault.fix} --channels and --labels name them.` });
  faults.throwIfAny(`${source} cannot become a data set`);
  const folder = rawFolder(as, root);
  fs.mkdirSync(folder, { recursive: true });
  const groups = cases.flatMap(({ id, group }) => (group === undefined ? [] : [[id, group]]));
  if (groups.length > 0 && !fs.existsSync(groupsFile(folder))) atomicWriteJson(groupsFile(folder), Object.fromEntries(groups));
  writeFolds(as, cases);
  atomicWriteJson(path.join(folder, 'dataset.json'), json);
  return folder;
}

function writeFolds(name: string, cases: readonly ListedCase[]): void {
  const folds = [...new Set(cases.flatMap(({ fold }) => (fold === undefined ? [] : [fold])))].sort((a, b) => a - b);
  const file = path.join(preprocessedFolder({ name }), 'splits_final.json');
  if (folds.length < 2 || fs.existsSync(file)) return;
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const ids = (of: (fold: number | undefined) => boolean) => cases.filter(({ fold }) => of(fold)).map(({ id }) => id);
  atomicWriteJson(
    file,
    folds.map((k) => ({ train: ids((fold) => fold !== k), val: ids((fold) => fold === k) })),
  );
}
