// Connected components with any of the usual neighbourhoods, and the morphology built on the same neighbours.

/** Neighbours of a voxel: faces (6), and edges (18), and corners (26); in a picture edges (4), and corners (8). */
export type Connectivity = 4 | 6 | 8 | 18 | 26;

/** Offsets `[dz, dy, dx]` of a neighbourhood. */
export function neighbours(connectivity: Connectivity): [number, number, number][] {
  const planar = connectivity < 6 || connectivity === 8;
  const most = { 4: 1, 6: 1, 8: 2, 18: 2, 26: 3 }[connectivity];
  const list: [number, number, number][] = [];
  for (const dz of planar ? [0] : [-1, 0, 1])
    for (const dy of [-1, 0, 1])
      for (const dx of [-1, 0, 1]) {
        const steps = Math.abs(dz) + Math.abs(dy) + Math.abs(dx);
        if (steps > 0 && steps <= most) list.push([dz, dy, dx]);
      }
  return list;
}

const asVolume = (shape: readonly number[]) => (shape.length === 2 ? [1, ...shape] : [...shape]);

/** Connected components of a mask. */
export interface Components {
  /** Component of each voxel, 0 outside, numbered from 1 by the first voxel met in C order. */
  labels: Int32Array;
  count: number;
  /** Voxels of component i at `sizes[i - 1]`. */
  sizes: Int32Array;
  /** `[start…, stop…]` of each component along the axes of `shape`. */
  boxes: number[][];
  /** Mean index of each component along the axes of `shape`. */
  centroids: number[][];
}

/**
 * Components of the voxels that are not 0; voxels of different labels are never joined.
 * @param map mask or label map, `[depth, height, width]` or `[height, width]`
 */
export function connectedComponents(map: ArrayLike<number>, shape: readonly number[], connectivity: Connectivity): Components {
  const [depth, height, width] = asVolume(shape);
  const [dzs, dys, dxs] = [0, 1, 2].map((axis) => Int8Array.from(neighbours(connectivity), (offset) => offset[axis]));
  const labels = new Int32Array(depth * height * width);
  const sizes: number[] = [];
  const boxes: number[][] = [];
  const centroids: number[][] = [];
  let queue = new Int32Array(1024);
  for (let seed = 0; seed < labels.length; seed++) {
    if (labels[seed] !== 0 || map[seed] === 0) continue;
    const label = sizes.length + 1;
    const value = map[seed];
    const low = [depth, height, width];
    const high = [0, 0, 0];
    const sum = [0, 0, 0];
    const at = [0, 0, 0];
    labels[seed] = label;
    queue[0] = seed;
    let end = 1;
    for (let next = 0; next < end; next++) {
      const i = queue[next];
      at[2] = i % width;
      at[1] = ((i - at[2]) / width) % height;
      at[0] = Math.floor(i / (height * width));
      for (let axis = 0; axis < 3; axis++) {
        if (at[axis] < low[axis]) low[axis] = at[axis];
        if (at[axis] >= high[axis]) high[axis] = at[axis] + 1;
        sum[axis] += at[axis];
      }
      for (let o = 0; o < dzs.length; o++) {
        const z = at[0] + dzs[o];
        const y = at[1] + dys[o];
        const x = at[2] + dxs[o];
        if (z < 0 || z >= depth || y < 0 || y >= height || x < 0 || x >= width) continue;
        const j = (z * height + y) * width + x;
        if (labels[j] !== 0 || map[j] !== value) continue;
        labels[j] = label;
        if (end === queue.length) {
          const longer = new Int32Array(2 * end);
          longer.set(queue);
          queue = longer;
        }
        queue[end++] = j;
      }
    }
    const drop = 3 - shape.length;
    sizes.push(end);
    boxes.push([...low.slice(drop), ...high.slice(drop)]);
    centroids.push(sum.slice(drop).map((s) => s / end));
  }
  return { labels, count: sizes.length, sizes: Int32Array.from(sizes), boxes, centroids };
}

