// The compiler's thread: checks a cell, turns it into JavaScript, completes and explains names. It never runs user code.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { packageFolder } from '../../environment/places.mjs';
import { cellModule, plainCode } from './cell.mjs';
import { joinedDeclarations } from './declarations.mjs';
import { emit } from './emit.mjs';
import { libraries, nodeTypes } from './offered.mjs';

const { root, folder: realFolder, wire } = workerData;
const require = createRequire(path.join(root, 'package.json'));
const ts = require('typescript');

// The compiler takes a backslash for a separator of folders; a folder's name may have one.
const stand = '\u29f5';
const seen = (file) => file.replaceAll('\\', stand);
const real = realFolder.includes('\\') ? (file) => file.replaceAll(stand, '\\') : (file) => file;
const folder = seen(realFolder);

const standard = joinedDeclarations(ts, libraries(), nodeTypes());
const options = {
  target: ts.ScriptTarget.ES2024,
  lib: standard.lib,
  module: ts.ModuleKind.Preserve,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  moduleDetection: ts.ModuleDetectionKind.Force,
  customConditions: ['node'],
  esModuleInterop: true,
  allowImportingTsExtensions: true,
  resolveJsonModule: true,
  preserveConstEnums: true,
  strict: true,
  skipLibCheck: true,
  sourceMap: true,
  types: ['node'],
  typeRoots: [packageFolder('@types') ?? path.join(root, 'node_modules/@types')],
};

// What a module file may not say but a cell may: .ts in an import; and what only appears because names are exported for
// later cells (evolving `let x;` and `[]`), or because a package has no types.
const allowed = new Set([5097, 2877, 7005, 7034, 7016]);

/** What earlier cells declared; the module being worked on is always the file `current`, so nothing is resolved again. */
const names = new Map();
const current = path.join(folder, '__cell__.ts');
let currentText = 'export {};\n';
let currentVersion = 0;
let currentModule;

/** Packages that cells imported so far stay in the program: taking their files in and out costs more than any cell. */
const packages = path.join(folder, '__packages__.ts');
const imported = new Set();
/** Cells with `declare global` or `declare module`, by number, with what they declare there. */
const augmenting = new Map();
/** Files of one's own that were asked for by a name computed at run time. */
const asked = new Set();
let packagesVersion = 0;
const packagesText = () => [...imported, ...augmenting.keys()].map((name) => `import '${name}';\n`).join('');

/** Accepted cells: `cell:3` stands at a path beside the notebook, with the text of its module. */
const cellPath = (name) => path.join(folder, `__${name.replace(':', '_')}__.ts`);
const cellAt = new Map();
const isSource = (file) => /\.[cm]?tsx?$/.test(file) && !/\.d\.[cm]?ts$/.test(file);
const own = (file) => file === current || file === packages || cellAt.has(file);
const isLocal = (file) => isSource(file) && !file.includes('/node_modules/') && !own(file);
/** What comes with the project or the compiler does not change while the kernel lives; everything else may. */
const fixed = [path.join(root, 'node_modules'), path.join(root, 'dist'), ...ownPackages()].map((at) => `${at}/`);
const isFixed = (file) => fixed.some((at) => file.startsWith(at));

/** Folders of the packages this one needs, which npm may have put beside it. */
function ownPackages() {
  const { dependencies } = require('./package.json');
  return [...Object.keys(dependencies), '@tensorflow'].flatMap((name) => packageFolder(name) ?? []);
}

const snapshots = new Map();
const versionOf = (file) => {
  if (file === current) return String(currentVersion);
  if (file === packages) return String(packagesVersion);
  if (cellAt.has(file) || isFixed(file)) return '1';
  try {
    const { mtimeMs, size } = fs.statSync(real(file));
    return `${mtimeMs} ${size}`;
  } catch {
    return 'gone';
  }
};

