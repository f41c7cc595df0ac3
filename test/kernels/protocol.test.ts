// Jupyter's protocol, message by message, against the real kernel process.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Kernel, sleep } from './client.js';

describe('the protocol', function () {
  this.timeout(60_000);
  let kernel: Kernel;
  before(async () => {
    kernel = await Kernel.start();
  });
  after(() => kernel.close());

  it('a message with a wrong signature is dropped unread, and the kernel says so on its own stderr', async () => {
    const id = kernel.send('shell', 'execute_request', { code: 'globalThis.broken = true', silent: false }, 'another key');
    await sleep(500);
    assert.ok(!kernel.heard.some((m) => m.parent_header.msg_id === id));
    assert.equal((await kernel.run("'broken' in globalThis")).result['text/plain'], 'false');
    while (!/a message without a valid signature was dropped/.test(kernel.stderr)) await sleep(50);
  });

  it('kernel_info names the language and the protocol', async () => {
    const info = await kernel.ask('shell', 'kernel_info_request', {});
    assert.equal(info.status, 'ok');
    assert.equal(info.language_info.name, 'typescript');
    assert.match(info.language_info.version, /^6\./);
    assert.match(info.protocol_version, /^5\./);
  });

  it('a cell is busy, its code comes back with its number, it is idle', async () => {
    const { all, of, reply } = await kernel.run("console.log('a'); 'b'");
    const iopub = all
      .filter((m) => m.header.msg_type !== 'execute_reply')
      .map((m) => m.content.execution_state ?? m.header.msg_type);
    assert.deepEqual(iopub, ['busy', 'execute_input', 'stream', 'execute_result', 'idle']);
    assert.equal(of('execute_input')[0].execution_count, reply.execution_count);
    assert.equal(of('execute_result')[0].execution_count, reply.execution_count);
  });

  it('a silent cell shows no input, result or number', async () => {
    const before = (await kernel.run('1')).reply.execution_count;
    const silent = await kernel.finish(kernel.begin('2', { silent: true, store_history: false }));
    assert.deepEqual(silent.of('execute_input').concat(silent.of('execute_result')), []);
    assert.equal((await kernel.run('3')).reply.execution_count, before + 1);
  });

  it('after an error waiting cells are given up, unless told otherwise', async () => {
    /** A cell that fails once the next one is known to wait; what becomes of that one. */
    const after = async (name: string, options: object) => {
      const file = path.join(kernel.folder, name);
      const failing = kernel.begin(
        `while (!(await import('node:fs')).existsSync(${JSON.stringify(file)})) await new Promise((r) => setTimeout(r, 20)); throw new Error('x')`,
        options,
      );
      const next = kernel.begin('1');
      await kernel.ask('shell', 'complete_request', { code: 'consol', cursor_pos: 6 });
      fs.writeFileSync(file, '');
      assert.equal((await kernel.finish(failing)).reply.status, 'error');
      return (await kernel.finish(next)).reply.status;
    };
    assert.equal(await after('go', {}), 'aborted');
    assert.equal(await after('go on', { stop_on_error: false }), 'ok');
  });

  it('completes members, names of earlier cells and of packages, with their kinds', async () => {
    await kernel.run("const patient = { age: 3, agent: 'x' }; import * as path from 'node:path';");
    const complete = (code: string) => kernel.ask('shell', 'complete_request', { code, cursor_pos: [...code].length });
    const members = await complete('1;\npatient.ag');
    assert.deepEqual(members.matches, ['age', 'agent']);
    assert.deepEqual([members.cursor_start, members.cursor_end], [11, 13]);
    assert.equal(members.metadata._jupyter_types_experimental[0].type, 'property');
    assert.ok((await complete('pati')).matches.includes('patient'));
    assert.ok((await complete('path.joi')).matches.includes('join'));
    assert.ok((await complete('consol')).matches.includes('console'));
    // Positions count code points.
    const behind = await complete("const s = '😀'; patient.ag");
    assert.deepEqual([behind.cursor_start, behind.matches[0]], [23, 'age']);
    assert.deepEqual((await complete('nothingLikeThis.')).matches, []);
  });

  it('explains a name with its type and documentation', async () => {
    await kernel.run('/** Volume of a ball. */\nfunction ball(radius: number): number { return radius ** 3; }');
    const { found, data } = await kernel.ask('shell', 'inspect_request', { code: 'ball(2)', cursor_pos: 4, detail_level: 0 });
    assert.equal(found, true);
    assert.match(data['text/plain'], /^(function )?ball\(radius: number\): number\n/);
    assert.match(data['text/plain'], /Volume of a ball\./);
    const none = await kernel.ask('shell', 'inspect_request', { code: '  ', cursor_pos: 1, detail_level: 0 });
    assert.equal(none.found, false);
  });

  it('explains the call the cursor stands in', async () => {
    const { data } = await kernel.ask('shell', 'inspect_request', { code: 'ball( ', cursor_pos: 6, detail_level: 0 });
    assert.match(data['text/plain'], /ball\(radius: number\): number/);
  });

  it('tells finished code from unfinished and from wrong', async () => {
    const status = async (code: string) => (await kernel.ask('shell', 'is_complete_request', { code })).status;
    assert.equal(await status('const a = 1;'), 'complete');
    assert.equal(await status('await 3'), 'complete');
    assert.equal(await status('function f() {'), 'incomplete');
    assert.equal(await status('const s = `open'), 'incomplete');
    assert.equal(await status('/* open'), 'incomplete');
    assert.equal(await status('const = 3;'), 'invalid');
    assert.equal((await kernel.ask('shell', 'is_complete_request', { code: '  if (x) {' })).indent, '    ');
  });

  it('remembers what was run', async () => {
    const { reply } = await kernel.run("'remember me'");
    const tail = await kernel.ask('shell', 'history_request', { hist_access_type: 'tail', n: 1, output: false, raw: true });
    assert.deepEqual(tail.history, [[0, reply.execution_count, "'remember me'"]]);
    const search = { hist_access_type: 'search', pattern: '*remember*', n: 5, output: true, raw: true };
    assert.deepEqual((await kernel.ask('shell', 'history_request', search)).history, [
      [0, reply.execution_count, ["'remember me'", null]],
    ]);
    const range = { hist_access_type: 'range', start: 1, stop: 2, session: 0, output: false, raw: true };
    assert.equal((await kernel.ask('shell', 'history_request', range)).history.length, 1);
  });

  it('speaks with widgets in both directions', async () => {
    const opened = await kernel.run(
      "import { openComm, onComm } from 'voxelbook/kernel'; const slider = openComm('slider', { value: 1 }); let heardValue = 0; slider.onMessage = (data) => { heardValue = data.value; slider.send({ echo: data.value }); };",
    );
    assert.equal(opened.error, undefined);
    const { comm_id } = opened.of('comm_open')[0];
    const { comms } = await kernel.ask('shell', 'comm_info_request', { target_name: 'slider' });
    assert.deepEqual(comms, { [comm_id]: { target_name: 'slider' } });
    const id = kernel.send('shell', 'comm_msg', { comm_id, data: { value: 7 } });
    await kernel.find(id, 'status', (m) => m.content.execution_state === 'idle');
    assert.equal((await kernel.run('heardValue')).result['text/plain'], '7');
    assert.ok(kernel.heard.some((m) => m.header.msg_type === 'comm_msg' && m.content.data.echo === 7));
    const closed = await kernel.run('slider.close();');
    assert.equal(closed.of('comm_close')[0].comm_id, comm_id);
    assert.deepEqual((await kernel.ask('shell', 'comm_info_request', {})).comms, {});
  });

  it('a cell may ask the person for a line', async () => {
    const id = kernel.begin("import { input } from 'voxelbook/kernel'; await input('name? ')", { allow_stdin: true });
    const question = await kernel.find(id, 'input_request');
    assert.equal(question.content.prompt, 'name? ');
    kernel.send('stdin', 'input_reply', { status: 'ok', value: 'Ada' });
    assert.equal((await kernel.finish(id)).result['text/plain'], "'Ada'");
    assert.match((await kernel.run("await input('?')")).error.evalue, /takes no input/);
  });

  it('output of a finished cell that comes late is not lost', async () => {
    const late = kernel.begin("setTimeout(() => console.log('late line'), 300);");
    await kernel.finish(late);
    while (!kernel.heard.some((m) => m.header.msg_type === 'stream' && m.content.text === 'late line\n')) await sleep(50);
  });

  it('an unknown request is left unanswered and harms nothing', async () => {
    kernel.send('shell', 'nonsense_request', {});
    assert.equal((await kernel.run('4')).result['text/plain'], '4');
  });
});

