// NumPy's `.npz`: a zip of `.npy` arrays. Numbers of one type in C order; nothing that would have to be unpickled.
import { atomicWrite } from '../base/atomicWrite.js';
import { VoxelbookError } from '../base/errors.js';
import { float16 } from '../base/safetensors.js';
import { product } from '../base/shape.js';
import { ZipFile } from './zip.js';
import { zipParts } from './zipWriter.js';

export interface NpyArray {
  shape: number[];
  data: Float32Array | Float64Array;
}

/** Largest array that is read, bytes: a whole body at 1.5 mm with a hundred classes in half precision. */
const mostBytes = 2 ** 33;
/** The most that deflate makes of a byte. */
const growth = 1032;
const longestHeader = 1 << 16;

/**
 * One array of an `.npz`.
 * @throws VoxelbookError when it is not there, damaged, or of another kind than floating-point numbers
 */
export function readNpz(file: string, name: string): NpyArray {
  const zip = new ZipFile(file, growth);
  try {
    return parseNpy(zip.read(`${name}.npy`, mostBytes), file);
  } finally {
    zip.close();
  }
}

function parseNpy(bytes: Buffer, file: string): NpyArray {
  const refuse = (given: string, expected: string) =>
    new VoxelbookError(`${file} is not a readable array`, {
      code: 'npy',
      path: file,
      given,
      expected,
      fix: 'Predict again with --save_probabilities (nnU-Net) or --probabilities.',
    });
  if (bytes.length < 12 || bytes.toString('latin1', 0, 6) !== '\x93NUMPY') throw refuse('no .npy header', 'a .npy array');
  const long = bytes[6] > 1;
  const length = long ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8);
  const start = (long ? 12 : 10) + length;
  if (length > longestHeader || start > bytes.length) throw refuse(`a header of ${length} bytes`, 'a complete header');
  const header = bytes.toString('latin1', long ? 12 : 10, start);
  const kind = /'descr':\s*'([^']{1,8})'/.exec(header)?.[1] ?? '';
  const shape =
    /'shape':\s*\(([\d,\s]*)\)/
      .exec(header)?.[1]
      .split(',')
      .map((n) => n.trim())
      .filter(Boolean)
      .map(Number) ?? [];
  const width = { '<f2': 2, '<f4': 4, '<f8': 8 }[kind];
  if (!width || !/'fortran_order':\s*False/.test(header))
    throw refuse(`type ${JSON.stringify(kind)}, ${header.trim().slice(0, 80)}`, 'float16, float32 or float64 in C order');
  const count = product(shape);
  if (shape.length > 8 || !Number.isSafeInteger(count) || bytes.length - start !== count * width)
    throw refuse(`${bytes.length - start} bytes for shape (${shape.join(', ')})`, `${count * width} bytes`);
  const own = bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + bytes.length) as ArrayBuffer;
  if (width === 8) return { shape, data: new Float64Array(own) };
  return { shape, data: width === 4 ? new Float32Array(own) : Float32Array.from(new Uint16Array(own), float16) };
}

/** Writes arrays as `numpy.savez_compressed` does. */
export function writeNpz(file: string, arrays: Readonly<Record<string, { shape: readonly number[]; data: Float32Array }>>): void {
  const entries = Object.entries(arrays).map(([name, { shape, data }]) => ({
    name: `${name}.npy`,
    data: Buffer.concat([npyHeader(shape), new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]),
    deflate: true,
  }));
  atomicWrite(file, zipParts(entries));
}

function npyHeader(shape: readonly number[]): Buffer {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`;
  // Ends in a new line on a multiple of 64 bytes.
  const padded = `${text.padEnd(64 * Math.ceil((10 + text.length + 1) / 64) - 11)}\n`;
  const out = Buffer.alloc(10 + padded.length);
  out.write('\x93NUMPY\x01\x00', 0, 'latin1');
  out.writeUInt16LE(padded.length, 8);
  out.write(padded, 10, 'latin1');
  return out;
}