/** Files in which an import was not found, or whose target is gone: they are looked at again. */
const unresolved = new Map();
const fileExists = (file) => own(file) || ts.sys.fileExists(real(file));
const host = {
  getCompilationSettings: () => options,
  getScriptFileNames: () => [current, packages, ...asked],
  getScriptVersion: versionOf,
  getScriptSnapshot(file) {
    if (file === current) return ts.ScriptSnapshot.fromString(currentText);
    if (file === packages) return ts.ScriptSnapshot.fromString(packagesText());
    if (cellAt.has(file)) return ts.ScriptSnapshot.fromString(cellAt.get(file));
    const version = versionOf(file);
    const known = snapshots.get(file);
    if (known?.version === version) return known.snapshot;
    const text = standard.texts.get(file) ?? ts.sys.readFile(real(file));
    if (text === undefined) return undefined;
    const snapshot = ts.ScriptSnapshot.fromString(text);
    snapshots.set(file, { version, snapshot });
    return snapshot;
  },
  getCurrentDirectory: () => folder,
  useCaseSensitiveFileNames: () => ts.sys.useCaseSensitiveFileNames,
  getDefaultLibFileName: (o) => ts.getDefaultLibFilePath(o),
  fileExists,
  readFile: (file) => ts.sys.readFile(real(file)),
  directoryExists: (file) => ts.sys.directoryExists(real(file)),
  getDirectories: (file) => ts.sys.getDirectories(real(file)),
  readDirectory: (file, ...more) => ts.sys.readDirectory(real(file), ...more).map(seen),
  realpath: (file) => seen(ts.sys.realpath(real(file))),
  hasInvalidatedResolutions: (file) => unresolved.get(file)?.some((target) => !target || !fileExists(target)) ?? false,
  resolveModuleNameLiterals(literals, containing, redirected, settings) {
    // Everything is imported as an ES module imports (modules.mjs), so packages are asked for that entry.
    const mode = ts.ModuleKind.ESNext;
    const found = literals.map((literal) => resolveModule(literal.text, containing, redirected, settings, mode));
    // A package of the project does not change; an import in one's own files may be found later, or lost.
    if (!isFixed(containing))
      unresolved.set(
        containing,
        found.map((f) => f.resolvedModule?.resolvedFileName),
      );
    return found;
  },
  resolveTypeReferenceDirectiveReferences(references, containing, redirected, settings) {
    return references.map((reference) => {
      const name = typeof reference === 'string' ? reference : reference.fileName;
      if (name === 'node')
        return {
          resolvedTypeReferenceDirective: { primary: true, resolvedFileName: nodeTypes() },
          failedLookupLocations: [],
        };
      return ts.resolveTypeReferenceDirective(name, containing, settings, host, redirected);
    });
  },
};

const cache = ts.createModuleResolutionCache(folder, (f) => f, options);
function resolveModule(name, containing, redirected, settings, mode) {
  if (name.startsWith('cell:')) return { resolvedModule: { resolvedFileName: cellPath(name), extension: '.ts' } };
  if (name === 'voxelbook/kernel') {
    const resolvedFileName = path.join(root, 'kernels/voxelbook/kernel.d.ts');
    return { resolvedModule: { resolvedFileName, extension: '.d.ts' } };
  }
  // What lies outside of the project may be installed, upgraded or written at any moment, so nothing is remembered of it.
  const remembered = isFixed(containing) ? cache : undefined;
  const found = ts.resolveModuleName(name, containing, settings, host, remembered, redirected, mode);
  // A notebook outside the project still finds the project's packages, as it does at run time.
  if (found.resolvedModule || name.startsWith('.') || name.startsWith('/')) return found;
  return ts.resolveModuleName(name, path.join(root, 'notebook.ts'), settings, host, cache, redirected, mode);
}

// Every program asks for the package.json above each of its files; those of packages that do not change are read once.
const packageInfo = cache.getPackageJsonInfoCache();
const steadyCache = {
  ...cache,
  getPackageJsonInfoCache: () => ({
    ...packageInfo,
    setPackageJsonInfo: (file, info) => isFixed(file) && packageInfo.setPackageJsonInfo(file, info),
  }),
};
host.getModuleResolutionCache = () => steadyCache;

const registry = ts.createDocumentRegistry(ts.sys.useCaseSensitiveFileNames, folder);
const service = ts.createLanguageService(host, registry);

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
    .flatMap((d) => {
      // The text ends behind the cell where the parser waits for more; an error of the last line alone is not the cell's.
      const begin = currentModule.toCell(d.start ?? 0) ?? (d.category === undefined || isSyntax(d) ? code.length : undefined);
      if (begin === undefined) return [];
      const start = Math.max(0, begin);
      const end = Math.max(start, currentModule.toCell((d.start ?? 0) + (d.length ?? 0)) ?? code.length);
      const { code: number, text } = worded(d, code.slice(start, end));
      return [{ number, text, label, ...place(code, start, end) }];
    });
}
const isSyntax = (diagnostic) => diagnostic.code < 2000;

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

