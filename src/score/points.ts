// Surface points of a pair of masks, and the distance of each point to the nearest point of the other surface.
//
// Points are kept row by row (a row runs along the last axis), x ascending: nothing dense is stored. The nearest point is
// searched in rows of growing distance, which for two similar surfaces ends after a few rows; a point that finds nothing
// among the nearest rows gets its value from an exact distance transform instead.
import { nearestFeatures } from './distanceTransform.js';
import type { MaskPair, Shape3 } from './masks.js';
import { contourLengths, surfelAreas } from './surfels.js';

/** Points of a grid in C order. */
export interface Points {
  shape: Shape3;
  /** Points of row r are `x[rows[r]]` … `x[rows[r + 1] - 1]`. */
  rows: Int32Array;
  x: Int32Array;
  /** Area (or length) of each point; absent where points only count. */
  weight?: Float64Array;
}

class Collector {
  readonly rows: Int32Array;
  private x = new Int32Array(1024);
  private weight: Float64Array | null;
  private count = 0;

  constructor(
    private readonly shape: Shape3,
    weighted: boolean,
  ) {
    this.rows = new Int32Array(shape[0] * shape[1] + 1);
    this.weight = weighted ? new Float64Array(1024) : null;
  }

  add(x: number, weight: number): void {
    if (this.count === this.x.length) {
      const wider = new Int32Array(2 * this.count);
      wider.set(this.x);
      this.x = wider;
      if (this.weight) {
        const more = new Float64Array(2 * this.count);
        more.set(this.weight);
        this.weight = more;
      }
    }
    this.x[this.count] = x;
    if (this.weight) this.weight[this.count] = weight;
    this.count++;
  }

  endRow(row: number): void {
    this.rows[row + 1] = this.count;
  }

  points(): Points {
    return {
      shape: this.shape,
      rows: this.rows,
      x: this.x.slice(0, this.count),
      weight: this.weight?.slice(0, this.count),
    };
  }
}

/** Surface elements of both masks: the corner points whose neighbourhood is neither empty nor full. */
export function surfels(pair: MaskPair, spacingMm: readonly number[]): [Points, Points] {
  const { bits, shape, planar } = pair;
  // In a picture the slice below and above repeats the slice, so that only the contour is surface.
  const areas = planar ? planarAreas(spacingMm) : surfelAreas(spacingMm);
  const grid: Shape3 = [planar ? 1 : shape[0] - 1, shape[1] - 1, shape[2] - 1];
  const reference = new Collector(grid, true);
  const prediction = new Collector(grid, true);
  const [, height, width] = shape;
  for (let z = 0; z < grid[0]; z++)
    for (let y = 0; y < grid[1]; y++) {
      const a = ((planar ? 1 : z) * height + y) * width;
      const b = a + width;
      const c = planar ? a : a + height * width;
      const d = c + width;
      // Two bits per row of the column: those of the reference at even, of the prediction at odd places.
      let left = 0;
      for (let x = 0; x < grid[2]; x++) {
        const right = (bits[a + x + 1] << 6) | (bits[b + x + 1] << 4) | (bits[c + x + 1] << 2) | bits[d + x + 1];
        if (left !== right || uniform[left] === 0) {
          const r = spread[left & 0x55] | (spread[right & 0x55] >> 1);
          const p = spread[(left >> 1) & 0x55] | (spread[(right >> 1) & 0x55] >> 1);
          if (r !== 0 && r !== 255) reference.add(x, areas[r]);
          if (p !== 0 && p !== 255) prediction.add(x, areas[p]);
        }
        left = right;
      }
      reference.endRow(z * grid[1] + y);
      prediction.endRow(z * grid[1] + y);
    }
  return [reference.points(), prediction.points()];
}

/** Column of four voxels at bits 6, 4, 2, 0 → the code's bits 7, 5, 3, 1 (d2 = 0). */
const spread = Uint8Array.from({ length: 256 }, (_, v) => (v & 0x55) << 1);
const uniform = Uint8Array.from({ length: 256 }, (_, v) => (v === 0 || v === 0x55 || v === 0xaa || v === 0xff ? 1 : 0));

/** 3-D codes of a slice repeated in depth → contour length of the 2-D code. */
function planarAreas(spacingMm: readonly number[]): Float64Array {
  const lengths = contourLengths(spacingMm.slice(-2));
  return Float64Array.from({ length: 256 }, (_, code) => lengths[code >> 4]);
}

/** Boundary voxels of both masks: foreground with a background neighbour along an axis; outside the image is background. */
export function boundary(pair: MaskPair): [Points, Points] {
  const { bits, shape, planar } = pair;
  const reference = new Collector(shape, false);
  const prediction = new Collector(shape, false);
  const [depth, height, width] = shape;
  const [plane, row] = [height * width, width];
  for (let z = 0; z < depth; z++)
    for (let y = 0; y < height; y++) {
      const start = z * plane + y * row;
      for (let x = 0; x < width; x++) {
        const i = start + x;
        const here = bits[i];
        if (here === 0) continue;
        let surrounded = bits[i - 1] & bits[i + 1] & bits[i - row] & bits[i + row];
        if (!planar) surrounded &= bits[i - plane] & bits[i + plane];
        const edge = here & ~surrounded;
        if (edge & 1) reference.add(x, 1);
        if (edge & 2) prediction.add(x, 1);
      }
      reference.endRow(z * height + y);
      prediction.endRow(z * height + y);
    }
  return [reference.points(), prediction.points()];
}

