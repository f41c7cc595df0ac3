// The compiler's thread: checks a cell, turns it into JavaScript, completes and explains names. It never runs user code.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { workerData } from 'node:worker_threads';
import { cellModule, resultName } from './cell.mjs';

const { root, folder, wire } = workerData;
const require = createRequire(path.join(root, 'package.json'));
const ts = require('typescript');

const options = {
  target: ts.ScriptTarget.ES2023,
  lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
  module: ts.ModuleKind.CommonJS,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  moduleDetection: ts.ModuleDetectionKind.Force,
  customConditions: ['node'],
  // Modules arrive as ES namespaces (modules.mjs), so imports need no interoperation helpers.
  esModuleInterop: false,
  allowSyntheticDefaultImports: true,
  allowImportingTsExtensions: true,
  resolveJsonModule: true,
  strict: true,
  skipLibCheck: true,
  sourceMap: true,
  types: ['node'],
  typeRoots: [path.join(root, 'node_modules/@types')],
};

// What a module file may not say but a cell may: await and import.meta at the top level, .ts in an import; and what
// only appears because names are exported for later cells (evolving `let x;` and `[]`), or because a package has no types.
const allowed = new Set([1343, 1375, 1378, 1431, 1432, 2854, 1309, 1470, 5097, 2877, 7005, 7034, 7016]);

/** What earlier cells declared; the module being worked on is always the file `current`, so nothing is resolved anew. */
const names = new Map();
const current = path.join(folder, '__cell__.ts');
let currentText = 'export {};\n';
let currentVersion = 0;
let currentModule;
/** Packages that cells imported so far stay in the program: taking their files in and out costs more than any cell. */
const packages = path.join(folder, '__packages__.ts');
const imported = new Set();
const packagesText = () => [...imported].map((name) => `import '${name}';\n`).join('');

/** Accepted cells: `cell:3` stands at a path beside the notebook, with the text of its module. */
const cellPath = (name) => path.join(folder, `__${name.replace(':', '_')}__.ts`);
const cellAt = new Map();
const isSource = (file) => /\.[cm]?tsx?$/.test(file) && !/\.d\.[cm]?ts$/.test(file);
const own = (file) => file === current || file === packages || cellAt.has(file);
const isLocal = (file) => isSource(file) && !file.includes('/node_modules/') && !own(file);

const snapshots = new Map();
/** Only source files beside the notebook may change while the kernel lives; declarations of packages are read once. */
const versionOf = (file) => {
  if (file === current) return String(currentVersion);
  if (file === packages) return String(imported.size);
  if (!isLocal(file)) return '1';
  try {
    const { mtimeMs, size } = fs.statSync(file);
    return `${mtimeMs} ${size}`;
  } catch {
    return 'gone';
  }
};

