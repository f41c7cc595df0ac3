// Repairs of a data set of which there can be no doubt; each says what it will do before it does it.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWrite } from '../base/atomicWrite.js';
import { readVolume, writeVolume } from '../volume/index.js';
import { countValues } from './caseFindings.js';
import { labels } from './labels.js';
import { isMacFile } from './names.js';
import { open } from './open.js';

/** One thing that can be put right for certain. */
export interface Repair {
  /** What will be done, one line. */
  what: string;
  apply(): void;
}

/** The kinds of repair, in the order in which they must be done: each is asked for again after the one before. */
export const repairKinds = [endings, masks, numTraining] as const;

/** Names with the data set's ending in other letters: `.NII.GZ`. */
function endings(folder: string): Repair[] {
  const { file_ending: ending } = open(folder).json;
  return ['imagesTr', 'labelsTr', 'imagesTs', 'labelsTs'].flatMap((part) => {
    const place = path.join(folder, part);
    const names = fs.existsSync(place) ? fs.readdirSync(place).sort() : [];
    return names.flatMap((name): Repair[] => {
      if (isMacFile(name) || name.endsWith(ending) || !name.toLowerCase().endsWith(ending)) return [];
      const right = name.slice(0, -ending.length) + ending;
      if (names.includes(right)) return [];
      const apply = () => fs.renameSync(path.join(place, name), path.join(place, right));
      return [{ what: `rename ${part}/${name} to ${right}`, apply }];
    });
  });
}

/** Label files of 0 and 255 where the data set has the one label 1; a copy goes into `labelsTr_before_fix`. */
function masks(folder: string): Repair[] {
  const { cases, json } = open(folder);
  const { all, ignoreLabel } = labels(json);
  if (all.join() !== '0,1' || ignoreLabel !== null || json.file_ending === '.bmp') return [];
  return cases.flatMap(({ label: file }): Repair[] => {
    if (!file) return [];
    let volume: ReturnType<typeof readVolume>;
    try {
      volume = readVolume(file, { onWarning: () => {} });
    } catch {
      return [];
    }
    const found = countValues(volume.data);
    if (!found.has(255) || [...found.keys()].some((value) => value !== 0 && value !== 255)) return [];
    const kept = path.join(folder, 'labelsTr_before_fix', path.basename(file));
    return [
      {
        what: `write 255 as 1 in ${path.relative(folder, file)} (${found.get(255)} voxels); a copy goes to ${path.relative(folder, kept)}`,
        apply() {
          fs.mkdirSync(path.dirname(kept), { recursive: true });
          fs.copyFileSync(file, kept, fs.constants.COPYFILE_EXCL);
          writeVolume(file, { ...volume, data: Uint8Array.from(volume.data, (v) => (v === 255 ? 1 : 0)) });
        },
      },
    ];
  });
}

/** `numTraining` that is not the number of cases; the rest of the file stays as it is written. */
function numTraining(folder: string): Repair[] {
  const { cases, json } = open(folder);
  if (cases.length === 0 || json.numTraining === cases.length) return [];
  const file = path.join(folder, 'dataset.json');
  return [
    {
      what: `set numTraining in dataset.json from ${json.numTraining} to ${cases.length}`,
      apply() {
        const text = fs.readFileSync(file, 'utf8');
        atomicWrite(file, text.replace(/("numTraining"\s*:\s*)\d+/, `$1${cases.length}`));
      },
    },
  ];
}
