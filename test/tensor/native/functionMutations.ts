// Calls the functions on typed arrays with arguments that mostly do not fit, in a process of its own: a crash is a result.
// Arguments: the seed, the number of calls. Prints `<returned> <refused>`; dies where a function dies.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { type Functions, nativeFunctions } from '../../../src/base/native/load.js';
import { Random } from '../../../src/base/random.js';
import { encodeChunks, indexWidth } from '../../../src/preprocess/chunks.js';

const [seed, count] = process.argv.slice(2).map(Number);
const random = new Random(`functions/${seed}`);
const functions = nativeFunctions();
if (!functions) throw new Error('no compiled functions');

/** Without a name: it goes with this process. */
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'functions-'));
const file = fs.openSync(path.join(folder, 'chunks'), 'w+');
fs.rmSync(folder, { recursive: true });

const floats = (n: number) => Float32Array.from({ length: n }, () => random.normal());
const doubles = (n: number) => Float64Array.from({ length: n }, () => random.uniform(0, 1));
const shorts = (n: number) => Int16Array.from({ length: n }, () => random.int(-1, 4));
const places = (n: number, below: number) => Int32Array.from({ length: n }, () => random.int(0, below));
const words = () => Int32Array.from({ length: 4 }, () => random.int(1, 2 ** 31));
const side = () => random.int(1, 12);

/** Arguments that fit, of random sizes. */
const fitting: { [name in keyof Functions]-?: () => unknown[] } = {
  crc32: () => [new Uint8Array(floats(random.int(0, 300)).buffer).subarray(random.int(0, 1)), new Uint32Array(1)],
  readChunks() {
    const [shape, chunk, channels] = [[side(), side(), side()], [side(), side(), side()], random.int(1, 6)];
    const n = shape.reduce((a, b) => a * b, channels);
    const kinds = random.choice([2, 5, 70, 300, 2 ** 30]);
    const values = random
      .choice([Float32Array, Int16Array, Uint8Array])
      .from(Array.from({ length: n }, () => (random.chance(0.1) ? random.normal() : random.int(0, kinds))));
    const grid = { shape: shape as [number, number, number], channels, chunk: chunk as [number, number, number] };
    const { bytes, index } = encodeChunks(values, grid);
    const offsets = new Float64Array(index.length / indexWidth + 1);
    for (let part = 0; part + 1 < offsets.length; part++) {
      offsets[part + 1] = offsets[part] + index[indexWidth * part];
      // Bytes nobody packed, under a checksum that fits: it is not the checksum that must notice them.
      const own = bytes.subarray(offsets[part], offsets[part + 1]);
      if (random.chance(0.8)) continue;
      for (let k = random.int(1, 4); k > 0; k--)
        own[random.int(0, Math.min(own.length, 16))] = random.choice([0, 1, 2, 3, 7, 255]);
      if (random.chance(0.3)) index[indexWidth * part + 1] = random.int(0, 7);
      index[indexWidth * part + 2] = zlib.crc32(own);
    }
    fs.writeSync(file, bytes, 0, bytes.length, 0);
    const size = [side(), side(), side()];
    const start = shape.map((m, k) => random.int(-size[k], m + 1));
    const width = values.BYTES_PER_ELEMENT;
    const out = new Uint8Array(size.reduce((a, b) => a * b, channels * width));
    const voxels = size.reduce((a, b) => a * b, 1);
    const masked = Array.from({ length: channels }, (_, c) => c).filter(() => random.chance(0.5));
    const mask = random.chance(0.5) ? [shorts(voxels), masked] : [null, []];
    return [file, 0, index, offsets, shape, chunk, channels, width, start, size, out, 255, ...mask, new Int32Array(1)];
  },
  inLargePages: () => [new Uint8Array(random.int(0, 1e5))],
  fillUniform: () => [words(), doubles(random.int(0, 5000)), -1, 2],
  fillKept: () => [words(), floats(random.int(0, 5000)), 0.3, 1.5],
  addNormal: () => [words(), floats(2 * random.int(0, 3000)), 0.5],
  blurAxis() {
    const [length, inner, taps] = [side(), side(), random.int(1, 9)];
    const data = random.chance(0.5) ? floats(length * inner * side()) : doubles(length * inner * side());
    const index = Int32Array.from({ length: length + taps - 1 }, () => random.int(-1, length));
    return [data, length, inner, index, doubles(taps), random.chance(0.5) ? doubles(length) : null];
  },
  splitBox() {
    const [shape, channels] = [[side(), side(), side()], random.int(1, 4)];
    const size = shape.map((n) => random.int(0, n + 1));
    const start = shape.map((n, k) => random.int(0, n - size[k] + 1));
    const n = size.reduce((a, b) => a * b, 1);
    return [
      floats(shape.reduce((a, b) => a * b, channels)),
      shape,
      start,
      size,
      Array.from({ length: channels }, () => floats(n)),
    ];
  },
  cutBox() {
    const [shape, size, values] = [[side(), side(), side()], [side(), side(), side()], random.int(1, 4)];
    const of = random.chance(0.5) ? floats : shorts;
    const start = shape.map((n) => random.int(-n - 3, n + 3));
    return [of(shape.reduce((a, b) => a * b, values)), shape, start, size, of(size.reduce((a, b) => a * b, values)), values];
  },
  joinPlanes() {
    const [n, channels] = [random.int(0, 400), random.int(1, 5)];
    return [Array.from({ length: channels }, () => floats(n)), floats(n * channels)];
  },
  medianFilter() {
    const shape = [side(), side(), side()];
    const n = shape.reduce((a, b) => a * b, 1);
    return [floats(n), shape, shape.map((length) => places(length + random.int(0, 5), length)), floats(n)];
  },
  flip() {
    const shape = [side(), side(), side()];
    const of = random.chance(0.5) ? floats : shorts;
    return [of(shape.reduce((a, b) => a * b, 1)), shape, [0, 1, 2].filter(() => random.chance(0.5))];
  },
  outsideToBackground: () => [shorts(random.int(0, 400))],
  maskOutside() {
    const n = random.int(0, 400);
    return [floats(n), shorts(n)];
  },
  cleanSample() {
    const [n, channels] = [random.int(0, 400), random.int(1, 5)];
    return [
      floats(n * channels),
      channels,
      Array.from({ length: channels }, (_, c) => c).filter(() => random.chance(0.5)),
      shorts(n),
    ];
  },
  statistics: () => [floats(random.int(1, 400)), doubles(4)],
  scaleAbout: () => [floats(random.int(0, 400)), 0.5, 1.2, 0.4, -1, 1],
  multiply: () => [floats(random.int(0, 400)), 1.5],
  add: () => [floats(random.int(0, 400)), 1.5],
  power: () => [floats(random.int(0, 400)), 0.7, -3, 6, 6],
  readGrid() {
    const shape = [side(), side(), side()];
    const at = shape.map((n) => places(side(), n));
    return [floats(shape.reduce((a, b) => a * b, 1)), shape, ...at, floats(at.reduce((a, b) => a * b.length, 1))];
  },
  linearAxis() {
    const [length, inner, outer, target] = [1 + side(), side(), side(), side()];
    return [
      floats(length * inner * outer),
      length,
      inner,
      places(target, length - 1),
      doubles(target),
      floats(outer * target * inner),
    ];
  },
  elasticField() {
    const [coarse, fine] = [
      [side(), side(), side()],
      [side(), side(), side()],
    ];
    const near = () => coarse.map((n, k) => places(fine[k], n));
    return [
      doubles(coarse.reduce((a, b) => a * b, 1)),
      coarse,
      near(),
      near(),
      fine.map(doubles),
      2,
      floats(fine.reduce((a, b) => a * b, 1)),
    ];
  },
  spatial() {
    const [input, shape, channels, maps] = [
      [side(), side(), side()],
      [side(), side(), side()],
      random.int(1, 4),
      random.int(0, 3),
    ];
    const [from, to] = [input, shape].map((s) => s.reduce((a, b) => a * b, 1));
    const list = <T>(n: number, make: () => T) => Array.from({ length: n }, make);
    return [
      floats(from * channels),
      input,
      shape,
      list(9, () => random.uniform(-2, 2)),
      random.chance(0.5) ? list(3, () => floats(to)) : null,
      random.chance(0.3),
      random.int(0, 3),
      list(channels, () => floats(to)),
      list(maps, () => shorts(from)),
      list(maps, () => shorts(to)),
      random.chance(0.5),
    ];
  },
  splineAxis() {
    const [n, inner] = [1 + side(), side()];
    return [floats(n * inner * side()), n, inner, random.choice([0, 1])];
  },
};