const cache = ts.createModuleResolutionCache(folder, (f) => f, options);
const host = {
  getCompilationSettings: () => options,
  getScriptFileNames: () => [current, packages],
  getScriptVersion: versionOf,
  getScriptSnapshot(file) {
    if (file === current) return ts.ScriptSnapshot.fromString(currentText);
    if (file === packages) return ts.ScriptSnapshot.fromString(packagesText());
    if (cellAt.has(file)) return ts.ScriptSnapshot.fromString(cellAt.get(file));
    const version = versionOf(file);
    const known = snapshots.get(file);
    if (known?.version === version) return known.snapshot;
    const text = ts.sys.readFile(file);
    if (text === undefined) return undefined;
    const snapshot = ts.ScriptSnapshot.fromString(text);
    snapshots.set(file, { version, snapshot });
    return snapshot;
  },
  getCurrentDirectory: () => folder,
  getDefaultLibFileName: (o) => ts.getDefaultLibFilePath(o),
  fileExists: (file) => own(file) || ts.sys.fileExists(file),
  readFile: (file) => ts.sys.readFile(file),
  directoryExists: ts.sys.directoryExists,
  getDirectories: ts.sys.getDirectories,
  readDirectory: ts.sys.readDirectory,
  realpath: ts.sys.realpath,
  getCustomTransformers: () => ({ before: [runtimeCalls] }),
  resolveModuleNameLiterals(literals, containing, redirected, settings) {
    // Everything is imported as an ES module imports (modules.mjs), so packages are asked for that entry.
    const mode = ts.ModuleKind.ESNext;
    return literals.map((literal) => {
      const name = literal.text;
      if (name.startsWith('cell:')) return { resolvedModule: { resolvedFileName: cellPath(name), extension: '.ts' } };
      if (name === 'voxelbook/kernel') {
        const resolvedFileName = path.join(root, 'kernels/voxelbook/kernel.d.ts');
        return { resolvedModule: { resolvedFileName, extension: '.d.ts' } };
      }
      const found = ts.resolveModuleName(name, containing, settings, host, cache, redirected, mode);
      // A notebook outside the project still finds the project's packages, as it does at run time.
      if (found.resolvedModule || name.startsWith('.') || name.startsWith('/')) return found;
      return ts.resolveModuleName(name, path.join(root, 'notebook.ts'), settings, host, undefined, redirected, mode);
    });
  },
};
const registry = ts.createDocumentRegistry();
const service = ts.createLanguageService(host, registry);

/**
 * What the running side must see of the code: `import()`, `require` and `import.meta` go to the kernel's loader, and
 * after every `await` it is asked whether Stop was pressed meanwhile, so that an awaited loop really ends.
 */
function runtimeCalls(context) {
  const f = context.factory;
  const call = (name, args) => f.createCallExpression(f.createIdentifier(name), undefined, args);
  const visit = (node) => {
    if (ts.isMetaProperty(node) && node.keywordToken === ts.SyntaxKind.ImportKeyword) return f.createIdentifier('__meta');
    const next = ts.visitEachChild(node, visit, context);
    if (ts.isAwaitExpression(next)) return call('__resumed', [call('__stops', []), next]);
    if (ts.isCallExpression(next) && next.expression.kind === ts.SyntaxKind.ImportKeyword)
      return call('__import', next.arguments);
    if (ts.isCallExpression(next) && ts.isIdentifier(next.expression) && next.expression.text === 'require')
      return call('__require', next.arguments);
    return next;
  };
  return (source) => ts.visitEachChild(source, visit, context);
}

function setCurrent(module) {
  currentModule = module;
  if (module.text === currentText) return;
  currentText = module.text;
  currentVersion++;
}

const flat = (message) => ts.flattenDiagnosticMessageText(message, '\n');

/** Compiler errors of the current cell, at the person's own lines, in the compiler's words. */
function errorsOf(code, label) {
  const found = [...service.getSyntacticDiagnostics(current)];
  if (found.length === 0) found.push(...service.getSemanticDiagnostics(current));
  return found
    .filter((d) => d.category === ts.DiagnosticCategory.Error && !allowed.has(d.code))
    .map((d) => {
      const start = Math.max(0, currentModule.toCell(d.start ?? 0));
      const end = Math.max(start, currentModule.toCell((d.start ?? 0) + (d.length ?? 0)));
      const { code: number, text } = worded(d, code.slice(start, end));
      return { number, text, label, ...place(code, start, end) };
    });
}

/** Names of earlier cells arrive by import; the person declared them as constants, and reads about that. */
function worded(diagnostic, name) {
  const text = flat(diagnostic.messageText);
  if (diagnostic.code !== 2632 || names.get(name)?.statement) return { code: diagnostic.code, text };
  return { code: 2588, text: text.replace(/because it is an import\./, 'because it is a constant.') };
}

