// Opening a data set: nnU-Net v2's raw layout, by folder, by name, or one of the embedded sets.
import fs from 'node:fs';
import path from 'node:path';
import { FaultList, VoxelbookError } from '../base/errors.js';
import { dataFolder } from '../base/paths.js';
import type { WorkOptions } from '../base/progress.js';
import { displayed, type Shown, shownTable } from '../base/show.js';
import type { CaseFiles, Dataset } from './dataset.js';
import { readDatasetJson } from './datasetJson.js';
import { descriptorIfAny } from './descriptor.js';
import { madeNames, makeEmbedded } from './embedded.js';
import { labels } from './labels.js';
import { isMacFile } from './names.js';
import { readerOf } from './reader.js';

/**
 * Opens a data set.
 * Source: nnU-Net v2 raw layout (`dataset.json`, `imagesTr/<case>_<cccc><ending>`, `labelsTr/<case><ending>`).
 * @param folderOrName a folder; a name or number below `nnUNet_raw` (environment) or the own data folder, a public set also by its own
 * name (`BTCV`); an embedded set (`SimGlioma`, `demo` for the same, …), which is written on first use
 * @throws VoxelbookError when there is no such set, or with every fault of its `dataset.json`
 */
export function open(folderOrName: string, options: WorkOptions = {}): Dataset {
  const folder = path.resolve(locate(folderOrName, options));
  const json = readDatasetJson(path.join(folder, 'dataset.json'));
  const dataset = {
    name: path.basename(folder),
    folder,
    json,
    cases: trainingCases(folder, json),
    testCases: testCases(folder, json),
  };
  return displayed(dataset, tableOf(dataset));
}

function tableOf({ name, folder, json, cases, testCases: test }: Dataset): Shown {
  const say = (value: unknown) => (value === undefined ? [] : [String(value)]);
  const { hasRegions, names } = labels(json);
  const rows: string[][] = [
    ['channels', Object.values(json.channel_names).join(', ')],
    [hasRegions ? 'regions' : 'labels', names.join(', ')],
    ...say(json.description).map((text) => ['what it is', text]),
    ...say(json.licence).map((text) => ['licence', text]),
    ...(test.length > 0 ? [['test cases', `${test.length}, ${test.filter((c) => c.label).length} with labels`]] : []),
    ['folder', folder],
  ];
  return shownTable(`${name}: ${cases.length} training cases`, ['', ''], rows);
}

/**
 * Cases of a folder of images (`imagesTs`, or any other): id and files in channel order, without labels.
 * @param reader how the files are read
 */
export function casesIn(folder: string, ending: string, reader?: CaseFiles['reader']): CaseFiles[] {
  const byId = new Map<string, string[]>();
  for (const name of fs.existsSync(folder) ? fs.readdirSync(folder).sort() : []) {
    if (!name.endsWith(ending) || isMacFile(name)) continue;
    const match = /^(.+)_\d{4}$/.exec(name.slice(0, -ending.length));
    if (!match) continue;
    byId.set(match[1], [...(byId.get(match[1]) ?? []), path.join(folder, name)]);
  }
  return [...byId].map(([id, images]) => ({ id, images, ...(reader && { reader }) })).sort((a, b) => (a.id < b.id ? -1 : 1));
}

function trainingCases(folder: string, json: Dataset['json']): CaseFiles[] {
  const reader = readerOf(json);
  const listed = json.dataset as Record<string, unknown> | undefined;
  if (listed && typeof listed === 'object') {
    const faults = new FaultList();
    const cases = Object.keys(listed)
      .sort()
      .map((id) => listedCase(id, listed[id], folder, faults));
    faults.throwIfAny(`${folder} is no usable data set`);
    return cases.map((c) => ({ ...c, ...(reader && { reader }) }));
  }
  return casesIn(path.join(folder, 'imagesTr'), json.file_ending, reader).map((c) =>
    withLabel(c, path.join(folder, 'labelsTr'), json),
  );
}

const testCases = (folder: string, json: Dataset['json']): CaseFiles[] =>
  casesIn(path.join(folder, 'imagesTs'), json.file_ending, readerOf(json)).map((c) =>
    withLabel(c, path.join(folder, 'labelsTs'), json),
  );

