// One setting for both pools: TensorFlow's and that of our kernels, counted in the process.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { nodeArguments } from '../../src/base/workers.js';
import { native } from '../../src/tensor/native/load.js';

const run = promisify(execFile);
const child = nodeArguments(new URL('./poolSizes.js', import.meta.url));
const clean = ['VOXELBOOK_THREADS', 'SLURM_CPUS_PER_TASK', 'OMP_NUM_THREADS'];

/** Threads of our kernels and of the whole process under these settings. */
async function poolSizes(env: Record<string, string>): Promise<{ kernels: number; all: number }> {
  const rest = Object.fromEntries(Object.entries(process.env).filter(([name]) => !clean.includes(name)));
  const { stdout } = await run(process.execPath, child, { env: { ...rest, ...env } });
  return JSON.parse(stdout);
}

describe('threads of a process that computes', function () {
  this.timeout(300_000);
  before(function () {
    if (!native() || process.platform !== 'linux') this.skip();
  });

  it('both pools have as many as the one setting says, wherever it comes from', async () => {
    const one = await poolSizes({ VOXELBOOK_THREADS: '1' });
    assert.equal(one.kernels, 1);
    for (const [env, count] of [
      [{ VOXELBOOK_THREADS: '3' }, 3],
      [{ VOXELBOOK_THREADS: '2', SLURM_CPUS_PER_TASK: '5', OMP_NUM_THREADS: '6' }, 2],
      [{ SLURM_CPUS_PER_TASK: '4', OMP_NUM_THREADS: '6' }, 4],
      [{ OMP_NUM_THREADS: '3' }, 3],
      // What a parent process has set for itself is no setting of the child.
      [{ VOXELBOOK_THREADS: '3', TF_NUM_INTRAOP_THREADS: '7', TF_NUM_INTEROP_THREADS: '7' }, 3],
    ] as const) {
      const { kernels, all } = await poolSizes(env);
      assert.equal(kernels, count, JSON.stringify(env));
      assert.equal(all, one.all + 2 * (count - 1), JSON.stringify(env));
    }
  });
});
