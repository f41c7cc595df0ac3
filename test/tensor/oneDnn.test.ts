// Dense convolutions and their gradients run in oneDNN, on every x86 processor and however TensorFlow came to be loaded.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { nodeArguments } from '../../src/base/workers.js';
import type { Answer } from './oneDnnCases.js';

const run = promisify(execFile);
const child = nodeArguments(new URL('./oneDnnCases.js', import.meta.url));

/** What a process says that loads TensorFlow this way, under this setting. */
async function ask(way: 'room' | 'plain' | 'worker', setting?: string): Promise<Answer> {
  const { TF_ENABLE_ONEDNN_OPTS: _, ...env } = process.env;
  // Our own kernels do some of these convolutions; here TensorFlow's are asked.
  const { stdout } = await run(process.execPath, [...child, way], {
    env: { ...env, VOXELBOOK_NATIVE: '0', ...(setting === undefined ? {} : { TF_ENABLE_ONEDNN_OPTS: setting }) },
  });
  return JSON.parse(stdout);
}

describe('oneDNN', function () {
  this.timeout(300_000);
  before(function () {
    if (process.arch !== 'x64' || process.platform !== 'linux') this.skip();
  });
  let on: Answer;
  let off: Answer;
  before(async () => {
    on = await ask('room', '1');
    off = await ask('room', '0');
  });

  it('a setting of the user stays', () => {
    assert.deepEqual([on.oneDnn, on.setting], [true, '1']);
    assert.deepEqual([off.oneDnn, off.setting], [false, '0']);
  });

  it('every dense convolution tells the two paths apart, forward and in both gradients', () => {
    const same = Object.keys(on.bits).filter((name) => on.bits[name] === off.bits[name]);
    assert.deepEqual(same, []);
    assert.ok(Object.keys(on.bits).length >= 33);
  });

  for (const [way, how] of [
    ['room', 'through our room'],
    ['plain', 'by tfjs before this project'],
    ['worker', 'in a worker thread alone'],
  ] as const)
    it(`is on without a setting where TensorFlow is loaded ${how}: the same bits as when asked for`, async () => {
      assert.deepEqual(await ask(way), { ...on, setting: '1' });
    });

  it('an empty setting is none', async () => {
    assert.equal((await ask('room', '')).setting, '1');
  });

  it('is decided before TensorFlow’s libraries are initialised, and nothing is logged of it', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'voxelbook-onednn-'));
    try {
      const code = "require('node:util').isNullOrUndefined ??= (v) => v == null; require('@tensorflow/tfjs-node-gpu')";
      const env = { ...process.env, LD_DEBUG: 'libs', LD_DEBUG_OUTPUT: path.join(folder, 'log') };
      const { stdout, stderr } = await run(process.execPath, ['-e', code], { env });
      assert.equal(stdout + stderr, '', 'TensorFlow’s log is quiet from its first line on');
      const log = fs
        .readdirSync(folder)
        .map((name) => fs.readFileSync(path.join(folder, name), 'utf8'))
        .join('\n');
      const began = (library: string) => log.search(new RegExp(`calling init: .*${library}`));
      assert.ok(began('libbeforetensorflow') > 0);
      assert.ok(began('libtensorflow_framework') > began('libbeforetensorflow'));
      assert.ok(began('libtensorflow_cc') > began('libbeforetensorflow'));
    } finally {
      fs.rmSync(folder, { recursive: true, force: true });
    }
  });
});
