import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { watchOutOfMemory } from '../../src/base/memory.js';
import { outOfMemory } from '../../src/run/outOfMemory.js';

describe('a run that ends for want of memory', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'memory-'));
  const put = (name: string, value: unknown) => fs.writeFileSync(path.join(folder, name), JSON.stringify(value));
  const death = { how: 'killed by SIGKILL', step: 7, starved: true, words: 'epoch 1' };
  after(() => fs.rmSync(folder, { recursive: true }));

  it('is named, with the forecast and the batch that fits', () => {
    assert.match(
      outOfMemory(folder, 'x', death)!.message,
      /x ran out of memory at step 7[\s\S]*want of memory; there is no forecast yet/,
    );
    const activations = 8e15;
    put('forecast.json', { bytes: { total: 1e9 + activations, activations, batches: 0 } });
    put('experiment.json', { experiment: { configuration: '3d' } });
    put('plan.json', { configurations: { '3d': { patch_size: [128, 128, 128], batch_size: 2 } } });
    const error = outOfMemory(folder, 'x', death)!;
    assert.equal(error.code, 'out-of-memory');
    assert.match(error.message, /the forecast was 8000001\.0 GB, \d+\.\d GB are free now/);
    assert.match(error.message, /No smaller batch fits/);
    put('forecast.json', { bytes: { total: 2e8, activations: 1.6e8, batches: 0 } });
    assert.match(outOfMemory(folder, 'x', death)!.message, /With batch size 1 it needs about 0\.1 GB\. Ask for more memory/);
  });

  it('is known by what V8 or TensorFlow said last', () => {
    const words = 'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory';
    const error = outOfMemory(folder, 'x', { how: 'killed by SIGABRT', step: 0, starved: false, words })!;
    assert.match(error.message, /killed by SIGABRT, saying "heap out of memory"/);
  });

  it('another death is not taken for it', () => {
    assert.equal(outOfMemory(folder, 'x', { ...death, starved: false }), undefined);
    assert.equal(outOfMemory(folder, 'x', { ...death, how: 'exit code 1' }), undefined);
  });

  it('the system’s killer is noticed, in a real control group', async function () {
    const own = /^\d+:memory:(.*)$/m.exec(fs.readFileSync('/proc/self/cgroup', 'utf8'))?.[1];
    const group = path.join('/sys/fs/cgroup/memory', own ?? '', `voxelbook-${process.pid}`);
    try {
      fs.mkdirSync(group);
      fs.writeFileSync(path.join(group, 'memory.limit_in_bytes'), '150000000');
    } catch {
      if (fs.existsSync(group)) fs.rmdirSync(group);
      this.skip(); // no control groups of version 1, or not ours to make
    }
    const hoard = 'const all = []; for (;;) all.push(Buffer.alloc(10e6, 1));';
    const child = spawn('sh', ['-c', `read go; exec '${process.execPath}' -e '${hoard}'`], {
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    fs.writeFileSync(path.join(group, 'cgroup.procs'), String(child.pid));
    const [inGroup, elsewhere] = [watchOutOfMemory(child.pid!), watchOutOfMemory('self')];
    const ended = new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)));
    child.stdin.end('go\n');
    assert.equal(await ended, 'SIGKILL');
    const seen = [inGroup(), elsewhere()];
    fs.rmdirSync(group);
    // A death in another group is no reason for this one's.
    assert.deepEqual(seen, [true, false]);
  });
});
