// Connected components of a mask.

/**
 * Components with full connectivity (26 neighbours; 8 within a volume of depth 1), numbered from 1 in scan order.
 * @param mask `[depth, height, width]`, non-zero = inside
 * @returns the component of every voxel (0 = outside), and the voxels of each; `sizes[0]` is unused
 */
export function components(mask: ArrayLike<number>, shape: readonly number[]): { labels: Int32Array; sizes: number[] } {
  const [depth, height, width] = shape;
  const labels = new Int32Array(mask.length);
  const sizes = [0];
  let stack = new Int32Array(1024);
  for (let seed = 0; seed < labels.length; seed++) {
    if (!mask[seed] || labels[seed]) continue;
    const label = sizes.length;
    let top = 0;
    let size = 0;
    stack[top++] = seed;
    labels[seed] = label;
    while (top > 0) {
      const i = stack[--top];
      size++;
      const x = i % width;
      const y = ((i - x) / width) % height;
      const z = Math.floor(i / (width * height));
      const [x0, x1] = [Math.max(x - 1, 0), Math.min(x + 1, width - 1)];
      for (let a = Math.max(z - 1, 0); a <= Math.min(z + 1, depth - 1); a++)
        for (let b = Math.max(y - 1, 0); b <= Math.min(y + 1, height - 1); b++) {
          const row = (a * height + b) * width;
          for (let j = row + x0; j <= row + x1; j++) {
            if (labels[j] || !mask[j]) continue;
            labels[j] = label;
            if (top === stack.length) {
              const larger = new Int32Array(2 * top);
              larger.set(stack);
              stack = larger;
            }
            stack[top++] = j;
          }
        }
    }
    sizes.push(size);
  }
  return { labels, sizes };
}
