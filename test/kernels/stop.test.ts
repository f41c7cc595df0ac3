// Stop, restart, shut down: whatever runs ends, and the kernel with its variables lives on. What is stopped here would not
// end by itself before the test's own limit.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Kernel, sleep } from './client.js';
import { type Notebook, notebook } from './notebook.js';

describe('Stop', function () {
  this.timeout(90_000);
  let kernel: Kernel;
  before(async () => {
    kernel = await Kernel.start();
    const setup = await kernel.run(`
      import * as tf from '@tensorflow/tfjs-node-gpu';
      import { setTimeout as pause } from 'node:timers/promises';
      import { execFileSync } from 'node:child_process';
      import { signal } from 'voxelbook/kernel';
      const w = tf.variable(tf.randomNormal([400, 400]));
      const optimizer = tf.train.sgd(1e-9);
      const step = () => optimizer.minimize(() => tf.matMul(w, w).square().mean<tf.Scalar>(), true)!.dataSync()[0];
      let kept = 0;`);
    assert.equal(setup.reply.status, 'ok', setup.error?.traceback.join('\n'));
  });
  after(() => kernel.close());

  /** Begins a cell, presses Stop once it has run a while, and checks what every stopped cell must fulfil; `before` the next. */
  async function stopped(code: string, { runFor = 500, before = () => {} } = {}) {
    const id = kernel.begin(code);
    await kernel.find(id, 'stream', (m) => m.content.text.includes('running'));
    await sleep(runFor);
    const reply = kernel.ask('control', 'interrupt_request', {});
    const done = await kernel.finish(id);
    assert.equal((await reply).status, 'ok');
    assert.equal(done.error?.ename, 'Interrupted');
    assert.equal(done.reply.status, 'error');
    before();
    const next = await kernel.run('kept++; 6 * 7');
    assert.equal(next.result?.['text/plain'], '42');
    return done;
  }

  it('ends a loop that never yields', () => stopped("console.log('running'); while (true) {}"));
  it('ends an awaited pause', () => stopped("console.log('running'); await pause(600_000);"));
  it('ends a loop that never yields after an await', () => stopped("console.log('running'); await pause(10); while (true) {}"));
  it('ends one after a mere microtask', () => stopped("console.log('running'); await null; while (true) {}"));
  it('ends one inside a timer’s callback', () =>
    stopped("console.log('running'); setTimeout(() => { while (true) {} }, 50); await pause(600_000);"));
  it('ends a loop that prints without end, and its output stops', () => stopped("for (;;) console.log('running');"));

  it('ends an awaited loop really: it does not go on behind the next cells', async () => {
    await kernel.run('let rounds = 0;');
    await stopped("console.log('running'); while (true) { await pause(5); rounds++; }");
    const then = await kernel.run('const atStop = rounds; await pause(100); rounds - atStop');
    assert.equal(then.result['text/plain'], '0');
  });

  it('reaches work that listens to the signal, which may still tidy up', async () => {
    const { stdout } = await stopped(
      "console.log('running'); try { await pause(600_000, undefined, { signal }); } finally { console.log('tidied'); }",
    );
    assert.match(stdout, /tidied/);
  });

  it('ends synchronous tfjs training, and training works again', async () => {
    await stopped("console.log('running'); for (;;) step();", { runFor: 1000 });
    assert.equal((await kernel.run('Number.isFinite(step())')).result['text/plain'], 'true');
  });

  it('ends tfjs training that yields, and training works again', async () => {
    await stopped("console.log('running'); for (;;) { step(); await tf.nextFrame(); }");
    assert.equal((await kernel.run('Number.isFinite(step())')).result['text/plain'], 'true');
  });

  it('ends model.fit, which does not go on behind the next cells', async () => {
    await kernel.run(
      "const net = tf.sequential({ layers: [tf.layers.dense({ units: 50, inputShape: [50] })] }); net.compile({ optimizer: 'sgd', loss: 'meanSquaredError' }); let epochs = 0;",
    );
    await stopped(`console.log('running');
      await net.fit(tf.randomNormal([64, 50]), tf.randomNormal([64, 50]), { epochs: 100_000, verbose: 0, callbacks: { onEpochEnd: async () => { epochs++; } } });`);
    const then = await kernel.run('const epochsAtStop = epochs; await pause(300); epochs - epochsAtStop');
    assert.equal(then.result['text/plain'], '0');
  });

  it('ends the cell even while a system call blocks the thread; the next cell waits for it', async () => {
    const file = path.join(kernel.folder, 'go');
    const blocked = JSON.stringify(`until [ -e '${file}' ]; do sleep 0.1; done`);
    await stopped(`console.log('running'); execFileSync('sh', ['-c', ${blocked}]);`, {
      before: () => fs.writeFileSync(file, ''),
    });
  });

  it('cells already waiting are given up, later ones run', async () => {
    const first = kernel.begin("console.log('running'); while (true) {}");
    const waiting = kernel.begin("console.log('never');");
    await kernel.find(first, 'stream');
    kernel.send('control', 'interrupt_request', {});
    assert.equal((await kernel.finish(first)).error.ename, 'Interrupted');
    assert.equal((await kernel.finish(waiting)).reply.status, 'aborted');
    assert.equal((await kernel.run('1')).result['text/plain'], '1');
  });

  it('with nothing running does nothing', async () => {
    assert.equal((await kernel.ask('control', 'interrupt_request', {})).status, 'ok');
    assert.equal((await kernel.run('2')).result['text/plain'], '2');
  });

  it('variables survived all of this', async () => {
    assert.ok(Number((await kernel.run('kept')).result['text/plain']) >= 12);
  });
});

