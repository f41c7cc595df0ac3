// Files above 2 GiB, which no single call reads or writes. Opt-in: VOXELBOOK_LONG_TESTS=1 (8 GB of memory, 4 GB of disk).
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('./largeFile.ts', import.meta.url));

(process.env.VOXELBOOK_LONG_TESTS ? describe : describe.skip)('3 GiB of voxels', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-large-'));
  after(() => fs.rmSync(folder, { recursive: true }));

  const run = (what: string, file: string) => {
    const { stdout, stderr, status } = spawnSync(process.execPath, ['--import', 'tsx', script, what, file], { encoding: 'utf8' });
    assert.equal(status, 0, stderr.slice(-2000));
    return JSON.parse(stdout);
  };

  // Raw voxels are read into their own array; packed ones are joined from pieces of 1 GiB, so that they stand in memory twice.
  for (const [ending, writing, reading] of [
    ['.nii', 3400, 3400],
    ['.nrrd', 3400, 6600],
  ] as const)
    it(`${ending}: written and read back`, function () {
      this.timeout(1_200_000);
      const file = path.join(folder, `large${ending}`);
      const { peakMiB: writePeak, ...written } = run('write', file);
      const { peakMiB: readPeak, ...read } = run('read', file);
      console.log(`      ${fs.statSync(file).size} bytes; ${writePeak} MiB to write, ${readPeak} MiB to read`);
      fs.rmSync(file);
      assert.deepEqual(read, written);
      assert.ok(writePeak <= writing && readPeak <= reading);
    });
});