/**
 * Distance in mm of every point of `from` to the nearest point of `to`: sqrt((di·s0)² + (dj·s1)² + (dk·s2)²), added in this order.
 * @returns one distance per point of `from`, +Infinity where `to` is empty
 */
export function nearestDistances(from: Points, to: Points, spacingMm: readonly number[]): Float64Array {
  const distances = new Float64Array(from.x.length);
  if (to.x.length === 0) return distances.fill(Number.POSITIVE_INFINITY);
  const [depth, height] = from.shape;
  const [s0, s1, s2] = spacingMm;
  const near = nearRows(s0, s1, depth === 1);
  const { dz, dy, squared, beyond } = near;
  const { rows, x: targets } = to;
  let features: Int32Array | null = null;
  for (let z = 0; z < depth; z++)
    for (let y = 0; y < height; y++) {
      const row = z * height + y;
      for (let point = from.rows[row]; point < from.rows[row + 1]; point++) {
        const x = from.x[point];
        let best = Number.POSITIVE_INFINITY;
        let k = 0;
        for (; k < squared.length; k++) {
          const away = squared[k];
          if (away >= best) break;
          const tz = z + dz[k];
          const ty = y + dy[k];
          if (tz < 0 || tz >= depth || ty < 0 || ty >= height) continue;
          const other = tz * height + ty;
          let low = rows[other];
          const end = rows[other + 1];
          if (low === end) continue;
          let high = end;
          while (low < high) {
            const middle = (low + high) >> 1;
            if (targets[middle] < x) low = middle + 1;
            else high = middle;
          }
          if (low < end) {
            const along = (targets[low] - x) * s2;
            const d = away + along * along;
            if (d < best) best = d;
          }
          if (low > rows[other]) {
            const along = (targets[low - 1] - x) * s2;
            const d = away + along * along;
            if (d < best) best = d;
          }
        }
        if (k === squared.length && best > beyond) {
          features ??= nearestFeatures(mask(to), to.shape, spacingMm);
          best = squaredDistance(z, y, x, features[row * from.shape[2] + x], to.shape, spacingMm);
        }
        distances[point] = Math.sqrt(best);
      }
    }
  return distances;
}

function mask({ shape, rows, x }: Points): Uint8Array {
  const out = new Uint8Array(shape[0] * shape[1] * shape[2]);
  for (let row = 0; row + 1 < rows.length; row++) for (let i = rows[row]; i < rows[row + 1]; i++) out[row * shape[2] + x[i]] = 1;
  return out;
}

function squaredDistance(z: number, y: number, x: number, to: number, shape: Shape3, s: readonly number[]): number {
  const plane = shape[1] * shape[2];
  const tz = Math.floor(to / plane);
  const ty = Math.floor((to % plane) / shape[2]);
  const [a, b, c] = [(tz - z) * s[0], (ty - y) * s[1], ((to % shape[2]) - x) * s[2]];
  return a * a + b * b + c * c;
}

interface NearRows {
  dz: Int32Array;
  dy: Int32Array;
  /** (dz·s0)² + (dy·s1)², ascending. */
  squared: Float64Array;
  /** Every row not listed is at least this far (squared). */
  beyond: number;
}
const rowLists = new Map<string, NearRows>();

/** About 1500 rows around one, nearest first. */
function nearRows(s0: number, s1: number, planar: boolean): NearRows {
  const key = `${s0},${s1},${planar}`;
  const found = rowLists.get(key);
  if (found) return found;
  const radius = planar ? 64 * s1 : Math.sqrt((1500 * s0 * s1) / Math.PI);
  const list: [number, number, number][] = [];
  const [reachZ, reachY] = [planar ? 0 : Math.floor(radius / s0), Math.floor(radius / s1)];
  for (let dz = -reachZ; dz <= reachZ; dz++)
    for (let dy = -reachY; dy <= reachY; dy++) {
      const squared = dz * s0 * (dz * s0) + dy * s1 * (dy * s1);
      if (squared <= radius * radius) list.push([dz, dy, squared]);
    }
  list.sort((a, b) => a[2] - b[2]);
  const rows = {
    dz: Int32Array.from(list, (e) => e[0]),
    dy: Int32Array.from(list, (e) => e[1]),
    squared: Float64Array.from(list, (e) => e[2]),
    beyond: radius * radius,
  };
  if (rowLists.size > 64) rowLists.clear();
  rowLists.set(key, rows);
  return rows;
}
