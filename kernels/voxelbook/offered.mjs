// What the running Node offers beyond ES2023, so that the checker accepts what runs and nothing else.
import path from 'node:path';
import { packageFolder } from '../../environment/places.mjs';

const has = (object, ...members) => object !== undefined && members.every((m) => m in object);
const probes = {
  'es2024.arraybuffer': () => has(ArrayBuffer.prototype, 'resize'),
  'es2024.collection': () => has(Map, 'groupBy'),
  'es2024.object': () => has(Object, 'groupBy'),
  'es2024.promise': () => has(Promise, 'withResolvers'),
  'es2024.regexp': () => has(RegExp.prototype, 'unicodeSets'),
  'es2024.sharedmemory': () => has(Atomics, 'waitAsync') && has(SharedArrayBuffer.prototype, 'grow'),
  'es2024.string': () => has(String.prototype, 'isWellFormed', 'toWellFormed'),
  'es2025.collection': () => has(Set.prototype, 'union', 'isSubsetOf'),
  'es2025.float16': () => globalThis.Float16Array !== undefined,
  'es2025.intl': () => has(Intl, 'DurationFormat'),
  'es2025.iterator': () => has(globalThis.Iterator?.prototype, 'map', 'toArray'),
  'es2025.promise': () => has(Promise, 'try'),
  'es2025.regexp': () => has(RegExp, 'escape'),
  'esnext.array': () => has(Array, 'fromAsync'),
  'esnext.collection': () => has(Map.prototype, 'getOrInsert'),
  'esnext.date': () => has(Date.prototype, 'toTemporalInstant'),
  'esnext.decorators': () => true,
  'esnext.disposable': () => true,
  'esnext.error': () => has(Error, 'isError'),
  'esnext.sharedmemory': () => has(Atomics, 'pause'),
  'esnext.temporal': () => globalThis.Temporal !== undefined,
  'esnext.typedarrays': () => has(Uint8Array.prototype, 'toBase64'),
};

/** The compiler's library files of this Node. */
export const libraries = () => [
  'lib.es2023.d.ts',
  ...Object.entries(probes).flatMap(([name, probe]) => (probe() ? [`lib.${name}.d.ts`] : [])),
];

/** The declarations of this Node's own modules: those of its major version, or of the nearest one below. */
export function nodeTypes(major = Number(process.versions.node.split('.')[0])) {
  const versions = [20, 22, 24].filter((v) => v <= major).reverse();
  const names = versions.map((v) => (v === 20 ? '@types/node' : `node-types-${v}`));
  return path.join(names.map(packageFolder).find(Boolean) ?? packageFolder('@types/node'), 'index.d.ts');
}
