// A series of DICOM images as a volume: planes in the order of their positions, one regular grid, values rescaled.
//
// Names and numbers of files say nothing. What is no regular grid (a tilted gantry, a missing slice, several time points) is refused by
// name: interpolating it is a decision that a person takes.
import fs from 'node:fs';
import { FaultList, VoxelbookError } from '../../base/errors.js';
import type { Geometry, Volume } from '../volume.js';
import { packedFault, pixelBytes, readElements } from './elements.js';
import type { ImageHeader, Plane } from './header.js';

/** A series with its planes in order, first plane first. */
export interface Series {
  uid: string;
  headers: ImageHeader[];
  planes: Plane[];
  geometry: Geometry;
}

/** `series 1.2.3 (CT “abdomen”, 120 files)` */
export const nameOf = (headers: readonly ImageHeader[]) => {
  const [{ series, modality, description }] = headers;
  const about = [modality, description && `“${description}”`].filter(Boolean).join(' ');
  return `series ${series} (${about}, ${headers.length} ${headers.length === 1 ? 'file' : 'files'})`;
};

export const cross = (o: readonly number[]) => [o[1] * o[5] - o[2] * o[4], o[2] * o[3] - o[0] * o[5], o[0] * o[4] - o[1] * o[3]];
export const dot = (a: readonly number[], b: readonly number[]) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const mm = (v: number) => `${+v.toFixed(3)} mm`;

/** How far a plane may lie from where a regular grid has it, of the distance of planes: positions are written with few digits. */
const tolerance = 0.02;

/**
 * Orders the planes of a series and finds its grid.
 * @param headers all files of the series
 * @returns geometry in RAS, as volumes have it
 * @throws VoxelbookError with everything that keeps them from being one regular volume
 */
export function orderSeries(headers: readonly ImageHeader[]): Series {
  const name = nameOf(headers);
  const faults = new FaultList();
  const say = (code: string, given: string, expected: string, fix: string) => faults.add(code, name, given, expected, fix);
  sameFaults(headers, say);
  const stop = () => faults.throwIfAny('this series is no regular volume');
  stop();
  const [first] = headers;
  const normal = cross(first.planes[0].orientation);
  const planes = headers.flatMap((h) => h.planes).map((plane) => ({ plane, at: dot(plane.position, normal) }));
  planes.sort((a, b) => a.at - b.at);
  const step = stepOf(planes, first, say);
  stop();
  const ordered = planes.map(({ plane }) => plane);
  return { uid: first.series, headers: [...headers], planes: ordered, geometry: gridOf(first, ordered, step) };
}

type Say = (code: string, given: string, expected: string, fix: string) => void;

/** What must be the same in every file. */
function sameFaults(headers: readonly ImageHeader[], say: Say): void {
  const count = (what: string, of: (h: ImageHeader, plane: Plane) => string, fix: string) => {
    const found = new Map<string, number>();
    for (const h of headers) for (const plane of h.planes) found.set(of(h, plane), (found.get(of(h, plane)) ?? 0) + 1);
    if (found.size < 2) return;
    const list = [...found].sort((a, b) => b[1] - a[1]).map(([value, n]) => `${value} (${n} of them)`);
    say('dicom-mixed', `${found.size} different ${what}: ${list.slice(0, 4).join(', ')}`, 'one for the whole series', fix);
  };
  const out = 'Take out what does not belong (a localizer, a second reconstruction).';
  count('sizes', (h) => `${h.rows}×${h.columns}`, out);
  count('pixel sizes', (_, p) => p.pixelSpacing.map((v) => +v.toFixed(4)).join('×'), out);
  count('directions', (_, p) => p.orientation.map((v) => +(Math.round(v * 1e3) / 1e3 || 0)).join(' '), out);
  count('frames of reference', (h) => h.frameOfReference || 'none', out);
  count('kinds of pixels', (h) => `${h.signed ? 'signed' : 'unsigned'} ${h.bitsStored} of ${h.bitsAllocated} bits`, out);
  const [h] = headers;
  const packed = headers.map((one) => packedFault(one.syntax)).find((fault) => fault !== undefined);
  if (packed) say('dicom-compressed', packed.given, packed.expected, packed.fix);
  if (h.samples !== 1)
    say('dicom-colour', `${h.samples} values a pixel`, 'one', 'Colour pictures are no volumes; convert them to PNG.');
  if (
    !(h.bitsAllocated === 8 || h.bitsAllocated === 16) ||
    h.bitsStored > h.bitsAllocated ||
    h.highBit >= h.bitsAllocated ||
    h.bitsStored < 1
  )
    say(
      'dicom-bits',
      `${h.bitsStored} of ${h.bitsAllocated} bits`,
      '8 or 16 bits allocated',
      'Convert the series with another tool.',
    );
  const [{ orientation: o, pixelSpacing }] = h.planes;
  const [row, column] = [o.slice(0, 3), o.slice(3)];
  if (Math.abs(dot(row, row) - 1) > 1e-3 || Math.abs(dot(column, column) - 1) > 1e-3 || Math.abs(dot(row, column)) > 1e-3)
    say('dicom-directions', o.join(' '), 'two directions of length 1 at a right angle', 'The header is damaged; fetch it again.');
  if (!pixelSpacing.every((v) => v >= 1e-4 && v <= 1e4))
    say('dicom-spacing', pixelSpacing.join('×'), 'pixel sizes in mm', 'The header is damaged; fetch it again.');
  for (const { file, rows, columns, planes, bitsAllocated, syntax } of headers) {
    const [size, needed] = [fs.statSync(file).size, (rows * columns * planes.length * bitsAllocated) / 8];
    if (size < needed && packedFault(syntax) === undefined)
      say('dicom-pixels', `${file} of ${size} bytes`, `${needed} bytes of pixels, as its header says`, 'Fetch the file again.');
  }
  const seen = new Map<string, string>();
  for (const { sopInstance, file } of headers) {
    const other = seen.get(sopInstance);
    if (other !== undefined && sopInstance)
      say('dicom-duplicate', `the same image twice: ${other} and ${file}`, 'every image once', 'Take one of the files out.');
    seen.set(sopInstance, file);
  }
}

