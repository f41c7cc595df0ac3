// Surface elements: the area of the surface inside each 2×2×2 neighbourhood of voxels (DeepMind's NSD, "surfels").
//
// A point stands on every corner of the voxel grid. Its code collects the voxels around it; the area of a code is that of the
// classic (Lorensen) marching-cubes surface with vertices at edge midpoints, drawn for the code or its complement, whichever
// has at most four set corners. In 2-D the same with 2×2 codes and contour length.

type Point = [number, number, number];

const corners: Point[] = Array.from({ length: 8 }, (_, i) => [(i >> 2) & 1, (i >> 1) & 1, i & 1]);
const isSet = (code: number, corner: number) => (code >> (7 - corner)) & 1;
const setCorners = (code: number) => corners.reduce((n, _, i) => n + isSet(code, i), 0);

/**
 * Surface area in mm² of each of the 256 codes; code = sum of `1 << (7 - (4·d0 + 2·d1 + d2))` over the set corners.
 * @param spacingMm voxel size along `[depth, height, width]`
 */
export function surfelAreas(spacingMm: readonly number[]): Float64Array {
  const at = spacingMm.join();
  let areas = known.get(at);
  if (!areas) {
    triangles ??= allTriangles();
    const of = triangles;
    areas = Float64Array.from({ length: 256 }, (_, code) =>
      of[code].reduce((sum, [a, b, c]) => sum + triangleArea(a, b, c, spacingMm), 0),
    );
    if (known.size > 64) known.clear();
    known.set(at, areas);
  }
  return areas;
}

/** Contour length in mm of each of the 16 codes of a 2×2 neighbourhood; code = sum of `1 << (3 - (2·d0 + d1))`. */
export function contourLengths(spacingMm: readonly number[]): Float64Array {
  const [s0, s1] = spacingMm;
  const diagonal = Math.hypot(s0, s1) / 2;
  return Float64Array.from({ length: 16 }, (_, code) => {
    const [a, b, c, d] = [8, 4, 2, 1].map((bit) => (code & bit ? 1 : 0));
    const count = a + b + c + d;
    if (count === 0 || count === 4) return 0;
    if (count !== 2) return diagonal;
    if (a === d) return 2 * diagonal;
    return a === b ? s1 : s0;
  });
}

/** Closed polygons of edge midpoints around each group of set corners; on an ambiguous face set corners stay apart. */
function polygons(code: number): Point[][] {
  const neighbours = new Map<string, string[]>();
  const connect = (a: string, b: string) => {
    for (const [p, q] of [
      [a, b],
      [b, a],
    ])
      neighbours.set(p, [...(neighbours.get(p) ?? []), q]);
  };
  for (const face of faces) {
    const set = face.map((corner) => isSet(code, corner));
    if (set.every(Boolean)) continue;
    for (let first = 0; first < 4; first++) {
      if (!set[first] || set[(first + 3) % 4]) continue;
      let last = first;
      while (set[(last + 1) % 4]) last++;
      connect(midpoint(face[(first + 3) % 4], face[first]), midpoint(face[last % 4], face[(last + 1) % 4]));
    }
  }
  const seen = new Set<string>();
  const result: Point[][] = [];
  for (const start of neighbours.keys()) {
    const polygon: Point[] = [];
    for (let at: string | undefined = start; at && !seen.has(at); at = neighbours.get(at)!.find((n) => !seen.has(n))) {
      seen.add(at);
      polygon.push(at.split(',').map(Number) as Point);
    }
    if (polygon.length > 0) result.push(polygon);
  }
  return result;
}

/** The six faces as corner numbers in cyclic order. */
const faces = [0, 1, 2].flatMap((axis) =>
  [0, 1].map((side) => {
    const [u, v] = [0, 1, 2].filter((a) => a !== axis);
    return [
      [0, 0],
      [0, 1],
      [1, 1],
      [1, 0],
    ].map(([a, b]) => {
      const corner = [0, 0, 0];
      corner[axis] = side;
      corner[u] = a;
      corner[v] = b;
      return 4 * corner[0] + 2 * corner[1] + corner[2];
    });
  }),
);

function midpoint(a: number, b: number): string {
  return corners[a].map((x, axis) => (x + corners[b][axis]) / 2).join();
}

/** The classic table's choice for polygons that are not flat: of all triangulations the one widest on a cubic grid. */
function widestTriangulation(polygon: Point[]): [Point, Point, Point][] {
  const unit = [1, 1, 1];
  let best: [Point, Point, Point][] = [];
  let bestArea = -1;
  for (const choice of triangulations(0, polygon.length - 1)) {
    const list = choice.map((t) => t.map((i) => polygon[i]) as [Point, Point, Point]);
    const area = list.reduce((sum, [a, b, c]) => sum + triangleArea(a, b, c, unit), 0);
    if (area > bestArea + 1e-9) [best, bestArea] = [list, area];
  }
  return best;
}

function triangulations(i: number, j: number): number[][][] {
  if (j - i < 2) return [[]];
  const all: number[][][] = [];
  for (let k = i + 1; k < j; k++)
    for (const left of triangulations(i, k)) for (const right of triangulations(k, j)) all.push([...left, ...right, [i, k, j]]);
  return all;
}

function triangleArea(a: Point, b: Point, c: Point, s: readonly number[]): number {
  const [u0, u1, u2] = [0, 1, 2].map((k) => (b[k] - a[k]) * s[k]);
  const [v0, v1, v2] = [0, 1, 2].map((k) => (c[k] - a[k]) * s[k]);
  const [x, y, z] = [u1 * v2 - u2 * v1, u2 * v0 - u0 * v2, u0 * v1 - u1 * v0];
  return Math.sqrt(x * x + y * y + z * z) / 2;
}

const known = new Map<string, Float64Array>();
/** Of every code; made when first asked for, since a run that only trains never does. */
let triangles: [Point, Point, Point][][] | undefined;
const allTriangles = (): [Point, Point, Point][][] =>
  Array.from({ length: 256 }, (_, code) => {
    const fewer = setCorners(code) > 4 ? 255 - code : code;
    return polygons(fewer).flatMap(widestTriangulation);
  });