/** Source files of the person's own that the program reaches, as JavaScript; only those that changed since they were sent. */
const sent = new Map();
function localModules(program) {
  const changed = [];
  for (const file of program.getSourceFiles()) {
    const json = file.fileName.endsWith('.json') && !file.fileName.includes('/node_modules/');
    if (!json && !isLocal(file.fileName)) continue;
    // A file stays the same and yet means another, where what it imports was not there before.
    const version = `${versionOf(file.fileName)} ${json ? '' : JSON.stringify(importsOf(program, file))}`;
    if (sent.get(file.fileName) === version) continue;
    if (json) {
      changed.push({ version, path: real(file.fileName), seen: file.fileName, json });
      continue;
    }
    const [d] = service.getSyntacticDiagnostics(file.fileName);
    if (d) {
      const label = path.relative(realFolder, real(file.fileName));
      throw Object.assign(new Error('syntax'), {
        faults: [{ number: d.code, text: flat(d.messageText), label, ...place(file.text, d.start, d.start + d.length) }],
      });
    }
    changed.push({ version, path: real(file.fileName), seen: file.fileName, ...emitted(program, file) });
  }
  for (const { seen: name, version } of changed) sent.set(name, version);
  return changed;
}

function emitted(program, file, cell) {
  return { ...emit(ts, program, file, cell), imports: importsOf(program, file) };
}

/** Specifier → the source or JSON file it means, or null for what Node resolves itself. */
function importsOf(program, file) {
  const result = {};
  for (const literal of file.imports ?? []) {
    const resolved = program.getResolvedModuleFromModuleSpecifier(literal, file)?.resolvedModule?.resolvedFileName;
    const mine = resolved && (isLocal(resolved) || (resolved.endsWith('.json') && !resolved.includes('/node_modules/')));
    result[literal.text] = mine ? real(resolved) : null;
  }
  return result;
}

/** What a cell's declarations replaced, for the case that it throws before it reaches them. */
let replaced = { id: undefined, names: new Map() };

/** @param keep false for an expression that declares nothing (user_expressions) */
function compile({ code, id, label, keep = true }) {
  const module = cellModule(ts, code, names);
  // What is declared globally again replaces what the cell of before said.
  for (const [cell, said] of augmenting)
    if (module.augments.some((name) => name.includes(' ') && said.includes(name))) {
      augmenting.delete(cell);
      packagesVersion++;
    }
  setCurrent(module);
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
  const output = emitted(program, program.getSourceFile(current), module);
  if (!keep) return { ...output, modules };
  for (const [name, file] of Object.entries(output.imports))
    if (!file && /^[@\w]/.test(name) && !name.includes(':') && !imported.has(name)) {
      imported.add(name);
      packagesVersion++;
    }
  const from = `cell:${id}`;
  cellAt.set(cellPath(from), currentText);
  if (module.augments.length > 0) {
    augmenting.set(from, module.augments);
    packagesVersion++;
  }
  replaced = { id, names: new Map() };
  for (const [name, { statement, assignable }] of module.declared) {
    replaced.names.set(name, names.get(name));
    names.set(name, statement ? { statement } : { from, assignable });
  }
  return { ...output, modules };
}

/** The cell threw before it gave these names a value: they mean what they meant before. */
function forget({ id, unset }) {
  if (replaced.id !== id) return;
  for (const name of unset) {
    if (!replaced.names.has(name)) continue;
    const before = replaced.names.get(name);
    if (before) names.set(name, before);
    else names.delete(name);
  }
}

/** A file of one's own whose name was computed at run time. */
function compileFile({ file }) {
  asked.add(seen(file));
  try {
    return { modules: localModules(service.getProgram()) };
  } catch (error) {
    if (error.faults) return { faults: error.faults };
    throw error;
  }
}

// ---- completion and inspection ----------------------------------------------------------------------------------