/** The distance of neighbouring planes, mm. */
function stepOf(planes: readonly { plane: Plane; at: number }[], { thickness }: ImageHeader, say: Say): number {
  if (planes.length === 1) {
    if (thickness !== undefined && thickness > 0) return thickness;
    say('dicom-spacing', 'one image without a thickness', 'SliceThickness', 'A single image has no depth; convert it to PNG.');
    return 1;
  }
  const gaps = planes.slice(1).map(({ at }, i) => at - planes[i].at);
  const distinct = gaps.filter((g) => g > 1e-3);
  const middle = [...distinct].sort((a, b) => a - b)[distinct.length >> 1] ?? 0;
  if (distinct.length < gaps.length) {
    const places = distinct.length + 1;
    const many =
      planes.length % places === 0
        ? `${planes.length / places} at each of ${places} positions`
        : `${planes.length} at ${places} positions`;
    say(
      'dicom-positions',
      `several images at one position: ${many}`,
      'one image a position',
      'These are several volumes (time points, echoes, phases, a repetition); put the files of each into a folder of its own.',
    );
    return 1;
  }
  const missing = gaps.flatMap((gap, i) => {
    const n = Math.round(gap / middle) - 1;
    return n > 0 && Math.abs(gap - (n + 1) * middle) <= tolerance * middle * (n + 1) ? [{ i, n }] : [];
  });
  if (missing.length > 0) {
    const list = missing.slice(0, 5).map(({ i, n }) => `${n} between ${mm(planes[i].at)} and ${mm(planes[i + 1].at)}`);
    say(
      'dicom-missing',
      `slices are missing: ${list.join(', ')}${missing.length > 5 ? ', …' : ''}`,
      `one every ${mm(middle)}`,
      'Fetch the series again.',
    );
    return middle;
  }
  // The mean, not a single distance: positions are rounded, and over many slices that would add up.
  const step = (planes.at(-1)!.at - planes[0].at) / gaps.length;
  const off = planes.findIndex(({ at }, i) => Math.abs(at - planes[0].at - i * step) > tolerance * step + 1e-3);
  if (off >= 0) {
    const [least, most] = [Math.min(...gaps), Math.max(...gaps)];
    say(
      'dicom-irregular',
      `distances of slices from ${mm(least)} to ${mm(most)}`,
      'one distance',
      'Resample the series to a regular grid with a tool that knows how (dcm2niix, 3D Slicer).',
    );
  }
  tiltFault(
    planes.map((p) => p.plane),
    step,
    say,
  );
  return step;
}

