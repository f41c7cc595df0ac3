// Two label maps, counted and boxed in one pass; then any class or region of them cut out as a small pair of masks.
import { VoxelbookError } from '../base/errors.js';

export type Labels = Uint8Array | Uint16Array | Int16Array | Int32Array;
export type Shape3 = readonly [number, number, number];

/** Reference and prediction of one class in their joint bounding box: bit 1 reference, bit 2 prediction. */
export interface MaskPair {
  /** The box with one voxel of background all around. */
  bits: Uint8Array;
  /** Shape of `bits`, margin included. */
  shape: Shape3;
  /** One slice of a picture: no surface above and below it. */
  planar: boolean;
  tp: number;
  fp: number;
  fn: number;
  tn: number;
}

/** How often each pair of labels meets, and the box of every label in either map. */
export interface Census {
  /** Labels that occur, ascending. */
  labels: number[];
  /** `counts.get(reference * 65536 + prediction)`. */
  counts: Map<number, number>;
  /** Per label `[z0, y0, x0, z1, y1, x1]`, end exclusive, over both maps. */
  boxes: Map<number, Int32Array>;
  voxels: number;
}

/**
 * Counts label pairs and boxes in one pass.
 * @param shape `[depth, height, width]`
 * @throws VoxelbookError when lengths differ or a label is negative or above 65535
 */
export function census(reference: Labels, prediction: Labels, shape: Shape3): Census {
  const [depth, height, width] = shape;
  const voxels = depth * height * width;
  if (reference.length !== voxels || prediction.length !== voxels)
    throw new VoxelbookError('reference and prediction cannot be compared', {
      code: 'shape',
      path: 'prediction',
      given: `${reference.length} reference and ${prediction.length} predicted voxels`,
      expected: `${voxels} each, for shape [${shape}]`,
      fix: 'Resample the prediction to the grid of the reference.',
    });
  for (const map of [reference, prediction]) checkWhole(map);
  const counts = new Map<number, number>();
  const boxes = new Map<number, Int32Array>();
  const words = zeroWords(reference, prediction);
  let background = 0;
  for (let z = 0; z < depth; z++)
    for (let y = 0; y < height; y++) {
      const row = (z * height + y) * width;
      for (let x = 0; x < width; ) {
        const i = row + x;
        if (words && (i & 3) === 0 && x + 4 <= width && words.reference[i >> 2] === 0 && words.prediction[i >> 2] === 0) {
          background += 4;
          x += 4;
          continue;
        }
        const r = reference[i];
        const p = prediction[i];
        let end = x + 1;
        while (end < width && reference[row + end] === r && prediction[row + end] === p) end++;
        if (r === 0 && p === 0) background += end - x;
        else {
          const key = r * 65536 + p;
          counts.set(key, (counts.get(key) ?? 0) + end - x);
          grow(boxes, r, z, y, x, end);
          if (p !== r) grow(boxes, p, z, y, x, end);
        }
        x = end;
      }
    }
  if (background > 0) counts.set(0, background);
  const labels = [...boxes.keys()].sort((a, b) => a - b);
  const outside = labels.find((label) => label < 0 || label > 65535);
  if (outside !== undefined)
    throw new VoxelbookError('these label maps cannot be scored', {
      code: 'label',
      path: 'label map',
      given: `label ${outside}`,
      expected: 'whole numbers from 0 to 65535',
      fix: 'Map negative labels (often "ignore") to a label of their own first.',
    });
  return { labels, counts, boxes, voxels };
}

/** Numbers that are not whole would be counted as other labels; arrays of whole numbers cannot hold them. */
function checkWhole(map: Labels): void {
  if (!((map as unknown) instanceof Float32Array || (map as unknown) instanceof Float64Array || Array.isArray(map))) return;
  const at = (map as Labels).findIndex((label) => !Number.isInteger(label));
  if (at >= 0)
    throw new VoxelbookError('these label maps cannot be scored', {
      code: 'label',
      path: `label map, voxel ${at}`,
      given: `label ${map[at]}`,
      expected: 'whole numbers from 0 to 65535',
      fix: 'The map was interpolated or scaled: round it, or export it again with nearest neighbour.',
    });
}

