// Imports of a cell. Packages are imported as Node imports them (so packages without a `require` entry load too); the
// person's own TypeScript files arrive from the compiler's thread and run here, again whenever they change, in the order
// and with the waiting that ES modules have.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import vm from 'node:vm';

/** `import()` as a file in `folder` would do it. */
function importer(folder) {
  return new vm.Script('(specifier, options) => import(specifier, options)', {
    filename: path.join(folder, 'cell.mjs'),
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  }).runInThisContext();
}

/**
 * A package's namespace as TypeScript's declarations describe it: for a CommonJS package every property of
 * `module.exports` is a name, and the default is `exports.default` where the package says it was an ES module.
 */
function namespaceOf(namespace, require) {
  const exported = namespace.default;
  const isObject = exported !== null && (typeof exported === 'object' || typeof exported === 'function');
  if (!isObject) return namespace;
  const common = 'module.exports' in namespace || Object.values(require.cache).some((m) => m?.loaded && m.exports === exported);
  if (!common) return namespace;
  const result = Object.create(null);
  for (const name of Object.keys(exported))
    if (name !== 'default') Object.defineProperty(result, name, { enumerable: true, get: () => exported[name] });
  for (const name of Object.keys(namespace))
    if (!(name in result) && name !== 'default' && name !== 'module.exports')
      Object.defineProperty(result, name, { enumerable: true, get: () => namespace[name] });
  result.default = exported.__esModule && 'default' in exported ? exported.default : exported;
  return result;
}

/** What a module that is missing at run time says; where only types were wanted of it, that does not matter. */
const missing = new Set(['ERR_MODULE_NOT_FOUND', 'ERR_PACKAGE_PATH_NOT_EXPORTED', 'MODULE_NOT_FOUND']);

/**
 * @param root the project, whose packages every notebook finds
 * @param folder the notebook's
 * @param builtin modules the kernel answers itself, by name
 * @param calls what loaded code asks of the kernel (context.mjs)
 * @param onScript called with (label, source map, lines before the text) for tracebacks
 * @param compileFile asks the compiler for a file that no import names: resolves to sources as `update` takes them
 */