function withLabel(files: CaseFiles, folder: string, { file_ending }: Dataset['json']): CaseFiles {
  const label = path.join(folder, files.id + file_ending);
  return fs.existsSync(label) ? { ...files, label } : files;
}

/**
 * A case of the list `dataset` in dataset.json. Variables of the environment in file names are filled in as nnU-Net does; a message shows a
 * name as it is written, never what a variable holds.
 */
function listedCase(id: string, entry: unknown, folder: string, faults: FaultList): CaseFiles {
  const at = `dataset.json dataset[${JSON.stringify(id)}]`;
  // An id becomes the name of a file.
  if (!/^[\p{L}\p{N}_][^\p{Cc}/\\]{0,200}$/u.test(id))
    faults.add('case-id', at, 'an id that is no plain name', 'letters, digits, - and _', 'Rename the case.');
  const { images, label } = Object(entry) as { images?: unknown; label?: unknown };
  const place = (file: unknown, key: string): string => {
    if (typeof file !== 'string') {
      faults.add('case-file', `${at}.${key}`, JSON.stringify(file) ?? 'missing', 'the path of a file', 'Name it.');
      return '';
    }
    const found = path.resolve(
      folder,
      file.replace(/\$(\w+|\{\w+\})/g, (all, name) => process.env[name.replace(/[{}]/g, '')] ?? all),
    );
    if (!fs.existsSync(found))
      faults.add('case-file', `${at}.${key}`, `${file}, which is not there`, 'an existing file', 'Correct the path.');
    return found;
  };
  const list: unknown[] = Array.isArray(images) ? images : [images];
  return { id, images: list.map((file, i) => place(file, `images[${i}]`)), label: place(label, 'label') };
}

function locate(given: string, options: WorkOptions): string {
  const place = placeOf(given);
  if (place) return 'folder' in place ? place.folder : makeEmbedded(place.embedded, options);
  const known = descriptorIfAny(given);
  throw new VoxelbookError(`there is no data set ${given}`, {
    code: 'no-dataset',
    path: given,
    given: fs.existsSync(given)
      ? 'a folder without dataset.json'
      : known
        ? 'not on this machine'
        : 'neither a folder nor a known name',
    expected: known
      ? `${known.folder} below $nnUNet_raw`
      : `a folder with dataset.json, a name or number below $nnUNet_raw, or one of ${madeNames().join(', ')}`,
    fix: known
      ? `${known.title}: ${known.download ? `dataset.fetch('${known.name}') downloads and converts it` : `${known.apply}. Then dataset.convert('${known.name}', <its folder>)`}.`
      : 'Check the path; set nnUNet_raw to the folder that holds your data sets.',
  });
}

/**
 * Where `open` will find a data set: a folder, or an embedded set that is written on first use; undefined: nowhere.
 * A public set may be called by its own name (`BTCV` for `Dataset017_BTCV`).
 */
export function placeOf(given: string): { folder: string } | { embedded: string } | undefined {
  if (given === 'demo') return { embedded: 'SimGlioma' };
  if (fs.existsSync(path.join(given, 'dataset.json'))) return { folder: given };
  const number = /^\d{1,3}$/.test(given) ? given.padStart(3, '0') : undefined;
  const publicFolder = descriptorIfAny(given)?.folder;
  for (const root of [process.env.nnUNet_raw, path.join(dataFolder(), 'raw')]) {
    if (!root || !fs.existsSync(root)) continue;
    const found = fs
      .readdirSync(root)
      .filter((n) => n === given || n === publicFolder || (number && n.startsWith(`Dataset${number}_`)))
      .filter((n) => fs.existsSync(path.join(root, n, 'dataset.json')) && !embeddedOf(n));
    if (found.length > 1)
      throw new VoxelbookError(`${given} means several data sets`, {
        code: 'dataset-number',
        path: root,
        given: found.join(', '),
        expected: 'a number of its own for every data set',
        fix: 'Rename all but one of the folders, or give the whole name.',
      });
    if (found.length === 1) return { folder: path.join(root, found[0]) };
  }
  const embedded = embeddedOf(given);
  return embedded ? { embedded } : undefined;
}

/** The embedded set that `SimGlioma` or `Dataset903_SimGlioma` means. */
const embeddedOf = (given: string) =>
  madeNames().find((name) => given === name || /^Dataset9\d\d_(.+)$/.exec(given)?.[1] === name);
