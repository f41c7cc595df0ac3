// What cells mean: modules that share their names, checked strictly, shown richly. Against the real kernel process.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Kernel } from './client.js';

describe('a cell', function () {
  this.timeout(90_000);
  const project = fs.mkdtempSync(path.join(os.tmpdir(), 'voxelbook-cells-'));
  const write = (file: string, text: string) => {
    fs.mkdirSync(path.dirname(path.join(project, file)), { recursive: true });
    fs.writeFileSync(path.join(project, file), text);
  };
  let kernel: Kernel;
  const ok = async (code: string) => {
    const done = await kernel.run(code);
    assert.equal(done.reply.status, 'ok', done.error?.traceback.join('\n'));
    return done;
  };
  const text = async (code: string) => (await ok(code)).result?.['text/plain'];
  const fails = async (code: string) => {
    const done = await kernel.run(code);
    assert.equal(done.reply.status, 'error');
    assert.deepEqual(
      { ename: done.error.ename, evalue: done.error.evalue },
      { ename: done.reply.ename, evalue: done.reply.evalue },
    );
    return done.error as { ename: string; evalue: string; traceback: string[] };
  };

  before(async () => {
    write('notebooks/.keep', '');
    kernel = await Kernel.start(path.join(project, 'notebooks'));
  });
  after(async () => {
    await kernel.close();
    fs.rmSync(project, { recursive: true, force: true });
  });

  describe('and its names', () => {
    it('a function of an earlier cell sees what a later cell assigns', async () => {
      await ok('let x = 1; function show() { return x; }');
      assert.equal(await text('x = 5; show()'), '5');
    });

    it('and what a later cell declares again, as when the first cell is edited and run again', async () => {
      await ok('let rate = 1; const fixed = 10;');
      await ok('const product = () => rate * fixed;');
      await ok('let rate = 2; const fixed = 20;');
      assert.equal(await text('product()'), '40');
    });

    it('a variable declared without a value is empty again when its cell runs again', async () => {
      await ok('let best: number | undefined;');
      await ok('best = 3;');
      await ok('let best: number | undefined;');
      assert.equal(await text('[best]'), '[ undefined ]');
    });

    it('types, classes, enums, destructured names and imports reach later cells', async () => {
      await ok(
        "import { join } from 'node:path'; import type { Stats } from 'node:fs'; interface P { a: number } enum Color { Red, Green }",
      );
      await ok(
        'class Box { constructor(readonly p: P) {} } const { one, ...rest } = { one: 1, two: 2 }; type Both = P & Partial<Stats>;',
      );
      await ok('const both: Both = { a: 3 };');
      assert.equal(
        await text("[new Box({ a: 1 }).p.a, Color.Green, one, rest.two, join('a', 'b'), both.a]"),
        "[ 1, 1, 1, 2, 'a/b', 3 ]",
      );
    });

    it('a constant of an earlier cell stays constant', async () => {
      await ok('const pi = 3;');
      assert.equal((await fails('pi = 4')).evalue, "Cannot assign to 'pi' because it is a constant.");
    });

    it('an array declared empty takes values of later cells', async () => {
      await ok('const losses = []; losses.push(0.5);');
      assert.equal(await text('losses.push(0.25); losses'), '[ 0.5, 0.25 ]');
    });

    it('what a cell declared before it threw is there', async () => {
      await fails("const early = 7; throw new Error('after');");
      assert.equal(await text('early'), '7');
    });

    it('`using` is disposed of at the end of its cell', async () => {
      const { stdout } = await ok(
        "using held = { [Symbol.dispose]: () => console.log('disposed') }; console.log('held', !!held);",
      );
      assert.equal(stdout, 'held true\ndisposed\n');
    });
  });

  describe('is checked', () => {
    it('and a type error stops it before anything runs, in the compiler’s words at the right place', async () => {
      const error = await fails("console.log('never');\n\nconst y: number = 'text';");
      assert.equal(error.ename, 'TS2322');
      assert.equal(error.evalue, "Type 'string' is not assignable to type 'number'.");
      assert.match(error.traceback[0], /^In \[\d+\]:3:7 - error TS2322: Type 'string' is not assignable to type 'number'\.$/);
      assert.equal(error.traceback[1], "   3 | const y: number = 'text';");
      assert.equal(error.traceback[2], '             ~');
      assert.ok(!kernel.heard.some((m) => m.content.text?.includes('never')));
    });

    it('columns stay right behind what the kernel inserts into the line', async () => {
      const { traceback } = await fails('const a1 = 1; const b1 = a1.nothing; b1.there');
      assert.match(traceback[0], /:1:29 - error TS2339/);
    });

    it('strictly', async () => {
      assert.equal((await fails('const o: { y?: string } = {}; o.y.length')).ename, 'TS18048');
      assert.equal((await fails('function f(a) { return a }')).ename, 'TS7006');
    });

    it('also where a later cell assigns to a name of an earlier one', async () => {
      await ok('let count: number = 1;');
      assert.equal((await fails("count = 'many'")).evalue, "Type 'string' is not assignable to type 'number'.");
    });

    it('and a faulty cell leaves earlier names as they were', async () => {
      await ok('const kept = 1;');
      await fails("const kept: number = 'no';");
      assert.equal(await text('kept'), '1');
    });

    it('several errors are listed, unfinished code is named', async () => {
      const { traceback } = await fails('const p1: number = "a";\nconst p2: string = 2;');
      assert.equal(traceback.filter((l) => l.includes('error TS2322')).length, 2);
      assert.match((await fails('function f(')).evalue, /expected/);
    });
  });

  describe('shows', () => {
    it('its last value as text, and nothing for undefined or an assignment', async () => {
      assert.equal(await text("({ a: [1, 'b'] })"), "{ a: [ 1, 'b' ] }");
      assert.equal(await text('undefined'), undefined);
      assert.equal(await text('let shown = 1; shown = 2'), undefined);
    });

    it('a value with Symbol.for("Jupyter.display") by its own bundle, also a promised one', async () => {
      const { result } = await ok(
        "({ [Symbol.for('Jupyter.display')]: async () => ({ 'text/html': '<b>x</b>', 'text/plain': 'x' }) })",
      );
      assert.deepEqual(result, { 'text/html': '<b>x</b>', 'text/plain': 'x' });
    });

    it('an arquero table as html', async () => {
      const { result } = await ok("import { table } from 'arquero'; table({ a: [1, 2] })");
      assert.match(result['text/html'], /<table>/);
    });

    it('what it displays and updates, in order with what it prints', async () => {
      const { all } = await ok(
        "import { display, newDisplay } from 'tslab'; console.log('first'); const d = newDisplay(); d.text('0 %'); d.text('100 %'); display.html('<i>y</i>'); console.log('last');",
      );
      const seen = all
        .filter((m) => ['stream', 'display_data', 'update_display_data'].includes(m.header.msg_type))
        .map((m) => [m.header.msg_type, m.content.text ?? Object.values(m.content.data)[0]]);
      assert.deepEqual(seen, [
        ['stream', 'first\n'],
        ['display_data', '0 %'],
        ['update_display_data', '100 %'],
        ['display_data', '<i>y</i>'],
        ['stream', 'last\n'],
      ]);
      const [shown, updated] = all.filter((m) => m.content.transient?.display_id);
      assert.equal(shown.content.transient.display_id, updated.content.transient.display_id);
    });

    it('bytes as base64', async () => {
      const { of } = await ok("import { display } from 'tslab'; display.png(new Uint8Array([1, 2, 3]));");
      assert.equal(of('display_data')[0].data['image/png'], 'AQID');
    });

    it('bundles of library code through Symbol.for("Jupyter.kernel")', async () => {
      const { of } = await ok(
        "const services = (globalThis as any)[Symbol.for('Jupyter.kernel')]; const shownBundle = services.displayBundle({ 'text/plain': 'a' }); shownBundle.update({ 'text/plain': 'b' });",
      );
      assert.equal(of('display_data')[0].data['text/plain'], 'a');
      assert.equal(of('update_display_data')[0].data['text/plain'], 'b');
    });

    it('its output while it runs, also from a loop that never yields', async () => {
      // The cell ends only once its first line has been seen.
      const file = path.join(kernel.folder, 'seen');
      const id = kernel.begin(`console.log('tick'); while (!(require('node:fs')).existsSync(${JSON.stringify(file)})) {}`);
      await kernel.find(id, 'stream', (m) => m.content.text.includes('tick'));
      fs.writeFileSync(file, '');
      assert.equal((await kernel.finish(id)).reply.status, 'ok');
    });

    it('standard output and standard error apart', async () => {
      const done = await ok("console.log('out'); console.error('err'); process.stdout.write('more');");
      assert.equal(done.stdout, 'out\nmore');
      assert.equal(done.stderr, 'err\n');
    });
  });

  describe('that throws', () => {
    it('tells where, in lines of the cells', async () => {
      await ok('function thrower(n: number) {\n  if (n > 0) {\n    throw new RangeError(n + " is too many");\n  }\n}');
      const error = await fails('const before = 1;\nthrower(before + 2)');
      assert.equal(error.ename, 'RangeError');
      assert.equal(error.evalue, '3 is too many');
      assert.equal(error.traceback[0], 'RangeError: 3 is too many');
      assert.match(error.traceback[1], /^ {4}at thrower \(In \[\d+\]:3:11\)$/);
      assert.match(error.traceback[2], /^ {4}at In \[\d+\]:2:\d+$/);
      assert.equal(error.traceback.length, 3);
    });

    it('tells the cause too', async () => {
      const { traceback } = await fails("throw new Error('outer', { cause: new TypeError('inner') });");
      assert.ok(traceback.some((l) => l === 'Caused by: TypeError: inner'));
    });

    it('shows the error of a child process it awaited', async () => {
      await ok("import { execFile } from 'node:child_process'; import { promisify } from 'node:util';");
      const { evalue } = await fails("await promisify(execFile)('sh', ['-c', 'echo broken pipe of blood >&2; exit 3']);");
      assert.match(evalue, /broken pipe of blood/);
    });

    it('an error thrown by a timer is printed, and the kernel lives on', async () => {
      const { stderr } = await ok(
        "setTimeout(() => { throw new Error('too late'); }, 10); await new Promise((r) => setTimeout(r, 60));",
      );
      assert.match(stderr, /Error: too late\n {4}at .*In \[\d+\]:1:26/);
    });

    it('cannot end the kernel by process.exit', async () => {
      assert.match((await fails('process.exit(1)')).evalue, /would end the kernel/);
    });
  });

  describe('imports', () => {
    it('Node modules, CommonJS and ES packages, by name, by namespace and by default', async () => {
      assert.equal(
        await text(
          "import fs from 'node:fs'; import * as ts from 'typescript'; import tsDefault from 'typescript'; import { Dealer } from 'zeromq'; import { op } from 'arquero'; [fs.existsSync('/'), typeof ts.createProgram, typeof tsDefault.createProgram, typeof Dealer, typeof op.mean]",
        ),
        "[ true, 'function', 'function', 'function', 'function' ]",
      );
    });

    it('a package that can only be imported, never required', async () => {
      assert.equal(await text("import * as nifti from 'nifti-reader-js'; nifti.isNIFTI(new ArrayBuffer(400))"), 'false');
    });

    it('voxelbook and its rooms, from a notebook outside of the project', async () => {
      assert.equal(await text("import * as voxelbook from 'voxelbook'; typeof voxelbook"), "'object'");
      assert.equal(await text("import { plan } from 'voxelbook/plan'; typeof plan"), "'function'");
    });

    it('at once, also when only a later cell uses them', async () => {
      write('notebooks/loud.mjs', "console.log('loaded'); export const loud = 1;\n");
      write('notebooks/loud.d.mts', 'export declare const loud: number;\n');
      assert.equal((await ok("import { loud } from './loud.mjs';")).stdout, 'loaded\n');
      assert.equal((await ok('loud')).stdout, '');
    });

    it('dynamically, too', async () => {
      assert.equal(await text("const { basename } = await import('node:path'); basename('/a/b')"), "'b'");
    });

    it('TypeScript beside the notebook, fresh after every change, also through another file', async () => {
      write('src/inner.ts', 'export const inner: number = 1;\n');
      write(
        'src/outer.ts',
        "import { inner } from './inner.js';\nexport const outer = () => inner * 10;\nexport { inner } from './inner.js';\n",
      );
      await ok("import { outer, inner } from '../src/outer.ts'; const early = () => outer();");
      assert.equal(await text('[outer(), inner]'), '[ 10, 1 ]');
      write('src/inner.ts', 'export const inner: number = 22; // changed\n');
      assert.equal(await text('[outer(), early(), inner]'), '[ 220, 220, 22 ]');
      write('src/inner.ts', 'export const inner: string = "text"; // another type\n');
      assert.match((await fails('const wrong: number = inner;')).evalue, /Type 'string' is not assignable to type 'number'/);
    });

    it('and an error thrown in such a file names its line', async () => {
      write('src/failing.ts', "type A = { x: number };\n\nexport function fail(a: A) {\n  throw new Error('x is ' + a.x);\n}\n");
      const { traceback } = await fails("import { fail } from '../src/failing.ts'; fail({ x: 1 })");
      assert.match(traceback[1], /at fail \(.*src\/failing\.ts:4:9\)/);
    });

    it('and a syntax error in such a file is reported in that file', async () => {
      write('src/broken.ts', 'export const = 3;\n');
      assert.match((await fails("import '../src/broken.ts';")).traceback[0], /src\/broken\.ts:1:14 - error TS/);
    });

    it('JSON', async () => {
      write('notebooks/data.json', '{ "voxels": [1, 2] }');
      assert.equal(await text("import data from './data.json'; data.voxels[1]"), '2');
    });

    it('something missing: the compiler says so', async () => {
      assert.match((await fails("import x from 'not-a-package';")).evalue, /Cannot find module 'not-a-package'/);
    });
  });
});