export function moduleLoader({ root, folder: home, builtin, calls, onScript, compileFile }) {
  const requireOf = createRequire(path.join(root, 'package.json'));
  const importers = new Map();
  const packages = new Map();
  const sources = new Map();

  async function importFrom(folder, specifier, options) {
    const own = builtin[specifier];
    if (own) return own;
    let name = specifier;
    if (/^\.{0,2}\//.test(specifier)) {
      const file = path.resolve(folder, specifier);
      const changed = fs.existsSync(file) ? `?changed=${fs.statSync(file).mtimeMs}` : '';
      name = pathToFileURL(file).href + changed;
    }
    const key = `${folder}\0${name}`;
    if (!packages.has(key)) packages.set(key, namespaceOf(await importNear(folder, name, options), requireOf));
    return packages.get(key);
  }

  async function importNear(folder, name, options) {
    if (!importers.has(folder)) importers.set(folder, importer(folder));
    try {
      return await importers.get(folder)(name, options);
    } catch (error) {
      const absent = error?.code === 'ERR_MODULE_NOT_FOUND' && error.message.includes(`'${name.split('/')[0]}`);
      if (!absent || folder === root || name.startsWith('file:')) throw error;
      return importNear(root, name, options);
    }
  }

  /** The JavaScript of a cell or source file as a function of its surroundings. */
  function script(js, label, map, names, header) {
    onScript(label, map, header);
    const begin = `(async function${header ? '' : '*'} (${names.join(', ')}) {"use strict";`;
    return new vm.Script(`${begin}${js}\n})`, {
      filename: label,
      columnOffset: -begin.length,
      importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    }).runInThisContext();
  }

  /** What Node gives a module of this file. */
  function surroundings(file, imports) {
    const folder = path.dirname(file);
    const require = createRequire(file);
    const url = pathToFileURL(file).href;
    const module = {
      exports: {},
      id: file,
      filename: file,
      path: folder,
      loaded: false,
      children: [],
      paths: require.resolve.paths('x') ?? [],
      require,
    };
    const resolve = (specifier) =>
      /^(\.{0,2}\/|file:)/.test(specifier)
        ? new URL(specifier, url).href
        : specifier.startsWith('node:')
          ? specifier
          : urlOf(require.resolve(specifier));
    return {
      __k: calls,
      __import: async (specifier, options) => load(String(specifier), imports, folder, options),
      __meta: { url, filename: file, dirname: folder, resolve, main: false },
      require,
      module,
      exports: module.exports,
      __filename: file,
      __dirname: folder,
    };
  }
  const urlOf = (resolved) =>
    path.isAbsolute(resolved) ? pathToFileURL(resolved).href : `node:${resolved.replace(/^node:/, '')}`;

  async function load(specifier, imports, folder, options) {
    const file = imports[specifier] ?? (Object.hasOwn(imports, specifier) ? undefined : await ownFile(specifier, folder));
    if (!file) return importFrom(folder, specifier, options);
    if (file.endsWith('.json')) return jsonModule(file);
    await evaluate(file);
    return sources.get(file).exports;
  }

  function jsonModule(file) {
    const value = JSON.parse(fs.readFileSync(file, 'utf8'));
    const isObject = value !== null && typeof value === 'object' && !Array.isArray(value);
    return { ...(isObject ? value : {}), default: value };
  }

  /** The TypeScript or JSON file that a specifier computed at run time means, compiled. */
  async function ownFile(specifier, folder) {
    if (!/^(\.{0,2}\/|file:)/.test(specifier)) return undefined;
    const plain = specifier.startsWith('file:') ? fileURLToPath(specifier) : path.resolve(folder, specifier);
    if (plain.includes('/node_modules/')) return undefined;
    const swapped = plain.replace(/\.([cm]?)js$/, '.$1ts');
    const candidates = [plain, swapped, ...['.ts', '.mts', '.cts', '.tsx', '.json', '/index.ts'].map((end) => plain + end)];
    const file = candidates.find((f) => /\.([cm]?tsx?|json)$/.test(f) && fs.existsSync(f));
    if (!file || file.endsWith('.json')) return file;
    update(await compileFile(file));
    return file;
  }

  // ---- files of one's own ---------------------------------------------------------------------------------------

  /** Runs a source file unless it has run already; resolves when it has, with everything it imports. */
  function evaluate(file) {
    const source = sources.get(file);
    if (!source) throw new Error(`${file} was not compiled`);
    if (!source.evaluation) {
      instantiate(file);
      source.done = false;
      source.evaluation = run(file, source).then(
        () => {
          source.done = true;
        },
        (error) => {
          source.evaluation = source.begun = undefined;
          throw error;
        },
      );
      source.evaluation.catch(() => {});
    }
    return source.evaluation;
  }

  /** The files it imports by a statement. */
  const dependencies = ({ loads, imports }) => loads.map(({ specifier }) => imports[specifier]).filter((f) => sources.has(f));

  function reaches(from, to, met = new Set()) {
    if (from === to) return true;
    if (met.has(from)) return false;
    met.add(from);
    return dependencies(sources.get(from)).some((next) => reaches(next, to, met));
  }

  /** Gives its names away, and those of what it imports, before anything of them runs: in a cycle functions can be called. */
  function instantiate(file) {
    const source = sources.get(file);
    if (source.begun) return;
    const { js, map, imports, exports } = source;
    for (const name of Object.keys(exports)) delete exports[name];
    const modules = {};
    const give = (name, get) => {
      if (!(name in exports)) Object.defineProperty(exports, name, { enumerable: true, configurable: true, get });
    };
    const around = surroundings(file, imports);
    const given = {
      __m: modules,
      __run: { context: calls.enter().context },
      __export: (getters) => {
        for (const [name, get] of Object.entries(getters)) give(name, get);
      },
      __equals: (value) => {
        around.module.exports = value;
      },
      ...around,
    };
    const body = script(js, file, map, Object.keys(given), 0)(...Object.values(given));
    source.begun = { body, modules, give, around };
    body.next();
    for (const dependency of dependencies(source)) instantiate(dependency);
    for (const { specifier } of source.loads)
      if (sources.has(imports[specifier])) modules[specifier] = sources.get(imports[specifier]).exports;
  }

  async function run(file, source) {
    const { loads, imports, stars, begun } = source;
    const { body, modules, give, around } = begun;
    // So that a cycle sees that this file is on its way.
    await null;
    for (const { specifier, needed } of loads) {
      const other = imports[specifier];
      if (sources.has(other)) {
        // Of two files that import each other the one asked for last runs first.
        const waits = sources.get(other).evaluation && reaches(other, file);
        if (!waits) await evaluate(other);
      } else
        try {
          modules[specifier] = await load(specifier, imports, path.dirname(file));
        } catch (error) {
          if (needed || !missing.has(error?.code)) throw error;
        }
      if (stars.includes(specifier))
        for (const name of Object.keys(modules[specifier])) if (name !== 'default') give(name, () => modules[specifier][name]);
    }
    await body.next();
    const { module } = around;
    if (module.exports !== around.exports || Object.keys(module.exports).length > 0) {
      give('default', () => module.exports);
      give('module.exports', () => module.exports);
      for (const name of Object.keys(module.exports)) give(name, () => module.exports[name]);
    }
  }

  /** Takes newly compiled sources; what imports a changed one, directly or not, runs again too. */
  function update(changed) {
    for (const { path: file, json, ...compiled } of changed)
      if (!json) sources.set(file, { ...compiled, exports: sources.get(file)?.exports ?? Object.create(null) });
    const stale = new Set(changed.map((c) => c.path));
    for (let before = -1; before !== stale.size; ) {
      before = stale.size;
      for (const [file, { imports }] of sources) if (Object.values(imports).some((f) => stale.has(f))) stale.add(file);
    }
    for (const file of stale)
      if (sources.has(file)) Object.assign(sources.get(file), { evaluation: undefined, begun: undefined });
  }

  // ---- cells ----------------------------------------------------------------------------------------------------

  return {
    update,

    /** After Stop: a source that was being run when it came will never finish, and runs again when asked for. */
    forgetUnfinished() {
      for (const source of sources.values()) if (source.evaluation && !source.done) source.evaluation = source.begun = undefined;
    },

    /**
     * Prepares a cell: loads what it imports; resolves to a function that runs it.
     * @param cells the names of all cells
     * @param own where the cell's declarations go
     * @param run `{ context }` of the cell
     */
    async cell({ js, label, map, imports, loads }, { cells, own, run }) {
      const file = path.join(home, `${label}.ts`);
      for (const { specifier, needed, names } of loads) {
        let module;
        try {
          module = await load(specifier, imports, home);
        } catch (error) {
          // A package of types alone has nothing to load; the compiler has seen that it exists.
          if (!needed && missing.has(error?.code)) continue;
          throw error;
        }
        for (const { name, imported } of names) {
          const get =
            imported === '*'
              ? () => module
              : imported === 'module.exports'
                ? () => module['module.exports'] ?? module.default ?? module
                : () => module[imported];
          Object.defineProperty(cells, name, { configurable: true, enumerable: true, get });
        }
      }
      const given = { __cells: cells, __own: own, __run: run, ...surroundings(file, imports) };
      const start = script(js, label, map, Object.keys(given), 1);
      return () => start(...Object.values(given));
    },
  };
}
