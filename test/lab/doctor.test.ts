// `npm run doctor` says what the library answers, not what is expected of it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { projectRoot } from '../../src/base/paths.js';
import { nativeVariant } from '../../src/tensor/native/load.js';

const script = fileURLToPath(new URL('../../environment/doctor.mjs', import.meta.url));

/** What it says of a thing, under these settings. */
function doctor(env: Record<string, string>, ...args: string[]): Record<string, string> {
  const { TF_ENABLE_ONEDNN_OPTS: _o, VOXELBOOK_THREADS: _t, VOXELBOOK_NATIVE: _n, ...rest } = process.env;
  const { stdout } = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8', env: { ...rest, ...env } });
  return Object.fromEntries(stdout.split('\n').map((line) => [line.slice(0, 22).trim(), line.slice(23)]));
}

describe('npm run doctor', function () {
  this.timeout(300_000);
  before(function () {
    if (process.arch !== 'x64' || !nativeVariant()) this.skip();
  });

  it('oneDNN, threads and kernels as they are found', () => {
    const found = doctor({ VOXELBOOK_THREADS: '3' });
    assert.match(found.TensorFlow, /^\d+\.\d+\.\d+ \(CPU, oneDNN on\), 1 \+ 1 = 2$/);
    assert.equal(found.threads, '3');
    assert.match(found['native kernels'], /^the avx(2|512) ones$/);
  });

  it('oneDNN switched off by a setting is off, and the setting is named; so are kernels', () => {
    const found = doctor({ TF_ENABLE_ONEDNN_OPTS: '0', VOXELBOOK_NATIVE: '0' });
    assert.match(found.TensorFlow, /oneDNN off: dense networks train several times slower \(TF_ENABLE_ONEDNN_OPTS=0 is set\)/);
    assert.equal(found['native kernels'], 'switched off by VOXELBOOK_NATIVE=0');
  });

  it('a report names nobody, no machine and no folder of it; a folder that everyone can read is told', () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'doctor-'));
    fs.mkdirSync(path.join(folder, 'data'), { mode: 0o755 });
    fs.chmodSync(folder, 0o755);
    try {
      const env = { VOXELBOOK_RUNS: folder, HOME: folder };
      const plain = doctor(env);
      assert.match(plain['runs folder'], /can be read by everyone on this machine; .*chmod o-rwx/);
      assert.match(plain['data folder'], /can be read by everyone/);
      const text = Object.entries(doctor(env, '--report')).flat().join('\n');
      assert.match(text, /^Node$/m);
      assert.doesNotMatch(text, /(?<![\w~>.])\/[\w.-]+\//);
      for (const word of [os.hostname(), folder, projectRoot]) assert.ok(!text.includes(word), word);
      fs.chmodSync(folder, 0o750);
      assert.equal(doctor(env)['runs folder'], undefined);
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });
});
