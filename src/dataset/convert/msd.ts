// The Medical Segmentation Decathlon: `Task04_Hippocampus/{dataset.json, imagesTr, labelsTr, imagesTs}`, 4-D files with all channels.
// Source: nnU-Net v2's convert_MSD_dataset, whose names, numbers and dataset.json these are.
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import type { FaultList } from '../../base/errors.js';
import { readJsonFile } from '../../base/json.js';
import { parse } from '../../base/schema.js';
import type { DatasetJson } from '../dataset.js';
import { datasetJsonFaults } from '../datasetJson.js';
import { fileOf, names, nifti, type SourceCase, stem } from './source.js';

/** The Decathlon's own `dataset.json`, as far as it says what becomes nnU-Net's. */
const published = z.looseObject({
  modality: z.record(z.string(), z.string()),
  labels: z.record(z.string().regex(/^\d+$/), z.string()),
});

const place = /(?:^|[\\/])Task(\d{2,3})_([A-Za-z0-9-]+)[\\/]*$/;

/** `Dataset004_Hippocampus` for a folder `Task04_Hippocampus`; undefined for other names. */
export function msdFolder(folder: string): string | undefined {
  const found = place.exec(path.resolve(folder));
  return found ? `Dataset${found[1].padStart(3, '0')}_${found[2]}` : undefined;
}

/** What becomes `dataset.json`: labels by name, `modality` as `channel_names`, without the lists of files. */
export function msdJson(folder: string, faults: FaultList): DatasetJson {
  const file = path.join(folder, 'dataset.json');
  const read = readJsonFile(file, 'this dataset.json of the Decathlon');
  const {
    modality,
    labels,
    training: _t,
    test: _s,
    ...rest
  } = parse(published, read, `${file} is no dataset.json of the Decathlon`);
  const entries = Object.entries(labels).map(([value, name]) => [Number(value) === 0 ? 'background' : name, Number(value)]);
  const json = { ...rest, labels: Object.fromEntries(entries), channel_names: modality, file_ending: '.nii.gz', numTraining: 0 };
  if (Object.keys(json.labels).length !== entries.length)
    faults.add('labels', `${file} labels`, 'one name twice', 'a name for every label', 'Name them apart.');
  for (const fault of datasetJsonFaults(json)) faults.faults.push({ ...fault, path: `${file}: ${fault.path}` });
  return json as unknown as DatasetJson;
}

/** Every image of `imagesTr` and `imagesTs`; names that begin with a dot or an underscore are left out, as nnU-Net does. */
export function msdCases(folder: string, faults: FaultList, channels: number): SourceCase[] {
  const part = (name: string, test: boolean): SourceCase[] =>
    names(path.join(folder, name), /^[^._].*\.nii\.gz$/).map((file) => ({
      id: stem(file),
      images: { file: path.join(folder, name, file), channels },
      ...(test ? { test } : { label: fileOf(path.join(folder, 'labelsTr', stem(file)), nifti, faults) }),
    }));
  for (const name of ['imagesTr', 'labelsTr'])
    if (!fs.existsSync(path.join(folder, name)))
      faults.add(
        'source-layout',
        path.join(folder, name),
        'no such folder',
        'imagesTr/ and labelsTr/',
        'Give the folder TaskXX_Name.',
      );
  return [...part('imagesTr', false), ...part('imagesTs', true)];
}
