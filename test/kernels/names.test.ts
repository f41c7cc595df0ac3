// The names of cells: one scope, whatever declares them, and what the reader edits is what runs.
import assert from 'node:assert/strict';
import { type Notebook, notebook } from './notebook.js';

describe('names of cells', function () {
  this.timeout(90_000);
  let n: Notebook;
  before(async () => {
    n = await notebook();
  });
  after(() => n.close());

  it('functions, classes, enums, namespaces and imports declared again are seen by code of earlier cells', async () => {
    n.write('v1.ts', "export const version = () => 'one';\n");
    n.write('v2.ts', "export const version = () => 'two';\n");
    await n.ok("import { version } from './v1'; const asked = () => version();");
    await n.ok(`function f() { return 1 } async function g() { return 1 } class P { v = 1 } enum E { A = 1 } const enum C { A = 1 }
      namespace N { export const q = 1 } const arrow = () => 1; let { d } = { d: 1 };`);
    await n.ok(`const all = async () => [f(), await g(), new P().v, E.A, C.A, N.q, arrow(), d, ({ f }).f()].join();
      const is = (x: unknown) => x instanceof P; class Q extends P { w = f() }`);
    assert.equal(await n.text('await all()'), "'1,1,1,1,1,1,1,1,1'");
    await n.ok(`function f() { return 2 } async function g() { return 2 } class P { v = 2 } enum E { A = 2 } const enum C { A = 2 }
      namespace N { export const q = 2 } const arrow = () => 2; let { d } = { d: 2 };`);
    await n.ok("import { version } from './v2';");
    assert.equal(await n.text('await all()'), "'2,2,2,2,2,2,2,2,2'");
    assert.equal(await n.text('[is(new P()), new Q().w]'), '[ true, 2 ]');
    assert.equal(await n.text('asked()'), "'two'");
  });

  it('an enum or namespace declared again forgets what it held', async () => {
    await n.ok('enum Held { One = 1, Gone = 7 } namespace Box { export let a = 1; export let gone = 1 }');
    await n.ok('enum Held { One = 1 } namespace Box { export let a = 1 }');
    assert.equal(await n.text('[Held[7], Object.keys(Box).join()]'), "[ undefined, 'a' ]");
    await n.ok('function merged() { return 1 } namespace merged { export const q = 2 } enum Two { A } enum Two { B = 5 }');
    assert.equal(await n.text('[merged(), merged.q, Two.A, Two.B]'), '[ 1, 2, 0, 5 ]');
  });

  it('a cell that throws leaves no name with a type whose value it never got', async () => {
    await n.ok('let kept: number = 1;');
    await n.fails("throw new Error('first'); let kept: string = 'text'; let fresh = 3; class Late {}");
    assert.equal(await n.text('kept + 1'), '2');
    assert.match((await n.fails('fresh')).evalue, /Cannot find name 'fresh'/);
    assert.match((await n.fails('new Late()')).evalue, /Cannot find name 'Late'/);
    await n.fails("let reached = 5; throw new Error('then'); let unreached = 6;");
    assert.equal(await n.text('reached'), '5');
    assert.match((await n.fails('unreached')).evalue, /Cannot find name/);
  });

  it('a failed import leaves names as they were', async () => {
    n.write('breaks.ts', "export const given = 1; throw new Error('at its top');\n");
    await n.ok("let given = 'before';");
    await n.fails("import { given } from './breaks'; given;");
    assert.equal(await n.text('given'), "'before'");
  });

  it('`var` in loops and blocks, exported and default declarations, reach later cells', async () => {
    await n.ok("for (var i = 0; i < 3; i++) {} for (var item of ['a', 'b']) {} for (var { x, ...rest } of [{ x: 1, y: 2 }]) {}");
    await n.ok(
      "if (i > 0) { var flag = 'set' } try { var [first] = [7] } catch { var failed = true } label: for (var j = 0; ; j++) { if (j > 4) break label }",
    );
    assert.equal(await n.text('[i, item, x, rest.y, flag, first, failed, j].join()'), "'3,b,1,2,set,7,,5'");
    await n.ok(
      'export default function area(w: number) { return w * w } export const shared = 1; const a = 5; export { a as b };',
    );
    assert.equal(await n.text('[area(3), shared, a]'), '[ 9, 1, 5 ]');
    await n.ok('var twice = 1; var twice = 2;');
    assert.equal(await n.text('twice'), '2');
  });

  it('`declare global` holds in later cells, and may be declared again', async () => {
    await n.ok('declare global { var counter: number; interface Array<T> { lastOne(): T } } globalThis.counter = 3;');
    assert.equal(await n.text('counter + 1'), '4');
    await n.ok("declare global { var counter: string } globalThis.counter = 'x';");
    assert.equal(await n.text('counter.length'), '1');
  });

  it('names that CommonJS keeps for itself are the reader’s', async () => {
    assert.equal(await n.text('const exports = [1, 2]; exports.length'), '2');
    assert.equal(await n.text('class Object { v = 7 } new Object().v'), '7');
    assert.equal(await n.text('function require(): number { return 4 } require()'), '4');
    assert.equal(
      await n.text("const module = { id: 3 }, __dirname = 'here', Promise = 1; [module.id, __dirname, Promise]"),
      "[ 3, 'here', 1 ]",
    );
    assert.equal(await n.text('await 5'), '5');
    assert.equal(await n.text('const process = 1; const globalThis = 2; process + globalThis'), '3');
  });

  it('a room’s name as a constant does not hide the library', async () => {
    await n.ok("import * as vb from 'voxelbook'; const plan = 3; const model = vb.model;");
    assert.equal(await n.text('[plan, typeof vb.plan.plan, typeof model.build]'), "[ 3, 'function', 'function' ]");
  });

  it('functions keep their names and their `this`', async () => {
    assert.equal(
      await n.text('const arrow2 = () => 1, fn2 = function () {}, K2 = class {}; [arrow2.name, fn2.name, K2.name].join()'),
      "'arrow2,fn2,K2'",
    );
    assert.equal(
      await n.text(
        'function me(this: unknown) { return this === undefined } const meToo = function (this: unknown) { return this === undefined }; [me(), meToo()]',
      ),
      '[ true, true ]',
    );
  });

  it('destructuring assigns, also with defaults, rests and computed keys', async () => {
    await n.ok("let p = 0, q = 0, r: number[] = []; const key = 'q';");
    assert.equal(
      await n.text('({ p, [key]: q = 9 } = { p: 1 } as { p: number; q?: number }); [, ...r] = [1, 2, 3]; [p, q, r.join()]'),
      "[ 1, 9, '2,3' ]",
    );
    assert.equal(await n.text('[p, q] = [q, p]; [p, q].join()'), "'9,1'");
  });

  it('`_` is the last result, until it is declared', async () => {
    await n.ok('6 * 7');
    assert.equal(await n.text('_ + 1'), '43');
    await n.ok("const _ = 'mine';");
    await n.ok('5');
    assert.equal(await n.text('_'), "'mine'");
  });
});
