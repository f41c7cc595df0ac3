// A preprocessed case on disk: arrays in <case>.safetensors, what to remember in <case>.json. The JSON is written last and names the
// hash of what the case was made of; both files carry it, so that halves of different runs are never taken for one.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteJson } from '../base/atomicWrite.js';
import { VoxelbookError } from '../base/errors.js';
import { readSafetensors, writeSafetensors } from '../base/safetensors.js';
import type { CaseProperties, PreprocessedCase } from './preprocessCase.js';

interface CaseJson extends CaseProperties {
  id: string;
  /** SHA-256 over the files and settings this was made of. */
  hash: string;
  shape: number[];
  channels: number;
  /** Keys in order, also of classes that are not there. */
  class_locations: { key: string; n: number }[];
}

/** Writes both files. */
export function saveCase(folder: string, id: string, hash: string, done: PreprocessedCase): void {
  const { data, seg, shape, channels, classLocations, properties } = done;
  const tensors: Record<string, { shape: number[]; data: Float32Array | Int16Array | Int32Array }> = {
    data: { shape: [...shape, channels], data },
    seg: { shape: [...shape], data: seg },
  };
  for (const [key, places] of classLocations)
    if (places.length > 0) tensors[`class_locations.${key}`] = { shape: [places.length / 3, 3], data: places };
  writeSafetensors(path.join(folder, `${id}.safetensors`), tensors, { hash });
  const json: CaseJson = {
    id,
    hash,
    shape,
    channels,
    ...properties,
    class_locations: [...classLocations].map(([key, places]) => ({ key, n: places.length / 3 })),
  };
  atomicWriteJson(path.join(folder, `${id}.json`), json);
}

/**
 * Reads a preprocessed case.
 * @param folder `<preprocessed>/<data_identifier>`
 * @throws VoxelbookError when the case is not there or its two files are not of one run
 */
export function loadCase(folder: string, id: string): PreprocessedCase {
  const json = readJson(folder, id);
  if (!json) throw missing(folder, id, 'no such case');
  const file = path.join(folder, `${id}.safetensors`);
  const { tensors, metadata } = readSafetensors(file);
  if (metadata.hash !== json.hash) throw missing(folder, id, 'arrays and JSON of different runs');
  const { id: _id, hash: _hash, shape, channels, class_locations, ...properties } = json;
  const places = ({ key, n }: { key: string; n: number }): [string, Int32Array] => [
    key,
    n > 0 ? (tensors[`class_locations.${key}`].data as Int32Array) : new Int32Array(0),
  ];
  return {
    data: tensors.data.data as Float32Array,
    seg: tensors.seg.data as Int16Array,
    shape: shape as [number, number, number],
    channels,
    classLocations: new Map(class_locations.map(places)),
    properties,
  };
}

/** Ids of the finished cases of a folder, sorted. */
export function listCases(folder: string): string[] {
  if (!fs.existsSync(folder)) return [];
  const names = new Set(fs.readdirSync(folder));
  return [...names]
    .filter((name) => name.endsWith('.json') && names.has(name.replace(/\.json$/, '.safetensors')))
    .map((name) => name.slice(0, -'.json'.length))
    .sort();
}

/** What a case was made of, or undefined when it is not finished. */
export function storedHash(folder: string, id: string): string | undefined {
  if (!fs.existsSync(path.join(folder, `${id}.safetensors`))) return undefined;
  return readJson(folder, id)?.hash;
}

function readJson(folder: string, id: string): CaseJson | undefined {
  try {
    return JSON.parse(fs.readFileSync(path.join(folder, `${id}.json`), 'utf8'));
  } catch {
    return undefined;
  }
}

const missing = (folder: string, id: string, given: string) =>
  new VoxelbookError(`preprocessed case ${id} cannot be read`, {
    code: 'no-preprocessed-case',
    path: path.join(folder, id),
    given,
    expected: `${id}.json and ${id}.safetensors of one run`,
    fix: 'Run preprocess.run again; it makes only what is missing.',
  });
