// What a person who works in notebooks every day expects: conveniences, completion, inspection, history, questions.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Kernel } from './client.js';
import { type Notebook, notebook, sleep } from './notebook.js';

describe('a day at the notebook', function () {
  this.timeout(90_000);
  let n: Notebook;
  before(async () => {
    n = await notebook();
  });
  after(() => n.close());

  it('!command runs a program in the shell; what it prints is the cell’s; a failing one says so', async () => {
    const { stdout, stderr } = await n.ok(
      "let done1 = true;\n!echo one 'two three' | tr a-z A-Z\n!ls /nothing/here\nconsole.log('then');",
    );
    assert.match(stdout, /^ONE TWO THREE\nthen\n$/);
    assert.match(stderr, /exit code 2/);
    assert.equal(await n.text('!done1'), 'false');
    assert.equal(await n.text('const kept1 = `\n!echo no\n%whos`; kept1.length'), '15');
    assert.equal((await n.fails('!nothingOfThisName')).ename, 'TS2304');
  });

  it('%time and %timeit measure, and check what they measure', async () => {
    const timed = await n.ok('%time await new Promise((r) => setTimeout(r, 20)), 6 * 7');
    assert.match(timed.stdout, /wall time .*, processor time /);
    assert.equal(timed.result['text/plain'], '42');
    assert.match((await n.ok('%timeit Math.sqrt(2)')).stdout, /s ± .* a call \(mean ± standard deviation of 7 rounds of \d+\)/);
    const error = await n.fails("%time Math.sqrt('x')");
    assert.match(error.traceback[0], /:1:17 - error TS2345/);
    assert.equal(error.traceback[1], "   1 | %time Math.sqrt('x')");
  });

  it('%whos lists names, types, shapes and bytes', async () => {
    await n.ok("const voxels = new Float32Array(6), list3 = [1, 2, 3], text3 = 'abc';");
    const { of } = await n.ok('%whos');
    const table = of('display_data')[0].data['text/plain'];
    assert.match(table, /voxels +Float32Array +6 +24 /);
    assert.match(table, /list3 +Array +3 /);
    assert.match(table, /text3 +string /);
  });

  it('user_expressions are answered with bundles and errors, and show nothing', async () => {
    await n.ok('let count = 1;');
    const done = await n.kernel.finish(
      n.kernel.begin('count += 1;', {
        user_expressions: {
          twice: 'count * 2',
          wrong: 'nothing',
          thrown: "(() => { throw new RangeError('boo') })()",
          later: 'await Promise.resolve(5)',
        },
      }),
    );
    const given = done.reply.user_expressions;
    assert.deepEqual(given.twice, { status: 'ok', data: { 'text/plain': '4' }, metadata: {} });
    assert.equal(given.later.data['text/plain'], '5');
    assert.deepEqual([given.wrong.status, given.wrong.ename, given.thrown.ename], ['error', 'TS2304', 'RangeError']);
    assert.deepEqual([done.result, done.error, await n.text('count')], [undefined, undefined, '2']);
  });

  const inspect = (code: string, detail_level = 0) =>
    n.kernel.ask('shell', 'inspect_request', { code, cursor_pos: code.length, detail_level });
  it('inspection: unknown names are not found, types show themselves, level 1 shows the source', async () => {
    await n.ok(
      "type Mode = 'fast' | 'slow'; interface Shape { sides: number }\n/** Twice. */\nfunction twice(x: number) { const seventeen = 17; return x * 2 + seventeen - 17 }",
    );
    assert.equal((await inspect('nothingOfThisName')).found, false);
    assert.equal((await inspect('Math.nothing')).found, false);
    assert.match((await inspect('Mode')).data['text/plain'], /fast/);
    assert.match((await inspect('Shape')).data['text/plain'], /interface Shape/);
    assert.match((await inspect('twice')).data['text/plain'], /twice\(x: number\): number\n\nTwice\.$/);
    assert.match((await inspect('twice', 1)).data['text/plain'], /seventeen = 17/);
  });

  const complete = (code: string) => n.kernel.ask('shell', 'complete_request', { code, cursor_pos: code.length });
  it('completion of files, and of what a value has where its type says nothing', async () => {
    n.write('scans/case_001.nii.gz', '');
    n.write('scans/case_002.nii.gz', '');
    const typed = "import fs from 'node:fs'; fs.readFileSync('scans/case";
    const files = await complete(typed);
    assert.deepEqual(files.matches, ['case_001.nii.gz', 'case_002.nii.gz']);
    assert.deepEqual([files.cursor_start, files.cursor_end], [typed.length - 4, typed.length]);
    assert.deepEqual((await complete('!cat sca')).matches, ['scans/']);
    await n.ok(
      "const anything: any = { inner: { dose: 3, dosage() { return 1 }, get trap(): number { throw new Error('asked') } } }; const record: Record<string, number> = { alpha: 1 };",
    );
    assert.deepEqual((await complete('anything.inner.dos')).matches.toSorted(), ['dosage', 'dose']);
    assert.ok((await complete('anything.inner.')).matches.includes('trap'));
    assert.deepEqual((await complete('record.al')).matches, ['alpha']);
  });

  it('what the running Node has is no type error', async () => {
    const asked: [string, string][] = [
      ['String.prototype.isWellFormed', "'x'.isWellFormed()"],
      ['Set.prototype.union', 'new Set([1]).union(new Set([2])).size'],
      ['Promise.withResolvers', 'typeof Promise.withResolvers<number>().resolve'],
      ['Iterator.prototype.map', '[1].values().map((x) => x * 2).toArray()'],
    ];
    for (const [path, code] of asked) {
      const there = path.split('.').reduce((value: any, key) => value?.[key], globalThis) !== undefined;
      assert.equal((await n.kernel.run(code)).reply.status, there ? 'ok' : 'error', code);
    }
    assert.equal(await n.text("/[\\p{L}--[a-z]]/v.test('A')"), 'true');
  });

  it('stacks name the reader’s lines wherever they are read', async () => {
    const { stdout, stderr } = await n.ok(`interface Erased {
  a: number;
}
function bang(): never {
  throw new RangeError('line 5');
}
async function outer() {
  await null;
  bang();
}
try { await outer() } catch (e) { console.log((e as Error).stack); console.error(e) }
console.trace('here');`);
    for (const text of [stdout, stderr]) {
      assert.match(text, /at bang \(In \[\d+\]:5:9\)\n\s+at outer \(In \[\d+\]:9:3\)\n\s+at async In \[\d+\]:11:7/);
      assert.doesNotMatch(text, /kernels\/voxelbook|node:internal/);
    }
    assert.match(stderr, /Trace: here\n\s+at In \[\d+\]:12:9/);
  });

  it('two questions at once are asked one after the other', async () => {
    const id = n.kernel.begin(
      "import { input } from 'voxelbook/kernel'; await Promise.all([input('first? '), input('second? ')])",
      { allow_stdin: true },
    );
    await n.kernel.find(id, 'input_request', (m) => m.content.prompt === 'first? ');
    n.kernel.send('stdin', 'input_reply', { status: 'ok', value: 'one' });
    await n.kernel.find(id, 'input_request', (m) => m.content.prompt === 'second? ');
    n.kernel.send('stdin', 'input_reply', { status: 'ok', value: 'two' });
    assert.equal((await n.kernel.finish(id)).result['text/plain'], "[ 'one', 'two' ]");
  });

  it('a timer’s output goes to the cell that started it, also behind an await', async () => {
    const first = n.kernel.begin(
      "let begun = false; const soon = (ms: number) => new Promise((r) => setTimeout(r, ms)); (async () => { while (!begun) await soon(20); console.log('from the loop') })(); const t1 = setInterval(() => { if (begun) { clearInterval(t1); console.log('from the timer') } }, 20); 0",
    );
    await n.kernel.finish(first);
    await n.ok('begun = true; await soon(300);');
    for (const text of ['from the loop\n', 'from the timer\n']) {
      const at = n.kernel.heard.find((m) => m.header.msg_type === 'stream' && m.content.text.includes(text.trim()));
      assert.equal(at?.parent_header.msg_id, first, text);
    }
  });

  it('what a comm’s handler prints goes to the cell that opened it', async () => {
    const opened = await n.ok(
      "import { openComm } from 'voxelbook/kernel'; const channel = openComm('widget'); channel.onMessage = (d) => console.log('heard', d.v);",
    );
    const { comm_id } = opened.of('comm_open')[0];
    await n.ok('1');
    n.kernel.send('shell', 'comm_msg', { comm_id, data: { v: 3 } });
    await n.kernel.find(opened.id, 'stream', (m) => m.content.text === 'heard 3\n');
  });

  it('in a folder with a backslash in its name', async () => {
    const folder = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'voxelbook-')), 'week\\3');
    fs.mkdirSync(folder);
    fs.writeFileSync(path.join(folder, 'mine.ts'), 'export const mine = 1;\n');
    const kernel = await Kernel.start(folder, { VOXELBOOK_HISTORY: '' });
    try {
      assert.equal((await kernel.run("let six = 6; import { mine } from './mine'; six * 7 + mine")).result?.['text/plain'], '43');
    } finally {
      await kernel.close();
      fs.rmSync(path.dirname(folder), { recursive: true });
    }
  });

  it('history reaches across sessions', async () => {
    const file = path.join(n.folder, 'state/history.jsonl');
    const asked = { hist_access_type: 'tail', n: 2, output: false, raw: true };
    for (const [code, expected] of [
      ["'of the first session'", undefined],
      ["'of the second'", "'of the first session'"],
    ]) {
      const other = await notebook({ VOXELBOOK_HISTORY: file });
      try {
        await other.ok(code!);
        const { history } = await other.kernel.ask('shell', 'history_request', asked);
        assert.deepEqual(history, [...(expected ? [[-1, 1, expected]] : []), [0, 1, code]]);
      } finally {
        await other.close();
      }
    }
    assert.equal(fs.statSync(file).mode & 0o077, 0);
  });

  it('is_complete is answered while the compiler is busy', async () => {
    const other = await notebook();
    try {
      const answer = await other.kernel.ask('shell', 'is_complete_request', { code: 'for (const x of [1]) {' });
      assert.ok(['incomplete', 'unknown'].includes(answer.status));
      await other.ok('1');
      await sleep(400);
      assert.equal((await other.kernel.ask('shell', 'is_complete_request', { code: '%whos' })).status, 'complete');
    } finally {
      await other.close();
    }
  });
});
