import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { nodeArguments } from '../../src/base/workers.js';

const run = promisify(execFile);
// 2000 steps take minutes: VOXELBOOK_LONG_TESTS=1 runs them all, else a fifth with the same laws; memory settles within 150.
const steps = process.env.VOXELBOOK_LONG_TESTS ? 2000 : 400;

/** Slope of a line through the values, per value. */
function slope(values: number[]): number {
  const n = values.length;
  const middle = (n - 1) / 2;
  const mean = values.reduce((a, b) => a + b, 0) / n;
  let above = 0;
  let below = 0;
  values.forEach((v, i) => {
    above += (i - middle) * (v - mean);
    below += (i - middle) ** 2;
  });
  return above / below;
}

const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1];

describe(`train soak, ${steps} steps on 16³ patches`, function () {
  this.timeout(1_800_000);

  it('keeps the tensor count and resident memory', async () => {
    const model = { network: 'mednext', kernel: 3, width: 4, blocks: Array(9).fill(1), expansion: 2 };
    const order = { model, patch: [16, 16, 16], batchSize: 1, steps };
    const child = nodeArguments(new URL('./trainer.js', import.meta.url));
    const { stdout } = await run(process.execPath, ['--expose-gc', ...child, JSON.stringify(order)], { maxBuffer: 1e8 });
    const { tensors, rss, milliseconds } = JSON.parse(stdout) as Record<'tensors' | 'rss' | 'milliseconds', number[]>;
    assert.deepEqual(new Set(tensors.slice(1)), new Set([tensors[1]]));
    // The heap settles at first: the slope is looked at in the second half.
    const half = steps / 2;
    const perThousand = slope(rss.slice(half)) * 1000;
    const allowed = steps >= 2000 ? 1e6 : 60e6;
    const drift = median(milliseconds.slice(-half / 2)) / median(milliseconds.slice(half, half + half / 2));
    console.log(
      `      ${(perThousand / 1e6).toFixed(2)} MB per 1000 steps, ${median(milliseconds).toFixed(0)} ms a step, drift ${drift.toFixed(2)}`,
    );
    assert.ok(perThousand < allowed, `${perThousand} bytes per 1000 steps`);
  });
});
