// Checked TypeScript → the JavaScript that runs.
//
// Of a cell, every top-level name lives in the one object `__cells`, whatever declares it (variable, function, class,
// enum, namespace, import): code of early cells reads it there and so sees what a later cell assigned or declared again.
// A declaration sets it through `__own`, which remembers what a cell that threw has reached.
// A file of one's own keeps its names to itself; what it imports is read from the other module each time, what it exports
// through functions, so both are fresh.
// In both, every `await`, `for await` and `.then` goes through the kernel (`__k`, context.mjs), which is how Stop ends them.

const isFunction = (ts, node) => ts.isFunctionLike(node) && 'body' in node;

/** Every declaration of a module's top level: { name, node, kind, assignable, statement, ambient, isExported }. */
export function declarationsOf(ts, source) {
  const found = [];
  const has = (node, kind) => node.modifiers?.some((m) => m.kind === kind) ?? false;
  const variables = (list, more) => {
    const flags = list.flags & ts.NodeFlags.BlockScoped;
    // What `using` holds is disposed of at the end of its cell; no other cell may see it.
    if (flags === ts.NodeFlags.Using || flags === ts.NodeFlags.AwaitUsing) return;
    const visit = (node) => {
      if (ts.isIdentifier(node.name))
        found.push({ name: node.name.text, node, kind: 'variable', assignable: flags !== ts.NodeFlags.Const, ...more });
      else for (const element of node.name.elements) if (!ts.isOmittedExpression(element)) visit(element);
    };
    for (const declaration of list.declarations) visit(declaration);
  };
  for (const node of source.statements) {
    const more = { ambient: has(node, ts.SyntaxKind.DeclareKeyword), isExported: has(node, ts.SyntaxKind.ExportKeyword) };
    if (has(node, ts.SyntaxKind.DefaultKeyword)) more.isExported = false;
    const named = (kind) => node.name && found.push({ name: node.name.text, node, kind, assignable: false, ...more });
    if (ts.isImportDeclaration(node)) for (const i of importedNames(ts, node)) found.push({ kind: 'import', ...i });
    else if (ts.isImportEqualsDeclaration(node))
      found.push({ name: node.name.text, node, kind: 'import', statement: node.getText(), isExported: more.isExported });
    else if (ts.isVariableStatement(node)) variables(node.declarationList, more);
    else if (ts.isFunctionDeclaration(node)) named('function');
    else if (ts.isClassDeclaration(node)) named('class');
    else if (ts.isEnumDeclaration(node)) named('enum');
    else if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) named('type');
    else if (ts.isModuleDeclaration(node)) {
      if (ts.isIdentifier(node.name) && !(node.flags & ts.NodeFlags.GlobalAugmentation)) named('namespace');
    } else nestedVariables(ts, node, (list) => variables(list, { ambient: false, isExported: false, nested: true }));
  }
  return found;
}

/** `var` inside blocks and loops belongs to the whole cell. */
function nestedVariables(ts, node, take) {
  if (isFunction(ts, node) || ts.isClassLike(node) || ts.isModuleDeclaration(node)) return;
  if (ts.isVariableDeclarationList(node) && !(node.flags & ts.NodeFlags.BlockScoped)) take(node);
  ts.forEachChild(node, (child) => nestedVariables(ts, child, take));
}

/** Each imported name with the import statement that later cells repeat to have it too. */
function importedNames(ts, node) {
  const clause = node.importClause;
  if (!clause) return [];
  const typeOnly = clause.isTypeOnly;
  const type = typeOnly ? 'type ' : '';
  const from = `from ${node.moduleSpecifier.getText()}${node.attributes ? ` ${node.attributes.getText()}` : ''};`;
  const found = [];
  if (clause.name)
    found.push({
      name: clause.name.text,
      node: clause,
      imported: 'default',
      typeOnly,
      statement: `import ${type}${clause.name.text} ${from}`,
    });
  const bindings = clause.namedBindings;
  if (bindings && ts.isNamespaceImport(bindings)) {
    const name = bindings.name.text;
    found.push({ name, node: bindings, imported: '*', typeOnly, statement: `import ${type}* as ${name} ${from}` });
  } else
    for (const element of bindings?.elements ?? []) {
      const statement = `import ${type}{ ${element.getText()} } ${from}`;
      const imported = (element.propertyName ?? element.name).text;
      found.push({ name: element.name.text, node: element, imported, typeOnly: typeOnly || element.isTypeOnly, statement });
    }
  return found;
}

