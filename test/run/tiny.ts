// A data set of six small cases and experiments that take seconds: for the tests of runs.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Random } from '../../src/base/random.js';
import { readSafetensors } from '../../src/base/safetensors.js';
import type { Experiment } from '../../src/train/index.js';
import { identityDirection, writeVolume } from '../../src/volume/index.js';

const names = ['VOXELBOOK_RUNS', 'VOXELBOOK_DATA', 'VOXELBOOK_SAVING_SHARE'];
const before = Object.fromEntries(names.map((name) => [name, process.env[name]]));

/** Puts the environment back as it was, for the tests of other rooms. */
export function leaveWorkplace(): void {
  for (const name of names)
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
}

/** A fresh folder in which runs, data and raw set of one test lie; sets VOXELBOOK_RUNS to it. */
export function workplace(): string {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'runs-'));
  process.env.VOXELBOOK_RUNS = path.join(root, 'runs');
  delete process.env.VOXELBOOK_DATA;
  process.env.VOXELBOOK_SAVING_SHARE = '0';
  process.on('exit', () => fs.rmSync(root, { recursive: true, force: true }));
  writeTinySet(path.join(root, 'Dataset042_Balls'));
  return root;
}

/** Geometry of a cube of `n` voxels a side, 1 mm, one channel. */
export const cubeOf = (n: number) => ({
  shape: [n, n, n] as [number, number, number],
  channels: 1,
  spacingMm: [1, 1, 1] as [number, number, number],
  originMm: [0, 0, 0] as [number, number, number],
  direction: identityDirection,
});

/** Noisy balls in balls, six cases of `n` voxels a side, one channel. */
export function writeTinySet(folder: string, n = 20): void {
  for (const part of ['imagesTr', 'labelsTr']) fs.mkdirSync(path.join(folder, part), { recursive: true });
  const geometry = cubeOf(n);
  for (let c = 0; c < 6; c++) {
    const random = new Random(c).split('ball');
    const centre = [0, 1, 2].map(() => random.uniform(6, n - 6));
    const image = new Float32Array(n ** 3);
    const label = new Uint8Array(n ** 3);
    for (let i = 0; i < n ** 3; i++) {
      const at = [Math.floor(i / n ** 2), Math.floor(i / n) % n, i % n];
      const r = Math.hypot(...at.map((x, a) => x - centre[a]));
      label[i] = r < 3 ? 2 : r < 5.5 ? 1 : 0;
      image[i] = 10 + 5 * label[i] + random.normal();
    }
    writeVolume(path.join(folder, 'imagesTr', `ball_${c}_0000.nii.gz`), { data: image, ...geometry });
    writeVolume(path.join(folder, 'labelsTr', `ball_${c}.nii.gz`), { data: label, ...geometry });
  }
  fs.writeFileSync(
    path.join(folder, 'dataset.json'),
    JSON.stringify({
      channel_names: { '0': 'T1' },
      labels: { background: 0, shell: 1, core: 2 },
      numTraining: 6,
      file_ending: '.nii.gz',
    }),
  );
}

/** MedNeXt of width 2 with one block a stage. */
export function tinyExperiment(root: string, changes: Partial<Experiment> = {}, kernel = 3): Experiment {
  return {
    name: `tiny k${kernel}`,
    dataset: path.join(root, 'Dataset042_Balls'),
    configuration: '3d_fullres',
    model: {
      network: 'mednext',
      width: 2,
      expansion: 2,
      kernel,
      decoderKernel: kernel,
      blocks: [1, 1, 1, 1, 1, 1, 1, 1, 1],
      residual: true,
      residualUpDown: true,
    } as Experiment['model'],
    recipe: {
      optimiser: { kind: 'adamw', learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-4, weightDecay: 3e-5 },
      schedule: { kind: 'poly', exponent: 0.9 },
      epochs: 3,
      iterationsPerEpoch: 4,
      validationIterationsPerEpoch: 2,
      batchSize: 2,
      patchSize: [16, 16, 16],
      loss: { kind: 'dice+ce', dice: 'nnunetv2', batchDice: false, smooth: 1e-5 },
      deepSupervision: 'all',
      gradientClip: 12,
      oversampleForeground: 0.33,
      augmentation: 'nnunetv2',
      mirrorAxes: [0, 1, 2],
    },
    prediction: { stepSize: 0.5, gaussian: true, mirrorAxes: [], average: 'logits' },
    folds: [0],
    seeds: [1],
    scale: 'demo',
    ...changes,
  };
}

/** A digest of every tensor of a run's final weights: equal only for equal bits. */
export function finalWeights(folder: string): Record<string, string> {
  const { tensors } = readSafetensors(path.join(folder, 'checkpoints', 'final.safetensors'));
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { data }]) => [
      name,
      createHash('sha256')
        .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
        .digest('hex')
        .slice(0, 16),
    ]),
  );
}

/** progress.jsonl without times and memory, which no two runs share. */
export const timelessLog = (folder: string): unknown[] =>
  fs
    .readFileSync(path.join(folder, 'progress.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((l) => {
      const { seconds: _s, waitingShare: _w, rssBytes: _r, etaSeconds: _e, ...rest } = JSON.parse(l);
      return rest;
    });
