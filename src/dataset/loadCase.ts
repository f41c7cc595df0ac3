// A case from its files: channels side by side, label on the same grid.
import { VoxelbookError } from '../base/errors.js';
import type { Volume } from '../volume/index.js';
import type { CaseFiles } from './dataset.js';
import { maxLabel } from './labels.js';
import { readAs } from './reader.js';

/** A case in memory: its channels, and its labels on the same grid. */
export interface LoadedCase {
  id: string;
  /** Float32, `[depth, height, width, channel]`; one file may supply several channels. */
  image: Volume<Float32Array>;
  /** Labels; absent without a label file. */
  label?: Volume<Int16Array>;
}

/** Float32 without a copy where the file already is. */
const asFloat32 = (data: ArrayLike<number>) => (data instanceof Float32Array ? data : Float32Array.from(data));

/**
 * Reads images and label of a case.
 * @throws VoxelbookError when a file cannot be read or the files of the case do not lie on one grid
 */
export function loadCase(files: CaseFiles): LoadedCase {
  const parts = files.images.map((file) => readAs(file, files.reader, { onWarning: () => {} }));
  const label = files.label ? readAs(files.label, files.reader, { onWarning: () => {} }) : undefined;
  return caseOf(files, parts, label);
}

/**
 * A case from volumes that were read.
 * @param files name them in errors
 * @throws VoxelbookError as `loadCase`
 */
export function caseOf(files: Pick<CaseFiles, 'id' | 'images' | 'label'>, parts: Volume[], label?: Volume): LoadedCase {
  const [first] = parts;
  const faults = files.images.flatMap((file, i) => gridFault(file, parts[i], first));
  if (label) faults.push(...gridFault(files.label!, label, first));
  if (label && label.channels !== 1)
    faults.push({
      code: 'label-channels',
      path: files.label!,
      given: `${label.channels} channels`,
      expected: 'one label per voxel',
      fix: 'Write a label file with one channel.',
    });
  if (faults.length > 0) throw new VoxelbookError(`case ${files.id} cannot be read`, faults);
  const image: Volume<Float32Array> = { ...first, channels: parts.reduce((n, p) => n + p.channels, 0), data: joined(parts) };
  checkFinite(files, image);
  return { id: files.id, image, ...(label ? { label: { ...label, data: asLabels(label.data, files.label!) } } : {}) };
}

function gridFault(file: string, volume: Volume, first: Volume) {
  if (volume.shape.every((n, i) => n === first.shape[i])) return [];
  return [
    {
      code: 'shape',
      path: file,
      given: volume.shape.join('×'),
      expected: `${first.shape.join('×')} as the first channel`,
      fix: 'Resample the file onto the image grid.',
    },
  ];
}

function joined(parts: Volume[]): Float32Array {
  if (parts.length === 1) return asFloat32(parts[0].data);
  const channels = parts.reduce((n, p) => n + p.channels, 0);
  const voxels = parts[0].shape[0] * parts[0].shape[1] * parts[0].shape[2];
  const out = new Float32Array(voxels * channels);
  let at = 0;
  for (const { data, channels: n } of parts) {
    for (let v = 0; v < voxels; v++) for (let c = 0; c < n; c++) out[v * channels + at + c] = data[v * n + c];
    at += n;
  }
  return out;
}

function checkFinite(files: Pick<CaseFiles, 'id' | 'images'>, { data }: Volume<Float32Array>): void {
  let bad = 0;
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) bad++;
  if (bad > 0)
    throw new VoxelbookError(`case ${files.id} cannot be used`, {
      code: 'not-finite',
      path: files.images.join(', '),
      given: `${bad} values are NaN or infinite`,
      expected: 'finite numbers',
      fix: 'Replace them, for example by 0, and write the file again.',
    });
}

/** Labels as int16; anything but a whole number is no label. */
function asLabels(data: ArrayLike<number>, file: string): Int16Array {
  if (data instanceof Int16Array && data.every((label) => label >= 0)) return data;
  const out = new Int16Array(data.length);
  for (let i = 0; i < out.length; i++) {
    out[i] = data[i];
    if (out[i] !== data[i] || out[i] < 0)
      throw new VoxelbookError(`${file} is no label file`, {
        code: 'label-values',
        path: `${file} voxel ${i}`,
        given: String(data[i]),
        expected: `a whole number up to ${maxLabel}`,
        fix: 'Labels were interpolated or scaled, or lie outside; export them again with nearest neighbour.',
      });
  }
  return out;
}
