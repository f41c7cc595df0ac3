import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { VoxelbookError } from '../../src/base/errors.js';
import { readWeights } from '../../src/weights/checkpoint.js';
import { attacks } from '../hostile/weightFiles.js';

const script = fileURLToPath(new URL('../hostile/weightMutations.ts', import.meta.url));
const inputs = Number(process.env.VOXELBOOK_F5 ?? 4000);

describe('hostile weights (F4, F5)', () => {
  for (const { name, ending, bytes } of attacks())
    it(`${name} is refused`, () => {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-attack-'));
      const file = path.join(folder, `x${ending}`);
      fs.writeFileSync(file, bytes);
      const before = process.memoryUsage.rss();
      assert.throws(
        () => readWeights(file),
        (error: unknown) => error instanceof VoxelbookError && error.faults.length > 0 && error.message.length < 20_000,
      );
      assert.ok(process.memoryUsage.rss() - before < 400e6);
      assert.deepEqual(fs.readdirSync(folder), [`x${ending}`]);
      fs.rmSync(folder, { recursive: true });
    });

  it(`${inputs} files by chance become valid tensors or a typed error, within 512 MiB`, function () {
    this.timeout(120_000 + inputs * 10);
    const args = ['--max-old-space-size=512', '--import', 'tsx', script, '--count', String(inputs)];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { timeout: 110_000 + inputs * 10, encoding: 'utf8' });
    assert.equal(status, 0, stderr.slice(-2000));
    const result = JSON.parse(stdout.trim().split('\n').at(-1)!);
    const told = Object.entries(result.kinds as Record<string, { read: number; refused: number }>);
    console.log(`      ${told.map(([kind, { read, refused }]) => `${kind}: ${read} read, ${refused} refused`).join('; ')}`);
    assert.deepEqual(result.bad, []);
    assert.equal(result.count, inputs);
    // Of files with a checksum hardly a flipped bit is harmless: they may all be refused.
    for (const [kind, { read, refused }] of told) assert.ok((read > 0 || kind === 'checked') && refused > 0, kind);
  });
});
