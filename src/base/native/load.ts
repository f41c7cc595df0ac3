// Our compiled code: which variant of it this processor runs, and the functions on typed arrays that worker threads call.
//
// It is compiled for several sets of instructions; the widest the processor has is loaded. `VOXELBOOK_NATIVE=0` switches it
// off, `VOXELBOOK_NATIVE=avx2` takes that variant instead of the widest. Every function has a plain twin that gives the same.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { VoxelbookError } from '../errors.js';
import { places } from '../paths.js';

const require = createRequire(import.meta.url);

/** A compiled module that is there. */
export function compiled(name: string): unknown {
  return require(fileOf(name));
}

const fileOf = (name: string) => path.join(places().native, `${name}.node`);
export const isCompiled = (name: string): boolean => fs.existsSync(fileOf(name));

/**
 * The variant to load: the one asked for, else the widest; undefined where this processor can run none.
 * @throws VoxelbookError when `VOXELBOOK_NATIVE` names one it cannot run
 */
export function chosenVariant(): string | undefined {
  const runnable = (compiled('processor') as { variants(): string[] }).variants();
  const wanted = process.env.VOXELBOOK_NATIVE || runnable[0];
  if (!wanted || runnable.includes(wanted)) return wanted;
  throw new VoxelbookError('these native kernels cannot be used', {
    code: 'bad-native',
    path: 'VOXELBOOK_NATIVE',
    given: wanted,
    expected: ['0', ...runnable].join(' or '),
    fix: 'Unset it to take the widest this processor has.',
  });
}

type Sides = readonly number[];

/** What the sources in `native/` of base, volume and augment say of each. Sizes that do not fit together throw a RangeError. */
export interface Functions {
  /** CRC-32, on from the sum that is given; not there on processors without carry-less products. */
  crc32?(bytes: Uint8Array, sum: Uint32Array): void;
  /** Answers in `status` with the first part it could not read, or -1: `preprocess/chunks.ts` says what is wrong with it. */
  readChunks(
    descriptor: number,
    begin: number,
    index: Uint32Array,
    offsets: Float64Array,
    shape: Sides,
    chunk: Sides,
    channels: number,
    width: number,
    start: readonly number[],
    size: Sides,
    out: Uint8Array,
    outside: number,
    labels: Int16Array | null,
    masked: readonly number[],
    status: Int32Array,
  ): void;
  inLargePages(bytes: Uint8Array): void;
  fillUniform(state: Int32Array, out: Float64Array, low: number, high: number): void;
  fillKept(state: Int32Array, out: Float32Array, rate: number, kept: number): void;
  addNormal(state: Int32Array, values: Float32Array, sd: number): void;
  blurAxis(
    data: Float32Array | Float64Array,
    length: number,
    inner: number,
    index: Int32Array,
    taps: Float64Array,
    totals: Float64Array | null,
  ): void;
  splitBox(image: Float32Array, shape: Sides, start: Sides, size: Sides, planes: readonly Float32Array[]): void;
  cutBox<A extends Float32Array | Int16Array>(
    from: A,
    shape: Sides,
    start: readonly number[],
    size: Sides,
    out: A,
    values: number,
  ): void;
  joinPlanes(planes: readonly Float32Array[], image: Float32Array): void;
  flip(values: Float32Array | Int16Array, shape: Sides, axes: readonly number[]): void;
  outsideToBackground(labels: Int16Array): void;
  cleanSample(image: Float32Array, channels: number, masked: readonly number[], labels: Int16Array): void;
  maskOutside(plane: Float32Array, labels: Int16Array): void;
  statistics(plane: Float32Array, out: Float64Array): void;
  scaleAbout(plane: Float32Array, centre: number, factor: number, target: number, low: number, high: number): void;
  multiply(plane: Float32Array, factor: number): void;
  add(plane: Float32Array, shift: number): void;
  power(plane: Float32Array, gamma: number, low: number, range: number, divisor: number): void;
  readGrid(plane: Float32Array, shape: Sides, zs: Int32Array, ys: Int32Array, xs: Int32Array, out: Float32Array): void;
  linearAxis(values: Float32Array, length: number, inner: number, low: Int32Array, rest: Float64Array, out: Float32Array): void;
  elasticField(
    grid: Float64Array,
    coarse: Sides,
    lows: readonly Int32Array[],
    highs: readonly Int32Array[],
    rests: readonly Float64Array[],
    factor: number,
    out: Float32Array,
  ): void;
  spatial(
    image: Float32Array,
    input: Sides,
    shape: Sides,
    matrix: readonly number[],
    offsets: readonly Float32Array[] | null,
    inPlane: boolean,
    kind: 0 | 1 | 2,
    planes: readonly Float32Array[],
    maps: readonly Int16Array[],
    out: readonly Int16Array[],
    nearestLabels: boolean,
  ): void;
  medianFilter(plane: Float32Array, shape: Sides, index: readonly Int32Array[], out: Float32Array): void;
  splineAxis(values: Float32Array, length: number, inner: number, whole: number): void;
}

let functions: Functions | undefined | null = null;

/** The compiled functions; undefined where they are switched off or not there. */
export function nativeFunctions(): Functions | undefined {
  if (process.env.VOXELBOOK_NATIVE === '0') return undefined;
  if (functions === null) functions = load();
  return functions;
}

function load(): Functions | undefined {
  if (!isCompiled('processor')) return undefined;
  const variant = chosenVariant();
  if (!variant) return undefined;
  try {
    return compiled(`functions-${variant}`) as Functions;
  } catch (error) {
    console.error(`voxelbook: the compiled functions do not load, plain code is used (slower): ${(error as Error).message}`);
    return undefined;
  }
}
