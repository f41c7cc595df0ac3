// `npm test` comes back whatever a test does, and leaves nothing running.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const { testFolder } = await import(new URL('../../environment/testFolder.mjs', import.meta.url).href);

describe('npm test', function () {
  this.timeout(300_000);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'voxelbook-suite-'));
  after(() => fs.rmSync(folder, { recursive: true, force: true }));
  const run = async (name: string, code: string, limits = {}) => {
    const file = path.join(folder, `${name}.mjs`);
    fs.writeFileSync(file, code);
    let text = '';
    const output = { write: (data: Buffer) => (text += data) };
    return { ...(await testFolder([file], { output, ...limits })), text };
  };
  /** Returns once the process has ended; where nobody collects it, its entry stays as a zombie. */
  const gone = async (pid: number) => {
    const state = () => /^State:\s+(\w)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))![1];
    while (fs.existsSync(`/proc/${pid}/status`) && state() !== 'Z') await new Promise((resolve) => setTimeout(resolve, 50));
  };

  it('a test that times out counts as one failure; timers, threads and processes it left do not keep the folder', async () => {
    const { count, failures, fault, text } = await run(
      'late',
      `import { spawn } from 'node:child_process';
      import { Worker } from 'node:worker_threads';
      it('passes', () => {});
      it('hangs', function (done) {
        this.timeout(200);
        setInterval(() => {}, 100);
        new Worker('for (;;);', { eval: true });
        for (const detached of [false, true]) console.log('left', spawn('sleep', ['100000'], { detached, stdio: ['ignore', 'inherit', 'inherit'] }).pid);
      });`,
    );
    assert.deepEqual([count, fault], [[1, 1, 0], undefined]);
    assert.match(failures!, /^ +1 failing\n[\s\S]*hangs[\s\S]*Timeout of 200ms exceeded/);
    const left = [...text.matchAll(/left (\d+)/g)].map((m) => Number(m[1]));
    assert.equal(left.length, 2);
    for (const pid of left) await gone(pid);
  });

  it('a folder that does not end after its count is named, and what it counted stands', async () => {
    const { count, fault, text } = await run(
      'stays',
      "it('passes', () => console.log('pid', process.pid)); process.on('exit', () => { for (;;); });",
      { graceMs: 100 },
    );
    assert.deepEqual([count, fault], [[1, 0, 0], 'the runner did not end after its count and was ended']);
    await gone(Number(/pid (\d+)/.exec(text)![1]));
  });

  it('a folder that falls silent is ended and has no count', async () => {
    const { count, fault } = await run('silent', "it('loops', () => { for (;;); });", { silenceMs: 5000 });
    assert.equal(count, undefined);
    assert.match(fault, /^the runner printed nothing for \d+ minutes and was ended$/);
  });

  it('a folder that dies without a count says how', async () => {
    const { count, fault } = await run('dies', "it('dies', () => process.kill(process.pid, 'SIGKILL'));");
    assert.deepEqual([count, fault], [undefined, 'the runner ended without a count (SIGKILL)']);
  });
});
