// What preprocessing needs: how many cases fit into memory side by side, and how many bytes the cases will take on the disk.
import fs from 'node:fs';
import path from 'node:path';
import { threadBytes } from '../base/threads.js';
import type { CaseFiles, Dataset } from '../dataset/index.js';
import { configuration } from '../plan/index.js';
import type { Plan } from '../plan/plan.js';
import { readGrid, voxelCount } from '../volume/index.js';

/** Voxels of a case as it is and as it will be; undefined for pictures, and for files that are named as damaged when they are read. */
function voxelsOf({ images }: CaseFiles, plan: Plan, configurationName: string): { before: number; after: number } | undefined {
  const { spacing } = configuration(plan, configurationName);
  let grid: ReturnType<typeof readGrid>;
  try {
    grid = readGrid(images[0]);
  } catch {
    return undefined;
  }
  if (!grid) return undefined;
  const before = voxelCount(grid);
  const own = plan.transpose_forward.map((axis) => grid.spacingMm[axis]);
  const wanted = spacing.length === 3 ? spacing : [own[0], ...spacing];
  return { before, after: own.reduce((n, mm, i) => (n * mm) / wanted[i], before) };
}

/**
 * Forecast of what preprocessing a case needs at most, bytes: image, labels and masks before, and float64 passes, values and labels after
 * resampling.
 * @param before voxels as it is and @param after as it will be
 */
export const caseBytes = (before: number, after: number, channels: number): number =>
  before * (8 * channels + 16) + after * (4 * channels + 16);

/** Forecast of what one case needs, bytes. Pictures are small and counted as nothing. */
export function forecastOf(files: CaseFiles, plan: Plan, configurationName: string, channels: number): number {
  const { before, after } = voxelsOf(files, plan, configurationName) ?? { before: 0, after: 0 };
  return caseBytes(before, after, channels);
}

/** Forecast of what the largest case of a data set needs with its thread, bytes. */
export function forecastBytes(dataset: Dataset, plan: Plan, configurationName: string): number {
  const channels = Object.keys(dataset.json.channel_names).length;
  let most = 0;
  for (const files of dataset.cases) most = Math.max(most, forecastOf(files, plan, configurationName, channels));
  return most + threadBytes;
}

/**
 * What stays of voxels once packed: of float32 values about two thirds where they are noise between those of a scan, a quarter or less where
 * they are the scan's own; of labels almost nothing.
 */
const packedShare = 0.7;
/** Of a case besides: headers, what is remembered, places of classes. */
const besideBytes = 16e3;

/** Bytes that preprocessed cases will take on the disk beyond what stands there of them now. */
export function forecastDiskBytes(
  cases: readonly CaseFiles[],
  { folder, plan, configuration: name, channels }: { folder: string; plan: Plan; configuration: string; channels: number },
): number {
  let bytes = 0;
  for (const files of cases) {
    const after = voxelsOf(files, plan, name)?.after ?? 0;
    bytes += Math.max(0, besideBytes + packedShare * after * 4 * channels - standing(folder, files.id));
  }
  return bytes;
}

const standing = (folder: string, id: string) =>
  fs.statSync(path.join(folder, `${id}.safetensors`), { throwIfNoEntry: false })?.size ?? 0;
