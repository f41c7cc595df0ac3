// Stop, restart, shut down: whatever runs ends, and the kernel with its variables lives on. What is stopped here would not
// end by itself before the test's own limit.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Kernel, sleep } from './client.js';

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
