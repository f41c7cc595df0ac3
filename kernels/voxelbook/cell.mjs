// A cell becomes a module for the checker: names of earlier cells in one header line, the cell's own text untouched, and a
// last line that exports what it declares. So positions map back by subtraction. What runs is made by emit.mjs.

import fs from 'node:fs';
import path from 'node:path';
import { declarationsOf } from './emit.mjs';

/**
 * @param ts the TypeScript module
 * @param code what the person wrote
 * @param names what earlier cells declared: Map name → { from: 'cell:3', assignable } or { statement: 'import …' }
 * @param wholeScope true to bring every known name into scope (completion), false for those the code mentions
 */
export function cellModule(ts, code, names, { wholeScope = false } = {}) {
  const { text: prepared, magics } = withoutMagics(ts, code, names);
  const source = parse(ts, prepared);
  const declared = new Map();
  const exported = new Set();
  for (const { name, kind, assignable, statement, isExported } of declarationsOf(ts, source)) {
    // Of a function and a namespace, or of overloads, one name comes; a variable among them decides.
    if (!declared.has(name)) declared.set(name, statement ? { statement } : { assignable, kind });
    if (isExported) exported.add(name);
  }
  for (const node of source.statements)
    if (ts.isExportDeclaration(node) && !node.moduleSpecifier && node.exportClause && ts.isNamedExports(node.exportClause))
      for (const element of node.exportClause.elements) exported.add(element.name.text);

  const mentioned = wholeScope ? undefined : identifiersOf(ts, source);
  const header = [];
  for (const [name, { from, assignable, statement }] of names) {
    if (declared.has(name) || (mentioned && !mentioned.has(name))) continue;
    if (statement) header.push(statement);
    else if (assignable) header.push(`declare let ${name}: typeof import('${from}').${name};`);
    else header.push(`import { ${name} } from '${from}';`);
  }
  // The last result, as in other notebooks, until somebody gives the name a meaning.
  if (!names.has('_') && !declared.has('_') && mentioned?.has('_')) header.push('declare const _: any;');

  const prefix = `${header.join(' ')}\n`;
  const own = [...declared].filter(([name, { statement }]) => !statement && !exported.has(name)).map(([name]) => name);
  return {
    text: `${prefix}${prepared}\nexport { ${own.join(', ')} };`,
    headerLength: prefix.length,
    declared,
    magics,
    augments: augmentations(ts, source),
    /** Offset in the module → offset in the cell; -1 inside the header, undefined behind the cell. */
    toCell(offset) {
      const at = offset - prefix.length;
      if (at < 0) return -1;
      return at <= prepared.length ? at : undefined;
    },
    /** Offset in the cell → offset in the module. */
    fromCell: (offset) => prefix.length + offset,
  };
}

// The trailing export makes the parser treat `await` as a module's top level does.
const parse = (ts, code) => ts.createSourceFile('cell.ts', `${code}\nexport {};`, ts.ScriptTarget.ESNext, true, ts.ScriptKind.TS);

/** Names that `declare global` and `declare module` of this cell say; their cell stays in sight of all later ones. */
function augmentations(ts, source) {
  const found = [];
  for (const node of source.statements) {
    if (!ts.isModuleDeclaration(node) || !node.body || !ts.isModuleBlock(node.body)) continue;
    if (!(node.flags & ts.NodeFlags.GlobalAugmentation) && !ts.isStringLiteral(node.name)) continue;
    for (const inner of node.body.statements) {
      const list = ts.isVariableStatement(inner) ? inner.declarationList.declarations : [inner];
      for (const { name } of list) if (name) found.push(`${node.name.text} ${name.text}`);
    }
    found.push(`${node.name.text}`);
  }
  return found;
}

function identifiersOf(ts, source) {
  const found = new Set();
  const visit = (node) => {
    if (ts.isIdentifier(node)) found.add(node.text);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

// ---- %time, %timeit, %whos, !command ----------------------------------------------------------------------------

const keywords = new Set('await delete false function new null super this true typeof void class import async'.split(' '));
const builtins = new Set('cd echo pwd export test command type for if while ulimit umask source'.split(' '));

/** Whether `word` names a program of the shell. */
function isProgram(word) {
  if (builtins.has(word)) return true;
  if (word.includes('/')) return fs.existsSync(word.replace(/^~/, process.env.HOME ?? '~'));
  return (process.env.PATH ?? '').split(path.delimiter).some((folder) => folder && fs.existsSync(path.join(folder, word)));
}

function magicOf(line, names) {
  const percent = line.match(/^%(time|timeit|whos)(?![\w$])\s*(.*)$/s);
  if (percent)
    return percent[1] === 'whos' && percent[2].trim() ? undefined : { kind: percent[1], length: percent[1].length + 1 };
  const shell = line.match(/^!\s*([\w.+/~-]+)(\s.*)?$/s);
  if (!shell || keywords.has(shell[1]) || names.has(shell[1]) || Object.hasOwn(globalThis, shell[1])) return undefined;
  return isProgram(shell[1]) ? { kind: 'shell', command: line.slice(1).trim() } : undefined;
}

/**
 * The code with such lines at the margin made into statements of the same length, and what each of them means by the
 * offset where its statement begins. A line inside a template or comment stays what it is.
 */
function withoutMagics(ts, code, names) {
  const magics = new Map();
  if (!/^[%!]/m.test(code)) return { text: code, magics };
  const lines = code.split('\n');
  const candidates = [];
  let offset = 0;
  for (const [i, line] of lines.entries()) {
    const magic = magicOf(line, names);
    if (magic) candidates.push({ ...magic, i, offset, line });
    offset += line.length + 1;
  }
  const blank = ({ kind, length, line }) =>
    kind === 'time' || kind === 'timeit' ? ' '.repeat(length) + line.slice(length) : `;${' '.repeat(line.length - 1)}`;
  for (const c of candidates) lines[c.i] = blank(c);
  const statements = candidates.length > 0 ? parse(ts, lines.join('\n')).statements : [];
  for (const c of candidates) {
    const takes = c.kind === 'time' || c.kind === 'timeit';
    const found = statements.find((s) => {
      const start = s.getStart();
      if (takes) return start >= c.offset && start < c.offset + c.line.length;
      return start === c.offset && ts.isEmptyStatement(s);
    });
    if (found && !(c.kind === 'timeit' && !ts.isExpressionStatement(found))) magics.set(found.getStart(), c);
    else lines[c.i] = c.line;
  }
  return { text: lines.join('\n'), magics };
}

/** Code as the parser alone may judge it. */
export const plainCode = (ts, code, names) => withoutMagics(ts, code, names).text;
