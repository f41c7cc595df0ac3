// A preprocessed case on disk: chunked arrays in <case>.safetensors, what to remember in <case>.json. The JSON is written last and
// names the hash of what the case was made of; both files carry it, so that halves of different runs are never taken for one.
// Everything is checked when it is read: chunks and class locations by CRC-32, index and JSON by SHA-256.
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { atomicWriteJson } from '../base/atomicWrite.js';
import { sha256 } from '../base/checksum.js';
import { VoxelbookError } from '../base/errors.js';
import { readRange, safetensorsTable, type TensorRange, writeSafetensors } from '../base/safetensors.js';
import {
  ChunkedArray,
  type ChunkedValues,
  type ChunkGrid,
  type ChunkSource,
  chunkFor,
  encodeChunks,
  indexWidth,
} from './chunks.js';
import type { CaseProperties, PreprocessedCase } from './preprocessCase.js';

/** Of the files; another one is refused by name. */
const format = 4;

interface CaseJson extends CaseProperties {
  id: string;
  format: number;
  /** SHA-256 over the files and settings this was made of. */
  hash: string;
  shape: [number, number, number];
  channels: number;
  /** Voxels of a chunk along each axis. */
  chunk: [number, number, number];
  /** Keys in order, also of classes that are not there; CRC-32 of the places. */
  class_locations: { key: string; n: number; crc32: number }[];
  /** SHA-256 of both indices. */
  index: string;
  /** SHA-256 of all of the above. */
  sha256: string;
}

/** Writes both files. @param patch of the network, 2 or 3 sides: chunks suit it; without one it is 128³ */
export function saveCase(
  folder: string,
  id: string,
  hash: string,
  done: PreprocessedCase,
  patch: readonly number[] = [128, 128, 128],
): void {
  const { data, seg, shape, channels, classLocations, properties } = done;
  const chunk = chunkFor(patch);
  const parts = {
    data: encodeChunks(data, { shape, channels, chunk }),
    seg: encodeChunks(seg, { shape, channels: 1, chunk }),
  };
  const tensors: Parameters<typeof writeSafetensors>[1] = {};
  for (const [name, { index }] of Object.entries(parts))
    tensors[`${name}.index`] = { shape: [index.length / indexWidth, indexWidth], data: index };
  for (const [key, places] of classLocations)
    if (places.length > 0) tensors[`class_locations.${key}`] = { shape: [places.length / 3, 3], data: places };
  for (const [name, { bytes }] of Object.entries(parts)) tensors[`${name}.chunks`] = { shape: [bytes.length], data: bytes };
  writeSafetensors(fileOf(folder, id), tensors, { hash });
  const json: Omit<CaseJson, 'sha256'> = {
    id,
    format,
    hash,
    shape,
    channels,
    chunk: [...chunk],
    ...properties,
    class_locations: [...classLocations].map(([key, places]) => ({ key, n: places.length / 3, crc32: zlib.crc32(places) })),
    index: sha256(bytesOf(parts.data.index), bytesOf(parts.seg.index)),
  };
  atomicWriteJson(path.join(folder, `${id}.json`), { ...json, sha256: sha256(JSON.stringify(json)) });
}