/** Label of the component with most voxels (the lowest among equals); 0 when there is none. */
export function largestComponent({ sizes }: Pick<Components, 'sizes'>): number {
  return sizes.reduce((best, size, i) => (best === 0 || size > sizes[best - 1] ? i + 1 : best), 0);
}

/** The mask without components of fewer than `least` voxels. */
export function removeSmaller(
  map: ArrayLike<number>,
  shape: readonly number[],
  connectivity: Connectivity,
  least: number,
): Uint8Array {
  const { labels, sizes } = connectedComponents(map, shape, connectivity);
  return Uint8Array.from(labels, (label) => (label > 0 && sizes[label - 1] >= least ? 1 : 0));
}

/** Mask grown by one neighbourhood `iterations` times. */
export function dilate(
  mask: ArrayLike<number>,
  shape: readonly number[],
  connectivity: Connectivity,
  iterations = 1,
): Uint8Array {
  return spread(
    Uint8Array.from(mask, (v) => (v ? 1 : 0)),
    asVolume(shape),
    neighbours(connectivity),
    iterations,
  );
}

/**
 * Mask shrunk by one neighbourhood `iterations` times.
 * @param border what lies outside the grid: `background` (default) eats at the border, `foreground` does not
 */
export function erode(
  mask: ArrayLike<number>,
  shape: readonly number[],
  connectivity: Connectivity,
  iterations = 1,
  border: 'background' | 'foreground' = 'background',
): Uint8Array {
  const [depth, height, width] = asVolume(shape);
  const offsets = neighbours(connectivity);
  let current = Uint8Array.from(mask, (v) => (v ? 1 : 0));
  for (let n = 0; n < iterations; n++) {
    const next = new Uint8Array(current.length);
    for (let z = 0, i = 0; z < depth; z++)
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++, i++) {
          if (!current[i]) continue;
          next[i] = offsets.every(([dz, dy, dx]) => {
            const [a, b, c] = [z + dz, y + dy, x + dx];
            if (a < 0 || a >= depth || b < 0 || b >= height || c < 0 || c >= width) return border === 'foreground';
            return current[(a * height + b) * width + c];
          })
            ? 1
            : 0;
        }
    current = next;
  }
  return current;
}

function spread(
  mask: Uint8Array<ArrayBuffer>,
  [depth, height, width]: number[],
  offsets: [number, number, number][],
  iterations: number,
  within?: ArrayLike<number>,
): Uint8Array {
  let frontier: number[] = [];
  for (let i = 0; i < mask.length; i++) if (mask[i]) frontier.push(i);
  for (let n = 0; n < iterations && frontier.length > 0; n++) {
    const next: number[] = [];
    for (const i of frontier) {
      const [z, y, x] = [Math.floor(i / (height * width)), Math.floor(i / width) % height, i % width];
      for (const [dz, dy, dx] of offsets) {
        const [a, b, c] = [z + dz, y + dy, x + dx];
        if (a < 0 || a >= depth || b < 0 || b >= height || c < 0 || c >= width) continue;
        const j = (a * height + b) * width + c;
        if (mask[j] || (within && !within[j])) continue;
        mask[j] = 1;
        next.push(j);
      }
    }
    frontier = next;
  }
  return mask;
}

/** Mask with every background region that cannot be reached from outside through `connectivity` neighbours filled. */
export function fillHoles(
  mask: ArrayLike<number>,
  shape: readonly number[],
  connectivity: Connectivity = shape.length === 2 ? 4 : 6,
): Uint8Array {
  const [depth, height, width] = asVolume(shape);
  const background = Uint8Array.from(mask, (v) => (v ? 0 : 1));
  const outside = new Uint8Array(background.length);
  for (let z = 0, i = 0; z < depth; z++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++, i++) {
        const onEdge =
          y === 0 || y === height - 1 || x === 0 || x === width - 1 || (shape.length === 3 && (z === 0 || z === depth - 1));
        if (onEdge && background[i]) outside[i] = 1;
      }
  spread(outside, [depth, height, width], neighbours(connectivity), Number.POSITIVE_INFINITY, background);
  return outside.map((v) => 1 - v);
}
