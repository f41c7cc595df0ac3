// Imports of a cell. Packages are imported as Node imports them (so packages without a `require` entry load too); the
// person's own TypeScript files arrive from the compiler's thread and run here, again whenever they change.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import vm from 'node:vm';

/** `import()` as a file in `folder` would do it. */
function importer(folder) {
  return new vm.Script('(specifier) => import(specifier)', {
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

/**
 * @param root the project, whose packages every notebook finds
 * @param builtin modules the kernel answers itself, by name
 * @param globals values every loaded source sees as if they were its own (`__stops`, `__resumed`)
 * @param onScript called with (label, source map, inserted) for tracebacks
 */
export function moduleLoader({ root, builtin, globals, onScript }) {
  const requireOf = createRequire(path.join(root, 'package.json'));
  const importers = new Map();
  const packages = new Map();
  const sources = new Map();

  async function importFrom(folder, specifier) {
    const own = builtin[specifier];
    if (own) return own;
    let name = specifier;
    if (/^\.{0,2}\//.test(specifier)) {
      const file = path.resolve(folder, specifier);
      const changed = fs.existsSync(file) ? `?changed=${fs.statSync(file).mtimeMs}` : '';
      name = pathToFileURL(file).href + changed;
    }
    const key = `${folder}\0${name}`;
    if (!packages.has(key)) packages.set(key, namespaceOf(await importNear(folder, name), requireOf));
    return packages.get(key);
  }

  async function importNear(folder, name) {
    if (!importers.has(folder)) importers.set(folder, importer(folder));
    try {
      return await importers.get(folder)(name);
    } catch (error) {
      const missing = error?.code === 'ERR_MODULE_NOT_FOUND' && error.message.includes(`'${name.split('/')[0]}`);
      if (!missing || folder === root || name.startsWith('file:')) throw error;
      return importNear(root, name);
    }
  }

  /** The JavaScript of a cell or source file as a function of its surroundings. */
  function script(js, label, map, inserted) {
    onScript(label, map, inserted);
    const names = ['exports', 'require', '__require', '__import', '__meta', ...Object.keys(globals)];
    const begin = `(async (${names.join(', ')}) => {`;
    return new vm.Script(`${begin}${js}\n})`, {
      filename: label,
      columnOffset: -begin.length,
      importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    });
  }

  /** Everything `js` will require, fetched beforehand, because a `require` cannot wait. */
  async function ready(js, imports, folder) {
    const modules = new Map();
    for (const [, specifier] of js.matchAll(/\brequire\("([^"\n]+)"\)/g)) {
      if (modules.has(specifier) || specifier.startsWith('cell:')) continue;
      try {
        modules.set(specifier, { value: await load(specifier, imports, folder) });
      } catch (error) {
        modules.set(specifier, { error });
      }
    }
    return (specifier) => {
      const module = modules.get(specifier);
      if (!module) throw new Error(`module ${specifier} was not loaded before the cell`);
      if (module.error) throw module.error;
      return module.value;
    };
  }

  async function load(specifier, imports, folder) {
    const file = imports[specifier];
    if (!file) return importFrom(folder, specifier);
    if (file.endsWith('.json')) {
      const value = JSON.parse(fs.readFileSync(file, 'utf8'));
      return { ...value, default: value };
    }
    await evaluate(file);
    return sources.get(file).exports;
  }

  /** Runs a source file unless it has run already; a cycle sees what is there so far, as in Node. */
  function evaluate(file) {
    const source = sources.get(file);
    if (!source) throw new Error(`${file} was not compiled`);
    source.running ??= runSource(file, source);
    return source.evaluating ? undefined : source.running;
  }

  async function runSource(file, source) {
    source.evaluating = true;
    try {
      const { js, map, imports, exports } = source;
      const folder = path.dirname(file);
      const require = await ready(js, imports, folder);
      for (const name of Object.keys(exports))
        if (Object.getOwnPropertyDescriptor(exports, name).configurable) delete exports[name];
      await run(script(js, file, map), exports, require, file, imports);
    } catch (error) {
      source.running = undefined;
      throw error;
    } finally {
      source.evaluating = false;
    }
  }

  function run(compiled, exports, require, file, imports) {
    const folder = path.dirname(file);
    const meta = { url: pathToFileURL(file).href, filename: file, dirname: folder };
    const dynamic = async (specifier) => load(String(specifier), imports, folder);
    return compiled.runInThisContext()(exports, require, createRequire(file), dynamic, meta, ...Object.values(globals));
  }

  return {
    importFrom,

    /** Takes newly compiled sources; what imports a changed one, directly or not, runs again too. */
    update(changed) {
      for (const { path: file, ...compiled } of changed) {
        const exports = sources.get(file)?.exports ?? {};
        sources.set(file, { ...compiled, exports, running: undefined, evaluating: false });
      }
      const stale = new Set(changed.map((c) => c.path));
      for (let before = -1; before !== stale.size; ) {
        before = stale.size;
        for (const [file, { imports }] of sources) if (Object.values(imports).some((f) => stale.has(f))) stale.add(file);
      }
      for (const file of stale) sources.get(file).running = undefined;
    },

    /** After a hard stop: a source that was being run when it came will never finish, and runs again when asked for. */
    forgetCut() {
      for (const source of sources.values())
        if (source.evaluating) Object.assign(source, { running: undefined, evaluating: false });
    },

    /** Prepares a cell: resolves to a function that runs it. */
    async cell({ js, label, map, imports, inserted, loads }, exports, file) {
      for (const specifier of loads)
        await load(specifier, imports, path.dirname(file)).catch((error) => {
          // A package of types alone has nothing to load; the compiler has seen that it exists.
          if (!['ERR_MODULE_NOT_FOUND', 'ERR_PACKAGE_PATH_NOT_EXPORTED'].includes(error?.code)) throw error;
        });
      const require = await ready(js, imports, path.dirname(file));
      const compiled = script(js, label, map, inserted);
      const all = (specifier) => (specifier.startsWith('cell:') ? exports : require(specifier));
      return () => run(compiled, exports, all, file, imports);
    },
  };
}
