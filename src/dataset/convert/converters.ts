// Which converter each public data set has.
import path from 'node:path';
import type { FaultList } from '../../base/errors.js';
import type { DatasetJson } from '../dataset.js';
import { type Descriptor, describedNames } from '../descriptor.js';
import { abdomenMr, amos22, amos22CtMr, btcv, flare22, kits19, kits23, lits } from './abdomen.js';
import { autoPet22 } from './autoPet22.js';
import { brats21 } from './brats21.js';
import { acdc } from './cardiac.js';
import { msdCases, msdFolder, msdJson } from './msd.js';
import { endovis17, neuripsCells } from './pictures.js';
import type { Converter, SourceCase } from './source.js';
import { totalSegmentator } from './totalSegmentator.js';

/** A published folder understood: its cases, and what `dataset.json` will say. */
export interface Source {
  cases: SourceCase[];
  json: DatasetJson;
}

type Reader = (folder: string, faults: FaultList, about: Descriptor | undefined) => Source;

const numTraining = (cases: readonly SourceCase[]) => cases.filter((c) => !c.test).length;

/** Everything but the cases is the descriptor's. */
const described =
  (converter: Converter): Reader =>
  (folder, faults, about) => {
    const cases = converter(folder, faults);
    const { channel_names, labels, ...rest } = about!.datasetJson as DatasetJson;
    const { name, licence, apply: reference } = about!;
    return { cases, json: { channel_names, labels, ...rest, numTraining: numTraining(cases), name, licence, reference } };
  };

/** One converter for the Decathlon's tasks: a task's own dataset.json says what it is. */
const msd: Reader = (folder, faults, about) => {
  const found = msdFolder(folder);
  if (about && found && found !== about.folder)
    faults.add('source-layout', folder, path.basename(folder), about.sourceLayout.join('; '), 'Give the folder of this task.');
  const json = msdJson(folder, faults);
  const cases = msdCases(folder, faults, Object.keys(json.channel_names).length);
  return { cases, json: { ...json, numTraining: numTraining(cases) } };
};

export const converters: Record<string, Reader> = {
  BTCV: described(btcv),
  AMOS22: described(amos22),
  AMOS22CTMR: described(amos22CtMr),
  KiTS19: described(kits19),
  KiTS23: described(kits23),
  LiTS: described(lits),
  FLARE22: described(flare22),
  ACDC: described(acdc),
  AutoPET22: described(autoPet22),
  BraTS21: described(brats21),
  TotalSegmentator: (folder, faults, about) =>
    described((place, list) => totalSegmentator(place, list, about!.datasetJson.labels as Record<string, number>))(
      folder,
      faults,
      about,
    ),
  AbdomenMRI: described(abdomenMr),
  EndoVis17: described(endovis17),
  NeurIPS22Cells: described(neuripsCells),
  ...Object.fromEntries(
    describedNames()
      .filter((name) => /^MSD\d\d_/.test(name))
      .map((name) => [name, msd]),
  ),
};

/** Any task of the Decathlon, also one that has no descriptor: its folder's name and dataset.json say which. */
export const anyMsd = { name: 'MSD', read: msd };
