// The embedded data sets, written on first use as ordinary nnU-Net v2 raw folders, so that nothing downstream knows they are embedded.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { atomicWriteJson } from '../base/atomicWrite.js';
import { dataFolder } from '../base/paths.js';
import { progressOf, type WorkOptions } from '../base/progress.js';
import { storedJson } from '../base/storedJson.js';
import type { DatasetJson } from '../dataset/dataset.js';
import { registerEmbedded } from '../dataset/embedded.js';
import { writePng, writeVolume } from '../volume/index.js';
import { identityDirection, type Volume } from '../volume/volume.js';
import { scanned } from './scan.js';
import { anatomyFor, gliomaCase, gliomaDefaults } from './simGlioma.js';
import { cellPicture, instrumentPicture, type Picture } from './simPictures.js';
import { type Block, icbmBlocks, macaqueBlocks } from './tissueBlocks.js';

interface Embedded {
  folder: string;
  /** What stands in `dataset.json`; `description` says what is real and what is simulated. */
  json: Omit<DatasetJson, 'numTraining'>;
  cases: number | (() => number);
  /** Writes case `i` under `images(channel)` and `label`. */
  write?: (i: number, images: (channel: number) => string, label: string) => void;
  /** Instead of files of its own: those of another set, which `dataset.json` then lists. */
  filesOf?: string;
  /** Voxels that stand for all of them, quickly made. */
  sample: () => Uint8Array[];
}

/** Changing how a set is made changes this, and the set is written again. */
const generator = 'voxelbook-embedded-2';

const tissueLabels = { background: 0, CSF: 1, GM: 2, WM: 3 };
const lazy = <T>(make: () => T) => {
  let value: T | undefined;
  return () => (value ??= make());
};

const anatomy = lazy(() => anatomyFor(gliomaDefaults.mm));
const human = lazy(() => icbmBlocks());
const scansOf = (blocks: () => Block[], mm: number, of: string) =>
  lazy(() => blocks().map((b, i) => scanned(b, mm, `${of}/${i}`)));
const macaque = lazy(macaqueBlocks);

