// A small raw data set on disk, sound unless told otherwise.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { identityDirection, type Volume, writeVolume } from '../../src/volume/index.js';

export const shape: [number, number, number] = [6, 8, 7];

export const volumeOf = (data: Volume['data'], over: Partial<Volume> = {}): Volume => ({
  data,
  shape,
  channels: 1,
  spacingMm: [2, 1, 1],
  originMm: [0, 0, 0],
  direction: [...identityDirection],
  ...over,
});

/** `cases` cases `a0`, `a1`, … of two channels and labels 0, 1, 2; returns the folder. */
export function rawFolder(cases = 5, json: Record<string, unknown> = {}): string {
  const folder = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'vb-raw-')), 'Dataset007_Small');
  for (const part of ['imagesTr', 'labelsTr']) fs.mkdirSync(path.join(folder, part), { recursive: true });
  const n = shape[0] * shape[1] * shape[2];
  for (let k = 0; k < cases; k++) {
    for (const channel of [0, 1])
      writeVolume(
        image(folder, k, channel),
        volumeOf(Float32Array.from({ length: n }, (_, i) => ((i * 31 + k * 7 + channel) % 97) + 1)),
      );
    writeVolume(label(folder, k), volumeOf(Uint8Array.from({ length: n }, (_, i) => (i % 11 === 0 ? 1 : i % 13 === 0 ? 2 : 0))));
  }
  writeJson(folder, {
    channel_names: { '0': 'T1', '1': 'T2' },
    labels: { background: 0, organ: 1, lesion: 2 },
    numTraining: cases,
    file_ending: '.nii.gz',
    ...json,
  });
  return folder;
}

export const image = (folder: string, k: number, channel: number) => path.join(folder, 'imagesTr', `a${k}_000${channel}.nii.gz`);
export const label = (folder: string, k: number) => path.join(folder, 'labelsTr', `a${k}.nii.gz`);
export const writeJson = (folder: string, json: object) =>
  fs.writeFileSync(path.join(folder, 'dataset.json'), JSON.stringify(json));
export const remove = (folder: string) => fs.rmSync(path.dirname(folder), { recursive: true });
