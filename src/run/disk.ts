// What lies below the folder of runs, and how much of the disk it takes.
import fs from 'node:fs';
import path from 'node:path';
import { dataFolder, runsFolder } from '../base/paths.js';
import { byteText, plainText } from '../base/text.js';
import { type RunState, readOrder, runFolders } from './folder.js';
import { stateOf } from './list.js';

/** What one folder takes of the disk. */
export interface DiskUse {
  /** A run's folder name, or that of another folder, below the folder of runs where it lies there. */
  name: string;
  folder: string;
  /** What it is: the state of a run; of another folder nothing. */
  state?: RunState;
  /** Bytes on the disk, each file once however many names it has. */
  bytes: number;
  /** Of a run: bytes of its checkpoints and of its predictions. */
  checkpoints?: number;
  predictions?: number;
}

/** Bytes that a folder or file takes on the disk; 0 where there is none. `seen` holds files that have been counted. */
export function bytesOf(at: string, seen = new Set<string>()): number {
  const stat = fs.lstatSync(at, { throwIfNoEntry: false });
  if (!stat) return 0;
  if (stat.nlink > 1 && !stat.isDirectory()) {
    const key = `${stat.dev}:${stat.ino}`;
    if (seen.has(key)) return 0;
    seen.add(key);
  }
  // Blocks of 512 bytes: what is sparse or small counts as it lies on the disk.
  const own = stat.blocks * 512;
  if (!stat.isDirectory()) return own;
  let inside: string[] = [];
  try {
    inside = fs.readdirSync(at);
  } catch (error) {
    // Removed meanwhile, or not ours to look into.
    if (!['ENOENT', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
  return inside.reduce((sum, name) => sum + bytesOf(path.join(at, name), seen), own);
}

/** Every run and every other folder below the folder of runs, and the data folder where it lies elsewhere; largest first. */
export function diskUse(): DiskUse[] {
  const root = runsFolder();
  const runs = runFolders().filter((folder) => readOrder(folder));
  const rows: DiskUse[] = runs.map((folder) => ({
    name: path.basename(folder),
    folder,
    state: stateOf(folder),
    bytes: bytesOf(folder),
    checkpoints: bytesOf(path.join(folder, 'checkpoints')),
    predictions: bytesOf(path.join(folder, 'predictions')),
  }));
  const data = dataFolder();
  const others = fs.existsSync(root) ? fs.readdirSync(root).map((name) => path.join(root, name)) : [];
  const known = new Set([...runs, data]);
  const parts = fs.existsSync(data) ? fs.readdirSync(data).map((name) => path.join(data, name)) : [];
  for (const folder of [...parts, ...others.filter((other) => !known.has(other))]) {
    const inside = path.relative(root, folder);
    rows.push({ name: inside.startsWith('..') ? folder : inside, folder, bytes: bytesOf(folder) });
  }
  return rows.sort((a, b) => b.bytes - a.bytes);
}

/** The table as text, with the sum. */
export function diskText(rows: readonly DiskUse[]): string {
  if (rows.length === 0) return 'no runs yet';
  const part = (bytes?: number) => (bytes === undefined ? '' : byteText(bytes));
  const lines = [
    ['size', 'checkpoints', 'predictions', 'state', 'name'],
    ...rows.map((r) => [byteText(r.bytes), part(r.checkpoints), part(r.predictions), r.state ?? '', plainText(r.name)]),
    [byteText(rows.reduce((sum, r) => sum + r.bytes, 0)), '', '', '', `in all, in ${runsFolder()}`],
  ];
  const widths = [0, 1, 2, 3].map((i) => Math.max(...lines.map((l) => l[i].length)));
  return lines
    .map((l) => [...l.slice(0, 3).map((t, i) => t.padStart(widths[i])), l[3].padEnd(widths[3]), l[4]].join('  ').trimEnd())
    .join('\n');
}
