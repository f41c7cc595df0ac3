// Odd and damaged files of every format: what is accepted is what the peer reads (test/hostile/peers.py), and nothing is unsound.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { formats, pngKinds } from '../../hostile/mutations.js';
import { compare, golden, writeFiles } from '../../hostile/peers.js';

describe('odd image files', () => {
  const { count, seed, answers } = golden();
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-peers-'));
  const byName = new Map(answers.map((answer) => [answer.file, answer]));
  before(() => writeFiles(folder, formats, count, seed));
  after(() => fs.rmSync(folder, { recursive: true }));

  for (const format of formats)
    it(`${count} of ${format}: accepted and equal to its peer, or refused by a typed error`, () => {
      const { different, raw, ...row } = compare(format, count, seed, byName, folder);
      console.log(`      ${JSON.stringify(row)}`);
      assert.deepEqual([different, raw], [[], []]);
      assert.equal(row.tried, count);
      assert.ok(row.equal >= 30 && row.both >= 20, 'the files must be neither all good nor all bad');
    });

  it('all kinds of PngSuite are read as libpng reads them, each at least once', () => {
    const { refused } = compare('png', pngKinds.length, seed, byName, folder);
    assert.equal(refused, 0);
  });

  const inputs = Number(process.env.VOXELBOOK_F1 ?? 5000);
  it(`${inputs} more become a valid volume or a typed error, within 256 MiB`, function () {
    this.timeout(60_000 + inputs * 10);
    const script = fileURLToPath(new URL('../../hostile/imageMutations.ts', import.meta.url));
    const args = ['--import', 'tsx', script, String(inputs), '20260101'];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { timeout: 50_000 + inputs * 10, encoding: 'utf8' });
    assert.equal(status, 0, stderr.slice(-2000));
    const result = JSON.parse(stdout);
    console.log(`      ${result.read} read, ${result.refused} refused, slowest ${result.slowestMs} ms, ${result.peakMiB} MiB`);
    assert.deepEqual(result.bad, []);
    assert.ok(result.read > 0 && result.refused > 0);
    assert.ok(result.peakMiB <= 256);
  });
});
