// A cell as a module: text is only inserted, and every position finds its way back.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import ts from 'typescript';

const { cellModule } = await import(new URL('../../kernels/voxelbook/cell.mjs', import.meta.url).href);

const statements = [
  'let a = 1;',
  'const b = [];',
  'const { c, ...d } = { c: 1, e: 2 };',
  'function f(x: number) { return x + a }',
  'class G { m() {} }',
  'interface H { i: string }',
  'export const j = 2',
  "import k, { l as m } from 'node:fs'",
  "import * as n from 'node:path';",
  'enum O { P }',
  'using q = null;',
  'if (earlier) { let r = 1 }',
  'await earlier',
  "'text 😀'",
  '// a comment',
  '',
];
const cell = fc.array(fc.constantFrom(...statements), { maxLength: 6 }).map((list) => list.join('\n'));
const known = new Map<string, object>([
  ['earlier', { from: 'cell:1', assignable: true }],
  ['a', { from: 'cell:2', assignable: false }],
  ['imported', { statement: "import { imported } from 'x';" }],
]);

describe('the module of a cell', () => {
  it('every position of the cell maps into the module and back', () => {
    fc.assert(
      fc.property(cell, (code) => {
        const module = cellModule(ts, code, known);
        for (let p = 0; p <= code.length; p++) {
          assert.equal(module.toCell(module.fromCell(p)), p);
          if (p < code.length) assert.equal(module.text[module.fromCell(p)], code[p]);
        }
      }),
    );
  });

  it('the cell’s text stays as it is, between a line of earlier names and one of its own', () => {
    fc.assert(
      fc.property(cell, (code) => {
        assert.equal(cellModule(ts, code, known).text.split('\n').slice(1, -1).join('\n'), code);
      }),
    );
  });

  it('declared names are recorded; those of `using` and of inner blocks are not', () => {
    const { declared } = cellModule(ts, statements.join('\n'), known);
    assert.deepEqual([...declared.keys()], ['a', 'b', 'c', 'd', 'f', 'G', 'H', 'j', 'k', 'm', 'n', 'O']);
    assert.equal(declared.get('m').statement, "import { l as m } from 'node:fs';");
    assert.deepEqual([declared.get('a').assignable, declared.get('b').assignable], [true, false]);
  });

  it('only names the cell mentions are brought in, variables so that they can be assigned', () => {
    const header = (code: string) => cellModule(ts, code, known).text.split('\n')[0];
    assert.equal(header('1 + 1'), '');
    assert.equal(header('earlier = a'), "declare let earlier: typeof import('cell:1').earlier; import { a } from 'cell:2';");
    assert.equal(header('const a = imported'), "import { imported } from 'x';");
  });

  it('the last line exports what the cell declares and has not exported itself; imports are repeated instead', () => {
    const last = (code: string) => cellModule(ts, code, new Map()).text.split('\n').at(-1);
    assert.equal(last('1 + 1'), 'export {  };');
    assert.equal(last('let a = 1; export const b = 2; for (var c of [a]) {} export { a as d };'), 'export { a, c };');
    assert.equal(last("import x from 'y'; interface T {} export default function area() {}"), 'export { T, area };');
  });

  it('lines of the shell and of measuring become statements of the same length, but not inside a text', () => {
    const { text, magics } = cellModule(ts, '!echo x\n%time f()\n`\n!echo x\n%whos`', new Map());
    assert.equal(text.split('\n').slice(1, -1).join('\n'), ';;     \n;     f()\n`\n!echo x\n%whos`');
    assert.deepEqual(
      [...magics].map(([at, { kind }]: [number, { kind: string }]) => [at, kind]),
      [
        [0, 'shell'],
        [14, 'time'],
      ],
    );
  });
});