function complete({ code, position }) {
  setCurrent(cellModule(ts, code, names, { wholeScope: true }));
  const at = currentModule.fromCell(position);
  const list = service.getCompletionsAtPosition(current, at, { includeCompletionsWithInsertText: false });
  const word = code.slice(0, position).match(/[\p{ID_Continue}$]*$/u)[0];
  const files = list && !/^!.*\s/.test(lineBefore(code, position)) ? undefined : paths(code, position);
  if (files) return files;
  // Where types say nothing (any, a record), the value itself may: the running side is asked.
  const receiver = code
    .slice(0, position)
    .match(/(?:^|[^\w$.\])])((?:[\p{ID_Start}$_][\p{ID_Continue}$]*\.)+)[\p{ID_Continue}$]*$/u)?.[1];
  const values = receiver && {
    receiver: receiver.slice(0, -1).split('.'),
    typed: word,
    start: position - word.length,
    end: position,
  };
  if (!list) return { matches: [], start: position, end: position, values };
  const span = list.optionalReplacementSpan ?? list.entries.find((e) => e.replacementSpan)?.replacementSpan;
  const start = span ? currentModule.toCell(span.start) : position - word.length;
  const end = span ? (currentModule.toCell(span.start + span.length) ?? position) : position;
  const typed = code.slice(start, position).toLowerCase();
  const matches = list.entries
    .filter((e) => e.name.toLowerCase().startsWith(typed) && !/^__(cell|packages)/.test(e.name))
    .sort((a, b) => (a.sortText < b.sortText ? -1 : a.sortText > b.sortText ? 1 : a.name < b.name ? -1 : 1))
    .map((e) => ({ text: e.name, type: e.kind }));
  return { matches, start, end, values: list.isMemberCompletion && matches.length === 0 ? values : undefined };
}

const lineBefore = (code, position) => code.slice(code.lastIndexOf('\n', position - 1) + 1, position);

