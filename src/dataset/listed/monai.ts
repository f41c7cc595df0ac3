// MONAI's datalist: {"training": [{"image": "a.nii.gz" or [channel, …], "label": "b.nii.gz", "fold": 0}], …}, and what it may say besides.
// Source: MONAI's load_decathlon_datalist and Auto3DSeg's datalists.
import path from 'node:path';
import { z } from 'zod';
import { VoxelbookError } from '../../base/errors.js';
import { readJsonFile } from '../../base/json.js';
import { list, parse, whole } from '../../base/schema.js';
import { endingOf, readVolume } from '../../volume/index.js';
import { type ListedCase, type ListOptions, writeListed } from './write.js';

const file = z.string({ error: 'the path of a file' }).min(1);
const entry = z.looseObject({
  image: z.union([file, list(file, 1, 64, 'paths')], { error: 'a path, or a list of one for each channel' }),
  label: file,
  fold: whole(0, 1000).optional(),
});
const datalist = z.looseObject({
  training: list(entry, 1, 1_000_000, 'cases'),
  modality: z.union([z.string(), z.record(z.string(), z.string())]).optional(),
  labels: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
});

/**
 * A data set of the cases under `training` of a datalist, their files where they are. Folds become splits.
 * @param base folder that paths are relative to; default the datalist's own
 * @returns the raw folder
 * @throws VoxelbookError for another form, missing files, and channels or labels that nobody names
 */
export function listMonai(
  datalistFile: string,
  { base = path.dirname(datalistFile), ...options }: ListOptions & { base?: string },
): string {
  const value = parse(datalist, readJsonFile(datalistFile, 'this datalist'), `${datalistFile} is no datalist of MONAI`);
  const full = (name: string) => path.resolve(base, name);
  const found = value.training.map(({ image, label, fold }) => ({ images: [image].flat().map(full), label: full(label), fold }));
  const ids = idsOf(found.map(({ images }) => images[0]));
  const cases = found.map((one, i): ListedCase => ({ ...one, id: ids[i] }));
  const channels = options.channels ?? channelsOf(value.modality, cases[0]);
  return writeListed(datalistFile, cases, { ...options, channels, labels: options.labels ?? labelsOf(value.labels) });
}

/** The names of the files where these tell the cases apart, else with the folders above them. */
function idsOf(files: readonly string[]): string[] {
  const stem = (name: string) => name.slice(0, -(endingOf(name) ?? '').length || undefined);
  for (let depth = 1; depth < 6; depth++) {
    const ids = files.map((name) => stem(name.split(path.sep).slice(-depth).join('_')).replace(/_0000$/, ''));
    if (new Set(ids).size === ids.length) return ids;
  }
  return files.map((name) => stem(path.basename(name)));
}

function channelsOf(modality: string | Record<string, string> | undefined, { images }: ListedCase): string[] {
  if (typeof modality === 'object') return Object.values(modality);
  const count = images.length > 1 ? images.length : readVolume(images[0], { onWarning: () => {} }).channels;
  if (modality !== undefined) return Array.from({ length: count }, (_, i) => (i === 0 ? modality : `${modality} ${i + 1}`));
  throw unnamed('channels', `${count} without names`, 'T1,T2');
}

/** `{"1": "liver"}` as the Decathlon has it, or `{"liver": 1}`. */
function labelsOf(labels: Record<string, string | number> | undefined): Record<string, number> {
  if (!labels) throw unnamed('labels', 'no names', 'liver,tumor');
  const pairs = Object.entries(labels).map(([key, v]): [string, number] => (typeof v === 'string' ? [v, Number(key)] : [key, v]));
  return Object.fromEntries(pairs.filter(([, number]) => number !== 0));
}

const unnamed = (what: string, given: string, example: string) =>
  new VoxelbookError(`the ${what} of this datalist need names`, {
    code: what,
    path: what,
    given,
    expected: 'a name for each, in order',
    fix: `Name them: --${what} ${example}.`,
  });
