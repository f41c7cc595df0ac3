import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('../../hostile/niftiMutations.ts', import.meta.url));
const inputs = Number(process.env.VOXELBOOK_F1 ?? 5000);

describe('hostile NIfTI files (F1)', () => {
  it(`${inputs} mutated files become a valid volume or a typed error, within 512 MiB`, function () {
    this.timeout(60_000 + inputs * 10);
    const args = ['--max-old-space-size=512', '--import', 'tsx', script, String(inputs), '20260101'];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { timeout: 50_000 + inputs * 10, encoding: 'utf8' });
    assert.equal(status, 0, stderr.slice(-2000));
    const result = JSON.parse(stdout);
    console.log(`      ${result.count} files from ${result.seeds} seeds: ${result.read} read, ${result.refused} refused`);
    assert.deepEqual(result.bad, []);
    assert.equal(result.count, inputs);
    assert.ok(result.seeds >= 160);
    assert.ok(result.read > 0 && result.refused > 0);
  });
});