/** Files and folders, when the cursor stands in a text that begins like a path, or in a shell command. */
function paths(code, position) {
  const begun = lineBefore(code, position).match(/^!.*?\s((?:~|\.{0,2})\/?[^\s'"]*)$/)?.[1] ?? inString(code, position);
  if (begun === undefined || !/^(~|\.{1,2})?\/|^[^/\s]+\/|^\.{0,2}$|^[\w.-]+$/.test(begun)) return undefined;
  const slash = begun.lastIndexOf('/') + 1;
  const typed = begun.slice(slash);
  const inFolder = path.resolve(realFolder, begun.slice(0, slash).replace(/^~(?=\/)/, process.env.HOME ?? '~') || '.');
  let entries;
  try {
    entries = fs.readdirSync(inFolder, { withFileTypes: true });
  } catch {
    return undefined;
  }
  const matches = entries
    .filter((e) => e.name.startsWith(typed) && (typed.startsWith('.') || !e.name.startsWith('.')))
    .map((e) => ({ text: e.name + (e.isDirectory() ? '/' : ''), type: e.isDirectory() ? 'directory' : 'file' }))
    .sort((a, b) => (a.text < b.text ? -1 : 1));
  return matches.length > 0 ? { matches, start: position - typed.length, end: position } : undefined;
}

/** The beginning of the text literal the cursor stands in. */
function inString(code, position) {
  const source = ts.createSourceFile('cell.ts', code, ts.ScriptTarget.ESNext, true, ts.ScriptKind.TS);
  let found;
  const visit = (node) => {
    if (position <= node.getStart(source) || position > node.getEnd()) return;
    if (ts.isStringLiteralLike(node)) found = code.slice(node.getStart(source) + 1, position);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function inspect({ code, position, detail = 0 }) {
  setCurrent(cellModule(ts, code, names, { wholeScope: true }));
  // A cursor behind a name, where editors usually are, means that name.
  for (const p of [position, position - 1]) {
    if (p < 0) continue;
    const found = explained(currentModule.fromCell(p), detail);
    if (found) return found;
  }
  const help = service.getSignatureHelpItems(current, currentModule.fromCell(position), undefined);
  if (help) {
    const item = help.items[help.selectedItemIndex];
    const text = (parts) => ts.displayPartsToString(parts);
    const parameters = item.parameters.map((p) => text(p.displayParts)).join(text(item.separatorDisplayParts));
    return {
      signature: text(item.prefixDisplayParts) + parameters + text(item.suffixDisplayParts),
      documentation: documentation(item),
    };
  }
  // A name of a type stands for no value: asked again where a type stands.
  const word =
    code.slice(0, position).match(/[\p{ID_Continue}$.]*$/u)[0] + code.slice(position).match(/^[\p{ID_Continue}$]*/u)[0];
  if (!word || /^\d|\.$/.test(word)) return undefined;
  const asType = `type __inspected = ${word}`;
  setCurrent(cellModule(ts, asType, names, { wholeScope: true }));
  const found = explained(currentModule.fromCell(asType.length - 1), detail);
  return found?.signature.includes('/*unresolved*/') ? undefined : found;
}

function explained(at, detail) {
  const info = service.getQuickInfoAtPosition(current, at);
  if (!info) return undefined;
  const source = service.getProgram().getSourceFile(current);
  const token = ts.getTouchingPropertyName(source, at);
  // Of a name nobody knows the compiler says that it is of any type.
  const symbol = service.getProgram().getTypeChecker().getSymbolAtLocation(token);
  if (ts.isIdentifier(token) && (!symbol || symbol.escapedName === 'unknown')) return undefined;
  // That a name of an earlier cell arrives by import is the kernel's business.
  const signature = ts
    .displayPartsToString(info.displayParts)
    .replace(/^\(alias\) /, '')
    .replace(/\nimport .*$/, '');
  const target = detail > 0 ? service.getDefinitionAtPosition(current, at)?.[0] : undefined;
  const span = target && (target.contextSpan ?? target.textSpan);
  const text = span && host.getScriptSnapshot(target.fileName)?.getText(span.start, span.start + span.length);
  return { signature, documentation: documentation(info), source: text };
}

function documentation({ documentation = [], tags = [] }) {
  const lines = tags.map((t) => `@${t.name} ${ts.displayPartsToString(t.text)}`);
  return [ts.displayPartsToString(documentation), ...lines].filter(Boolean).join('\n');
}

/** Whether a console should run the code, wait for more, or say it is wrong. */
function isComplete({ code: given }) {
  const code = plainCode(ts, given, names);
  const source = ts.createSourceFile('cell.ts', `${code}\n`, ts.ScriptTarget.ESNext, true, ts.ScriptKind.TS);
  const awaitIsName = new Set([1262, 1359]);
  const faults = source.parseDiagnostics.filter((d) => !awaitIsName.has(d.code));
  if (faults.length === 0) return { status: 'complete' };
  const end = code.trimEnd().length;
  const unterminated = new Set([1010, 1160]);
  if (!faults.some((d) => d.start >= end || unterminated.has(d.code))) return { status: 'invalid' };
  const open = code.split('\n').at(-1).match(/^\s*/)[0];
  return { status: 'incomplete', indent: /[{[(]\s*$/.test(code) ? `${open}  ` : open };
}

/** A cell taken before this thread had to start again; what the other side has of its sources is not known here. */
function again({ unset = [], ...about }) {
  compile(about);
  forget({ id: about.id, unset });
  sent.clear();
}

const answers = { compile, compileFile, forget, again, complete, inspect, isComplete, ready: () => true };

let lastAsked = performance.now();
wire.on('message', ({ request, ask, ...about }) => {
  lastAsked = performance.now();
  let answer;
  try {
    answer = { value: answers[ask](about) };
  } catch (error) {
    answer = { error: String(error?.stack ?? error) };
  }
  if (request) wire.postMessage({ request, ...answer });
});

// The standard types are read at once: the first cell needs them in any case.
service.getSemanticDiagnostics(current);
parentPort.postMessage('ready');

// The library's are read ahead, one file at a time while nobody asks for anything, so that no request ever waits for it
// and the cell that imports the library finds them parsed.
const ahead = ['voxelbook', 'arquero', '@tensorflow/tfjs'];
const idleMs = 300;
function readAhead() {
  const queue = ahead.map((name) =>
    resolveModule(name, path.join(root, 'notebook.ts'), undefined, options, ts.ModuleKind.ESNext),
  );
  const read = new Set();
  const step = () => {
    if (performance.now() - lastAsked < idleMs) return void setTimeout(step, idleMs).unref();
    const file = queue.shift()?.resolvedModule?.resolvedFileName;
    if (file && isFixed(file) && !read.has(file)) {
      read.add(file);
      const snapshot = host.getScriptSnapshot(file);
      const source = snapshot && registry.acquireDocument(file, host, snapshot, versionOf(file), ts.ScriptKind.TS);
      for (const { moduleSpecifier: name } of source?.statements ?? [])
        if (name && ts.isStringLiteral(name))
          queue.push(resolveModule(name.text, file, undefined, options, ts.ModuleKind.ESNext));
    }
    if (queue.length > 0) setImmediate(step);
  };
  step();
}
setTimeout(readAhead, idleMs).unref();