/** Four voxels at once, where both maps are bytes that may be read as words. */
function zeroWords(reference: Labels, prediction: Labels) {
  const fits = (a: Labels): a is Uint8Array => a instanceof Uint8Array && a.byteOffset % 4 === 0;
  if (!fits(reference) || !fits(prediction)) return null;
  const view = (a: Uint8Array) => new Int32Array(a.buffer, a.byteOffset, a.length >> 2);
  return { reference: view(reference), prediction: view(prediction) };
}

function grow(boxes: Map<number, Int32Array>, label: number, z: number, y: number, x: number, end: number): void {
  if (label === 0) return;
  const box = boxes.get(label);
  if (!box) {
    boxes.set(label, Int32Array.of(z, y, x, z + 1, y + 1, end));
    return;
  }
  // z never falls while scanning
  if (y < box[1]) box[1] = y;
  if (x < box[2]) box[2] = x;
  box[3] = z + 1;
  if (y >= box[4]) box[4] = y + 1;
  if (end > box[5]) box[5] = end;
}

/** The masks of one region (a set of labels), cut to the joint box; null when neither map holds it. */
export function cut(
  reference: Labels,
  prediction: Labels,
  shape: Shape3,
  labels: readonly number[],
  { counts, boxes, voxels }: Census,
): MaskPair | { bits: null; tp: 0; fp: 0; fn: 0; tn: number } {
  const wanted = new Set(labels);
  let [tp, fp, fn] = [0, 0, 0];
  for (const [key, n] of counts) {
    const r = wanted.has(Math.floor(key / 65536));
    const p = wanted.has(key % 65536);
    if (r && p) tp += n;
    else if (r) fn += n;
    else if (p) fp += n;
  }
  // Boxes of background are not kept: a region with it takes the whole volume.
  const whole = Int32Array.of(0, 0, 0, ...shape);
  const box = tp + fp + fn === 0 ? null : unite(labels.flatMap((label) => (label === 0 ? whole : (boxes.get(label) ?? []))));
  const tn = voxels - tp - fp - fn;
  if (!box) return { bits: null, tp: 0, fp: 0, fn: 0, tn: voxels };
  const [z0, y0, x0, z1, y1, x1] = box;
  const padded: Shape3 = [z1 - z0 + 2, y1 - y0 + 2, x1 - x0 + 2];
  const bits = new Uint8Array(padded[0] * padded[1] * padded[2]);
  const inside = new Uint8Array(65536);
  for (const label of labels) inside[label] = 1;
  const [, height, width] = shape;
  for (let z = z0; z < z1; z++)
    for (let y = y0; y < y1; y++) {
      let to = ((z - z0 + 1) * padded[1] + (y - y0 + 1)) * padded[2] + 1;
      const from = (z * height + y) * width;
      for (let i = from + x0; i < from + x1; i++, to++) bits[to] = inside[reference[i]] | (inside[prediction[i]] << 1);
    }
  return { bits, shape: padded, planar: shape[0] === 1, tp, fp, fn, tn };
}

function unite(list: Int32Array[]): number[] | null {
  if (list.length === 0) return null;
  return [0, 1, 2, 3, 4, 5].map((k) => (k < 3 ? Math.min : Math.max)(...list.map((box) => box[k])));
}

/** The pair of two masks (non-zero = inside); null when both are empty. */
export function cutMasks(
  reference: ArrayLike<number>,
  prediction: ArrayLike<number>,
  shape: Shape3,
  planar: boolean,
): MaskPair | null {
  const binary = (mask: ArrayLike<number>) => Uint8Array.from(mask, (v) => (v ? 1 : 0));
  const [r, p] = [binary(reference), binary(prediction)];
  const pair = cut(r, p, shape, [1], census(r, p, shape));
  return pair.bits ? { ...pair, planar } : null;
}
