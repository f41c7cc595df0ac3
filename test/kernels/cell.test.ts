// A cell as a module: text is only inserted, and every position finds its way back.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import ts from 'typescript';

const { cellModule, resultName } = await import(new URL('../../kernels/voxelbook/cell.mjs', import.meta.url).href);

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

  it('lines stay lines: the cell begins on the second line of the module', () => {
    fc.assert(
      fc.property(cell, (code) => {
        assert.equal(cellModule(ts, code, known).text.split('\n').length, code.split('\n').length + 1);
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
    assert.equal(
      header('earlier = a'),
      "export declare let earlier: typeof import('cell:1').earlier; import { a } from 'cell:2';",
    );
    assert.equal(header('const a = imported'), "import { imported } from 'x';");
  });

  it('the last expression is kept as the result, an assignment is not', () => {
    assert.equal(cellModule(ts, '({ a: 1 }).a // end', new Map()).text, `\nexport const ${resultName} = (({ a: 1 }).a) // end`);
    assert.equal(cellModule(ts, 'a = 5', new Map()).hasResult, false);
    assert.equal(cellModule(ts, '', new Map()).hasResult, false);
  });
});