/**
 * Emits one file of a checked program.
 * @param cell of a cell: { headerLength, magics } (cell.mjs); undefined for a file of one's own
 * @returns { js, map, loads, stars, values, vars }: `loads` is what must be there before it runs, as
 *   { specifier, needed, names }; `values` are the names it gives a value to, `vars` those of them that begin undefined
 */
export function emit(ts, program, source, cell) {
  const isCell = cell !== undefined;
  const checker = program.getTypeChecker();
  const declarations = declarationsOf(ts, source);
  const byNode = new Map(declarations.map((d) => [d.node, d]));
  const topNames = new Set(declarations.map((d) => d.name));
  const specifierOf = new Map();
  for (const statement of source.statements)
    if (ts.isImportDeclaration(statement)) {
      for (const { node } of importedNames(ts, statement)) specifierOf.set(node, statement.moduleSpecifier.text);
    } else if (ts.isImportEqualsDeclaration(statement) && ts.isExternalModuleReference(statement.moduleReference))
      specifierOf.set(statement, statement.moduleReference.expression.text);
  /** Specifiers and names whose value something reads. */
  const used = new Set();
  const stars = [];
  const f = ts.factory;
  const id = (name) => f.createIdentifier(name);
  const at = (object, name) =>
    /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name)
      ? f.createPropertyAccessExpression(object, name)
      : f.createElementAccessExpression(object, f.createStringLiteral(name));
  const k = (name, ...args) => f.createCallExpression(at(id('__k'), name), undefined, args);
  const statement = (expression) => f.createExpressionStatement(expression);
  const assign = (target, value) => f.createBinaryExpression(target, ts.SyntaxKind.EqualsToken, value);

  const isValue = (symbol) => {
    if (!symbol) return true;
    const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    // What cannot be resolved may well be a value.
    return checker.isUnknownSymbol?.(target) || target.escapedName === 'unknown' || Boolean(target.flags & ts.SymbolFlags.Value);
  };

  /** The declaration of this file's top level that an identifier means, unless it means what a class body binds itself. */
  function meant(symbol, place) {
    for (const node of symbol?.declarations ?? []) {
      const found = byNode.get(node);
      if (!found) continue;
      if (['class', 'enum', 'namespace'].includes(found.kind))
        for (let p = place.parent; p; p = p.parent) if (p === node) return undefined;
      return found;
    }
    return undefined;
  }

  /** What stands in the place of such a name; undefined where the name itself does. */
  function replacement(found) {
    if (!found || found.kind === 'type') return undefined;
    const specifier = specifierOf.get(found.node);
    if (specifier !== undefined) used.add(specifier);
    if (isCell) return at(id('__cells'), found.name);
    if (specifier === undefined) return undefined;
    const module = f.createElementAccessExpression(id('__m'), f.createStringLiteral(specifier));
    if (found.imported === '*') return module;
    return found.imported ? at(module, found.imported) : k('common', module);
  }

  function transformer(context) {
    // Where the visitor is: whether `__run` is in scope, whether code tidies up (catch, finally), whether inside a function.
    let state = { run: true, tidy: false, inner: false };
    const within = (next, work) => {
      const before = state;
      state = { ...state, ...next };
      try {
        return work();
      } finally {
        state = before;
      }
    };
    const tidyFlag = () => (state.tidy ? [f.createTrue()] : []);
    const children = (node) => ts.visitEachChild(node, visit, context);
    const range = (made, node) => ts.setTextRange(made, node);
    /** In the place of a name; what follows it, a call's bracket above all, counts as being at its beginning. */
    const placed = (made, node) => ts.setEmitFlags(range(made, node), ts.EmitFlags.NoTrailingSourceMap);
    const callee = (made, node) => placed(f.createParenthesizedExpression(f.createComma(f.createNumericLiteral(0), made)), node);

    function visit(node) {
      if (ts.isExpressionWithTypeArguments(node)) {
        if (ts.isHeritageClause(node.parent) && node.parent.token === ts.SyntaxKind.ImplementsKeyword) return node;
        return children(node);
      }
      if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return node;
      if (node.modifiers?.some((m) => m.kind === ts.SyntaxKind.DeclareKeyword)) return node;
      if (ts.isIdentifier(node)) return identifier(node);
      if (ts.isShorthandPropertyAssignment(node)) return shorthand(node);
      if (isFunction(ts, node)) return functionLike(node);
      if (ts.isClassStaticBlockDeclaration(node)) return within({ run: false, tidy: false, inner: true }, () => children(node));
      if (ts.isPropertyDeclaration(node)) return within({ run: false, tidy: false, inner: true }, () => children(node));
      if (ts.isMetaProperty(node) && node.keywordToken === ts.SyntaxKind.ImportKeyword) return range(id('__meta'), node);
      if (ts.isAwaitExpression(node)) return awaited(node, ts.visitNode(node.expression, visit));
      if (ts.isForOfStatement(node) && node.awaitModifier) return forAwait(node);
      if (ts.isTryStatement(node)) return tryStatement(node);
      if (ts.isCallExpression(node)) return call(node);
      if (ts.isTaggedTemplateExpression(node)) {
        const next = children(node);
        if (!ts.isIdentifier(node.tag) || next.tag === node.tag) return next;
        return f.updateTaggedTemplateExpression(next, callee(next.tag, node.tag), undefined, next.template);
      }
      if (ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node)) return constantMember(node);
      if (isCell && !state.inner && ts.isVariableStatement(node)) return nestedVar(node);
      if (isCell && !state.inner && ts.isForStatement(node)) return withExpression(node);
      if (isCell && !state.inner && (ts.isForOfStatement(node) || ts.isForInStatement(node))) return forVar(node);
      if (ts.isModuleDeclaration(node)) return within({ run: false, inner: true }, () => children(node));
      return children(node);
    }

    function identifier(node) {
      if (!topNames.has(node.text) || !isReference(ts, node)) return node;
      const made = replacement(meant(checker.getSymbolAtLocation(node), node));
      return made ? placed(made, node) : node;
    }

    function shorthand(node) {
      const made = topNames.has(node.name.text)
        ? replacement(meant(checker.getShorthandAssignmentValueSymbol(node), node))
        : undefined;
      if (!made) return children(node);
      const initial = node.objectAssignmentInitializer && ts.visitNode(node.objectAssignmentInitializer, visit);
      const value = initial ? assign(made, initial) : made;
      return range(f.createPropertyAssignment(node.name.text, range(value, node)), node);
    }

    /** Constants of an enum are read where they stand, not written into the code: the enum may be declared again. */
    function constantMember(node) {
      const next = children(node);
      if (!isCell || !ts.isIdentifier(node.expression) || next.expression === node.expression) return next;
      if (!((checker.getSymbolAtLocation(node.expression)?.flags ?? 0) & ts.SymbolFlags.Enum) && !enumAlias(node.expression))
        return next;
      const made = ts.isPropertyAccessExpression(next)
        ? f.createPropertyAccessExpression(next.expression, next.name.text)
        : f.createElementAccessExpression(next.expression, next.argumentExpression);
      return range(made, node);
    }
    const enumAlias = (node) => {
      const symbol = checker.getSymbolAtLocation(node);
      return symbol && symbol.flags & ts.SymbolFlags.Alias && checker.getAliasedSymbol(symbol).flags & ts.SymbolFlags.Enum;
    };

    function functionLike(node) {
      const async = node.modifiers?.some((m) => m.kind === ts.SyntaxKind.AsyncKeyword) && node.body && awaits(ts, node.body);
      const next = within({ run: Boolean(async), tidy: false, inner: true }, () => children(node));
      if (!async) return next;
      const enter = f.createVariableStatement(
        undefined,
        f.createVariableDeclarationList(
          [f.createVariableDeclaration('__run', undefined, undefined, k('enter'))],
          ts.NodeFlags.Const,
        ),
      );
      const block = ts.isBlock(next.body)
        ? f.updateBlock(next.body, behindDirectives(ts, next.body.statements, [enter]))
        : range(f.createBlock([enter, range(f.createReturnStatement(next.body), node.body)], false), node.body);
      if (ts.isArrowFunction(next))
        return f.updateArrowFunction(
          next,
          next.modifiers,
          next.typeParameters,
          next.parameters,
          next.type,
          next.equalsGreaterThanToken,
          block,
        );
      if (ts.isFunctionExpression(next))
        return f.updateFunctionExpression(
          next,
          next.modifiers,
          next.asteriskToken,
          next.name,
          next.typeParameters,
          next.parameters,
          next.type,
          block,
        );
      if (ts.isFunctionDeclaration(next))
        return f.updateFunctionDeclaration(
          next,
          next.modifiers,
          next.asteriskToken,
          next.name,
          next.typeParameters,
          next.parameters,
          next.type,
          block,
        );
      if (ts.isMethodDeclaration(next))
        return f.updateMethodDeclaration(
          next,
          next.modifiers,
          next.asteriskToken,
          next.name,
          next.questionToken,
          next.typeParameters,
          next.parameters,
          next.type,
          block,
        );
      return next;
    }

    /** `await x` → `__k.take(__run, await __k.hold(__run, __k.live(__run) ?? (x)))`. */
    function awaited(node, expression) {
      if (!state.run) return f.updateAwaitExpression(node, expression);
      const operand = f.createBinaryExpression(
        k('live', id('__run'), ...tidyFlag()),
        ts.SyntaxKind.QuestionQuestionToken,
        f.createParenthesizedExpression(expression),
      );
      const waiting = range(f.createAwaitExpression(k('hold', id('__run'), operand, ...tidyFlag())), node);
      return range(k('take', id('__run'), waiting), node);
    }

    function forAwait(node) {
      const next = isCell && !state.inner ? forVar(node) : children(node);
      if (!state.run) return next;
      const body = ts.isBlock(next.statement) ? next.statement.statements : [next.statement];
      return f.updateForOfStatement(
        next,
        next.awaitModifier,
        next.initializer,
        k('each', id('__run'), next.expression, ...tidyFlag()),
        f.createBlock([statement(k('back', id('__run'))), ...body], true),
      );
    }

    function tryStatement(node) {
      const tryBlock = ts.visitNode(node.tryBlock, visit);
      return within({ tidy: true }, () => {
        let handler = ts.visitNode(node.catchClause, visit);
        if (handler && state.run) {
          const block = f.updateBlock(handler.block, [statement(k('back', id('__run'))), ...handler.block.statements]);
          handler = f.updateCatchClause(handler, handler.variableDeclaration, block);
        }
        return f.updateTryStatement(node, tryBlock, handler, ts.visitNode(node.finallyBlock, visit));
      });
    }

    function call(node) {
      if (node.expression.kind === ts.SyntaxKind.ImportKeyword)
        return range(f.createCallExpression(id('__import'), undefined, ts.visitNodes(node.arguments, visit)), node);
      const { expression } = node;
      const chained =
        ts.isPropertyAccessExpression(expression) &&
        ['then', 'catch', 'finally'].includes(expression.name.text) &&
        !ts.isOptionalChain(node) &&
        expression.expression.kind !== ts.SyntaxKind.SuperKeyword;
      if (chained) {
        const receiver = ts.visitNode(expression.expression, visit);
        const args = ts.visitNodes(node.arguments, visit);
        return range(k('chain', receiver, f.createStringLiteral(expression.name.text), ...args), node);
      }
      const next = children(node);
      if (!ts.isIdentifier(expression) || next.expression === expression) return next;
      const target = callee(next.expression, expression);
      return ts.isCallChain(next)
        ? f.updateCallChain(next, target, next.questionDotToken, undefined, next.arguments)
        : f.updateCallExpression(next, target, undefined, next.arguments);
    }

    // -- names of a cell

    const own = (name) => at(id('__own'), name);
    /** A pattern that declares → one that assigns through `__own`. */
    function target(name) {
      if (ts.isIdentifier(name)) return range(own(name.text), name);
      const withDefault = (element) => {
        const to = target(element.name);
        return element.initializer ? assign(to, ts.visitNode(element.initializer, visit)) : to;
      };
      if (ts.isArrayBindingPattern(name))
        return f.createArrayLiteralExpression(
          name.elements.map((e) => {
            if (ts.isOmittedExpression(e)) return e;
            return e.dotDotDotToken ? f.createSpreadElement(target(e.name)) : withDefault(e);
          }),
        );
      return f.createObjectLiteralExpression(
        name.elements.map((e) => {
          if (e.dotDotDotToken) return f.createSpreadAssignment(target(e.name));
          const key = e.propertyName ?? f.createIdentifier(e.name.text);
          return f.createPropertyAssignment(ts.isComputedPropertyName(key) ? ts.visitNode(key, visit) : key, withDefault(e));
        }),
      );
    }

    /** A function or class without a name takes that of its variable, as in a declaration. */
    function named(name, value) {
      let inner = value;
      while (ts.isParenthesizedExpression(inner)) inner = inner.expression;
      const nameless = (ts.isFunctionExpression(inner) || ts.isClassExpression(inner)) && !inner.name;
      if (!nameless && !ts.isArrowFunction(inner)) return value;
      if (name === '__proto__') return value;
      return at(f.createObjectLiteralExpression([f.createPropertyAssignment(name, value)]), name);
    }

    function assignments(list, nested) {
      return list.declarations.flatMap((d) => {
        const value = d.initializer && ts.visitNode(d.initializer, visit);
        if (!ts.isIdentifier(d.name)) return value ? [range(assign(target(d.name), value), d)] : [];
        if (!value) return nested ? [] : [range(assign(target(d.name), f.createVoidZero()), d)];
        return [range(assign(target(d.name), named(d.name.text, value)), d)];
      });
    }
    const isVar = (list) => list && ts.isVariableDeclarationList(list) && !(list.flags & ts.NodeFlags.BlockScoped);
    const joined = (list) => (list.length === 0 ? undefined : list.reduce((a, b) => f.createComma(a, b)));

    function nestedVar(node) {
      if (!isVar(node.declarationList)) return children(node);
      const expression = joined(assignments(node.declarationList, true));
      return expression ? range(statement(expression), node) : f.createEmptyStatement();
    }
    function withExpression(node) {
      if (!isVar(node.initializer)) return children(node);
      const made = joined(assignments(node.initializer, true));
      const [condition, incrementor] = [node.condition, node.incrementor].map((part) => ts.visitNode(part, visit));
      return f.updateForStatement(node, made, condition, incrementor, ts.visitNode(node.statement, visit));
    }
    function forVar(node) {
      if (!isVar(node.initializer)) return children(node);
      const to = target(node.initializer.declarations[0].name);
      const expression = ts.visitNode(node.expression, visit);
      const body = ts.visitNode(node.statement, visit);
      return ts.isForInStatement(node)
        ? f.updateForInStatement(node, to, expression, body)
        : f.updateForOfStatement(node, node.awaitModifier, to, expression, body);
    }

    // -- statements of the top level

    const bare = (node) => {
      const kept = node.modifiers?.filter((m) => ![ts.SyntaxKind.ExportKeyword, ts.SyntaxKind.DefaultKeyword].includes(m.kind));
      if (!node.modifiers || kept.length === node.modifiers.length) return node;
      if (ts.isVariableStatement(node)) return f.updateVariableStatement(node, kept, node.declarationList);
      if (ts.isFunctionDeclaration(node)) {
        const name = node.name ?? '__default';
        return f.updateFunctionDeclaration(
          node,
          kept,
          node.asteriskToken,
          typeof name === 'string' ? id(name) : name,
          node.typeParameters,
          node.parameters,
          node.type,
          node.body,
        );
      }
      if (ts.isClassDeclaration(node))
        return f.updateClassDeclaration(
          node,
          kept,
          node.name ?? id('__default'),
          node.typeParameters,
          node.heritageClauses,
          node.members,
        );
      if (ts.isEnumDeclaration(node)) return f.updateEnumDeclaration(node, kept, node.name, node.members);
      if (ts.isModuleDeclaration(node)) return f.updateModuleDeclaration(node, kept, node.name, node.body);
      return node;
    };
    const isAmbient = (node) => node.modifiers?.some((m) => m.kind === ts.SyntaxKind.DeclareKeyword);

    function cellStatements(statements) {
      const hoisted = [];
      const out = [];
      // Behind the cell stands the line of exports that the kernel added.
      const last = statements.at(-2);
      for (const node of statements) {
        if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) continue;
        const magic = cell.magics.get(node.getStart(source) - cell.headerLength);
        if (magic?.kind === 'shell')
          out.push(range(statement(awaited(node, k('shell', f.createStringLiteral(magic.command)))), node));
        else if (magic?.kind === 'whos') out.push(range(statement(k('whos')), node));
        else if (magic?.kind === 'timeit') {
          const modifiers = awaits(ts, node.expression) ? [f.createModifier(ts.SyntaxKind.AsyncKeyword)] : undefined;
          const body = f.createParenthesizedExpression(ts.visitNode(node.expression, visit));
          const measured = f.createArrowFunction(modifiers, undefined, [], undefined, undefined, body);
          out.push(range(statement(awaited(node, k('timeit', measured))), node));
        } else {
          if (magic?.kind === 'time') out.push(statement(k('time')));
          out.push(...cellStatement(node, node === last, magic?.kind === 'time', hoisted));
        }
      }
      return [...hoisted, ...out];
    }

    function cellStatement(node, isLast, timed, hoisted) {
      const closing = timed ? [statement(k('timed'))] : [];
      if (ts.isExportAssignment(node)) return [range(statement(ts.visitNode(node.expression, visit)), node)];
      if (isLast && ts.isExpressionStatement(node) && !isAssignment(ts, node.expression)) {
        const value = ts.visitNode(node.expression, visit);
        // In a list, because a promise that is shown shall not be waited for.
        const list = f.createArrayLiteralExpression([timed ? k('timed', value) : value]);
        return [range(f.createReturnStatement(list), node)];
      }
      if (isAmbient(node)) return [node];
      if (ts.isImportEqualsDeclaration(node)) {
        if (!ts.isEntityName(node.moduleReference) || node.isTypeOnly || !isValue(checker.getSymbolAtLocation(node.name)))
          return [];
        return [range(statement(assign(own(node.name.text), entity(node.moduleReference))), node)];
      }
      if (ts.isVariableStatement(node)) {
        const using = node.declarationList.flags & ts.NodeFlags.Using;
        const isUsing =
          using && !isVar(node.declarationList) && (node.declarationList.flags & ts.NodeFlags.BlockScoped) >= ts.NodeFlags.Using;
        if (isUsing) return [children(node), ...closing];
        return [...assignments(node.declarationList, false).map((e) => range(statement(e), e)), ...closing];
      }
      if (ts.isFunctionDeclaration(node)) {
        const plain = bare(visit(node));
        if (node.name && node.body) hoisted.push(statement(assign(own(node.name.text), id(node.name.text))));
        return [plain];
      }
      if (ts.isClassDeclaration(node)) {
        const plain = bare(visit(node));
        return node.name ? [plain, range(statement(assign(own(node.name.text), id(node.name.text))), node)] : [plain];
      }
      if (ts.isEnumDeclaration(node) || ts.isModuleDeclaration(node)) return [bare(visit(node))];
      const next = visit(node);
      return [...(Array.isArray(next) ? next : [next]), ...closing];
    }

    /** `import A = N.B`: the names as an expression. */
    function entity(name) {
      if (ts.isQualifiedName(name)) return at(entity(name.left), name.right.text);
      return replacement(meant(checker.getSymbolAtLocation(name), name)) ?? id(name.text);
    }

    function fileStatements(statements) {
      const getters = new Map();
      const out = [];
      const give = (name, value) => getters.set(name, value);
      const moduleOf = (specifier) => {
        used.add(specifier);
        return f.createElementAccessExpression(id('__m'), f.createStringLiteral(specifier));
      };
      for (const node of statements) {
        if (ts.isImportDeclaration(node)) continue;
        if (ts.isExportDeclaration(node)) {
          reexports(node, give, moduleOf);
          continue;
        }
        if (ts.isExportAssignment(node)) {
          const value = ts.visitNode(node.expression, visit);
          if (node.isExportEquals) out.push(range(statement(f.createCallExpression(id('__equals'), undefined, [value])), node));
          else {
            const declaration = f.createVariableDeclaration('__default', undefined, undefined, named('default', value));
            out.push(
              range(
                f.createVariableStatement(undefined, f.createVariableDeclarationList([declaration], ts.NodeFlags.Const)),
                node,
              ),
            );
            give('default', id('__default'));
          }
          continue;
        }
        if (ts.isImportEqualsDeclaration(node)) {
          if (ts.isEntityName(node.moduleReference)) {
            const declaration = f.createVariableDeclaration(node.name.text, undefined, undefined, entity(node.moduleReference));
            if (isValue(checker.getSymbolAtLocation(node.name)))
              out.push(f.createVariableStatement(undefined, f.createVariableDeclarationList([declaration], ts.NodeFlags.Const)));
          }
          continue;
        }
        const isDefault = node.modifiers?.some((m) => m.kind === ts.SyntaxKind.DefaultKeyword);
        if (isDefault) give('default', id(node.name?.text ?? '__default'));
        const next = visit(node);
        out.push(isAmbient(node) ? next : bare(next));
      }
      for (const { name, kind, ambient, isExported } of declarations)
        if (isExported && !ambient && kind !== 'type' && isInstantiated(name)) give(name, id(name));
      const list = [...getters].map(([name, value]) =>
        f.createPropertyAssignment(
          /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name) ? name : f.createStringLiteral(name),
          f.createArrowFunction(undefined, undefined, [], undefined, undefined, value),
        ),
      );
      const exported = f.createCallExpression(id('__export'), undefined, [f.createObjectLiteralExpression(list)]);
      // Functions can be called by others of a cycle before this file has run, so names are given first.
      return [statement(exported), statement(f.createYieldExpression(undefined, undefined)), ...out];
    }
    /** A namespace of types alone leaves nothing behind. */
    function isInstantiated(name) {
      const nodes = declarations.filter((d) => d.name === name);
      return nodes.some((d) => d.kind !== 'namespace' || isValue(checker.getSymbolAtLocation(d.node.name)));
    }

    function reexports(node, give, moduleOf) {
      if (node.isTypeOnly) return;
      const specifier = node.moduleSpecifier?.text;
      if (!node.exportClause) {
        used.add(specifier);
        stars.push(specifier);
      } else if (ts.isNamespaceExport(node.exportClause)) give(node.exportClause.name.text, moduleOf(specifier));
      else
        for (const element of node.exportClause.elements) {
          if (element.isTypeOnly) continue;
          const inner = (element.propertyName ?? element.name).text;
          if (specifier !== undefined) {
            if (isValue(checker.getSymbolAtLocation(element.name))) give(element.name.text, at(moduleOf(specifier), inner));
            continue;
          }
          const symbol = checker.getExportSpecifierLocalTargetSymbol(element);
          if (!isValue(symbol)) continue;
          give(element.name.text, replacement(meant(symbol, element)) ?? id(inner));
        }
    }

    return (node) => {
      const statements = isCell ? cellStatements(node.statements) : fileStatements(node.statements);
      return f.updateSourceFile(node, ts.setTextRange(f.createNodeArray(statements), node.statements));
    };
  }

  /** What TypeScript made of enums and namespaces of a cell: a fresh object each time the cell runs, kept in `__own`. */
  function afterwards() {
    const merged = new Set(declarations.filter((d) => ['function', 'class'].includes(d.kind)).map((d) => d.name));
    const begun = new Set();
    const values = new Set();
    const isBlock = (node) => ts.isEnumDeclaration(node) || ts.isModuleDeclaration(node);
    return (node) => {
      const out = [];
      for (const s of node.statements) {
        if (ts.isExportDeclaration(s)) continue;
        const original = ts.getOriginalNode(s);
        if (!isCell || !isBlock(original) || !ts.isIdentifier(original.name)) {
          out.push(s);
          continue;
        }
        const name = original.name.text;
        if (ts.isVariableStatement(s)) continue;
        const iife = ts.isExpressionStatement(s) && ts.isCallExpression(s.expression) ? s.expression : undefined;
        if (!iife) {
          out.push(s);
          continue;
        }
        values.add(name);
        if (!merged.has(name) && !begun.has(name))
          out.push(statement(assign(at(id('__own'), name), f.createObjectLiteralExpression([]))));
        begun.add(name);
        out.push(
          f.updateExpressionStatement(s, f.updateCallExpression(iife, iife.expression, undefined, [at(id('__cells'), name)])),
        );
      }
      return f.updateSourceFile(node, out);
    };
  }

  let js = '';
  let map;
  program.emit(
    source,
    (name, text) => {
      if (name.endsWith('.map')) map = JSON.parse(text);
      else if (/\.[cm]?js$/.test(name)) js = text.replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n');
    },
    undefined,
    false,
    { before: [transformer], after: [() => afterwards()] },
  );
  const values = declarations.filter((d) => !d.ambient && d.kind !== 'type' && (!d.statement || isAlias(d.node)));
  const names = (list) => [...new Set(list.map((d) => d.name))];
  return { js, map, loads: loadsOf(), stars, values: names(values), vars: names(values.filter((d) => d.nested)) };

  function isAlias(node) {
    return ts.isImportEqualsDeclaration(node) && ts.isEntityName(node.moduleReference);
  }

  /** What must be loaded first, in the order of the text, with the names a cell takes from each. */
  function loadsOf() {
    const found = new Map();
    for (const node of source.statements) {
      let specifier;
      let needed = false;
      let names = [];
      if (ts.isImportDeclaration(node)) {
        if (node.importClause?.isTypeOnly) continue;
        specifier = node.moduleSpecifier.text;
        names = importedNames(ts, node).filter((n) => !n.typeOnly);
        if (node.importClause && names.length === 0 && importedNames(ts, node).length > 0) continue;
        // A cell's import is there for later cells too; a name of an earlier cell is loaded again only where it is used.
        const inHeader = isCell && node.getStart(source) < cell.headerLength;
        needed = !node.importClause || used.has(specifier) || importedNames(ts, node).length === 0;
        if (!needed && (!isCell || inHeader)) continue;
      } else if (ts.isExportDeclaration(node) && node.moduleSpecifier && !node.isTypeOnly) {
        specifier = node.moduleSpecifier.text;
        needed = used.has(specifier) || node.exportClause === undefined;
        if (!needed && !isCell) continue;
      } else if (ts.isImportEqualsDeclaration(node) && specifierOf.has(node) && !node.isTypeOnly) {
        specifier = specifierOf.get(node);
        needed = used.has(specifier);
        names = [{ name: node.name.text, imported: 'module.exports' }];
        if (!needed && !isCell) continue;
      } else continue;
      if (!specifier || specifier.startsWith('cell:')) continue;
      const entry = found.get(specifier) ?? { specifier, needed: false, names: [] };
      entry.needed ||= needed;
      entry.names.push(...names.map(({ name, imported }) => ({ name, imported })));
      found.set(specifier, entry);
    }
    return [...found.values()];
  }
}

