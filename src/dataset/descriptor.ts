// What is known of a public data set without having it: `datasets/<name>.json`.
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import { projectRoot } from '../base/paths.js';
import type { DatasetJson } from './dataset.js';

/** What `datasets/<name>.json` holds. */
export interface Descriptor {
  name: string;
  title: string;
  /** Folder of the set in nnU-Net's raw layout. */
  folder: string;
  modality: string;
  cases: { train: number; test: number | null };
  /** mm, slowest axis first; null for pictures. Absent: not known. */
  typicalSpacingMm?: number[] | null;
  /** Median size of the images before cropping, voxels, at `typicalSpacingMm`, and who says so. Absent: not known. */
  typicalShape?: { voxels: number[]; source: string };
  licence: string;
  /** Where to apply for or download the data. */
  apply: string;
  /** Where it can be had without an agreement. */
  download?: Download;
  /** How the published folder looks; the converter expects this. */
  sourceLayout: string[];
  split: string;
  /** How each paper that used it trained and tested on it. */
  protocols: DescribedProtocol[];
  papers: string[];
  notes?: string;
  /** What becomes `dataset.json`, without `numTraining`. */
  datasetJson: Omit<DatasetJson, 'numTraining'>;
}

/** The published files of a data set. */
export interface Download {
  /** Who publishes the addresses and checksums. */
  source: string;
  /** Folder that the files make, for the converter. */
  folder: string;
  files: DownloadFile[];
}

export interface DownloadFile {
  /** `{case}` stands for a case's number of five digits, where there are `cases`. */
  url: string;
  /** Where it goes, below the folder of downloads. */
  to: string;
  /** As its publisher says; null: none is published, and that of the first download is kept and compared. */
  md5: string | null;
  unpack?: 'tar' | 'zip';
  /** First and last number of ranges: a file for each. */
  cases?: [number, number][];
}

/** One paper's use of a data set. */
export interface DescribedProtocol {
  paper: string;
  kind: string;
  /** Folds of a cross-validation. */
  folds?: number;
  /** Test cases where they are no part of the training cases. */
  cases?: number;
  /** The test cases of a published split of the training cases, by id. */
  test?: string[];
  source: string;
}

const folder = () => path.join(projectRoot, 'datasets');

/** Names of the public data sets that are described; each has a converter. */
export const describedNames = (): string[] =>
  fs
    .readdirSync(folder())
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.slice(0, -'.json'.length))
    .sort();

/** What is known of a public data set; undefined for other names. */
export function descriptorIfAny(name: string): Descriptor | undefined {
  const known = describedNames().find((n) => n.toLowerCase() === name.toLowerCase());
  return known && JSON.parse(fs.readFileSync(path.join(folder(), `${known}.json`), 'utf8'));
}

/** What is known of a public data set. @throws VoxelbookError for unknown names */
export function descriptor(name: string): Descriptor {
  const found = descriptorIfAny(name);
  if (found) return found;
  throw new VoxelbookError(`there is no descriptor of ${name}`, {
    code: 'no-descriptor',
    path: name,
    given: 'an unknown data set',
    expected: `one of ${describedNames().join(', ')}`,
    fix: 'Bring other data into the nnU-Net raw layout by hand; dataset.check says what is missing.',
  });
}