function place(code, start, end) {
  const before = code.slice(0, start);
  const line = before.split('\n').length;
  const lineStart = before.lastIndexOf('\n') + 1;
  const lineText = code.slice(lineStart).split('\n', 1)[0];
  const length = Math.max(1, Math.min(end - start, lineText.length - (start - lineStart)));
  return { line, column: start - lineStart + 1, lineText, length };
}

/** Source files of the person's own that the cell reaches, as JavaScript; only those that changed since they were sent. */
const sent = new Map();
function localModules(program) {
  const changed = [];
  for (const file of program.getSourceFiles()) {
    if (!isLocal(file.fileName)) continue;
    const version = versionOf(file.fileName);
    if (sent.get(file.fileName) === version) continue;
    const syntax = service.getSyntacticDiagnostics(file.fileName);
    if (syntax.length > 0) {
      const d = syntax[0];
      const label = path.relative(folder, file.fileName);
      throw Object.assign(new Error('syntax'), {
        faults: [{ number: d.code, text: flat(d.messageText), label, ...place(file.text, d.start, d.start + d.length) }],
      });
    }
    changed.push({ path: file.fileName, ...emitted(program, file) });
    sent.set(file.fileName, version);
  }
  return changed;
}

function emitted(program, file) {
  const output = service.getEmitOutput(file.fileName).outputFiles;
  const js = output.find((o) => o.name.endsWith('js')).text;
  const map = output.find((o) => o.name.endsWith('.map')).text;
  return { js: asRunnable(js), map: JSON.parse(map), imports: importsOf(program, file) };
}

/**
 * Output adjusted for code that runs more than once on the same `exports`: nothing is reset to undefined in advance, and
 * re-exports may be defined again. Line breaks stay where they are, for the source map.
 */
