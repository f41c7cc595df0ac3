// What a module of dist/ loads when it is imported: its static imports, and theirs.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const dist = fileURLToPath(new URL('../dist/', import.meta.url));

/** Modules below dist/ and packages, `run/cli.js` and `zod` alike; Node's own are left out. */
export function loadedBy(module: string): Set<string> {
  const seen = new Set<string>();
  const load = (name: string) => {
    if (seen.has(name)) return;
    seen.add(name);
    if (!name.endsWith('.js')) return;
    const text = fs.readFileSync(path.join(dist, name), 'utf8');
    for (const [, named, bare] of text.matchAll(/^(?:import|export)\b[^'"(;]*from ['"]([^'"]+)['"]|^import ['"]([^'"]+)['"]/gm)) {
      const from = named ?? bare;
      if (from.startsWith('.')) load(path.posix.join(path.posix.dirname(name), from));
      else if (!from.startsWith('node:')) seen.add(from);
    }
  };
  load(module);
  return seen;
}
