// Odd image files read by us and by somebody else: equal, or refused by us.
//
//   node --import tsx test/hostile/peers.ts [--count N] [--seed S] [--format F …] [--python PATH] [--keep FOLDER] [--write]
//
// Without --python the answers are those of peers.json, for its count and seed; --write makes that file again. Exit 1 on any difference.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { VoxelbookError } from '../../src/base/errors.js';
import { readVolume, type Volume } from '../../src/volume/index.js';
import { besides, type Format, formats, oddFile } from './mutations.js';

/** What a peer says of a file; without a digest it refused it. */
export interface Answer {
  file: string;
  shape?: number[];
  digest?: string;
  spacing?: number[];
  origin?: number[];
  direction?: number[];
  affine?: number[];
  /** A stack that is no volume. */
  stack?: number[];
}

export interface Row {
  tried: number;
  refused: number;
  /** Accepted, and the peer says the same. */
  equal: number;
  /** Refused by both. */
  both: number;
  /** Accepted, and the peer says something else or refuses: the files, and what is different. */
  different: string[];
  /** Errors that are none of ours. */
  raw: string[];
  slowestMs: number;
}

/** The golden answers; files that ended a peer are not among them. */
const stored = fileURLToPath(new URL('./peers.json', import.meta.url));
export const golden = (): { count: number; seed: number; answers: Answer[] } => JSON.parse(fs.readFileSync(stored, 'utf8'));

const digestOf = ({ data }: Volume) =>
  createHash('sha256')
    .update(new Uint8Array(Float64Array.from(data).buffer))
    .digest('hex')
    .slice(0, 12);
const near = (a: readonly number[], b: readonly number[], tolerance: number) =>
  a.every((v, i) => Math.abs(v - b[i]) <= tolerance * Math.max(1, Math.abs(b[i])));

/** What is different between our volume and the peer's; empty where nothing is. */
export function difference(v: Volume, peer: Answer): string {
  if (peer.digest === undefined) return 'the peer refuses it';
  if (peer.stack) return `the peer reads a stack of ${peer.stack}`;
  const shape = [...v.shape, v.channels];
  if (`${shape}` !== `${peer.shape}`) return `shape ${shape}; the peer has ${peer.shape}`;
  if (digestOf(v) !== peer.digest) return 'other values';
  const [z, y, x] = v.spacingMm;
  if (peer.spacing && !near([x, y, z], peer.spacing, 1e-5)) return `spacing ${[x, y, z]}; the peer has ${peer.spacing}`;
  if (peer.origin && !near(v.originMm, peer.origin, 1e-5)) return `origin ${v.originMm}; the peer has ${peer.origin}`;
  if (peer.direction && !near(v.direction, peer.direction, 1e-4))
    return `direction ${v.direction}; the peer has ${peer.direction}`;
  if (peer.affine) {
    const [c, b, a] = v.stepMm ?? v.spacingMm;
    const depth =
      v.shape[0] === 1 && Math.abs(z / Math.max(x, y) - 999) < 1e-3
        ? Math.hypot(peer.affine[2], peer.affine[6], peer.affine[10])
        : c;
    const rows = [0, 1, 2].flatMap((r) => [...[a, b, depth].map((mm, i) => v.direction[3 * r + i] * mm), v.originMm[r]]);
    if (!near(rows, peer.affine, 1e-4)) return `affine ${rows}; the peer has ${peer.affine}`;
  }
  return '';
}

/** Reads `count` files of a format and compares them with the peer's answers. */
export function compare(format: Format, count: number, seed: number, answers: Map<string, Answer>, folder: string): Row {
  const row: Row = { tried: 0, refused: 0, equal: 0, both: 0, different: [], raw: [], slowestMs: 0 };
  for (let i = 0; i < count; i++) {
    const { ending, bytes } = oddFile(format, i, seed);
    const name = `${format}-${i}${ending}`;
    const file = path.join(folder, name);
    if (!fs.existsSync(file)) fs.writeFileSync(file, bytes);
    const peer = answers.get(name) ?? { file: name };
    const start = process.cpuUsage();
    row.tried++;
    try {
      const what = difference(readVolume(file, { onWarning: () => {} }), peer);
      if (what) row.different.push(`${name}: ${what}`);
      else row.equal++;
    } catch (error) {
      row.refused++;
      if (peer.digest === undefined) row.both++;
      if (!(error instanceof VoxelbookError)) row.raw.push(`${name}: ${error}`);
    }
    const { user, system } = process.cpuUsage(start);
    row.slowestMs = Math.max(row.slowestMs, (user + system) / 1000);
  }
  return row;
}

/** The files of all formats in a folder, and beside them what headers name. */
export function writeFiles(folder: string, list: readonly Format[], count: number, seed: number): void {
  for (const file of besides()) fs.copyFileSync(file, path.join(folder, path.basename(file)));
  for (const format of list)
    for (let i = 0; i < count; i++) {
      const { ending, bytes } = oddFile(format, i, seed);
      fs.writeFileSync(path.join(folder, `${format}-${i}${ending}`), bytes);
    }
}

/** The peers' answers; a file that ends a peer counts as refused. */
export function ask(python: string, folder: string, files: number): Answer[] {
  const script = fileURLToPath(new URL('./peers.py', import.meta.url));
  const answers: Answer[] = [];
  while (answers.length < files) {
    const args = [script, folder, String(answers.length)];
    const { stdout, stderr, status } = spawnSync(python, args, { encoding: 'utf8', maxBuffer: 2 ** 30 });
    const lines = stdout.split('\n').filter((line) => line.endsWith('}'));
    answers.push(...lines.map((line) => JSON.parse(line)));
    if (status === 0) break;
    if (lines.length === 0 && status !== null) throw new Error(`the peers ended with ${status}: ${stderr.slice(-2000)}`);
    answers.push({ file: '' });
  }
  return answers;
}

function main(): void {
  const { values } = parseArgs({
    options: {
      count: { type: 'string' },
      seed: { type: 'string' },
      format: { type: 'string', multiple: true },
      python: { type: 'string' },
      keep: { type: 'string' },
      write: { type: 'boolean' },
    },
  });
  const list = (values.format as Format[] | undefined) ?? formats;
  const folder = values.keep ?? fs.mkdtempSync(path.join(os.tmpdir(), 'vb-peers-'));
  const known = values.python ? undefined : golden();
  const count = Number(values.count ?? known?.count ?? 300);
  const seed = Number(values.seed ?? known?.seed ?? 1);
  fs.mkdirSync(folder, { recursive: true });
  writeFiles(folder, list, count, seed);
  const answers = known?.answers ?? ask(values.python!, folder, count * list.length);
  if (values.write)
    fs.writeFileSync(
      stored,
      `{"count":${count},"seed":${seed},"answers":[\n${answers.map((a) => JSON.stringify(a)).join(',\n')}\n]}\n`,
    );
  const byName = new Map(answers.map((a) => [a.file, a]));
  let bad = 0;
  for (const format of list) {
    const { different, raw, slowestMs, ...row } = compare(format, count, seed, byName, folder);
    console.log(
      JSON.stringify({ format, ...row, different: different.length, raw: raw.length, slowestMs: Math.round(slowestMs) }),
    );
    for (const line of [...different, ...raw].slice(0, 40)) console.log(`  ${line}`);
    bad += different.length + raw.length;
  }
  if (!values.keep) fs.rmSync(folder, { recursive: true });
  process.exit(bad > 0 ? 1 : 0);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main();