describe('the life of the process', function () {
  this.timeout(60_000);
  const ended = (kernel: Kernel) =>
    new Promise<number | string | null>((resolve) => {
      if (kernel.process.exitCode !== null) resolve(kernel.process.exitCode);
      else kernel.process.once('exit', (code, signal) => resolve(code ?? signal));
    });

  it('shuts down when asked, with a reply, exit code 0 and nothing on stderr', async () => {
    const kernel = await Kernel.start();
    await kernel.run('const a = 1;');
    const end = ended(kernel);
    assert.deepEqual(await kernel.ask('control', 'shutdown_request', { restart: false }), { status: 'ok', restart: false });
    assert.equal(await end, 0);
    assert.equal(kernel.stderr, '');
    await kernel.close();
  });

  it('shuts down also while a cell computes', async () => {
    const kernel = await Kernel.start();
    const id = kernel.begin("console.log('running'); while (true) {}");
    await kernel.find(id, 'stream');
    const end = ended(kernel);
    await kernel.ask('control', 'shutdown_request', { restart: true });
    await end;
    await kernel.close();
  });

  it('when the compiler runs out of memory, the cell says so, and everything before it is still there', async () => {
    const kernel = await Kernel.start(undefined, { VOXELBOOK_COMPILER_MB: '300' });
    try {
      assert.equal((await kernel.run('let patients: number = 12; const twice = () => patients * 2;')).error, undefined);
      const huge = await kernel.run(
        'type Grow<N extends number, A extends number[][] = []> = A["length"] extends N ? A : Grow<N, [...A, [A["length"]]]>;\n' +
          Array.from({ length: 400 }, (_, i) => `declare const g${i}: Grow<900, [[${i}]]>; g${i}[3];`).join('\n'),
        240_000,
      );
      assert.match(huge.error.evalue, /the compiler ran out of memory/);
      assert.equal((await kernel.run('patients = 21; twice()')).result['text/plain'], '42');
      assert.equal((await kernel.run("patients = 'none'")).error.evalue, "Type 'string' is not assignable to type 'number'.");
    } finally {
      await kernel.close();
    }
  }).timeout(300_000);

  it('ends when the Jupyter that started it is gone', async () => {
    const { spawn } = await import('node:child_process');
    const parent = spawn('sleep', ['60']);
    const kernel = await Kernel.start(undefined, { JPY_PARENT_PID: String(parent.pid) });
    const end = ended(kernel);
    parent.kill('SIGKILL');
    await end;
    await kernel.close();
  });
});