const odd = () =>
  random.choice<unknown>([
    ...[-1, 0, 1, 3, 1e9, 2 ** 31, 2 ** 53, 1e300, -1e300, Number.NaN, Number.POSITIVE_INFINITY],
    ...[null, undefined, true, 'text', [], [0, 0, 0], [3, -1, 2], [1e9, 1e9, 1e9], [Number.NaN, 1, 1], {}],
    ...[new Float32Array(0), new Float32Array(7), new Int16Array(3), new Int32Array(2), new Float64Array(5), new Uint8Array(4)],
  ]);

/** One argument another: odd, shorter, or with an odd number in it. */
function changed(given: unknown[]): unknown[] {
  const args = [...given];
  const i = random.int(0, args.length);
  const value = args[i];
  const kind = random.uniform(0, 1);
  if (kind < 0.4) args[i] = odd();
  else if (kind < 0.5) args.pop();
  else if (ArrayBuffer.isView(value)) {
    const array = value as Float32Array;
    if (kind < 0.75) args[i] = array.subarray(0, random.int(0, array.length + 1));
    else if (array.length > 0)
      array[random.int(0, array.length)] = random.choice([Number.NaN, -1, 1e9, Number.POSITIVE_INFINITY]);
  } else if (Array.isArray(value) && value.length > 0) {
    const list = [...value];
    if (kind < 0.75) list[random.int(0, list.length)] = odd();
    else list.pop();
    args[i] = list;
  } else args[i] = odd();
  return args;
}

const names = Object.keys(fitting).filter((name) => name in functions) as (keyof Functions)[];
let [returned, refused] = [0, 0];
for (let i = 0; i < count; i++) {
  const name = names[i % names.length];
  let args = fitting[name]();
  const fits = random.chance(0.3);
  if (!fits) for (let n = random.int(1, 3); n > 0; n--) args = changed(args);
  // Said beforehand: where the process dies, this line is the last.
  process.stderr.write(
    `${JSON.stringify({ name, args }, (_, v) => (ArrayBuffer.isView(v) ? `${v.constructor.name} ${(v as Uint8Array).length}` : v))}\n`,
  );
  try {
    (functions[name] as (...args: unknown[]) => void)(...args);
    returned++;
  } catch (error) {
    if (fits || !(error instanceof RangeError)) throw error;
    refused++;
  }
}
process.stdout.write(`${returned} ${refused}\n`);
