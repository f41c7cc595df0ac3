import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { giveBack, holds, isOwnerAlive, type Owner, readOwner, thisProcess, tryClaim } from '../../src/base/claim.js';
import { startWorker } from '../../src/base/workers.js';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'claim-'));
const at = (name: string) => path.join(folder, name);
const dead: Owner = { pid: 2 ** 22 + 1, host: os.hostname(), startTicks: '1', token: 'dead', since: 'before' };
const put = (file: string, owner: object | string) =>
  fs.writeFileSync(file, typeof owner === 'string' ? owner : JSON.stringify(owner));

describe('claims of a file by a process', () => {
  after(() => fs.rmSync(folder, { recursive: true }));

  it('a free claim is ours, a living one is told, a returned one is free; nothing stays behind', () => {
    const [a, b] = [thisProcess(), thisProcess()];
    assert.equal(tryClaim(at('x'), a), undefined);
    assert.equal(tryClaim(at('x'), b)?.token, a.token);
    assert.ok(holds(at('x'), a) && !holds(at('x'), b));
    giveBack(at('x'), b);
    assert.ok(holds(at('x'), a));
    giveBack(at('x'), a);
    assert.equal(tryClaim(at('x'), b), undefined);
    giveBack(at('x'), b);
    assert.deepEqual(fs.readdirSync(folder), []);
  });

  it('by order it is taken from a living process too', () => {
    const [a, b] = [thisProcess(), thisProcess()];
    tryClaim(at('x'), a);
    assert.equal(tryClaim(at('x'), b, true), undefined);
    assert.ok(holds(at('x'), b));
    giveBack(at('x'), b);
  });

  it('a later process of the same number is not the owner; a process of another user is alive', async () => {
    const child = spawn('sleep', ['30']);
    try {
      const own = { ...dead, pid: child.pid! };
      put(at('x'), own);
      assert.equal(isOwnerAlive(at('x'), own), false);
      const stat = fs.readFileSync(`/proc/${child.pid}/stat`, 'utf8');
      const startTicks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
      assert.equal(isOwnerAlive(at('x'), { ...own, startTicks }), true);
      // As written before start times were kept: the last sign of life is older than the process.
      put(at('x'), `${child.pid} ${os.hostname()}`);
      assert.equal(isOwnerAlive(at('x'), readOwner(at('x'))!), true);
      fs.utimesSync(at('x'), new Date(Date.now() - 3.6e6), new Date(Date.now() - 3.6e6));
      assert.equal(isOwnerAlive(at('x'), readOwner(at('x'))!), false);
    } finally {
      child.kill('SIGKILL');
    }
    const kill = process.kill;
    process.kill = () => {
      throw Object.assign(new Error('not permitted'), { code: 'EPERM' });
    };
    try {
      assert.equal(isOwnerAlive(at('x'), { ...thisProcess(), pid: process.pid }), true);
    } finally {
      process.kill = kill;
    }
  });

  it('an owner elsewhere is alive while it gives signs', () => {
    put(at('x'), { ...dead, host: 'elsewhere' });
    assert.equal(tryClaim(at('x'), thisProcess())?.host, 'elsewhere');
    fs.utimesSync(at('x'), new Date(Date.now() - 100_000), new Date(Date.now() - 100_000));
    const mine = thisProcess();
    assert.equal(tryClaim(at('x'), mine), undefined);
    giveBack(at('x'), mine);
  });

  it('an empty or unreadable claim has no living owner', () => {
    for (const text of ['', '{', '[]', 'null', '{"pid":"x","host":1}']) {
      put(at('x'), text);
      const mine = thisProcess();
      assert.equal(tryClaim(at('x'), mine), undefined, text);
      giveBack(at('x'), mine);
    }
  });

  it('a dead claim has exactly one new owner, whoever tries, also where one died while taking it', async function () {
    this.timeout(600_000);
    const rounds = process.env.VOXELBOOK_LONG_TESTS ? 10_000 : 600;
    const rivals = 8;
    const files = Array.from({ length: rounds }, (_, i) => at(`r${i}`));
    for (const [i, file] of files.entries()) {
      put(file, dead);
      if (i % 3 === 1) put(`${file}.after-dead`, { ...dead, token: 'dead2' });
      if (i % 3 === 2) put(file, `999999999 ${os.hostname()}`);
    }
    const gate = new Int32Array(new SharedArrayBuffer(8));
    const won = await Promise.all(
      Array.from(
        { length: rivals },
        () =>
          new Promise<number[]>((resolve, reject) => {
            const workerData = { files, gate, rivals };
            startWorker(new URL('./claimRival.js', import.meta.url), { workerData })
              .on('message', resolve)
              .on('error', reject);
          }),
      ),
    );
    assert.deepEqual(
      won.flat().sort((a, b) => a - b),
      files.map((_, i) => i),
    );
    assert.ok(won.filter((w) => w.length > 0).length > 1, 'one rival was always first: no race');
    assert.deepEqual(
      fs.readdirSync(folder).filter((name) => name.includes('after') || name.includes('tmp')),
      [],
    );
  });
});