/** `x = 5` at the end of a cell sets and shows nothing. */
const isAssignment = (ts, node) => ts.isBinaryExpression(node) && ts.isAssignmentOperator(node.operatorToken.kind);

/** Whether code of this function itself (not of functions inside) waits. */
function awaits(ts, node) {
  if (ts.isAwaitExpression(node) || (ts.isForOfStatement(node) && node.awaitModifier)) return true;
  if (isFunction(ts, node)) return false;
  return ts.forEachChild(node, (child) => awaits(ts, child) || undefined) ?? false;
}

/** Statements with others put in front, but behind 'use strict'. */
function behindDirectives(ts, statements, added) {
  const at = statements.findIndex((s) => !(ts.isExpressionStatement(s) && ts.isStringLiteral(s.expression)));
  const n = at < 0 ? statements.length : at;
  return [...statements.slice(0, n), ...added, ...statements.slice(n)];
}

/** Whether an identifier reads or writes a variable, rather than naming a property, a declaration or a label. */
function isReference(ts, node) {
  const p = node.parent;
  if (ts.isPropertyAccessExpression(p)) return p.expression === node;
  if (ts.isPropertyAssignment(p) || ts.isBindingElement(p) || ts.isVariableDeclaration(p) || ts.isParameter(p))
    return p.initializer === node;
  if (ts.isPropertyDeclaration(p) || ts.isEnumMember(p)) return p.initializer === node;
  if (ts.isQualifiedName(p) || ts.isMetaProperty(p) || ts.isLabeledStatement(p) || ts.isBreakOrContinueStatement(p)) return false;
  if (ts.isImportSpecifier(p) || ts.isImportClause(p) || ts.isNamespaceImport(p) || ts.isExportSpecifier(p)) return false;
  if (ts.isNamespaceExport(p) || ts.isImportEqualsDeclaration(p) || ts.isTypeElement(p) || ts.isTypeParameterDeclaration(p))
    return false;
  if (isFunction(ts, p) || ts.isClassLike(p) || ts.isEnumDeclaration(p) || ts.isModuleDeclaration(p)) return p.name !== node;
  return true;
}
