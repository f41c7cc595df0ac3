// nnU-Net's JSON: sorted keys, four spaces, and Python's bare NaN and Infinity, which JSON does not know.
import fs from 'node:fs';
import { atomicWrite } from '../base/atomicWrite.js';

const mark = '\u0000number:';

/** Text as Python's `json.dump(value, sort_keys=True, indent=4)` writes it, whole numbers without a decimal point. */
export function toNnunetJson(value: unknown): string {
  const sorted = (v: unknown): unknown => {
    if (typeof v === 'number' && !Number.isFinite(v)) return mark + v;
    if (Array.isArray(v)) return v.map(sorted);
    if (v && typeof v === 'object') {
      const entries = Object.entries(v).map(([k, x]) => [k, sorted(x)] as const);
      return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
    }
    return v;
  };
  return JSON.stringify(sorted(value), null, 4).replace(/"\\u0000number:(NaN|-?Infinity)"/g, '$1');
}

/** Writes a value as nnU-Net writes its JSON. */
export const writeNnunetJson = (file: string, value: unknown) => atomicWrite(file, toNnunetJson(value));

/** Reads JSON that may hold NaN and Infinity. */
export function readNnunetJson<T>(file: string): T {
  const text = fs.readFileSync(file, 'utf8').replace(/(?<=[[:,]\s*)(NaN|-?Infinity)(?=\s*[,\]}])/g, `"\\u0000number:$1"`);
  return JSON.parse(text, (_key, v) => (typeof v === 'string' && v.startsWith(mark) ? Number(v.slice(mark.length)) : v)) as T;
}
