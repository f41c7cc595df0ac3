// A cell becomes a module: what it declares is exported, what it uses of earlier cells is imported, its last value is kept.
//
// All cells share one `exports` object at run time, and TypeScript's CommonJS output reads every exported name as
// `exports.x`, so a function of an early cell sees what a later cell assigned or declared anew. A name another cell
// declared with `let` arrives as `export declare let x: …`, which is assignable, checked, and read from the same object.
// Text is only ever inserted, in one header line and at the edges of statements, so positions map back by subtraction.

/** The exported name that holds a cell's last value. */
export const resultName = '__result';

/**
 * @param ts the TypeScript module
 * @param code what the person wrote
 * @param names what earlier cells declared: Map name → { from: 'cell:3', assignable } or { statement: 'import …' }
 * @param wholeScope true to bring every known name into scope (completion), false for those the code mentions
 * @param plain true to leave statements as they are (completion and inspection of unfinished code)
 */
export function cellModule(ts, code, names, { wholeScope = false, plain = false } = {}) {
  // The trailing export makes the parser treat `await` as a module's top level does.
  const source = ts.createSourceFile('cell.ts', `${code}\nexport {};`, ts.ScriptTarget.ESNext, true, ts.ScriptKind.TS);
  const statements = source.statements.slice(0, -1);
  const declared = new Map();
  const reset = [];
  const insertions = [];
  for (const statement of statements) {
    if (!declares(ts, statement, declared, reset) || plain) continue;
    if (!isExported(ts, statement)) insertions.push({ at: statement.getStart(source), text: 'export ' });
    insertions.push(...evolving(ts, statement));
  }
  const last = statements.at(-1);
  if (!plain && last && ts.isExpressionStatement(last) && !isAssignment(ts, last.expression)) {
    insertions.push({ at: last.expression.getStart(source), text: `export const ${resultName} = (` });
    insertions.push({ at: last.expression.getEnd(), text: ')' });
  }

  const mentioned = wholeScope ? undefined : identifiersOf(ts, source);
  const header = [];
  for (const [name, { from, assignable, statement }] of names) {
    if (declared.has(name) || (mentioned && !mentioned.has(name))) continue;
    if (statement) header.push(statement);
    else if (assignable) header.push(`export declare let ${name}: typeof import('${from}').${name};`);
    else header.push(`import { ${name} } from '${from}';`);
  }

  let body = '';
  let position = 0;
  for (const { at, text } of insertions) {
    body += code.slice(position, at) + text;
    position = at;
  }
  const prefix = `${header.join(' ')}\n`;
  return {
    text: prefix + body + code.slice(position),
    declared,
    /** Names declared without a value: they must not keep the value an earlier run gave them. */
    reset,
    /** Modules the cell imports values from: they load now, also when only later cells use them. */
    loads: statements.filter((s) => ts.isImportDeclaration(s) && !s.importClause?.isTypeOnly).map((s) => s.moduleSpecifier.text),
    /** Insertions as { line, column, length }, lines from 1 and columns from 0 in the cell, for tracebacks. */
    inserted: insertions.map(({ at, text }) => {
      const before = code.slice(0, at);
      const column = at - (before.lastIndexOf('\n') + 1);
      return { line: before.split('\n').length, column, length: text.length };
    }),
    hasResult: insertions.some(({ text }) => text.includes(resultName)),
    /** Offset in the module → offset in the cell; -1 inside the header. */
    toCell(offset) {
      let p = offset - prefix.length;
      if (p < 0) return -1;
      for (const { at, text } of insertions) if (p > at) p = Math.max(at, p - text.length);
      return Math.min(p, code.length);
    },
    /** Offset in the cell → offset in the module. */
    fromCell(offset) {
      return prefix.length + offset + insertions.reduce((n, { at, text }) => (at <= offset ? n + text.length : n), 0);
    },
  };
}

/** `x = 5` at the end of a cell sets and shows nothing. */
const isAssignment = (ts, node) => ts.isBinaryExpression(node) && ts.isAssignmentOperator(node.operatorToken.kind);

const isExported = (ts, node) => node.modifiers?.some((m) => m.kind === ts.SyntaxKind.ExportKeyword) ?? false;

/** Records the names a top-level statement declares; true when the statement may take an `export` in front. */
function declares(ts, node, declared, reset) {
  if (ts.isImportDeclaration(node)) {
    importedNames(ts, node, declared);
    return false;
  }
  if (ts.isImportEqualsDeclaration(node)) {
    declared.set(node.name.text, { statement: node.getText() });
    return false;
  }
  if (ts.isVariableStatement(node)) {
    const flags = node.declarationList.flags & ts.NodeFlags.BlockScoped;
    // What `using` holds is disposed of at the end of its cell; no other cell may see it.
    if (flags === ts.NodeFlags.Using || flags === ts.NodeFlags.AwaitUsing) return false;
    for (const declaration of node.declarationList.declarations) {
      for (const name of bindingNames(ts, declaration.name)) declared.set(name, { assignable: flags !== ts.NodeFlags.Const });
      if (!declaration.initializer && ts.isIdentifier(declaration.name)) reset.push(declaration.name.text);
    }
    return true;
  }
  const named =
    ts.isFunctionDeclaration(node) ||
    ts.isClassDeclaration(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isEnumDeclaration(node) ||
    (ts.isModuleDeclaration(node) && ts.isIdentifier(node.name) && !(node.flags & ts.NodeFlags.GlobalAugmentation));
  if (!named || !node.name || node.modifiers?.some((m) => m.kind === ts.SyntaxKind.DefaultKeyword)) return false;
  declared.set(node.name.text, { assignable: false });
  return true;
}

/**
 * `const losses = []` takes its type from later pushes, but not when exported; there it gets the type it would have in
 * a function that reads it.
 */
function evolving(ts, node) {
  if (!ts.isVariableStatement(node)) return [];
  return node.declarationList.declarations
    .filter(
      ({ name, type, initializer: i }) =>
        ts.isIdentifier(name) && !type && i && ts.isArrayLiteralExpression(i) && i.elements.length === 0,
    )
    .map(({ name }) => ({ at: name.getEnd(), text: ': any[]' }));
}

function bindingNames(ts, name) {
  if (ts.isIdentifier(name)) return [name.text];
  return name.elements.flatMap((e) => (ts.isOmittedExpression(e) ? [] : bindingNames(ts, e.name)));
}

/** Each imported name with the import statement that later cells repeat to have it too. */
function importedNames(ts, node, declared) {
  const clause = node.importClause;
  if (!clause) return;
  const type = clause.isTypeOnly ? 'type ' : '';
  const from = `from ${node.moduleSpecifier.getText()}${node.attributes ? ` ${node.attributes.getText()}` : ''};`;
  if (clause.name) declared.set(clause.name.text, { statement: `import ${type}${clause.name.text} ${from}` });
  const bindings = clause.namedBindings;
  if (!bindings) return;
  if (ts.isNamespaceImport(bindings)) {
    declared.set(bindings.name.text, { statement: `import ${type}* as ${bindings.name.text} ${from}` });
    return;
  }
  for (const element of bindings.elements)
    declared.set(element.name.text, { statement: `import ${type}{ ${element.getText()} } ${from}` });
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
