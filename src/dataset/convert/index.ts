// Public data sets into nnU-Net v2's raw layout. `datasets/*.json` says what each set is, where to apply for it and how it comes.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWrite, atomicWriteJson } from '../../base/atomicWrite.js';
import { FaultList, VoxelbookError } from '../../base/errors.js';
import { dataFolder } from '../../base/paths.js';
import { progressOf, type WorkOptions } from '../../base/progress.js';
import { readVolume, type Volume, writeVolume } from '../../volume/index.js';
import { type Descriptor, descriptor } from '../descriptor.js';
import { abdomenMr, amos22, btcv, kits19 } from './abdomen.js';
import { brats21 } from './brats21.js';
import { endovis17, neuripsCells } from './pictures.js';
import type { Converter, SourceCase } from './source.js';
import { totalSegmentator } from './totalSegmentator.js';

const converters: Record<string, (descriptor: Descriptor) => Converter> = {
  BTCV: () => btcv,
  AMOS22: () => amos22,
  KiTS19: () => kits19,
  BraTS21: () => brats21,
  TotalSegmentator:
    ({ datasetJson }) =>
    (folder, faults) =>
      totalSegmentator(folder, faults, datasetJson.labels as Record<string, number>),
  AbdomenMRI: () => abdomenMr,
  EndoVis17: () => endovis17,
  NeurIPS22Cells: () => neuripsCells,
};

/** Names of the public data sets that can be converted. */
export const publicNames = Object.keys(converters);

/**
 * Converts a public data set as it was downloaded. Can be interrupted; files that are there are not written again.
 * @param source folder of the published layout (`descriptor(name).sourceLayout`)
 * @param root where `DatasetXXX_…` goes; default the environment's `nnUNet_raw`, else the own data folder
 * @returns the raw folder, for `dataset.open`
 * @throws VoxelbookError with everything missing in the source, before anything is written
 */
export async function convert(
  name: string,
  source: string,
  { root, ...options }: { root?: string } & WorkOptions = {},
): Promise<string> {
  const about = descriptor(name);
  if (!Object.hasOwn(converters, about.name))
    throw new VoxelbookError(`there is no converter for ${about.name}`, {
      code: 'no-converter',
      path: about.name,
      given: about.title,
      expected: `one of ${publicNames.join(', ')}`,
      fix: `Bring it into the nnU-Net raw layout by hand, as ${about.folder}; dataset.check says what is missing.`,
    });
  const faults = new FaultList();
  const cases = converters[about.name](about)(source, faults);
  if (cases.length === 0 && faults.faults.length === 0)
    faults.add('source-layout', source, 'no case', about.sourceLayout.join('; '), `Apply for the data: ${about.apply}.`);
  faults.throwIfAny(`${source} is not ${about.title} as published`);
  const folder = path.join(root ?? process.env.nnUNet_raw ?? path.join(dataFolder(), 'raw'), about.folder);
  const report = progressOf(cases.length, options);
  for (const part of ['imagesTr', 'labelsTr', 'imagesTs', 'labelsTs']) fs.mkdirSync(path.join(folder, part), { recursive: true });
  for (const [i, one] of cases.entries()) {
    report(i, `convert ${one.id}`);
    writeCase(folder, one, about.datasetJson.file_ending as string);
    await new Promise(setImmediate);
  }
  report(cases.length, `converted ${about.folder}`);
  const { channel_names, labels, ...rest } = about.datasetJson;
  const numTraining = cases.filter((c) => !c.test).length;
  atomicWriteJson(path.join(folder, 'dataset.json'), {
    channel_names,
    labels,
    numTraining,
    ...rest,
    name: about.name,
    licence: about.licence,
    reference: about.apply,
  });
  return folder;
}

function writeCase(folder: string, { id, images, label, test }: SourceCase, ending: string): void {
  const part = test ? 'Ts' : 'Tr';
  images.forEach((image, c) => {
    place(image, path.join(folder, `images${part}`, `${id}_${String(c).padStart(4, '0')}${ending}`));
  });
  if (label) place(label, path.join(folder, `labels${part}`, `${id}${ending}`));
}

/** Copies a file of the same kind, writes anything else. */
function place(from: string | (() => Volume), to: string): void {
  if (fs.existsSync(to)) return;
  const ending = /(\.nii\.gz|\.[^.]+)$/.exec(to)![1];
  if (typeof from === 'function') writeVolume(to, from());
  else if (!from.endsWith(ending)) writeVolume(to, readVolume(from));
  else atomicWrite(to, fs.readFileSync(from));
}