/** Planes that are not stacked along their normal: each is shifted against the one before. */
function tiltFault(planes: readonly Plane[], step: number, say: Say): void {
  const o = planes[0].orientation;
  const along = planes.at(-1)!.position.map((v, i) => v - planes[0].position[i]);
  const [x, y] = [dot(along, o.slice(0, 3)), dot(along, o.slice(3))];
  const drift = Math.hypot(x, y);
  const length = step * (planes.length - 1);
  const wander = planes.some((plane, i) => {
    const by = plane.position.map((v, k) => v - planes[0].position[k]);
    const share = i / (planes.length - 1);
    return Math.hypot(dot(by, o.slice(0, 3)) - x * share, dot(by, o.slice(3)) - y * share) > tolerance * step + 1e-2;
  });
  const degrees = (Math.atan2(drift, length) * 180) / Math.PI;
  if (wander)
    say(
      'dicom-shift',
      'slices that are shifted against one another',
      'slices on one axis',
      'Resample the series with a tool that knows how.',
    );
  else if (drift > tolerance * step + 1e-2)
    say(
      'dicom-tilt',
      `a tilted gantry: slices are stacked ${degrees.toFixed(2)}° from their normal`,
      'slices stacked along their normal',
      'Resample the series with a tool that corrects the tilt (dcm2niix).',
    );
}

/** LPS to RAS: x and y change their sign. */
const ras = ([x, y, z]: readonly number[]) => [-x, -y, z];

function gridOf({ rows, columns }: ImageHeader, planes: readonly Plane[], step: number): Geometry {
  const { orientation: o, pixelSpacing, position } = planes[0];
  const axes = [ras(o.slice(0, 3)), ras(o.slice(3)), ras(cross(o))];
  return {
    shape: [planes.length, rows, columns],
    spacingMm: [step, pixelSpacing[0], pixelSpacing[1]],
    originMm: ras(position) as Geometry['originMm'],
    direction: [0, 1, 2].flatMap((r) => axes.map((axis) => axis[r])) as unknown as Geometry['direction'],
  };
}

/**
 * The voxels of a series: stored values × slope + intercept, as int16 or int32 where these are whole and the same for all planes, else
 * float32.
 * @throws VoxelbookError for files without pixels, or with fewer than their header says
 */
export async function readSeries(series: Series): Promise<Volume> {
  const { planes, headers, geometry } = series;
  const [first] = headers;
  const size = first.rows * first.columns;
  const { slope, intercept } = planes[0];
  const whole =
    Number.isInteger(slope) && Number.isInteger(intercept) && planes.every((p) => p.slope === slope && p.intercept === intercept);
  const values = whole ? new Int32Array(size * planes.length) : new Float32Array(size * planes.length);
  const byFile = new Map<string, { plane: Plane; z: number }[]>();
  planes.forEach((plane, z) => {
    byFile.set(plane.file, [...(byFile.get(plane.file) ?? []), { plane, z }]);
  });
  for (const [file, list] of byFile) {
    const bytes = pixelBytes(await readElements(file, { pixels: true }));
    const frames = Math.max(...list.map(({ plane }) => plane.frame)) + 1;
    const needed = (frames * size * first.bitsAllocated) / 8;
    if (!bytes || bytes.length < needed)
      throw new VoxelbookError(`${file} cannot be read`, {
        code: 'dicom-pixels',
        path: file,
        given: bytes ? `${bytes.length} bytes of pixels` : 'no pixels',
        expected: `${needed} bytes`,
        fix: 'Fetch the file again.',
      });
    const stored = storedValues(bytes, first);
    for (const { plane, z } of list)
      for (let i = 0; i < size; i++) values[z * size + i] = stored(plane.frame * size + i) * plane.slope + plane.intercept;
  }
  const small = values instanceof Int32Array && values.every((v) => v >= -32768 && v <= 32767);
  return { ...geometry, channels: 1, data: small ? Int16Array.from(values) : values };
}

/** Pixel `i` as a number: the stored bits of it, with their sign. */
function storedValues(bytes: Uint8Array, { bitsAllocated, bitsStored, highBit, signed }: ImageHeader): (i: number) => number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const raw = bitsAllocated === 8 ? (i: number) => bytes[i] : (i: number) => view.getUint16(2 * i, true);
  const [shift, mask, sign] = [highBit + 1 - bitsStored, 2 ** bitsStored - 1, 2 ** (bitsStored - 1)];
  return (i) => {
    const value = (raw(i) >>> shift) & mask;
    return signed && value >= sign ? value - 2 * sign : value;
  };
}

/** A point of the patient (LPS, mm) in voxels of a series: columns, rows, planes from the middle of its first voxel. */
export function placeIn(
  point: readonly number[],
  { geometry, planes }: Pick<Series, 'geometry' | 'planes'>,
): [number, number, number] {
  const { position, orientation: o } = planes[0];
  const by = point.map((v, i) => v - position[i]);
  const [z, y, x] = geometry.spacingMm;
  return [dot(by, o.slice(0, 3)) / x, dot(by, o.slice(3)) / y, dot(by, cross(o)) / z];
}