describe('while tfjs computes without yielding', function () {
  this.timeout(60_000);

  it('heartbeats come back, and completion is answered', async () => {
    const kernel = await Kernel.start();
    try {
      await kernel.run("import * as tf from '@tensorflow/tfjs-node-gpu'; const a = tf.randomNormal([1500, 1500]);");
      const id = kernel.begin("console.log('running'); for (;;) tf.tidy(() => { tf.matMul(a, a).dataSync(); });");
      await kernel.find(id, 'stream');
      const ask = kernel.ask('shell', 'complete_request', { code: 'tf.matM', cursor_pos: 7 });
      for (let i = 0; i < 10; i++) {
        await kernel.beat();
        await sleep(100);
      }
      assert.ok((await ask).matches.includes('matMul'));
      assert.ok(
        !kernel.heard.some((m) => m.parent_header.msg_id === id && m.header.msg_type === 'execute_reply'),
        'the cell ended',
      );
      kernel.send('control', 'interrupt_request', {});
      assert.equal((await kernel.finish(id)).error.ename, 'Interrupted');
    } finally {
      await kernel.close();
    }
  });
});

describe('after Stop nothing of the cell goes on', function () {
  this.timeout(120_000);
  let n: Notebook;
  before(async () => {
    n = await notebook();
    await n.ok(`import { setInterval as every, setTimeout as pause } from 'node:timers/promises'; import { PassThrough } from 'node:stream'; import { promisify } from 'node:util'; import { spawn, exec, execFileSync } from 'node:child_process'; import { once } from 'node:events'; import fs from 'node:fs';
      const wait = (ms: number) => new Promise((r) => setTimeout(r, ms)); let turns = 0; let said = '';
      const source = new PassThrough(); setInterval(() => source.write('x'), 20); let ticks = 0; setInterval(() => { ticks++ }, 20);
      const turn = () => { if (++turns === 4) console.log('running') };`);
    n.write('node_modules/loops/package.json', '{ "name": "loops", "version": "1.0.0", "main": "index.js" }');
    n.write(
      'node_modules/loops/index.js',
      `const { setTimeout: pause } = require('node:timers/promises'); const { promisify } = require('node:util');
       exports.byTimer = async (f) => { for (;;) { await new Promise((r) => setTimeout(r, 20)); f() } };
       exports.byPromise = async (f) => { for (;;) { try { await pause(20); f() } catch {} } };
       exports.promisified = async (f) => { for (;;) { await promisify(setTimeout)(20); f() } };
       exports.immediate = async (f) => { for (;;) { await new Promise(setImmediate); f() } };
       exports.again = (f) => pause(20).then(() => { f(); return exports.again(f) });`,
    );
    await n.ok("import * as loops from 'loops';");
  });
  after(() => n.close());

  for (const [what, code] of [
    ['a loop that catches', 'for (;;) { try { await wait(20); turn() } catch { said += "c" } }'],
    [
      'a loop that catches around a call',
      'async function one() { await wait(20); turn() } for (;;) { try { await one() } catch {} }',
    ],
    ['a loop with .catch', 'for (;;) await (async () => { await wait(20); turn() })().catch(() => {})'],
    ['a loop that goes on in finally', 'for (;;) { try { await wait(20); turn() } finally { continue } }'],
    ['for await over an interval', 'for await (const _t of every(20)) turn()'],
    ['for await over a stream another cell feeds', 'for await (const chunk of source) { void chunk; turn() }'],
    [
      'for await over a generator that catches',
      'async function* naturals() { for (let i = 0; ; i++) { try { await wait(20) } catch {} yield i } } for await (const i of naturals()) { void i; try { turn() } catch {} }',
    ],
    ['a chain of .then', 'const hop = (): Promise<unknown> => wait(20).then(() => { turn(); return hop() }); await hop();'],
    [
      'a chain of .then on files',
      "const read = (): Promise<unknown> => fs.promises.stat('.').then(() => wait(5)).then(() => { turn(); return read() }); await read();",
    ],
    [
      'work beside the cell',
      'const beside = async () => { for (;;) { await wait(20); turn() } }; void beside(); await wait(60_000);',
    ],
    ['an interval', 'setInterval(turn, 20); await wait(60_000);'],
    ['recursion by setImmediate', 'const spin = () => { turn(); setImmediate(spin) }; spin(); await wait(60_000);'],
    ['a package that waits for a timer', 'await loops.byTimer(turn)'],
    ['a package that waits by timers/promises, and catches', 'await loops.byPromise(turn)'],
    ['a package that waits by promisify', 'await loops.promisified(turn)'],
    ['a package that waits for setImmediate', 'await loops.immediate(turn)'],
    ['a package’s chain of .then', 'await loops.again(turn)'],
    [
      'Promise.all of loops',
      'const l1 = async () => { for (;;) { try { await wait(20); turn() } catch {} } }; await Promise.all([l1(), l1()]);',
    ],
  ])
    it(what, async () => {
      await n.ok('turns = 0; said = "";');
      await n.stop(code, 50);
      const first = Number(await n.text('turns'));
      await sleep(300);
      assert.equal(Number(await n.text('turns')) - first, 0);
      assert.equal(await n.text('let few = 0; for (let i = 0; i < 3; i++) { try { await wait(5); few++ } catch {} } few'), '3');
    });

  it('what other cells started goes on', async () => {
    const before = Number(await n.text('ticks'));
    await sleep(200);
    assert.ok(Number(await n.text('ticks')) > before);
  });

  it('`finally` of every waiting function runs before the next cell, and may itself wait a little', async () => {
    await n.ok('let order: string[] = [];');
    await n.stop(`async function inner() { try { await new Promise(() => {}) } finally { await wait(10); order.push('inner') } }
      console.log('running'); try { await inner() } finally { order.push('outer') }`);
    assert.equal(await n.text('order.join()'), "'outer,inner'");
    await n.stop(
      "order = []; console.log('running'); try { await wait(20_000) } catch (e) { order.push((e as Error).name) } finally { order.push('f') } order.push('behind'); await wait(1);",
    );
    assert.equal(await n.text('order.join()'), "'Interrupted,f,behind'");
  });

  it('a file that was being imported is imported again', async () => {
    n.write(
      'slow.ts',
      "console.log('running');\nawait new Promise((r) => setTimeout(r, (globalThis as any).quick ? 1 : 20_000));\nexport const slow = 1;\n",
    );
    await n.stop("import { slow } from './slow'; slow");
    assert.equal(await n.text("(globalThis as any).quick = true; const { slow: s2 } = await import('./slow'); s2"), '1');
  });

  const alive = (pid: number) => {
    try {
      process.kill(pid, 0);
      return !/\) Z/.test(fs.readFileSync(`/proc/${pid}/stat`, 'latin1'));
    } catch {
      return false;
    }
  };
  const gone = async (pid: number) => {
    for (let i = 0; i < 100 && alive(pid); i++) await sleep(50);
    return !alive(pid);
  };
  for (const [what, code] of [
    ['spawn', "const c1 = spawn('sleep', ['777']); console.log('running', c1.pid); await once(c1, 'exit');"],
    [
      'exec with a shell that has children',
      "const c2 = exec('sleep 777; echo'); console.log('running', c2.pid); await once(c2, 'exit');",
    ],
    [
      'one that ignores SIGINT',
      "const c3 = spawn('sh', ['-c', \"trap '' INT; sleep 777\"]); console.log('running', c3.pid); await once(c3, 'exit');",
    ],
    ['!command', "console.log('running')\n!sleep 777"],
    ['a call that blocks', "console.log('running'); execFileSync('sleep', ['777']);"],
  ])
    it(`the cell's process ends: ${what}`, async () => {
      const { stdout } = await n.stop(code, 300);
      const pid = Number(stdout.split(' ')[1]);
      if (pid) assert.ok(await gone(pid));
      const left = execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' });
      for (let i = 0; i < 60 && children(n.kernel.process.pid!).length > 0; i++) await sleep(50);
      assert.deepEqual(children(n.kernel.process.pid!), [], left);
    });
  const children = (pid: number): string[] =>
    execFileSync('ps', ['-eo', 'pid=,ppid=,stat=,args='], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line.trim().split(/\s+/)[1] === String(pid) && !/ Z/.test(line) && !/ ps /.test(line));

  it('what was started to outlive the kernel goes on, and the cell says so', async () => {
    const done = await n.stop(
      "const c4 = spawn('sleep', ['777'], { detached: true, stdio: 'ignore' }); console.log('running', c4.pid); await once(c4, 'exit');",
    );
    const pid = Number(done.stdout.split(' ')[1]);
    await n.kernel.find(done.id, 'stream', (m) =>
      /was started on its own and goes on: sleep 777\nEnd it with process\.kill/.test(m.content.text),
    );
    assert.ok(alive(pid));
    process.kill(pid);
    assert.ok(await gone(pid));
  });

  it('restart and shutdown end the rest, grandchildren too', async () => {
    const pid = Number(await n.text("const c5 = exec('sleep 778; echo'); c5.pid"));
    const below = execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' }).match(/(\d+) sleep 778/)?.[1];
    await n.kernel.ask('control', 'shutdown_request', { restart: true });
    assert.ok(await gone(pid));
    assert.ok(await gone(Number(below)));
  });
});
