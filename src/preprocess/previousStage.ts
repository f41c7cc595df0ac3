// Labels that one stage of a cascade leaves for the next: at the next stage's preprocessed shape, beside its preprocessed cases in kind.
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import { readRange, safetensorsTable, writeSafetensors } from '../base/safetensors.js';
import { ChunkedArray, encodeChunks, indexWidth } from './chunks.js';
import type { PreprocessedCase } from './preprocessCase.js';

/** Labels of the previous stage, `[depth, height, width]`. */
export type StageLabels = Uint8Array | Uint16Array;

const fileOf = (folder: string, id: string) => path.join(folder, `${id}.safetensors`);

/** Of the chunks; labels in others are refused. */
const format = '2';

/** Of the grid along each axis: patches of the second stage are 3-D. */
const chunk = [32, 32, 32] as const;

/** Writes `<case>.safetensors`, whole or not at all. */
export function saveStageLabels(folder: string, id: string, seg: StageLabels, shape: readonly number[]): void {
  fs.mkdirSync(folder, { recursive: true });
  const grid = { shape: shape as [number, number, number], channels: 1, chunk };
  const { bytes, index } = encodeChunks(seg, grid);
  writeSafetensors(
    fileOf(folder, id),
    {
      'seg.index': { shape: [index.length / indexWidth, indexWidth], data: index },
      'seg.chunks': { shape: [bytes.length], data: bytes },
    },
    { shape: shape.join('×'), bytes: String(seg.BYTES_PER_ELEMENT), format },
  );
}

/** Whether the previous stage left labels of a case in this folder. */
export const hasStageLabels = (folder: string, id: string): boolean => fs.existsSync(fileOf(folder, id));

/**
 * Reads the previous stage's labels of a case, or of a box of it.
 * @param shape of the preprocessed case they belong to, `[depth, height, width]`
 * @throws VoxelbookError when they were made for another shape or are damaged
 */
export function loadStageLabels(
  folder: string,
  id: string,
  shape: readonly number[],
  { start = [0, 0, 0], size = shape }: { start?: readonly number[]; size?: readonly number[] } = {},
): StageLabels {
  const file = fileOf(folder, id);
  const { ranges, metadata } = safetensorsTable(file);
  const [index, chunks] = [ranges['seg.index'], ranges['seg.chunks']];
  const older = !index || !chunks || metadata.format !== format;
  if (older || metadata.shape !== shape.join('×'))
    throw new VoxelbookError(`the previous stage's labels of ${id} do not fit`, {
      code: 'stage-labels',
      path: file,
      given: older ? 'labels of an older format' : metadata.shape,
      expected: `${shape.join('×')}, the shape of the preprocessed case`,
      fix: 'Image or plan changed since; remove predictions/ and scores.json of that run and run it again.',
    });
  const descriptor = fs.openSync(file, 'r');
  try {
    const table = new Uint32Array(readRange(descriptor, index.begin, index.end).slice().buffer);
    const wide = metadata.bytes === '2';
    const grid = { shape: shape as [number, number, number], channels: 1, chunk };
    const array = new ChunkedArray<StageLabels>(grid, wide ? Uint16Array : Uint8Array, table, chunks.end - chunks.begin, file);
    return array.read({ descriptor, begin: chunks.begin }, start, size);
  } finally {
    fs.closeSync(descriptor);
  }
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
