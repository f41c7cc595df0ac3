// What the names of files say: which belong to no case, and which data sets share a number.
import fs from 'node:fs';
import path from 'node:path';
import type { Fault } from '../base/errors.js';
import { endingOf } from '../volume/index.js';
import type { CaseFiles, Dataset } from './dataset.js';

/** Files that macOS leaves beside others on foreign disks: `._name`. */
export const isMacFile = (name: string) => name.startsWith('._');

const list = (folder: string) => (fs.existsSync(folder) ? fs.readdirSync(folder).sort() : []);
const some = (names: readonly string[], most = 5) =>
  `${names.slice(0, most).join(', ')}${names.length > most ? ` and ${names.length - most} more` : ''}`;

/**
 * Names in a folder of images that make no case.
 * @param cases what was found there
 * @param where shown in front of names
 */
export function imageNameFindings(folder: string, cases: readonly CaseFiles[], ending: string, where: string) {
  const faults: Fault[] = [];
  const warnings: Fault[] = [];
  const known = new Set(cases.flatMap(({ images }) => images.map((file) => path.basename(file))));
  const names = list(folder);
  const expected = `<case>_0000${ending}, the four digits counting the channels from 0`;
  const macs = names.filter(isMacFile);
  if (macs.length > 0) warnings.push(macFault(where, macs));
  const rest = names.filter((name) => !known.has(name) && !isMacFile(name));
  const own = rest.filter((name) => name.endsWith(ending));
  if (own.length > 0)
    faults.push({
      code: 'file-name',
      path: `${where}/${own[0]}`,
      given: own.length > 1 ? `${own.length} names that belong to no case (${some(own)})` : 'a name that belongs to no case',
      expected,
      fix: 'Rename them; images of one channel end in _0000 too.',
    });
  // A picture of another format beside a case of the set is no case that was lost.
  const foreign = rest.filter((name) => !name.endsWith(ending) && endingOf(name) !== undefined);
  const lost = foreign.filter((name) => {
    const id = name.slice(0, -endingOf(name)!.length).replace(/_\d{4}$/, '');
    return !cases.some((c) => c.id === id);
  });
  if (lost.length > 0)
    faults.push({
      code: 'file-ending',
      path: `${where}/${lost[0]}`,
      given: `${some([...new Set(lost.map((name) => name.slice(-endingOf(name)!.length)))])} in ${lost.length} ${lost.length === 1 ? 'name' : 'names'}`,
      expected: `${ending}, the file_ending of dataset.json, in the very same letters`,
      fix: lost.some((name) => name.toLowerCase().endsWith(ending))
        ? 'Rename them: npx voxelbook check --fix does it.'
        : 'Convert the files, correct file_ending, or move them elsewhere.',
    });
  if (cases.length === 0 && faults.length === 0)
    faults.push({
      code: 'no-cases',
      path: where,
      given: fs.existsSync(folder)
        ? names.length === 0
          ? 'an empty folder: no case'
          : `no case among ${some(names)}`
        : 'no such folder',
      expected: `files named ${expected}`,
      fix: 'Check the folder and the names.',
    });
  return { faults, warnings };
}

const macFault = (where: string, names: readonly string[]): Fault => ({
  code: 'mac-files',
  path: `${where}/${names[0]}`,
  given: `${names.length} files of macOS (._…), passed over`,
  expected: 'images and labels alone',
  fix: 'Remove them: find . -name "._*" -delete.',
});

/** Names in imagesTr and labelsTr that fit nothing, and data sets beside this one with the same number. */
export function nameFindings({ folder, json, cases }: Dataset): { faults: Fault[]; warnings: Fault[] } {
  const twins = sameNumber(folder);
  const number: Fault[] = twins.map((name) => ({
    code: 'dataset-number',
    path: path.basename(folder),
    given: `${name} beside it has the same number`,
    expected: 'a number of its own for every data set',
    fix: 'Rename one of the two folders.',
  }));
  if (json.dataset && typeof json.dataset === 'object') return { faults: [...number, ...listedFaults(cases)], warnings: [] };
  const ending = json.file_ending;
  const { faults, warnings } = imageNameFindings(path.join(folder, 'imagesTr'), cases, ending, 'imagesTr');
  const labelNames = list(path.join(folder, 'labelsTr'));
  const macs = labelNames.filter(isMacFile);
  if (macs.length > 0) warnings.push(macFault('labelsTr', macs));
  const known = new Set(cases.map(({ id }) => id + ending));
  const surplus = labelNames.filter((name) => !isMacFile(name) && endingOf(name) !== undefined && !known.has(name));
  if (surplus.length > 0 && cases.length > 0)
    warnings.push({
      code: 'label-surplus',
      path: `labelsTr/${surplus[0]}`,
      given: `${some(surplus)}: no case of this name in imagesTr`,
      expected: `<case>${ending} for every case`,
      fix: surplus.some((name) => /_\d{4}\./.test(name))
        ? 'Labels have no channel number: rename the file.'
        : 'Rename it, or add its images.',
    });
  return { faults: [...number, ...faults], warnings };
}

/** Files that `dataset.json` lists and that are not there. */
function listedFaults(cases: readonly CaseFiles[]): Fault[] {
  const missing = cases.flatMap(({ images }) => images.filter((file) => !fs.existsSync(file)));
  return missing.map((file) => ({
    code: 'file-missing',
    path: file,
    given: 'no file',
    expected: 'the file that dataset.json lists',
    fix: 'Bring it there, or correct the list.',
  }));
}

/** Other data sets in the same folder with this one's number. */
export function sameNumber(folder: string): string[] {
  const own = path.basename(folder);
  const number = /^Dataset\d{3}_/.exec(own)?.[0];
  if (!number) return [];
  const root = path.dirname(path.resolve(folder));
  return list(root).filter(
    (name) => name !== own && name.startsWith(number) && fs.existsSync(path.join(root, name, 'dataset.json')),
  );
}
