import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { native } from '../../../src/tensor/native/load.js';

const long = process.env.VOXELBOOK_LONG_TESTS === '1';

describe('native kernels and calls that do not fit', () => {
  before(function () {
    if (!native()) this.skip();
  });

  for (let seed = 1; seed <= (long ? 50 : 2); seed++)
    it(`2,000 mutated calls (seed ${seed}) return or are refused; none ends the process`, function () {
      this.timeout(120_000);
      const script = fileURLToPath(new URL('mutations.ts', import.meta.url));
      const args = ['--import', 'tsx', script, String(seed), '2000'];
      const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
      const last = stderr.split('\n').findLast((line) => line.startsWith('{'));
      assert.strictEqual(status, 0, `ended with ${signal ?? status} at ${last}`);
      const [returned, refused] = stdout.trim().split(' ').map(Number);
      assert.strictEqual(returned + refused, 2000);
      assert.ok(returned > 100 && refused > 1000, `${returned} returned, ${refused} refused`);
    });

  it('3,000 calls of the functions on typed arrays with arguments that mostly do not fit return or are refused', function () {
    this.timeout(120_000);
    const script = fileURLToPath(new URL('functionMutations.ts', import.meta.url));
    const args = ['--import', 'tsx', script, '1', '3000'];
    const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
    assert.strictEqual(status, 0, `ended with ${signal ?? status}: ${stderr.slice(-1500)}`);
    const [returned, refused] = stdout.trim().split(' ').map(Number);
    assert.ok(returned + refused === 3000 && returned > 900 && refused > 900, `${returned} returned, ${refused} refused`);
  });
});
