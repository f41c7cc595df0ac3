// Arrays of the golden metrics and the comparisons they need.
import zlib from 'node:zlib';
import type { LabelMap } from '../../../src/volume/volume.js';
import { identityDirection } from '../../../src/volume/volume.js';
import type { GoldenCase, Row } from '../case.js';

const types: Record<string, any> = {
  u8: Uint8Array,
  u16: Uint16Array,
  i16: Int16Array,
  i32: Int32Array,
  f32: Float32Array,
  f64: Float64Array,
};

/** A stored array as a typed array. */
export function unpack(stored: { dtype: string; shape: number[]; data: string }): any {
  const bytes = zlib.gunzipSync(Buffer.from(stored.data, 'base64'));
  return new types[stored.dtype](bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** A mask or label map of the shape and spacing of a case; a picture becomes depth 1. */
export function labelMap(data: any, shape: number[], spacing: number[]): LabelMap {
  const planar = shape.length === 2;
  return {
    data,
    shape: (planar ? [1, ...shape] : shape) as LabelMap['shape'],
    channels: 1,
    spacingMm: (planar ? [1, ...spacing] : spacing) as LabelMap['spacingMm'],
    originMm: [0, 0, 0],
    direction: [...identityDirection],
  };
}

/** Numbers within a relative bound (and absolute below it); NaN and infinities must be the same. */
export function numbers(what: string, ours: ArrayLike<number>, reference: ArrayLike<number>, tolerance = 1e-9): Row {
  let maxAbs = 0;
  let relative = 0;
  let pass = ours.length === reference.length;
  for (let i = 0; i < reference.length; i++) {
    const [a, b] = [ours[i], reference[i]];
    if (Object.is(a, b) || a === b) continue;
    const error = Math.abs(a - b);
    if (!Number.isFinite(error)) {
      pass = false;
      maxAbs = Number.POSITIVE_INFINITY;
      continue;
    }
    maxAbs = Math.max(maxAbs, error);
    relative = Math.max(relative, error / Math.max(Math.abs(b), 1e-300));
    if (error > tolerance * Math.max(Math.abs(b), 1)) pass = false;
  }
  const note = pass ? undefined : `ours ${show(ours)} reference ${show(reference)}`;
  return { what, maxAbs, relative, tolerance: `${tolerance}`, pass, note };
}
const show = (list: ArrayLike<number>) => Array.from(list).slice(0, 6).join(' ') + (list.length > 6 ? ' …' : '');

export const one = (what: string, ours: number, reference: number, tolerance?: number) =>
  numbers(what, [ours], [reference], tolerance);

/** Keys of the golden record that no comparison asked for: they fail, so that nothing is passed over. */
export function leftOver(what: string, stored: Record<string, unknown>, known: readonly string[]): Row[] {
  return Object.keys(stored)
    .filter((key) => !known.includes(key))
    .map((key) => ({
      what: `${what}: nothing known about ${key}`,
      maxAbs: Number.NaN,
      relative: Number.NaN,
      tolerance: '-',
      pass: false,
    }));
}

export const golden = (name: string, run: () => Row[] | Promise<Row[]>): GoldenCase => ({ name, run });
export const isError = (value: any): boolean => typeof value === 'object' && value !== null && 'error' in value;
