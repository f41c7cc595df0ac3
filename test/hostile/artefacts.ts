// What this library writes for itself, each kind with a way to write it, to read it back, and to say what it must hold.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteSealedJson, readSealedJson } from '../../src/base/atomicWrite.js';
import { Random } from '../../src/base/random.js';
import { initialise } from '../../src/model/network.js';
import { readProbabilities, writeProbabilities } from '../../src/predict/index.js';
import { loadCase, loadStageLabels, saveCase, saveStageLabels } from '../../src/preprocess/index.js';
import type { PreprocessedCase } from '../../src/preprocess/preprocessCase.js';
import { tf } from '../../src/tensor/tf.js';
import { type Checkpoint, CheckpointFolder, readCheckpoint, startPosition, writeCheckpoint } from '../../src/train/checkpoint.js';
import { identityDirection, readVolume, writeVolume } from '../../src/volume/index.js';
import { readWeights } from '../../src/weights/index.js';
import { tinyNetwork } from '../train/tiny.js';

export interface Artefact {
  name: string;
  /** The files it consists of. */
  files: string[];
  /** Writes version 1, 2, … into a folder. */
  write(folder: string, version: number): void;
  /** A digest of what a reader gets. */
  read(folder: string): string;
  /** The digest of a version. */
  content(version: number): string;
}

const digest = (...parts: (ArrayBufferView | string | undefined)[]) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(typeof part === 'string' ? part : part ? bytesOf(part) : 'none');
  return hash.digest('hex');
};
const bytesOf = (data: ArrayBufferView) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

const network = tinyNetwork(1, 2, 2);

/** A training state whose every value follows from the version; the tensors are kept. */
const states = new Map<number, Checkpoint>();
function state(version: number): Checkpoint {
  if (!states.has(version)) {
    const params = initialise(network, new Random(version));
    states.set(version, {
      params,
      optimiser: { step: version, steps: {}, slots: { 'm.first.weight': tf.fill(params['first.weight'].shape, version) } },
      position: { ...startPosition(3), step: version, done: version, seconds: 0.5 },
    });
  }
  return states.get(version)!;
}
const stateDigest = ({ params, optimiser }: Checkpoint) =>
  digest(
    ...Object.keys(params)
      .sort()
      .map((name) => params[name].dataSync() as Float32Array),
    optimiser.slots['m.first.weight']?.dataSync() as Float32Array,
    JSON.stringify(optimiser.step),
  );
function released(read: Checkpoint): string {
  const text = stateDigest(read);
  tf.dispose([read.params, read.optimiser.slots]);
  return text;
}

function preprocessed(version: number) {
  const random = new Random(`case ${version}`);
  const [shape, channels] = [[9, 8, 7] as [number, number, number], 2];
  const n = shape[0] * shape[1] * shape[2];
  return {
    data: Float32Array.from({ length: n * channels }, () => random.normal()),
    seg: Int16Array.from({ length: n }, () => random.int(-1, 3)),
    shape,
    channels,
    classLocations: new Map([['1', Int32Array.of(0, 0, version, 0, 1, 1)]]),
    properties: { spacing: [1, 2, 3] } as never,
  };
}
const stageShape = [9, 8, 7];
const stage = (version: number) => Uint8Array.from({ length: 9 * 8 * 7 }, (_, i) => (i * version) % 5);
const probabilities = (version: number) => Float32Array.from({ length: 3 * 4 * 5 * 2 }, (_, i) => Math.sin(i * version));
const sealed = (version: number) => ({ version, cases: [{ id: 'a', dsc: 0.5 + version / 1000 }] });
const labels = (version: number) => Uint8Array.from({ length: 60 }, (_, i) => (i * version) % 3);
const picture = { shape: [3, 4, 5] as [number, number, number], channels: 1, spacingMm: [1, 1, 1] as [number, number, number] };

export const artefacts = (): Artefact[] => [
  {
    name: 'checkpoint',
    files: ['x.safetensors'],
    write: (folder, v) => void writeCheckpoint(path.join(folder, 'x.safetensors'), 'a', network, state(v)),
    read: (folder) => released(readCheckpoint(path.join(folder, 'x.safetensors'), 'a', network)),
    content: (v) => stateDigest(state(v)),
  },
  {
    name: 'checkpoint folder',
    files: [],
    write: (folder, v) => new CheckpointFolder(folder, 'a', network).save(state(v)),
    read: (folder) => released(new CheckpointFolder(folder, 'a', network).load()!),
    content: (v) => stateDigest(state(v)),
  },
  {
    name: 'weights',
    files: ['checkpoints/final.safetensors'],
    write: (folder, v) => void new CheckpointFolder(folder, 'a', network).saveParams('final', state(v)),
    read(folder) {
      const { tensors } = readWeights(path.join(folder, 'checkpoints/final.safetensors'));
      return digest(
        ...Object.keys(tensors)
          .sort()
          .flatMap((name) => [name, JSON.stringify(tensors[name].shape), tensors[name].data]),
      );
    },
    content(v) {
      const folder = fs.mkdtempSync('/tmp/vb-content-');
      this.write(folder, v);
      const text = this.read(folder);
      fs.rmSync(folder, { recursive: true });
      return text;
    },
  },
  {
    name: 'preprocessed case',
    files: ['one.safetensors', 'one.json'],
    write: (folder, v) => saveCase(folder, 'one', 'h', preprocessed(v), [32, 32, 32]),
    read: (folder) => caseDigest(loadCase(folder, 'one')),
    content: (v) => caseDigest(preprocessed(v)),
  },
  {
    name: 'labels of a previous stage',
    files: ['one.safetensors'],
    write: (folder, v) => saveStageLabels(folder, 'one', stage(v), stageShape),
    read: (folder) => digest(loadStageLabels(folder, 'one', stageShape)),
    content: (v) => digest(stage(v)),
  },
  {
    name: 'probabilities',
    files: ['one.safetensors'],
    write: (folder, v) => writeProbabilities(folder, 'one', probabilities(v), [3, 4, 5, 2]),
    read(folder) {
      const { data, shape } = readProbabilities(folder, 'one');
      return digest(data, JSON.stringify(shape));
    },
    content: (v) => digest(probabilities(v), '[3,4,5,2]'),
  },
  {
    name: 'scores',
    files: ['scores.json'],
    write: (folder, v) => atomicWriteSealedJson(path.join(folder, 'scores.json'), sealed(v)),
    read: (folder) => JSON.stringify(readSealedJson(path.join(folder, 'scores.json'))),
    content: (v) => JSON.stringify(sealed(v)),
  },
  {
    name: 'label file',
    files: ['x.nii.gz'],
    write: (folder, v) =>
      writeVolume(path.join(folder, 'x.nii.gz'), {
        ...picture,
        data: labels(v),
        originMm: [0, 0, 0],
        direction: identityDirection,
      }),
    read(folder) {
      const { data, shape, spacingMm } = readVolume(path.join(folder, 'x.nii.gz'), { onWarning: () => {} });
      return digest(data, JSON.stringify([shape, spacingMm]));
    },
    content: (v) => digest(labels(v), JSON.stringify([picture.shape, picture.spacingMm])),
  },
];

const caseDigest = ({ data, seg, shape, classLocations, properties }: PreprocessedCase) =>
  digest(data, seg, JSON.stringify([shape, [...classLocations.keys()], properties]), ...classLocations.values());
