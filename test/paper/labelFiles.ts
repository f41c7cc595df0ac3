// Runs without training, for the tests of the tables' rules: a raw data set of label files and the predictions of a run beside it.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type DatasetJson, descriptor } from '../../src/dataset/index.js';
import type { Predictions } from '../../src/run/index.js';
import type { Experiment } from '../../src/train/index.js';
import { identityDirection, writeVolume } from '../../src/volume/index.js';
import { unpack } from '../parity/metrics/common.js';

/** A label map in nibabel's order `[x, y, z]` (C order), or a picture `[height, width]`. */
export interface Map {
  data: ArrayLike<number>;
  shape: readonly number[];
  spacing: readonly number[];
}

export interface CaseMaps {
  id: string;
  reference: Map;
  prediction: Map;
}

const folders: string[] = [];
process.on('exit', () => {
  for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true });
});

export const goldenFile = (name: string) => JSON.parse(fs.readFileSync(`test/golden/metrics/${name}.json`, 'utf8'));
export const unpacked = (stored: { dtype: string; shape: number[]; data: string }) => unpack(stored) as Uint8Array;

/** Turns `[x, y, z]` into the volume of a NIfTI file; a picture stays one. */
function write(file: string, { data, shape, spacing }: Map): void {
  const geometry = { channels: 1, originMm: [0, 0, 0] as [number, number, number], direction: identityDirection };
  if (shape.length === 2) {
    const spacingMm: [number, number, number] = [1, 1, 1];
    writeVolume(file, { ...geometry, spacingMm, data: Uint8Array.from(data), shape: [1, shape[0], shape[1]] });
    return;
  }
  const [nx, ny, nz] = shape;
  const out = new Uint8Array(nx * ny * nz);
  for (let x = 0; x < nx; x++)
    for (let y = 0; y < ny; y++) for (let z = 0; z < nz; z++) out[(z * ny + y) * nx + x] = data[(x * ny + y) * nz + z];
  const [sx, sy, sz] = spacing;
  writeVolume(file, { ...geometry, spacingMm: [sz, sy, sx], data: out, shape: [nz, ny, nx] });
}

/**
 * Label files in nnU-Net's raw layout under a public set's name, and a run's predictions of them.
 * @param on the test set, or fold 0
 */
export function runOn(
  name: string,
  variant: string,
  cases: readonly CaseMaps[],
  { on = 'validation' as 'validation' | 'test', seed = 0, labels = undefined as DatasetJson['labels'] | undefined } = {},
): Predictions {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'rules-'));
  folders.push(root);
  const about = descriptor(name);
  const raw = path.join(root, about.folder);
  const part = on === 'test' ? 'Ts' : 'Tr';
  for (const folder of ['imagesTr', 'labelsTr', `images${part}`, `labels${part}`, 'run/predictions'])
    fs.mkdirSync(path.join(raw, folder), { recursive: true });
  const ending = about.datasetJson.file_ending;
  const json = { ...about.datasetJson, ...(labels ? { labels, regions_class_order: undefined } : {}) };
  fs.writeFileSync(path.join(raw, 'dataset.json'), JSON.stringify({ ...json, numTraining: on === 'test' ? 0 : cases.length }));
  for (const { id, reference, prediction } of cases) {
    for (const c of Object.keys(about.datasetJson.channel_names as object))
      write(path.join(raw, `images${part}`, `${id}_000${c}${ending}`), reference);
    write(path.join(raw, `labels${part}`, `${id}${ending}`), reference);
    write(path.join(raw, 'run/predictions', `${id}${ending}`), prediction);
  }
  const nothing = { parameters: 1, flops: 1, trainSeconds: 1, predictSeconds: 1, peakBytes: 1, forecastBytes: 1 };
  return {
    folder: path.join(raw, 'run'),
    experiment: { name: variant, dataset: raw, scale: 'paper', folds: on === 'test' ? 'all' : [0], seeds: [seed] } as Experiment,
    scores: {
      experiment: variant,
      fold: on === 'test' ? 'all' : 0,
      seed,
      nsd: { toleranceMm: 1, definition: '' },
      cases: cases.map(({ id }) => ({ id, classes: {} })),
      ...(on === 'test' ? { on } : {}),
      cost: nothing,
    },
  };
}
