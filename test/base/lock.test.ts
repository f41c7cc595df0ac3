import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { withLock } from '../../src/base/lock.js';

describe('train lock', () => {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'lock-')), 'x.lock');

  it('lets one at a time work, and frees the lock also after a throw', async () => {
    let inside = 0;
    const work = async () => {
      assert.equal(++inside, 1);
      await new Promise((resolve) => setTimeout(resolve, 20));
      inside--;
    };
    await Promise.all([withLock(file, {}, work), withLock(file, {}, work), withLock(file, {}, work)]);
    await assert.rejects(
      withLock(file, {}, async () => {
        throw new Error('no');
      }),
      /no/,
    );
    assert.equal(fs.existsSync(file), false);
  });

  it('takes over from a dead owner, waits for a living one until aborted', async () => {
    fs.writeFileSync(file, `999999999 ${os.hostname()}`);
    assert.equal(await withLock(file, {}, async () => 7), 7);
    fs.writeFileSync(file, `1 another-machine`);
    const stop = AbortSignal.timeout(300);
    await assert.rejects(withLock(file, { signal: stop }, async () => 7));
    const old = new Date(Date.now() - 120_000);
    fs.utimesSync(file, old, old);
    assert.equal(await withLock(file, {}, async () => 8), 8);
  });
});
