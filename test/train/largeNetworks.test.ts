// STU-Net L and H: checkpoints of 1.8 to 11.7 GB. Opt-in: VOXELBOOK_LONG_TESTS=1 (16 GB of memory, 18 GB of disk).
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { nodeArguments } from '../../src/base/workers.js';

const script = nodeArguments(new URL('./largeNetwork.js', import.meta.url));
/** One tensor at a time stands there as it was drawn or read, and again before it is turned into memory's order. */
const turning = ({ largestBytes }: { largestBytes: number }) => 2 * largestBytes;
const gb = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;

(process.env.VOXELBOOK_LONG_TESTS ? describe : describe.skip)('train large networks', function () {
  this.timeout(3_600_000);

  for (const size of ['L', 'H'] as const)
    describe(`STU-Net-${size}`, () => {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-stunet-'));
      after(() => fs.rmSync(folder, { recursive: true }));

      const run = (step: string) => {
        const { stdout, stderr, status } = spawnSync(process.execPath, [...script, step, size, folder], {
          encoding: 'utf8',
          maxBuffer: 1e8,
        });
        assert.equal(status, 0, stderr.slice(-2000));
        const found = JSON.parse(stdout);
        console.log(`      ${step}: peak ${gb(found.peakBytes)}, weights ${gb(found.parameters)}, ${found.seconds.toFixed(0)} s`);
        return found;
      };

      it('a training at the published patch is refused before it starts, by a sentence', () => {
        const { refusal, peakBytes } = run('refuse');
        assert.match(refusal, /this run does not fit into memory/);
        assert.match(refusal, /patch \[128,128,128\], batch 2: \d+\.\d GB needed \(parameters \d+\.\d GB, optimiser /);
        console.log(`      ${refusal.split('\n').join(' ')}`);
        assert.ok(peakBytes < 1e9, 'weights were made for a forecast');
      });

      it('with momentum it is saved, verified and gone on from', () => {
        const saved = run('saveMomentum');
        const bytes = fs.statSync(saved.file).size;
        assert.ok(bytes > 2 * saved.parameters);
        const back = run('resume');
        assert.deepEqual(back.marks, saved.marks);
        console.log(`      file ${gb(bytes)}, loaded at ${gb(back.loadedBytes)}`);
        const most = bytes + 1e9 + turning(saved);
        assert.ok(saved.peakBytes <= most, `saving took ${gb(saved.peakBytes)}`);
        assert.ok(back.loadedBytes <= most, `loading took ${gb(back.loadedBytes)}`);
        if (size === 'L') {
          assert.equal(back.step, 2);
          assert.ok(back.peakBytes <= back.totalBytes, `the step took ${gb(back.peakBytes)}, forecast ${gb(back.totalBytes)}`);
        }
        fs.rmSync(saved.file);
      });

      it('it is written, verified, read back and predicts a patch of 64³', () => {
        const saved = run('save');
        const bytes = fs.statSync(saved.file).size;
        const most = bytes + 1e9 + turning(saved);
        assert.ok(saved.peakBytes <= most, `writing took ${gb(saved.peakBytes)}`);
        const found = run('predict');
        assert.deepEqual(found.marks, saved.marks);
        assert.deepEqual([found.logits, found.finite], [105 * 64 ** 3, true]);
        console.log(`      file ${gb(bytes)}, loaded at ${gb(found.loadedBytes)}`);
        assert.ok(found.loadedBytes <= most, `reading took ${gb(found.loadedBytes)}`);
        assert.ok(
          found.peakBytes <= most + found.stepBytes,
          `predicting took ${gb(found.peakBytes)}, of it ${gb(found.stepBytes)} its own`,
        );
      });
    });
});
