// Ensembles: probabilities of several predictions of a case averaged in float32, then labels (nnU-Net v2 `ensemble_folders`).
import fs from 'node:fs';
import path from 'node:path';
import { atomicWrite } from '../base/atomicWrite.js';
import { VoxelbookError } from '../base/errors.js';
import { progressOf, type WorkOptions } from '../base/progress.js';
import { readSafetensors, writeSafetensors } from '../base/safetensors.js';
import type { DatasetJson } from '../dataset/dataset.js';
import { labels } from '../dataset/labels.js';
import { readVolume, writeVolume } from '../volume/index.js';
import { readNpz } from '../weights/npz.js';
import { type Heads, segmentation } from './segmentation.js';

/** Where the probabilities of a predicted case lie, beside its label file. */
export const probabilityFile = (folder: string, id: string) => path.join(folder, `${id}.safetensors`);

/** Writes probabilities `[depth, height, width, head]` of a case beside its label file. */
export function writeProbabilities(folder: string, id: string, data: Float32Array, shape: readonly number[]): void {
  writeSafetensors(probabilityFile(folder, id), { probabilities: { shape, data } });
}

/**
 * Probabilities of a case: `[depth, height, width, head]`; also nnU-Net's own, `<case>.npz`.
 * @throws VoxelbookError where there are none
 */
export function readProbabilities(folder: string, id: string): { data: Float32Array; shape: number[] } {
  const file = probabilityFile(folder, id);
  const numpy = path.join(folder, `${id}.npz`);
  if (!fs.existsSync(file) && fs.existsSync(numpy)) {
    const { data, shape } = readNpz(numpy, 'probabilities');
    const [heads, ...voxels] = shape;
    return { data: toVoxels(data, heads), shape: [...voxels, heads] };
  }
  const stored = fs.existsSync(file) ? readSafetensors(file).tensors.probabilities : undefined;
  if (stored) return { data: stored.data as Float32Array, shape: stored.shape };
  throw new VoxelbookError('this case has no probabilities', {
    code: 'no-probabilities',
    path: file,
    given: fs.existsSync(file) ? 'a file without `probabilities`' : 'no such file, nor <case>.npz',
    expected: 'the probabilities of the prediction',
    fix: 'Predict again with --probabilities (nnU-Net: --save_probabilities, or nnUNetv2_train --val --npz).',
  });
}

/** `[head, voxel]` as `[voxel, head]`. */
function toVoxels(data: ArrayLike<number>, heads: number): Float32Array {
  const out = new Float32Array(data.length);
  const voxels = data.length / heads;
  for (let c = 0, i = 0; c < heads; c++) for (let v = 0; v < voxels; v++) out[v * heads + c] = data[i++];
  return out;
}

/** `[voxel, head]` as `[head, voxel]`. */
export const fromVoxels = (data: Float32Array, heads: number): Float32Array => toVoxels(data, data.length / heads);

/**
 * Mean of several arrays, added up in float32 in the order given.
 * @param parts equally long
 */
export function average(parts: readonly Float32Array[]): Float32Array {
  const [first] = parts;
  const wrong = parts.findIndex((p) => p.length !== first.length);
  if (!first || wrong >= 0)
    throw new VoxelbookError('these predictions cannot be averaged', {
      code: 'ensemble-shapes',
      path: `member ${Math.max(wrong, 0)}`,
      given: first ? `${parts[wrong].length} values` : 'no prediction',
      expected: first ? `${first.length} values as in the first` : 'at least one',
      fix: 'Ensemble predictions of the same case and the same labels.',
    });
  const out = first.slice();
  for (const part of parts.slice(1)) for (let i = 0; i < out.length; i++) out[i] += part[i];
  for (let i = 0; i < out.length; i++) out[i] /= parts.length;
  return out;
}

/** Labels of averaged probabilities. */
export function ensembleLabels(
  members: readonly Float32Array[],
  heads: Heads,
): { labels: Uint8Array | Uint16Array; probabilities: Float32Array } {
  const probabilities = average(members);
  const voxels = probabilities.length / heads.heads;
  const out = heads.heads <= 255 ? new Uint8Array(voxels) : new Uint16Array(voxels);
  return { labels: segmentation(probabilities, heads, 'probabilities', out) as Uint8Array | Uint16Array, probabilities };
}

/** `dataset.json` and `plans.json` of a folder of predictions go where its predictions go. */
export function copyDescriptions(from: string, to: string): void {
  for (const name of ['dataset.json', 'plans.json']) {
    const file = path.join(from, name);
    if (fs.existsSync(file)) atomicWrite(path.join(to, name), fs.readFileSync(file));
  }
}

/**
 * Ensembles folders of predictions made with `keepProbabilities`; every folder must hold the same cases.
 * Label files take their geometry from the first folder's.
 */
export function ensembleFolders(
  inputs: readonly string[],
  output: string,
  json: Pick<DatasetJson, 'labels' | 'regions_class_order' | 'file_ending'>,
  { keepProbabilities = false, ...work }: { keepProbabilities?: boolean } & WorkOptions = {},
): void {
  const ending = json.file_ending;
  const idsIn = (folder: string) =>
    fs
      .readdirSync(folder)
      .filter((name) => name.endsWith(ending))
      .map((name) => name.slice(0, -ending.length))
      .sort();
  const ids = idsIn(inputs[0]);
  const different = inputs.find((folder) => idsIn(folder).join('\n') !== ids.join('\n'));
  if (different || ids.length === 0)
    throw new VoxelbookError('these folders cannot be ensembled', {
      code: 'ensemble-cases',
      path: different ?? inputs[0],
      given: `${idsIn(different ?? inputs[0]).length} cases`,
      expected: `the ${ids.length} cases of ${inputs[0]}`,
      fix: 'Predict the same cases with every member.',
    });
  const heads = labels(json);
  fs.mkdirSync(output, { recursive: true });
  copyDescriptions(inputs[0], output);
  const report = progressOf(ids.length, work);
  for (const [i, id] of ids.entries()) {
    report(i, `ensemble ${id}`);
    const like = readVolume(path.join(inputs[0], id + ending));
    const members = inputs.map((folder) => readProbabilities(folder, id));
    checkShapes(id, inputs, members, [...like.shape, heads.heads]);
    const merged = ensembleLabels(
      members.map((m) => m.data),
      heads,
    );
    writeVolume(path.join(output, id + ending), { ...like, data: merged.labels });
    if (keepProbabilities) writeProbabilities(output, id, merged.probabilities, members[0].shape);
  }
  report(ids.length, 'ensemble');
}

/** Equally many values of another grid, or of other labels, would be averaged without a word. */
function checkShapes(
  id: string,
  inputs: readonly string[],
  members: readonly { shape: readonly number[] }[],
  wanted: readonly number[],
): void {
  const faults = members.flatMap(({ shape }, i) =>
    shape.join() === wanted.join()
      ? []
      : [
          {
            code: 'ensemble-shapes',
            path: path.join(inputs[i], id),
            given: `probabilities [${shape}]`,
            expected: `[${wanted}]: the voxels of the label file in ${inputs[0]}, and the outputs that dataset.json's labels ask for`,
            fix: 'Ensemble predictions of the same images and the same labels.',
          },
        ],
  );
  if (faults.length > 0) throw new VoxelbookError('these predictions cannot be averaged', faults);
}
