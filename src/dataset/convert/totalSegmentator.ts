// TotalSegmentator v1: `s0000/{ct.nii.gz, segmentations/<class>.nii.gz}`, one mask per class, merged in the descriptor's order.
import fs from 'node:fs';
import path from 'node:path';
import { type FaultList, VoxelbookError } from '../../base/errors.js';
import { readVolume, type Volume } from '../../volume/index.js';
import { fileOf, names, rootOf, type SourceCase } from './source.js';

/** @param classes name → label; a class without a mask file in a case is not in that case */
export function totalSegmentator(folder: string, faults: FaultList, classes: Record<string, number>): SourceCase[] {
  const root = rootOf(folder, ['Totalsegmentator_dataset', '.'], faults);
  const test = new Set(splitOf(path.join(root, 'meta.csv'), 'test'));
  return names(root, /^s\d{4}$/).map((id) => {
    const masks = path.join(root, id, 'segmentations');
    if (!fs.existsSync(masks)) faults.add('source-file', masks, 'no folder', 'masks of every case', 'Fetch the archive again.');
    return {
      id,
      images: [fileOf(path.join(root, id, 'ct'), ['.nii.gz', '.nii'], faults)],
      label: () => merged(masks, classes),
      ...(test.has(id) ? { test: true } : {}),
    };
  });
}

function merged(folder: string, classes: Record<string, number>): Volume {
  let out: Volume<Uint8Array> | undefined;
  for (const [name, label] of Object.entries(classes)) {
    const file = path.join(folder, `${name}.nii.gz`);
    if (label === 0 || !fs.existsSync(file)) continue;
    const mask = readVolume(file, { onWarning: () => {} });
    out ??= { ...mask, data: new Uint8Array(mask.data.length) };
    if (mask.data.length !== out.data.length)
      throw new VoxelbookError(`${folder} cannot be converted`, {
        code: 'shape',
        path: file,
        given: mask.shape.join('×'),
        expected: `${out.shape.join('×')} as the other masks of the case`,
        fix: 'Fetch the archive again.',
      });
    for (let i = 0; i < mask.data.length; i++) if (mask.data[i] > 0) out.data[i] = label;
  }
  if (!out)
    throw new VoxelbookError(`${folder} cannot be converted`, {
      code: 'source-file',
      path: folder,
      given: 'no mask of a known class',
      expected: 'liver.nii.gz and others',
      fix: 'Fetch the archive again.',
    });
  return out;
}

/** Cases of one split of `meta.csv` (columns separated by ;), or none when there is no such file. */
function splitOf(file: string, wanted: string): string[] {
  if (!fs.existsSync(file)) return [];
  const [head, ...rows] = fs
    .readFileSync(file, 'utf8')
    .trim()
    .split(/\r?\n/)
    .map((line) => line.split(';'));
  const [id, split] = [head.indexOf('image_id'), head.indexOf('split')];
  return rows.filter((row) => row[split] === wanted).map((row) => row[id]);
}
