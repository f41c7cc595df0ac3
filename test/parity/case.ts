// A golden case and what checking it says. Families list their cases; nothing found in a folder is passed over.
import fs from 'node:fs';
import path from 'node:path';

/** One comparison: ours against the stored value. `pass` is the verdict by the case's own tolerance. */
export interface Row {
  what: string;
  maxAbs: number;
  relative: number;
  tolerance: string;
  pass: boolean;
  note?: string;
}

export interface GoldenCase {
  /** Path below the reference folder without ending: `models/mednext/net-s-k3-ds`. */
  name: string;
  run(): Row[] | Promise<Row[]>;
}

export interface Family {
  /** Folder below the root. */
  folder: string;
  cases(root: string): GoldenCase[];
}

/** A case nobody knows how to check: it fails, so that it is seen. */
export const unknownCase = (name: string, why: string): GoldenCase => ({
  name,
  run: () => [{ what: `unknown: ${why}`, maxAbs: Number.NaN, relative: Number.NaN, tolerance: '-', pass: false }],
});

type Numbers = ArrayLike<number>;

/** Largest absolute error, and |a-b|/|b| in L2. NaN against NaN is equal; lengths must agree. */
export function errors(ours: Numbers, reference: Numbers): { maxAbs: number; relative: number } {
  if (ours.length !== reference.length) return { maxAbs: Number.POSITIVE_INFINITY, relative: Number.POSITIVE_INFINITY };
  let maxAbs = 0;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < ours.length; i++) {
    const a = ours[i];
    const b = reference[i];
    if (Object.is(a, b) || a === b) {
      if (Number.isFinite(b)) norm += b * b;
      continue;
    }
    const d = Math.abs(a - b);
    if (Number.isNaN(d)) return { maxAbs: Number.NaN, relative: Number.NaN };
    maxAbs = Math.max(maxAbs, d);
    difference += d * d;
    norm += b * b;
  }
  return { maxAbs, relative: difference === 0 ? 0 : Math.sqrt(difference / Math.max(norm, 1e-300)) };
}

/** Row for arrays that must agree within an absolute and/or a relative (L2) bound; either suffices when both are given. */
export function close(what: string, ours: Numbers, reference: Numbers, bound: { abs?: number; rel?: number }): Row {
  const { maxAbs, relative } = errors(ours, reference);
  const pass = (bound.abs !== undefined && maxAbs <= bound.abs) || (bound.rel !== undefined && relative <= bound.rel);
  const tolerance = [bound.abs !== undefined ? `abs ${bound.abs}` : '', bound.rel !== undefined ? `rel ${bound.rel}` : ''];
  return { what, maxAbs, relative, tolerance: tolerance.filter(Boolean).join(' or '), pass };
}

/** Row for values that must be equal, compared as JSON. */
export function equal(what: string, ours: unknown, reference: unknown): Row {
  const [a, b] = [JSON.stringify(ours), JSON.stringify(reference)];
  const pass = a === b;
  return {
    what,
    maxAbs: pass ? 0 : Number.NaN,
    relative: pass ? 0 : Number.NaN,
    tolerance: 'equal',
    pass,
    note: pass ? undefined : difference(a, b),
  };
}

function difference(a = 'undefined', b = 'undefined'): string {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  const cut = (s: string) => s.slice(Math.max(0, i - 40), i + 60);
  return `ours …${cut(a)}… reference …${cut(b)}…`;
}

/** JSON as Python writes it: bare NaN and Infinity become numbers (read as `null` by `JSON.parse` otherwise failing). */
export function readJson<T = any>(file: string): T {
  const text = fs.readFileSync(file, 'utf8').replace(/(?<=[[\s:,])(NaN|-?Infinity)(?=[\s,\]}])/g, '"$1"');
  return JSON.parse(text, (_key, value) =>
    value === 'NaN' ? Number.NaN : value === 'Infinity' ? Infinity : value === '-Infinity' ? -Infinity : value,
  );
}

/** What lies in a folder, sorted, without notes and hidden files. */
export const entriesOf = (folder: string) =>
  fs
    .readdirSync(folder)
    .filter((name) => !/^\.|\.(md|txt|log|py)$/i.test(name))
    .sort();

/** Names (without ending) of the files with `ending` directly in `root/folder`, sorted; empty when there is no such folder. */
export function namesIn(root: string, folder: string, ending: string): string[] {
  const full = path.join(root, folder);
  if (!fs.existsSync(full)) return [];
  return fs
    .readdirSync(full)
    .filter((name) => name.endsWith(ending))
    .map((name) => name.slice(0, -ending.length))
    .sort();
}