const sets: Record<string, Embedded> = {
  SimGlioma: {
    folder: 'Dataset903_SimGlioma',
    json: {
      channel_names: { '0': 'T1', '1': 'T1ce', '2': 'T2', '3': 'FLAIR' },
      labels: { background: 0, NCR: 1, ED: 2, ET: 3 },
      file_ending: '.nii.gz',
      name: 'SimGlioma',
      description: 'Real average anatomy (ICBM 152, 3 mm), SIMULATED gliomas, contrasts and noise. No patients.',
      licence: 'anatomy: MNI notice in datasets/embedded/NOTICE.md; simulation: Apache-2.0',
    },
    cases: gliomaDefaults.cases,
    sample: gliomaSample,
    write(i, images, label) {
      const { channels, label: truth } = gliomaCase(anatomy(), i);
      for (const [c, data] of channels.entries()) writeVolume(images(c), volume(data, gliomaDefaults.shape, gliomaDefaults.mm));
      writeVolume(label, volume(truth, gliomaDefaults.shape, gliomaDefaults.mm));
    },
  },
  SimGliomaRegions: {
    folder: 'Dataset913_SimGliomaRegions',
    json: {
      channel_names: { '0': 'T1', '1': 'T1ce', '2': 'T2', '3': 'FLAIR' },
      labels: { background: 0, WT: [1, 2, 3], TC: [1, 3], ET: [3] },
      regions_class_order: [2, 1, 3],
      file_ending: '.nii.gz',
      name: 'SimGliomaRegions',
      description:
        'The files of SimGlioma, trained on BraTS regions (sigmoid) instead of labels. SIMULATED gliomas, no patients.',
      licence: 'as SimGlioma',
    },
    cases: gliomaDefaults.cases,
    sample: gliomaSample,
    filesOf: 'SimGlioma',
  },
  IcbmTissue: blockSet('Dataset901_IcbmTissue', 1, human, {
    description: 'Real voxels and published tissue maps of ONE average human brain (ICBM 152, 1 mm), disjoint blocks.',
    licence: 'MNI notice in datasets/embedded/NOTICE.md',
  }),
  IcbmFluid: blockSet('Dataset911_IcbmFluid', 1, human, {
    description: 'The blocks of IcbmTissue with one class, CSF; grey and white matter are background.',
    licence: 'as IcbmTissue',
    classes: ['CSF'],
  }),
  IcbmMatter: blockSet('Dataset912_IcbmMatter', 1, human, {
    description: 'The blocks of IcbmTissue with two classes, grey and white matter; CSF is background.',
    licence: 'as IcbmTissue',
    classes: ['GM', 'WM'],
  }),
  MacaqueTissue: blockSet('Dataset902_MacaqueTissue', 0.5, macaque, {
    description:
      'Real voxels and published parcels (grouped into tissues) of ONE average macaque brain (INIA19, 0.5 mm), disjoint blocks.',
    licence: 'CC-BY, datasets/embedded/NOTICE.md',
  }),
  HumanScans: blockSet(
    'Dataset904_HumanScans',
    1,
    scansOf(() => icbmBlocks([31, 36, 37]), 1, 'human'),
    {
      description:
        'Blocks of ONE average human brain (ICBM 152, 1 mm), smaller than those of IcbmTissue, with SIMULATED noise, bias field and gain; grey and white matter.',
      licence: 'as IcbmTissue',
      classes: ['GM', 'WM'],
    },
  ),
  MacaqueScans: blockSet('Dataset905_MacaqueScans', 0.5, scansOf(macaque, 0.5, 'macaque'), {
    description: 'The blocks of MacaqueTissue with SIMULATED noise, bias field and gain; grey and white matter.',
    licence: 'as MacaqueTissue',
    classes: ['GM', 'WM'],
  }),
  SimCells: pictureSet('Dataset906_SimCells', cellPicture, { background: 0, cell: 1, border: 2 }),
  SimCells120: pictureSet(
    'Dataset908_SimCells120',
    (i) => cellPicture(i, 128, 1),
    { background: 0, cell: 1, border: 2 },
    { cases: 120, description: 'SIMULATED pictures of fluorescent cells and their labels; none of them is in SimCells.' },
  ),
  SimCellsStained: pictureSet(
    'Dataset909_SimCellsStained',
    (i) => cellPicture(i, 128, 2, 'stained'),
    { background: 0, cell: 1, border: 2 },
    {
      cases: 60,
      description:
        'SIMULATED pictures of stained cells, dark on bright, and their labels; other cells than those of SimCells120.',
    },
  ),
  SimInstruments: pictureSet('Dataset907_SimInstruments', instrumentPicture, { background: 0, shaft: 1, wrist: 2, jaws: 3 }),
};

/** @param say.classes of the tissues that are kept, in order; the others become background. Default: all */
function blockSet(
  folder: string,
  mm: number,
  blocks: () => Block[],
  { classes = ['CSF', 'GM', 'WM'], ...say }: { description: string; licence: string; classes?: (keyof typeof tissueLabels)[] },
): Embedded {
  const kept = classes.map((name) => tissueLabels[name]);
  return {
    folder,
    json: {
      channel_names: { '0': 'T1' },
      labels: Object.fromEntries(['background', ...classes].map((name, i) => [name, i])),
      file_ending: '.nii.gz',
      name: folder.slice(11),
      ...say,
    },
    cases: () => blocks().length,
    sample: () => [blocks()[0].image, blocks()[0].label],
    write(i, images, label) {
      const { image, label: truth, shape } = blocks()[i];
      writeVolume(images(0), volume(image, shape, mm));
      const own = truth.map((tissue) => kept.indexOf(tissue) + 1);
      writeVolume(label, volume(own, shape, mm));
    },
  };
}

