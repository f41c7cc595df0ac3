// BIDS: images below `sub-<label>[/ses-<label>]`, masks in `derivatives/<pipeline>` under the same names.
// Source: BIDS 1.10, raw data and derivatives of segmentation (`_dseg`, `_mask`).
import fs from 'node:fs';
import path from 'node:path';
import { type FaultList, FaultList as Faults, VoxelbookError } from '../../base/errors.js';
import { names, nifti, stem } from '../convert/source.js';
import { type ListedCase, type ListOptions, writeListed } from './write.js';

/** Which files of a BIDS study are images and which are masks. */
export interface BidsOptions extends ListOptions {
  /** Suffixes of the images with any entities they need: `T1w`, `ce-gd_T1w`. */
  channels: readonly string[];
  /** End of the names of the masks: `dseg` (default), `label-lesion_mask`. */
  mask?: string;
  /** Folder below `derivatives`, where several have masks. */
  pipeline?: string;
}

/** A file and the parts of its name: `sub-01_ses-2_T1w` → sub-01, ses-2, T1w. */
interface Named {
  file: string;
  parts: string[];
}

/**
 * A data set of every subject (and session) that has a mask, its files where they are; a subject's sessions stay together.
 * @returns the raw folder
 * @throws VoxelbookError with every image that is missing or not clear
 */
export function listBids(root: string, { channels, mask = 'dseg', pipeline, ...options }: BidsOptions): string {
  const faults = new Faults();
  const place = derivatives(root, mask, pipeline);
  const masks = visits(place).flatMap((visit) => {
    const found = filesOf(path.join(place, visit)).filter(({ parts }) => endsWith(parts, mask));
    return found.length === 0 ? [] : [{ visit, label: pick(found, visit, mask, faults) }];
  });
  const cases = masks.flatMap(({ visit, label }): ListedCase[] => {
    const images = channels.map((channel) => {
      const found = filesOf(path.join(root, visit)).filter(({ parts }) => endsWith(parts, channel));
      return pick(found, visit, channel, faults);
    });
    if (!label || images.some((file) => file === undefined)) return [];
    return [{ id: visit.replaceAll(path.sep, '_'), images: images as string[], label, group: visit.split(path.sep)[0] }];
  });
  faults.throwIfAny(`${root} cannot become a data set`);
  return writeListed(root, cases, { ...options, channels, labels: options.labels ?? labelsOf(root, place, mask) });
}

/** `sub-01`, or `sub-01/ses-1` where there are sessions. */
function visits(root: string): string[] {
  return names(root, /^sub-[A-Za-z0-9]+$/).flatMap((sub) => {
    const sessions = names(path.join(root, sub), /^ses-[A-Za-z0-9]+$/);
    return sessions.length > 0 ? sessions.map((ses) => path.join(sub, ses)) : [sub];
  });
}

function filesOf(folder: string): Named[] {
  if (!fs.existsSync(folder)) return [];
  const places = [folder, ...names(folder, /^[a-z]+$/).map((kind) => path.join(folder, kind))];
  return places
    .filter((at) => fs.statSync(at).isDirectory())
    .flatMap((at) =>
      names(at, /^sub-.*\.nii(\.gz)?$/).map((name) => ({ file: path.join(at, name), parts: stem(name).split('_') })),
    );
}

const endsWith = (parts: readonly string[], wanted: string) => {
  const end = wanted.split('_');
  return end.every((part, i) => parts[parts.length - end.length + i] === part);
};

/** The file with no other entities than subject and session, else the only one. */
function pick(found: readonly Named[], visit: string, wanted: string, faults: FaultList): string | undefined {
  const own = found.filter(({ parts }) => parts.length - wanted.split('_').length === visit.split(path.sep).length);
  const [one, ...more] = own.length > 0 ? own : found;
  if (one && more.length === 0) return path.resolve(one.file);
  faults.add(
    'bids-file',
    `${visit} ${wanted}`,
    one ? `several: ${[one, ...more].map((f) => path.basename(f.file)).join(', ')}` : 'no file',
    `one _${wanted}${nifti[0]}`,
    one ? 'Name the entities that tell them apart, as ce-gd_T1w.' : 'Add it, or take the subject’s mask out.',
  );
  return undefined;
}

/** The pipeline below `derivatives` that has such masks. */
function derivatives(root: string, mask: string, wanted: string | undefined): string {
  const base = path.join(root, 'derivatives');
  const all = names(base, /^[^.]/).filter((name) => fs.statSync(path.join(base, name)).isDirectory());
  const having = all.filter((name) =>
    visits(path.join(base, name)).some((v) => filesOf(path.join(base, name, v)).some((f) => endsWith(f.parts, mask))),
  );
  const found = wanted === undefined ? having : having.filter((name) => name === wanted);
  if (found.length === 1) return path.join(base, found[0]);
  throw new VoxelbookError(`${root} cannot become a data set`, {
    code: 'bids-derivatives',
    path: base,
    given:
      found.length === 0 ? `no _${mask} in ${wanted ?? (all.join(', ') || 'any folder')}` : `_${mask} in ${found.join(', ')}`,
    expected: 'masks in one pipeline',
    fix: found.length === 0 ? 'Give the end of their names: --mask label-lesion_mask.' : 'Choose one: --pipeline.',
  });
}

/** `dseg.tsv` (columns index and name) of the pipeline or the root; a mask is its `label-` entity. */
function labelsOf(root: string, place: string, mask: string): Record<string, number> {
  if (mask.endsWith('mask')) return { [/label-([A-Za-z0-9]+)/.exec(mask)?.[1] ?? 'foreground']: 1 };
  const table = [place, root].flatMap((at) => names(at, /(^|_)dseg\.tsv$/).map((name) => path.join(at, name)))[0];
  if (!table)
    throw new VoxelbookError('the labels of these masks need names', {
      code: 'labels',
      path: place,
      given: 'no dseg.tsv',
      expected: 'a table with the columns index and name, or names in order',
      fix: 'Name them: --labels liver,tumor.',
    });
  const [head, ...rows] = fs
    .readFileSync(table, 'utf8')
    .trim()
    .split(/\r?\n/)
    .map((line) => line.split('\t'));
  const [index, name] = [head.indexOf('index'), head.indexOf('name')];
  return Object.fromEntries(
    rows.map((row): [string, number] => [row[name], Number(row[index])]).filter(([, number]) => number !== 0),
  );
}
