// Optimal assignment (Hungarian method with shortest augmenting paths, O(n³)), as scipy's linear_sum_assignment.

/**
 * The pairs (row, column) of least total cost; as many as the shorter side has.
 * @param cost `cost[row][column]`
 */
export function assign(cost: readonly ArrayLike<number>[]): [row: number, column: number][] {
  const rows = cost.length;
  const columns = rows > 0 ? cost[0].length : 0;
  if (rows === 0 || columns === 0) return [];
  if (rows > columns) {
    const transposed = Array.from({ length: columns }, (_, c) => Array.from({ length: rows }, (_, r) => cost[r][c]));
    return assign(transposed).map(([c, r]) => [r, c]);
  }
  // Potentials of rows and columns; `owner[column]` is its row. Index 0 stands for "none".
  const u = new Float64Array(rows + 1);
  const v = new Float64Array(columns + 1);
  const owner = new Int32Array(columns + 1);
  const before = new Int32Array(columns + 1);
  for (let row = 1; row <= rows; row++) {
    owner[0] = row;
    let column = 0;
    const least = new Float64Array(columns + 1).fill(Number.POSITIVE_INFINITY);
    const used = new Uint8Array(columns + 1);
    do {
      used[column] = 1;
      const r = owner[column];
      let delta = Number.POSITIVE_INFINITY;
      let next = 0;
      for (let c = 1; c <= columns; c++) {
        if (used[c]) continue;
        const reduced = cost[r - 1][c - 1] - u[r] - v[c];
        if (reduced < least[c]) {
          least[c] = reduced;
          before[c] = column;
        }
        if (least[c] < delta) {
          delta = least[c];
          next = c;
        }
      }
      for (let c = 0; c <= columns; c++) {
        if (used[c]) {
          u[owner[c]] += delta;
          v[c] -= delta;
        } else least[c] -= delta;
      }
      column = next;
    } while (owner[column] !== 0);
    for (; column !== 0; column = before[column]) owner[column] = owner[before[column]];
  }
  return [...owner]
    .map((row, column): [number, number] => [row - 1, column - 1])
    .filter(([row, column]) => row >= 0 && column >= 0)
    .sort((a, b) => a[0] - b[0]);
}
