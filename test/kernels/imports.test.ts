// Imports of a cell: what was missing is found once it is there, a file of one's own is awaited whole and always fresh.
import assert from 'node:assert/strict';
import { type Notebook, notebook } from './notebook.js';

describe('imports of a cell', function () {
  this.timeout(90_000);
  let n: Notebook;
  before(async () => {
    n = await notebook();
  });
  after(() => n.close());
  const pkg = (name: string, files: Record<string, string>, more: object = {}) => {
    n.write(
      `node_modules/${name}/package.json`,
      JSON.stringify({ name, version: '1.0.0', main: 'index.js', types: 'index.d.ts', ...more }),
    );
    for (const [file, content] of Object.entries(files)) n.write(`node_modules/${name}/${file}`, content);
  };

  it('what was missing is found once it is there: packages, scoped ones, files, folders, JSON', async () => {
    for (const code of [
      "import { a } from 'late'; a",
      "import b from '@scope/late'; b",
      "import { c } from './late'; c",
      "import { d } from './lib/deep'; d",
      "import e from './late.json'; e.n",
    ])
      assert.match((await n.fails(code)).evalue, /Cannot find module/);
    pkg('late', { 'index.js': 'exports.a = 1;', 'index.d.ts': 'export declare const a: number;' });
    pkg(
      '@scope/late',
      { 'index.mjs': 'export default 2;', 'index.d.ts': 'declare const b: number; export default b;' },
      { type: 'module', main: 'index.mjs' },
    );
    n.write('late.ts', 'export const c = 3;\n');
    n.write('lib/deep.mts', 'export const d = 4;\n');
    n.write('late.json', '{ "n": 5 }');
    assert.equal(await n.text("import { a } from 'late'; a"), '1');
    assert.equal(await n.text("import b from '@scope/late'; b"), '2');
    assert.equal(await n.text("import { c } from './late'; c"), '3');
    assert.equal(await n.text("import { d } from './lib/deep.mts'; d"), '4');
    assert.equal(await n.text("import e from './late.json'; e.n"), '5');
  });

  it('also inside a file of one’s own, and again when it goes away', async () => {
    n.write('needs.ts', "import { part } from './part';\nexport const needs = part + 1;\n");
    await n.fails("import { needs } from './needs'; needs");
    n.write('part.ts', 'export const part: number = 1;\n');
    assert.equal(await n.text("import { needs } from './needs'; needs"), '2');
  });

  it('declarations of a package that was upgraded are read again', async () => {
    pkg('grows', { 'index.js': 'exports.one = 1; exports.two = 2;', 'index.d.ts': 'export declare const one: number;' });
    assert.equal(await n.text("import { one } from 'grows'; one"), '1');
    await n.fails("import { two } from 'grows'; two");
    pkg('grows', { 'index.d.ts': 'export declare const one: number;\nexport declare const two: number;' });
    assert.equal(await n.text("import { two } from 'grows'; two"), '2');
  });

  it('a file with `await` at its top is waited for: by a chain, a diamond, import(), and it runs once', async () => {
    n.write(
      'base.ts',
      '(globalThis as any).runs = ((globalThis as any).runs ?? 0) + 1;\nawait new Promise((r) => setTimeout(r, 100));\nexport const base = 10;\n',
    );
    n.write('left.ts', "import { base } from './base';\nexport const left = base + 1;\n");
    n.write('right.ts', "import { base } from './base';\nexport const right = base + 2;\n");
    n.write(
      'top.ts',
      "export * from './left';\nexport { right as other } from './right';\nexport * as both from './left';\nimport { left } from './left';\nexport default class Top { sum = left }\n",
    );
    assert.equal(
      await n.text("import Top, { left, other, both } from './top'; [new Top().sum, left, other, both.left]"),
      '[ 11, 11, 12, 11 ]',
    );
    assert.equal(await n.text('(globalThis as any).runs'), '1');
    n.write('base.ts', 'await null;\nexport const base = 20;\n');
    assert.equal(await n.text("const [l, r] = await Promise.all([import('./left'), import('./right')]); l.left + r.right"), '43');
    const name = './le' + 'ft';
    assert.equal(await n.text(`(await import('${name.slice(0, 4)}' + '${name.slice(4)}')).left`), '21');
  });

  it('files that import each other: functions are there, whoever is asked first', async () => {
    n.write(
      'ping.ts',
      "import { pong, early } from './pong';\nexport function ping() { return 'ping' }\nexport const both = () => ping() + pong() + early;\n",
    );
    n.write(
      'pong.ts',
      "import { ping } from './ping';\nexport const pong = () => 'pong';\nexport const early = ping();\nawait null;\n",
    );
    assert.equal(await n.text("import { both } from './ping'; both()"), "'pingpongping'");
    assert.equal(
      await n.text("const [a1, b1] = await Promise.all([import('./ping'), import('./pong')]); b1.early + a1.both().length"),
      "'ping12'",
    );
  });

  it('an error at the top of a file is the cell’s, with its line, once, and can be caught', async () => {
    n.write('boom.ts', "export const before = 1;\n\nthrow new RangeError('at the top');\n");
    n.write('outer.ts', "import './boom';\nexport const ok = 1;\n");
    for (const code of [
      "import { before } from './boom'; before",
      "import { ok } from './outer'; ok",
      "await import('./boom')",
    ]) {
      const done = await n.kernel.run(code);
      assert.deepEqual([done.error.ename, done.error.evalue, done.stderr], ['RangeError', 'at the top', '']);
      assert.match(done.error.traceback.join('\n'), /boom\.ts:3:7/);
    }
    assert.equal(
      await n.text(
        "try { await import('./boom') } catch (e) { (globalThis as any).said = (e as Error).message } (globalThis as any).said",
      ),
      "'at the top'",
    );
    n.write('boom.ts', 'export const before = 2;\n');
    assert.equal(await n.text("import { before } from './boom'; before"), '2');
  });

  it('every kind of file and export: .mts, .cts, .tsx names, namespaces, enums, `import =`, JSON with attributes', async () => {
    n.write(
      'kinds.mts',
      "import os = require('node:os');\nimport fs, { existsSync as there } from 'node:fs';\nexport enum E { A = 3 }\nexport namespace N { export const q = 4 }\nexport type T = number;\nexport interface I { a: T }\nconst late = 1;\nexport { late as renamed };\nexport default 5;\nexport const platform = os.platform() === process.platform, same = fs.existsSync === there;\n",
    );
    n.write('common.cts', 'const value = { ct: 6 };\nexport = value;\n');
    n.write('conf.json', '{ "rate": 0.5 }');
    n.write(
      'reads.ts',
      "import conf from './conf.json' with { type: 'json' };\nexport { default as five, type T } from './kinds.mts';\nexport const rate = conf.rate;\n",
    );
    assert.equal(
      await n.text(
        "import five, { E, N, renamed, platform, same, type T } from './kinds.mts'; const t: T = 1; [five, E.A, N.q, renamed, platform, same, t].join()",
      ),
      "'5,3,4,1,true,true,1'",
    );
    assert.equal(await n.text("import common from './common.cts'; common.ct"), '6');
    assert.equal(await n.text("import { rate, five as again } from './reads'; [rate, again]"), '[ 0.5, 5 ]');
    n.write('conf.json', '{ "rate": 0.75 }');
    assert.equal(
      await n.text(
        "import { rate } from './reads'; import conf from './conf.json' with { type: 'json' }; [rate, conf.rate, (await import('./conf.json', { with: { type: 'json' } })).default.rate]",
      ),
      '[ 0.75, 0.75, 0.75 ]',
    );
  });

  it('Node’s own names of a module are there', async () => {
    n.write('near.json', '{}');
    assert.equal(
      await n.text(
        "[__dirname.length > 0, __filename.length > 0, typeof module.exports, require.resolve('./near.json').length > 0, typeof require.cache, import.meta.resolve('./near.json').startsWith('file:'), import.meta.resolve('node:os'), import.meta.dirname === __dirname].join()",
      ),
      "'true,true,object,true,object,true,node:os,true'",
    );
    assert.equal(await n.text("const r0 = require; r0('node:' + 'os').platform().length > 0"), 'true');
  });

  it('a package that throws when it is loaded is the cell’s error', async () => {
    pkg('throws', { 'index.js': "throw new Error('while loading')", 'index.d.ts': 'export declare const a: number;' });
    assert.equal((await n.fails("import { a as at } from 'throws'; at")).evalue, 'while loading');
  });
});