const fileOf = (folder: string, id: string) => path.join(folder, `${id}.safetensors`);
const bytesOf = (array: Uint32Array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Where each class is, read when asked for. */
export interface StoredLocations {
  /** Classes and regions in order, also those that are not there. */
  keys(): Iterable<string>;
  /** Voxels remembered of one. */
  count(key: string): number;
  /** (z, y, x) triples; undefined for a key that is none. */
  get(key: string): Int32Array | undefined;
}

/** A preprocessed case whose voxels stay on disk until a box of them is asked for. */
export class StoredCase {
  readonly shape: [number, number, number];
  readonly channels: number;
  readonly properties: CaseProperties;
  readonly classLocations: StoredLocations;
  private readonly ranges: Record<string, TensorRange>;
  private readonly arrays: { data: ChunkedArray<Float32Array>; seg: ChunkedArray<Int16Array> };

  /**
   * @param folder `<preprocessed>/<data_identifier>`
   * @throws VoxelbookError when the case is not there, of another format, damaged, or its two files are not of one run
   */
  constructor(
    private readonly folder: string,
    private readonly id: string,
  ) {
    const json = readJson(folder, id);
    if (!json) throw missing(folder, id, 'no such case');
    if (json.format !== format) throw missing(folder, id, `format ${json.format ?? 'of an older version'}`);
    const { sha256: written, ...rest } = json;
    if (sha256(JSON.stringify(rest)) !== written) throw missing(folder, id, `${id}.json with another checksum than was written`);
    const { id: _id, format: _format, hash, shape, channels, chunk, class_locations, index, ...properties } = rest;
    const { ranges, metadata } = safetensorsTable(fileOf(folder, id));
    if (metadata.hash !== hash) throw missing(folder, id, 'arrays and JSON of different runs');
    this.ranges = ranges;
    this.shape = shape;
    this.channels = channels;
    this.properties = properties;
    const indices = this.open((bytes) => ({ data: bytes('data.index'), seg: bytes('seg.index') }));
    if (sha256(indices.data, indices.seg) !== index) throw missing(folder, id, 'an index with another checksum than was written');
    const array = <A extends ChunkedValues>(
      name: 'data' | 'seg',
      grid: ChunkGrid,
      Values: { new (length: number): A; BYTES_PER_ELEMENT: number },
    ) => {
      const { begin, end } = this.rangeOf(`${name}.chunks`);
      return new ChunkedArray<A>(grid, Values, new Uint32Array(indices[name].slice().buffer), end - begin, fileOf(folder, id));
    };
    this.arrays = {
      data: array('data', { shape, channels, chunk }, Float32Array),
      seg: array('seg', { shape, channels: 1, chunk }, Int16Array),
    };
    const locations = new Map(class_locations.map((entry) => [entry.key, entry]));
    this.classLocations = {
      keys: () => locations.keys(),
      count: (key) => locations.get(key)?.n ?? 0,
      get: (key) => {
        const entry = locations.get(key);
        if (!entry || entry.n === 0) return entry && new Int32Array(0);
        const bytes = this.open((read) => read(`class_locations.${key}`));
        if (bytes.length !== entry.n * 12 || zlib.crc32(bytes) !== entry.crc32)
          throw missing(folder, id, `locations of ${key} with another checksum than was written`);
        return new Int32Array(bytes.slice().buffer);
      },
    };
  }

  /** Bytes that all voxels take in memory. */
  get bytes(): number {
    return this.shape[0] * this.shape[1] * this.shape[2] * (4 * this.channels + 2);
  }

  /**
   * Reads a box of voxels. Where it reaches outside of the case, the image is 0 and labels are -1.
   * @param start first voxel along each axis
   * @param into takes the values
   * @param masked channels that are to be 0 where the label is negative
   * @returns `data` `[depth, height, width, channel]` and `seg` `[depth, height, width]` of the box
   * @throws VoxelbookError for damaged chunks
   */
  box(
    start: readonly number[] = [0, 0, 0],
    size: readonly number[] = this.shape,
    into?: { data: Float32Array; seg: Int16Array },
    masked: readonly number[] = [],
  ): { data: Float32Array; seg: Int16Array } {
    return this.open((_, within) => {
      const seg = this.arrays.seg.read(within('seg.chunks'), start, size, into?.seg, 255);
      const mask = masked.length > 0 ? { labels: seg, channels: masked } : undefined;
      return { data: this.arrays.data.read(within('data.chunks'), start, size, into?.data, 0, mask), seg };
    });
  }

  private rangeOf(name: string): TensorRange {
    const range = this.ranges[name];
    if (!range) throw missing(this.folder, this.id, `no array "${name}"`);
    return range;
  }

  /** Opens the file for one reading: `bytes` gives an array whole, `within` says where it lies. */
  private open<T>(work: (bytes: (name: string) => Uint8Array, within: (name: string) => ChunkSource) => T): T {
    const descriptor = fs.openSync(fileOf(this.folder, this.id), 'r');
    try {
      const within = (name: string) => ({ descriptor, begin: this.rangeOf(name).begin });
      return work((name) => readRange(descriptor, this.rangeOf(name).begin, this.rangeOf(name).end), within);
    } finally {
      fs.closeSync(descriptor);
    }
  }
}

/**
 * Reads a preprocessed case whole.
 * @param folder `<preprocessed>/<data_identifier>`
 * @throws VoxelbookError as `StoredCase`
 */
export function loadStored(folder: string, id: string): PreprocessedCase {
  const stored = new StoredCase(folder, id);
  const { shape, channels, properties, classLocations } = stored;
  const places = [...classLocations.keys()].map((key): [string, Int32Array] => [key, classLocations.get(key)!]);
  return { ...stored.box(), shape, channels, classLocations: new Map(places), properties };
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

/** What a case was made of, or undefined when it is not finished or of another format. */
export function storedHash(folder: string, id: string): string | undefined {
  if (!fs.existsSync(fileOf(folder, id))) return undefined;
  const json = readJson(folder, id);
  return json?.format === format ? json.hash : undefined;
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
    expected: `${id}.json and ${id}.safetensors of one run, as they were written, format ${format}`,
    fix: 'Run preprocess.run again; it makes only what is missing. (A damaged case: remove its two files first.)',
  });
