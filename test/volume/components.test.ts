import assert from 'node:assert';
import { Random } from '../../src/base/random.js';
import { connectedComponents } from '../../src/volume/components.js';

/** Slow and obvious: labels spread to the smallest neighbour until nothing changes. */
function spread(mask: Uint8Array, [depth, height, width]: number[]): number[] {
  const label = Array.from(mask, (v, i) => (v ? i + 1 : 0));
  for (let changed = true; changed; ) {
    changed = false;
    for (let i = 0; i < label.length; i++) {
      if (!label[i]) continue;
      const [z, y, x] = [Math.floor(i / (height * width)), Math.floor(i / width) % height, i % width];
      for (let dz = -1; dz <= 1; dz++)
        for (let dy = -1; dy <= 1; dy++)
          for (let dx = -1; dx <= 1; dx++) {
            const [a, b, c] = [z + dz, y + dy, x + dx];
            if (a < 0 || a >= depth || b < 0 || b >= height || c < 0 || c >= width) continue;
            const other = label[(a * height + b) * width + c];
            if (other && other < label[i]) {
              label[i] = other;
              changed = true;
            }
          }
    }
  }
  return label;
}

describe('components', () => {
  for (const [shape, density] of [
    [[6, 7, 8], 0.1],
    [[6, 7, 8], 0.05],
    [[1, 15, 12], 0.3],
    [[5, 1, 9], 0.4],
    [[1, 1, 20], 0.5],
  ] as [number[], number][])
    it(`agrees with spreading labels on ${shape.join('×')}, ${density}`, () => {
      const random = new Random(`${shape} ${density}`);
      const mask = Uint8Array.from({ length: shape[0] * shape[1] * shape[2] }, () => (random.chance(density) ? 1 : 0));
      const slow = spread(mask, shape);
      const fast = connectedComponents(mask, shape, 26);
      const names = [...new Set(slow)].filter(Boolean);
      assert.equal(fast.count, names.length);
      names.forEach((name, i) => {
        const inside = slow.map((v) => v === name);
        assert.equal(fast.sizes[i], inside.filter(Boolean).length);
        inside.forEach((yes, v) => {
          assert.equal(fast.labels[v] === i + 1, yes);
        });
      });
    });

  it('the whole volume is one component', () => {
    assert.deepEqual([...connectedComponents(new Uint8Array(4 * 50 * 60).fill(1), [4, 50, 60], 26).sizes], [12000]);
  });
});