function pictureSet(
  folder: string,
  make: (i: number) => Picture,
  labels: Record<string, number>,
  { cases = 40, description = 'SIMULATED pictures and labels.' } = {},
): Embedded {
  return {
    folder,
    json: {
      channel_names: { '0': 'R', '1': 'G', '2': 'B' },
      labels,
      file_ending: '.png',
      name: folder.slice(11),
      description,
      licence: 'Apache-2.0',
    },
    cases,
    sample: () => [make(0).rgb, make(0).label],
    write(i, images, label) {
      const { rgb, label: truth, size } = make(i);
      writePng(images(0), { data: rgb, width: size, height: size, channels: 3 });
      writePng(label, { data: truth, width: size, height: size, channels: 1 });
    },
  };
}

const volume = (data: Uint8Array, shape: [number, number, number], mm: number): Volume<Uint8Array> => ({
  data,
  shape,
  channels: 1,
  spacingMm: [mm, mm, mm],
  originMm: [0, 0, 0],
  direction: identityDirection,
});

/** Names of the embedded data sets. */
export const embeddedNames = Object.keys(sets);

/**
 * The raw folder of an embedded data set, written if it is not there yet (kill-safe: `dataset.json` comes last).
 * @param root the folder that holds `DatasetXXX_…`; default `dataFolder()/raw`
 */
export function writeEmbedded(
  name: string,
  { root = path.join(dataFolder(), 'raw'), ...options }: { root?: string } & WorkOptions = {},
): string {
  const set = sets[name];
  const folder = path.join(root, set.folder);
  const jsonFile = path.join(folder, 'dataset.json');
  if (storedJson<{ generator: unknown }>(jsonFile, z.looseObject({}))?.generator === generator) return folder;
  const count = typeof set.cases === 'number' ? set.cases : set.cases();
  fs.mkdirSync(folder, { recursive: true });
  if (set.filesOf) {
    const source = writeEmbedded(set.filesOf, { root, ...options });
    atomicWriteJson(jsonFile, { ...set.json, numTraining: count, generator, dataset: filesOf(source, folder) });
    return folder;
  }
  for (const part of ['imagesTr', 'labelsTr']) fs.mkdirSync(path.join(folder, part), { recursive: true });
  const report = progressOf(count, options);
  for (let i = 0; i < count; i++) {
    const id = `${set.json.name}_${String(i).padStart(3, '0')}`;
    report(i, `make ${id}`);
    const image = (c: number) => path.join(folder, 'imagesTr', `${id}_${String(c).padStart(4, '0')}${set.json.file_ending}`);
    set.write?.(i, image, path.join(folder, 'labelsTr', `${id}${set.json.file_ending}`));
  }
  report(count, `made ${set.folder}`);
  atomicWriteJson(jsonFile, { ...set.json, numTraining: count, generator });
  return folder;
}

registerEmbedded(embeddedNames, writeEmbedded);

/**
 * Sixteen hexadecimal digits that change with the voxels of an embedded set: of the first case, gliomas at 9 mm, which takes a second
 * instead of the set's thirty.
 */
export function generatorOf(name: string): string {
  const set = sets[name];
  const sum = createHash('sha256').update(`${generator} ${typeof set.cases === 'number' ? set.cases : set.cases()}`);
  for (const part of set.sample()) sum.update(part);
  return sum.digest('hex').slice(0, 16);
}

function gliomaSample(): Uint8Array[] {
  const settings = { ...gliomaDefaults, mm: 9, shape: [18, 21, 16] as [number, number, number] };
  const { channels, label } = gliomaCase(anatomyFor(settings.mm), 0, settings);
  return [...channels, label];
}

/** nnU-Net's `dataset` entry: the files of every case, relative to the folder that borrows them. */
function filesOf(source: string, folder: string): Record<string, { images: string[]; label: string }> {
  const near = (part: string, name: string) => path.relative(folder, path.join(source, part, name));
  const images = fs.readdirSync(path.join(source, 'imagesTr')).sort();
  return Object.fromEntries(
    fs
      .readdirSync(path.join(source, 'labelsTr'))
      .sort()
      .map((label) => {
        const id = label.replace(/\..*$/, '');
        const own = images.filter((name) => name.startsWith(`${id}_`));
        return [id, { images: own.map((name) => near('imagesTr', name)), label: near('labelsTr', label) }];
      }),
  );
}
