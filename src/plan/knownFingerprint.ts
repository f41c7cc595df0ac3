// The fingerprint of a data set as it was measured before, as long as its files are the same.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteJson } from '../base/atomicWrite.js';
import { crc32 } from '../base/checksum.js';
import { canonicalJson } from '../base/json.js';
import { withLock } from '../base/lock.js';
import { isNnunetsFolder, preprocessedFolder } from '../base/paths.js';
import type { WorkOptions } from '../base/progress.js';
import { Contents } from '../dataset/content.js';
import type { Dataset } from '../dataset/dataset.js';
import { filesOf } from '../dataset/sideFile.js';
import { readerCode } from '../volume/index.js';
import { fingerprint } from './fingerprint.js';
import type { Fingerprint } from './plan.js';

/** Foreground draws over a data set: nnU-Net's own number. */
export const nnunetDraws = 1e8;

/**
 * The fingerprint kept in a data set's preprocessed folder, if the data set's files are still the same and it is as it was written.
 * @param draws foreground draws it was to be measured with
 */
export function storedFingerprint(dataset: Dataset, draws = nnunetDraws): Fingerprint | undefined {
  return read(placeOf(dataset, preprocessedFolder(dataset), draws));
}

function read({ file, sourceFile, hash }: ReturnType<typeof placeOf>): Fingerprint | undefined {
  if (!fs.existsSync(file) || !fs.existsSync(sourceFile)) return undefined;
  const text = fs.readFileSync(file, 'utf8');
  const same = fs.readFileSync(sourceFile, 'utf8').trim() === JSON.stringify(`${hash} ${crc32(text)}`);
  return same ? JSON.parse(text) : undefined;
}

/** The fingerprint of a data set on this machine, measured where there is none of its present files. */
export function fingerprintOf(dataset: Dataset, options: WorkOptions & { draws?: number } = {}): Promise<Fingerprint> {
  const folder = preprocessedFolder(dataset);
  fs.mkdirSync(folder, { recursive: true });
  return withLock(path.join(folder, 'prepare.lock'), options, () => knownFingerprint(dataset, folder, options));
}

/** The stored fingerprint, else a new one, which is stored. The caller holds the folder's lock. */
export async function knownFingerprint(
  dataset: Dataset,
  folder: string,
  { draws = nnunetDraws, ...options }: WorkOptions & { draws?: number } = {},
): Promise<Fingerprint> {
  const place = placeOf(dataset, folder, draws);
  const stored = read(place);
  if (stored) return stored;
  const { file, sourceFile, hash } = place;
  const print = await fingerprint(dataset, { draws, ...options });
  atomicWriteJson(file, print);
  atomicWriteJson(sourceFile, `${hash} ${crc32(fs.readFileSync(file))}`);
  return print;
}

/** Where a fingerprint lies, and the hash of what it is made of: names and contents of the files, and the draws. */
function placeOf(dataset: Dataset, folder: string, draws: number) {
  const source = createHash('sha256').update(canonicalJson([draws, dataset.json]));
  const readers = readerCode(dataset.cases.flatMap(({ images }) => images));
  if (readers) source.update(canonicalJson(readers));
  const contents = new Contents(dataset.folder);
  for (const files of dataset.cases)
    for (const name of filesOf(files)) source.update(`${path.relative(dataset.folder, name)} ${contents.sha256(name)}\n`);
  contents.save();
  const at = (name: string) => path.join(folder, name);
  // nnU-Net's own stays as it is.
  const whose = isNnunetsFolder(folder) ? 'voxelbook_fingerprint' : 'dataset_fingerprint';
  // A demo's, of fewer draws, stands beside it.
  const own = draws === nnunetDraws ? whose : `${whose}_${draws.toExponential().replace('+', '')}`;
  return {
    file: at(`${own}.json`),
    sourceFile: at(`${own}.source`),
    hash: source.digest('hex'),
  };
}
