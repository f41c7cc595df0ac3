import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { VoxelbookError } from '../../src/base/errors.js';
import { nodeArguments } from '../../src/base/workers.js';
import { labels } from '../../src/dataset/index.js';
import { network } from '../../src/model/index.js';
import { mednext } from '../../src/paper/recipes.js';
import { forecast, objectiveOf, refuseIfTooLarge } from '../../src/train/index.js';

const run = promisify(execFile);

/** What a training process really needed, with its own forecast. */
async function measured(order: object) {
  const child = nodeArguments(new URL('./trainer.js', import.meta.url));
  const { stdout } = await run(process.execPath, [...child, JSON.stringify(order)], { maxBuffer: 1e8 });
  return JSON.parse(stdout) as { forecast: Record<string, number>; peakBytes: number };
}

const small = { network: 'mednext', kernel: 3, width: 16, blocks: Array(9).fill(1), expansion: 2 };
const input = (patch: number[], batchSize: number, width = 32) => {
  const spec = { ...small, width, inputChannels: 4, classes: 4, deepSupervision: true } as Parameters<typeof network>[0];
  return {
    network: network(spec).network,
    recipe: mednext,
    objective: objectiveOf(mednext, labels({ labels: { background: 0, a: 1, b: 2, c: 3 } })),
    patch,
    batchSize,
    inputChannels: 4,
  };
};

describe('train forecast', () => {
  const plans = [
    { model: small, patch: [48, 48, 48], batchSize: 1 },
    { model: small, patch: [32, 64, 64], batchSize: 2 },
    { model: { ...small, kernel: 5 }, patch: [48, 48, 48], batchSize: 2 },
    { model: { network: 'stunet', size: 'S' }, patch: [32, 32, 64], batchSize: 2 },
    { model: { network: 'segresnet', width: 8 }, patch: [48, 48, 48], batchSize: 2 },
    { model: { ...small, dimensions: 2 }, patch: [128, 128], batchSize: 8 },
  ];
  for (const plan of plans)
    it(`lies within 15 % of the measured peak: ${plan.model.network}, patch ${plan.patch}, batch ${plan.batchSize}`, async () => {
      const { forecast: f, peakBytes } = await measured({ ...plan, steps: 3 });
      const off = f.total / peakBytes - 1;
      console.log(
        `      forecast ${(f.total / 1e6).toFixed(0)} MB, measured ${(peakBytes / 1e6).toFixed(0)} MB (${(100 * off).toFixed(0)} %)`,
      );
      assert.ok(Math.abs(off) <= 0.15);
    });

  it('grows with batch and patch, and costs nothing to ask for at full size', () => {
    const one = forecast(input([64, 64, 64], 1)).bytes;
    const two = forecast(input([64, 64, 64], 2)).bytes;
    const full = forecast(input([128, 128, 128], 2)).bytes;
    assert.ok(Math.abs(two.activations / one.activations - 2) < 0.1);
    assert.ok(full.activations / two.activations > 7.5);
    assert.equal(one.parameters, full.parameters);
  });

  it('where nothing fits, not even the smallest patch that the network takes, the refusal says so', () => {
    const large = input([128, 128, 128], 2);
    const deep = network({ network: 'stunet', size: 'S', inputChannels: 4, classes: 4, deepSupervision: true }).network;
    const need = { ...large, network: deep };
    assert.throws(
      () => refuseIfTooLarge(need, forecast(need), 1e6),
      (error: VoxelbookError) => error.code === 'too-little-memory' && /Use a smaller network/.test(error.message),
    );
  });

  it('a refusal names every part and the setting that would fit', () => {
    const large = input([128, 128, 128], 2);
    const need = forecast(large);
    assert.doesNotThrow(() => refuseIfTooLarge(large, need, need.bytes.total));
    assert.throws(
      () => refuseIfTooLarge(large, need, 5e9),
      (error: VoxelbookError) => {
        assert.match(error.message, /patch \[128,128,128\], batch 2: \d+\.\d GB needed \(parameters .* activations .*\)/);
        assert.match(
          error.message,
          /With (batch size 1|checkpointing on|patch \[\d+,\d+,\d+\], batch size 1) it needs \d\.\d+ GB/,
        );
        return true;
      },
    );
  });
});
