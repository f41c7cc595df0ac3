// Labels that one stage of a cascade leaves for the next: at the next stage's preprocessed shape, beside its preprocessed cases in kind.
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import { readSafetensors, writeSafetensors } from '../base/safetensors.js';
import type { PreprocessedCase } from './preprocessCase.js';

export type StageLabels = Uint8Array | Uint16Array;

const fileOf = (folder: string, id: string) => path.join(folder, `${id}.safetensors`);

/** Writes `<case>.safetensors`, whole or not at all. */
export function saveStageLabels(folder: string, id: string, seg: StageLabels, shape: readonly number[]): void {
  fs.mkdirSync(folder, { recursive: true });
  writeSafetensors(fileOf(folder, id), { seg: { shape: [...shape], data: seg } });
}

export const hasStageLabels = (folder: string, id: string): boolean => fs.existsSync(fileOf(folder, id));

/**
 * Reads the previous stage's labels of a case.
 * @param shape of the preprocessed case they belong to, `[depth, height, width]`
 * @throws VoxelbookError when they were made for another shape
 */
export function loadStageLabels(folder: string, id: string, shape: readonly number[]): StageLabels {
  const { seg } = readSafetensors(fileOf(folder, id)).tensors;
  if (seg?.shape.join() === shape.join()) return seg.data as StageLabels;
  throw new VoxelbookError(`the previous stage's labels of ${id} do not fit`, {
    code: 'stage-labels',
    path: fileOf(folder, id),
    given: seg ? seg.shape.join('×') : 'no tensor "seg"',
    expected: `${shape.join('×')}, the shape of the preprocessed case`,
    fix: 'Image or plan changed since; remove predictions/ and scores.json of that run and run it again.',
  });
}

/**
 * A preprocessed case as the second stage's network takes it: one 0/1 channel more for each foreground label.
 * @param previous labels of its voxels
 */
export function withPreviousStage(
  done: PreprocessedCase,
  previous: ArrayLike<number>,
  foreground: readonly number[],
): PreprocessedCase {
  const { data, channels } = done;
  const all = channels + foreground.length;
  const out = new Float32Array(previous.length * all);
  for (let v = 0; v < previous.length; v++) {
    for (let c = 0; c < channels; c++) out[v * all + c] = data[v * channels + c];
    const label = foreground.indexOf(previous[v]);
    if (label >= 0) out[v * all + channels + label] = 1;
  }
  return { ...done, data: out, channels: all };
}
