// A small raw data set on disk, valid unless told otherwise.
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

/** Axes along the world as ITK has it, which is all that GIPL can say. */
export const itkDirection: Volume['direction'] = [-1, 0, 0, 0, -1, 0, 0, 0, 1];

/** `cases` cases `a0`, `a1`, … of two channels and labels 0, 1, 2; returns the folder. */
export function rawFolder(cases = 5, json: Record<string, unknown> = {}): string {
  const folder = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'vb-raw-')), 'Dataset007_Small');
  for (const part of ['imagesTr', 'labelsTr']) fs.mkdirSync(path.join(folder, part), { recursive: true });
  const n = shape[0] * shape[1] * shape[2];
  const ending = (json.file_ending as string) ?? '.nii.gz';
  const over = ending === '.gipl' ? { direction: itkDirection } : {};
  for (let k = 0; k < cases; k++) {
    for (const channel of [0, 1])
      writeVolume(
        image(folder, k, channel, ending),
        volumeOf(
          Float32Array.from({ length: n }, (_, i) => ((i * 31 + k * 7 + channel) % 97) + 1),
          over,
        ),
      );
    writeVolume(
      label(folder, k, ending),
      volumeOf(
        Uint8Array.from({ length: n }, (_, i) => (i % 11 === 0 ? 1 : i % 13 === 0 ? 2 : 0)),
        over,
      ),
    );
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

export const image = (folder: string, k: number, channel: number, ending = '.nii.gz') =>
  path.join(folder, 'imagesTr', `a${k}_000${channel}${ending}`);
export const label = (folder: string, k: number, ending = '.nii.gz') => path.join(folder, 'labelsTr', `a${k}${ending}`);
export const writeJson = (folder: string, json: object) =>
  fs.writeFileSync(path.join(folder, 'dataset.json'), JSON.stringify(json));
export const remove = (folder: string) => fs.rmSync(path.dirname(folder), { recursive: true });
