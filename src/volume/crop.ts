// Cropping to where the image is not zero (nnU-Net v2 `crop_to_nonzero`).

import type { VoxelArray } from './volume.js';

type Shape = [number, number, number];
/** Half-open range per axis. */
export type Box = [[number, number], [number, number], [number, number]];

/** An image cropped to where it is not zero. */
export interface Cropped {
  /** Float32, `[depth, height, width, channel]` of the box. */
  image: Float32Array;
  /** Labels of the box; 0 outside the mask has become −1. Without labels: 0 in the mask, −1 outside. */
  seg: Int16Array;
  shape: Shape;
  box: Box;
}

/**
 * Crops image and labels to the bounding box of the voxels that are not zero in some channel (holes filled), and marks what lies outside.
 * @param image `[depth, height, width, channel]`; returned as it is when nothing is cut off
 * @param seg labels of the same shape
 */
export function cropToNonzero(image: Float32Array, shape: Readonly<Shape>, channels: number, seg?: Int16Array): Cropped {
  const mask = nonzeroMask(image, shape, channels);
  const box = boundingBox({ data: mask, shape });
  const size = box.map(([low, high]) => high - low) as Shape;
  const inside = cut(mask, shape, 1, box);
  const labels = seg ? cut(seg, shape, 1, box).slice() : new Int16Array(inside.length);
  for (let i = 0; i < labels.length; i++) if (labels[i] === 0 && inside[i] === 0) labels[i] = -1;
  return { image: cut(image, shape, channels, box), seg: labels, shape: size, box };
}

/** 1 where any channel is not zero, and in holes: background that no path of faces joins to the border. */
export function nonzeroMask(image: Float32Array, shape: Readonly<Shape>, channels: number): Uint8Array {
  const voxels = shape[0] * shape[1] * shape[2];
  const mask = new Uint8Array(voxels);
  let zeros = 0;
  for (let v = 0, at = 0; v < voxels; v++) {
    let any = 0;
    for (let c = 0; c < channels; c++) if (image[at++] !== 0) any = 1;
    mask[v] = any;
    zeros += 1 - any;
  }
  if (zeros > 0) fillHoles(mask, shape);
  return mask;
}

/** Floods the background from the border; what stays dry is filled. */
function fillHoles(mask: Uint8Array, [d, h, w]: Readonly<Shape>): void {
  const plane = h * w;
  const outside = 2;
  let stack = new Int32Array(4096);
  let top = 0;
  const visit = (i: number) => {
    if (mask[i] !== 0) return;
    mask[i] = outside;
    if (top === stack.length) {
      const larger = new Int32Array(2 * top);
      larger.set(stack);
      stack = larger;
    }
    stack[top++] = i;
  };
  for (let z = 0; z < d; z++)
    for (let y = 0; y < h; y++) {
      const row = z * plane + y * w;
      if (z === 0 || z === d - 1 || y === 0 || y === h - 1) for (let x = 0; x < w; x++) visit(row + x);
      else {
        visit(row);
        visit(row + w - 1);
      }
    }
  while (top > 0) {
    const i = stack[--top];
    const x = i % w;
    const y = Math.floor(i / w) % h;
    const z = Math.floor(i / plane);
    if (x > 0) visit(i - 1);
    if (x < w - 1) visit(i + 1);
    if (y > 0) visit(i - w);
    if (y < h - 1) visit(i + w);
    if (z > 0) visit(i - plane);
    if (z < d - 1) visit(i + plane);
  }
  for (let i = 0; i < mask.length; i++) mask[i] = mask[i] === outside ? 0 : 1;
}

/** The smallest box that holds every voxel above 0; the whole grid when there is none. */
export function boundingBox({ data, shape }: { data: Uint8Array; shape: Readonly<Shape> }): Box {
  const [d, h, w] = shape;
  const low = [d, h, w];
  const high = [-1, -1, -1];
  for (let z = 0; z < d; z++)
    for (let y = 0; y < h; y++) {
      const row = (z * h + y) * w;
      let first = 0;
      while (first < w && data[row + first] === 0) first++;
      if (first === w) continue;
      let last = w - 1;
      while (data[row + last] === 0) last--;
      if (z < low[0]) low[0] = z;
      if (z > high[0]) high[0] = z;
      if (y < low[1]) low[1] = y;
      if (y > high[1]) high[1] = y;
      if (first < low[2]) low[2] = first;
      if (last > high[2]) high[2] = last;
    }
  return shape.map((n, i) => (high[0] < 0 ? [0, n] : [low[i], high[i] + 1])) as Box;
}

/** The voxels of a box, channels last; the array itself when the box is the whole grid. */
export function cut<A extends Float32Array | Int16Array | Uint8Array>(
  data: A,
  shape: Readonly<Shape>,
  channels: number,
  box: Box,
): A {
  if (box.every(([low, high], i) => low === 0 && high === shape[i])) return data;
  const [[z0, z1], [y0, y1], [x0, x1]] = box;
  const row = (x1 - x0) * channels;
  const out = new (data.constructor as new (n: number) => A)((z1 - z0) * (y1 - y0) * row);
  let at = 0;
  for (let z = z0; z < z1; z++)
    for (let y = y0; y < y1; y++) {
      const from = ((z * shape[1] + y) * shape[2] + x0) * channels;
      out.set(data.subarray(from, from + row), at);
      at += row;
    }
  return out;
}

/** Axes in another order: output axis i is input axis `order[i]`. The array itself for the identity. */
export const transposeAxes = <A extends VoxelArray>(
  data: A,
  shape: Readonly<Shape>,
  channels: number,
  order: readonly number[],
): A => turnAxes(data, shape, channels, order, [false, false, false]);

/** `transposeAxes`, output axis i read backwards where `flipped[i]`. */
export function turnAxes<A extends VoxelArray>(
  data: A,
  shape: Readonly<Shape>,
  channels: number,
  order: readonly number[],
  flipped: readonly boolean[],
): A {
  if (order.every((axis, i) => axis === i && !flipped[i])) return data;
  const strides = [shape[1] * shape[2] * channels, shape[2] * channels, channels];
  const [n0, n1, n2] = order.map((axis) => shape[axis]);
  const start = order.reduce((sum, axis, i) => sum + (flipped[i] ? (shape[axis] - 1) * strides[axis] : 0), 0);
  const [s0, s1, s2] = order.map((axis, i) => (flipped[i] ? -strides[axis] : strides[axis]));
  const out = new (data.constructor as new (n: number) => A)(data.length);
  let at = 0;
  for (let a = 0; a < n0; a++)
    for (let b = 0; b < n1; b++)
      for (let c = 0, from = start + a * s0 + b * s1; c < n2; c++, from += s2)
        for (let k = 0; k < channels; k++) out[at++] = data[from + k];
  return out;
}