function asRunnable(js) {
  return js
    .replace(/^(exports\.[\w$]+ = )+void 0;$/m, '')
    .replace(/\{ enumerable: true, get: function ?\(\)/g, '{ configurable: true, enumerable: true, get: function()')
    .replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n');
}

/** Specifier → the source or JSON file it means, or null for what Node resolves itself. */
function importsOf(program, file) {
  const result = {};
  for (const literal of file.imports ?? []) {
    const resolved = program.getResolvedModuleFromModuleSpecifier(literal, file)?.resolvedModule?.resolvedFileName;
    const own = resolved && (isLocal(resolved) || (resolved.endsWith('.json') && !resolved.includes('/node_modules/')));
    result[literal.text] = own ? resolved : null;
  }
  return result;
}

function compile({ code, id, label }) {
  setCurrent(cellModule(ts, code, names));
  const faults = errorsOf(code, label);
  if (faults.length > 0) return { faults };
  const program = service.getProgram();
  let modules;
  try {
    modules = localModules(program);
  } catch (error) {
    if (error.faults) return { faults: error.faults };
    throw error;
  }
  const output = emitted(program, program.getSourceFile(current));
  for (const [name, file] of Object.entries(output.imports))
    if (!file && /^[@\w]/.test(name) && !name.includes(':')) imported.add(name);
  const { declared, reset, hasResult, inserted, loads } = currentModule;
  const from = `cell:${id}`;
  cellAt.set(cellPath(from), currentText);
  for (const [name, { statement, assignable }] of declared) names.set(name, statement ? { statement } : { from, assignable });
  return { ...output, modules, reset, hasResult, declared: [...declared.keys()], inserted, loads };
}

function complete({ code, position }) {
  setCurrent(cellModule(ts, code, names, { wholeScope: true, plain: true }));
  const at = currentModule.fromCell(position);
  const list = service.getCompletionsAtPosition(current, at, { includeCompletionsWithInsertText: false });
  const word = code.slice(0, position).match(/[\p{ID_Continue}$]*$/u)[0];
  if (!list) return { matches: [], start: position, end: position };
  const span = list.optionalReplacementSpan ?? list.entries.find((e) => e.replacementSpan)?.replacementSpan;
  const start = span ? currentModule.toCell(span.start) : position - word.length;
  const end = span ? currentModule.toCell(span.start + span.length) : position;
  const typed = code.slice(start, position).toLowerCase();
  const matches = list.entries
    .filter((e) => e.name.toLowerCase().startsWith(typed) && e.name !== resultName && !e.name.startsWith('__cell'))
    .sort((a, b) => (a.sortText < b.sortText ? -1 : a.sortText > b.sortText ? 1 : a.name < b.name ? -1 : 1))
    .map((e) => ({ text: e.name, type: e.kind }));
  return { matches, start, end };
}

function inspect({ code, position }) {
  setCurrent(cellModule(ts, code, names, { wholeScope: true, plain: true }));
  // A cursor behind a name, where editors usually are, means that name.
  for (const p of [position, position - 1]) {
    if (p < 0) continue;
    const info = service.getQuickInfoAtPosition(current, currentModule.fromCell(p));
    if (!info) continue;
    // That a name of an earlier cell arrives by import is the kernel's business.
    const signature = ts
      .displayPartsToString(info.displayParts)
      .replace(/^\(alias\) /, '')
      .replace(/\nimport .*$/, '');
    return { signature, documentation: documentation(info) };
  }
  const help = service.getSignatureHelpItems(current, currentModule.fromCell(position), undefined);
  if (!help) return undefined;
  const item = help.items[help.selectedItemIndex];
  const text = (parts) => ts.displayPartsToString(parts);
  const parameters = item.parameters.map((p) => text(p.displayParts)).join(text(item.separatorDisplayParts));
  return {
    signature: text(item.prefixDisplayParts) + parameters + text(item.suffixDisplayParts),
    documentation: documentation(item),
  };
}

function documentation({ documentation = [], tags = [] }) {
  const lines = tags.map((t) => `@${t.name} ${ts.displayPartsToString(t.text)}`);
  return [ts.displayPartsToString(documentation), ...lines].filter(Boolean).join('\n');
}

/** Whether a console should run the code, wait for more, or say it is wrong. */
function isComplete({ code }) {
  const source = ts.createSourceFile('cell.ts', `${code}\n`, ts.ScriptTarget.ESNext, true, ts.ScriptKind.TS);
  const faults = source.parseDiagnostics.filter((d) => !allowed.has(d.code));
  if (faults.length === 0) return { status: 'complete' };
  const end = code.trimEnd().length;
  const unterminated = new Set([1010, 1160]);
  if (!faults.some((d) => d.start >= end || unterminated.has(d.code))) return { status: 'invalid' };
  const open = code.split('\n').at(-1).match(/^\s*/)[0];
  return { status: 'incomplete', indent: /[{[(]\s*$/.test(code) ? `${open}  ` : open };
}

/** A cell taken before this thread had to start anew; what the other side has of its sources is not known here. */
function again(about) {
  compile(about);
  sent.clear();
}

const answers = { compile, again, complete, inspect, isComplete };

wire.on('message', ({ request, ask, ...about }) => {
  let answer;
  try {
    answer = { value: answers[ask](about) };
  } catch (error) {
    answer = { error: String(error?.stack ?? error) };
  }
  wire.postMessage({ request, ...answer });
});

// The standard types are read at once, the library's when nobody asks for anything; a second service, which is never
// asked, holds those, so that cells without them in between do not give them back.
service.getSemanticDiagnostics(current);
const library = path.join(folder, '__library__.ts');
const libraryText = ts.ScriptSnapshot.fromString("import 'voxelbook'; import 'arquero'; import '@tensorflow/tfjs-node-gpu';");
const libraryHost = {
  ...host,
  getScriptFileNames: () => [library],
  getScriptSnapshot: (file) => (file === library ? libraryText : host.getScriptSnapshot(file)),
  fileExists: (file) => file === library || host.fileExists(file),
};
setTimeout(() => ts.createLanguageService(libraryHost, registry).getProgram(), 100);
