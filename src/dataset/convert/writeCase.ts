// One case into the raw layout: images a channel a file, labels as whole numbers, all on one grid; each file whole or not at all.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWrite } from '../../base/atomicWrite.js';
import { type Fault, failedOn, VoxelbookError } from '../../base/errors.js';
import { type Geometry, readGrid, readVolume, type Volume, writeVolume } from '../../volume/index.js';
import { exactLabels } from './exactLabels.js';
import type { SourceCase, SourceVolume } from './source.js';

type Shape = { what: string; shape: Geometry['shape'] };

const channelCount = ({ images }: SourceCase) => (Array.isArray(images) ? images.length : images.channels);

/** Files that a case becomes: `imagesTr/<id>_0000<ending>`, …, `labelsTr/<id><ending>`. */
export function targetsOf(folder: string, one: SourceCase, ending: string): { images: string[]; label?: string } {
  const part = one.test ? 'Ts' : 'Tr';
  const images = Array.from({ length: channelCount(one) }, (_, c) =>
    path.join(folder, `images${part}`, `${one.id}_${String(c).padStart(4, '0')}${ending}`),
  );
  return { images, ...(one.label ? { label: path.join(folder, `labels${part}`, one.id + ending) } : {}) };
}

/** Whether all files of a case are there: each appeared as a whole. */
export function isWritten(folder: string, one: SourceCase, ending: string): boolean {
  const { images, label } = targetsOf(folder, one, ending);
  return [...images, ...(label ? [label] : [])].every((file) => fs.existsSync(file));
}

/**
 * Writes what is missing of a case. A file of the same kind is taken over byte for byte; labels only where they are whole numbers already.
 * @param stage told what is being done, for the message if it never ends
 * @throws VoxelbookError when a file cannot be read, lies on another grid, or holds what is no label
 */
export function writeCase(folder: string, one: SourceCase, ending: string, stage: (name: string) => void = () => {}): void {
  const targets = targetsOf(folder, one, ending);
  stage('images');
  const made = Array.isArray(one.images)
    ? one.images.map((from, c) => place(from, targets.images[c], ending))
    : [placeChannels(one.images.file, targets.images, ending)];
  refuseOtherGrids(one, made);
  stage('labels');
  if (one.label && !fs.existsSync(targets.label!)) placeLabel(one, one.label, made[0], targets.label!, ending);
}

/** Read without a word about its geometry: `check` tells it of the converted set. */
const quiet = (file: string) => readVolume(file, { onWarning: () => {} });

function place(from: SourceVolume, to: string, ending: string): Shape {
  if (fs.existsSync(to)) return shapeOf(to);
  if (typeof from !== 'string') return written(to, from());
  if (!from.endsWith(ending)) return written(to, quiet(from));
  const found = shapeOf(from);
  copied(from, to);
  return found;
}

function written(to: string, volume: Volume): Shape {
  writeVolume(to, volume);
  return { what: to, shape: volume.shape };
}

function shapeOf(file: string): Shape {
  return { what: file, shape: readGrid(file)?.shape ?? quiet(file).shape };
}

/** A 3-D file is copied, as nnU-Net does; of a 4-D file every channel becomes a file. */
function placeChannels(from: string, to: readonly string[], ending: string): Shape {
  if (to.every((file) => fs.existsSync(file))) return shapeOf(to[0]);
  const volume = quiet(from);
  if (volume.channels !== to.length)
    throw new VoxelbookError(`${from} cannot be converted`, {
      code: 'channels',
      path: from,
      given: `${volume.channels} channels`,
      expected: `${to.length}, as dataset.json names`,
      fix: 'Correct "modality" in dataset.json, or fetch the file again.',
    });
  if (volume.channels === 1 && from.endsWith(ending)) copied(from, to[0]);
  else
    to.forEach((file, c) => {
      if (!fs.existsSync(file)) writeVolume(file, channelOf(volume, c));
    });
  return { what: from, shape: volume.shape };
}

function channelOf(volume: Volume, channel: number): Volume {
  const data = new (volume.data.constructor as new (n: number) => Volume['data'])(volume.data.length / volume.channels);
  for (let i = 0; i < data.length; i++) data[i] = volume.data[i * volume.channels + channel];
  return { ...volume, channels: 1, data };
}

function placeLabel(one: SourceCase, from: SourceVolume, image: Shape, to: string, ending: string): void {
  const volume = typeof from === 'string' ? quiet(from) : from();
  const name = typeof from === 'string' ? from : `the labels of ${one.id}`;
  refuseOtherGrids(one, [image, { what: name, shape: volume.shape }]);
  const labels = exactLabels(volume, name);
  const whole = !(volume.data instanceof Float32Array || volume.data instanceof Float64Array);
  if (typeof from === 'string' && from.endsWith(ending) && whole) copied(from, to);
  else writeVolume(to, labels);
}

function refuseOtherGrids({ id }: SourceCase, [first, ...others]: readonly Shape[]): void {
  const faults = others
    .filter(({ shape }) => shape.some((n, i) => n !== first.shape[i]))
    .map(
      ({ what, shape }): Fault => ({
        code: 'shape',
        path: what,
        given: shape.join('×'),
        expected: `${first.shape.join('×')} as ${path.basename(first.what)}`,
        fix: 'Fetch the case again, or leave it out.',
      }),
    );
  if (faults.length > 0) throw new VoxelbookError(`case ${id} cannot be converted`, faults);
}

/** Copies a file whole or not at all, a piece at a time. */
function copied(from: string, to: string): void {
  try {
    atomicWrite(to, pieces(from));
  } catch (error) {
    throw failedOn(from, error, 'read');
  }
}

function* pieces(file: string): Generator<Uint8Array> {
  const descriptor = fs.openSync(file, 'r');
  try {
    const piece = Buffer.allocUnsafe(4 << 20);
    for (let n = 1; n > 0; ) {
      n = fs.readSync(descriptor, piece, 0, piece.length, null);
      if (n > 0) yield piece.subarray(0, n);
    }
  } finally {
    fs.closeSync(descriptor);
  }
}
