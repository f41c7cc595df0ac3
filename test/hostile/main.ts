// npm run hostile: every row of the test matrix, each in processes of its own with limits of time and memory.
//
//   npm run hostile -- [--count N] [--row ID …] [--seed S] [--python PATH] [--write]
//
// With the default N of 200 a row tries about what `npm test` tries of it or the matrix asks of each change; 2000 is ten times that. With
// --python (tifffile, Pillow, imagecodecs, SimpleITK, nibabel) every image that is accepted is compared with the peer's reading; without,
// those whose answers are stored. --write puts each row into RESULTS.md as it ends, in place of what stood there of it. Exit 1 on anything
// that crashed, hung, was over memory, was accepted and different, or lost.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type { Row, Told } from './row.js';

export interface Tally {
  tried: number;
  refused: number;
  equal: number;
  sound: number;
  different: string[];
  crashes: string[];
  hangs: string[];
  overMemory: string[];
  lost: string[];
  seconds: number;
}

export interface Ask {
  count: number;
  seed: number;
  python?: string;
}

const script = fileURLToPath(new URL('./child.ts', import.meta.url));
/** Seconds a row may take to prepare: to write its seeds, to ask the peers. */
const prepareSeconds = 1800;

/** Tries all inputs of a row; a process that dies or hangs is followed by one that begins behind the input it was at. */
export async function tryRow(module: string, row: Row, { count, seed, python = '-' }: Ask): Promise<Tally> {
  const tally: Tally = {
    ...{ tried: 0, refused: 0, equal: 0, sound: 0, seconds: 0 },
    ...{ different: [], crashes: [], hangs: [], overMemory: [], lost: [] },
  };
  const began = performance.now();
  const total = row.inputs(count);
  for (let first = 0; first < total; ) {
    const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-row-'));
    const end = await leg(
      row,
      [script, module, row.id, `${first}`, `${total - first}`, `${count}`, `${seed}`, scratch, python],
      scratch,
    );
    let last = first - 1;
    for (const [i, what, text = ''] of end.told) {
      last = i;
      if (what !== 'memory') tally.tried++;
      const where = `input ${i}: ${text}`;
      if (what === 'refused' || what === 'equal' || what === 'sound') tally[what]++;
      else if (what === 'different') tally.different.push(where);
      else if (what === 'lost') tally.lost.push(where);
      else if (what === 'memory') tally.overMemory.push(where);
      else tally.crashes.push(where);
    }
    fs.rmSync(scratch, { recursive: true, force: true });
    first = last + 1;
    if (first >= total) break;
    if (end.how === 'memory') {
      tally.tried++;
      tally.overMemory.push(`input ${first}: ended by the runner`);
    } else if (end.how === 'hang') {
      tally.tried++;
      tally.hangs.push(`input ${first}: no answer in ${row.seconds ?? 60} s`);
    } else if (end.how !== 'done' || end.at === first) {
      tally.tried++;
      tally.crashes.push(`input ${first}: the process ended with ${end.how}: ${end.words}`);
      if (end.at === undefined) break; // it never began
    } else continue;
    first++;
  }
  tally.seconds = (performance.now() - began) / 1000;
  return tally;
}

/** One process. @returns how it ended (`done`, `hang`, `memory`, a code or signal) and what it told */
function leg(row: Row, args: string[], scratch: string) {
  return new Promise<{ how: string; told: Told[]; words: string; at?: number }>((resolve) => {
    const child = spawn(process.execPath, ['--import', 'tsx', ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '3', NO_COLOR: '1' },
      detached: true, // so that what it started ends with it
    });
    const read = (name: string) => {
      const file = path.join(scratch, name);
      return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
    };
    let words = '';
    child.stderr.on('data', (d) => {
      words = (words + d).slice(-2000);
    });
    let [at, since, base, how] = ['', performance.now(), 0, ''];
    const stop = (why: string) => {
      how = why;
      try {
        process.kill(-child.pid!, 'SIGKILL');
      } catch {
        // It has just ended.
      }
    };
    const watch = setInterval(() => {
      const now = read('at');
      const rss = Number(/^VmRSS:\s+(\d+)/m.exec(statusOf(child.pid!))?.[1] ?? 0) / 1024;
      if (now !== at) {
        if (at === '') base = rss;
        [at, since] = [now, performance.now()];
      } else if (performance.now() - since > 1000 * (at === '' ? prepareSeconds : (row.seconds ?? 60))) stop('hang');
      // What the process itself cannot say: it dies of it.
      if (at !== '' && rss > base + 2 * (row.memoryMiB ?? 400)) stop('memory');
    }, 250);
    child.on('close', (code, signal) => {
      clearInterval(watch);
      stop(how || (code === 0 ? 'done' : (signal ?? `code ${code}`)));
      const told = read('told')
        .split('\n')
        .filter((line) => line.endsWith(']'))
        .map((line) => JSON.parse(line) as Told);
      const at = read('at').trim();
      resolve({ how, told, words: words.trim().slice(-600), ...(at && { at: Number(at) }) });
    });
  });
}

function statusOf(pid: number): string {
  try {
    return fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return '';
  }
}

/** What is wrong in a tally, one line each. */
export const faultsIn = ({ different, crashes, hangs, overMemory, lost }: Tally): string[] => [
  ...different.map((text) => `different: ${text}`),
  ...crashes.map((text) => `crash: ${text}`),
  ...hangs.map((text) => `hang: ${text}`),
  ...overMemory.map((text) => `over memory: ${text}`),
  ...lost.map((text) => `lost: ${text}`),
];

export const columns =
  '| row | what | inputs | refused | accepted and equal | accepted, no peer | different | crashes | hangs | over memory | lost | s |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|';

export const line = ({ id, what }: Pick<Row, 'id' | 'what'>, t: Tally): string => {
  const numbers = [
    t.tried,
    t.refused,
    t.equal,
    t.sound,
    ...[t.different, t.crashes, t.hangs, t.overMemory, t.lost].map((l) => l.length),
  ];
  return `| ${id} | ${what} | ${numbers.map((n) => n.toLocaleString('en')).join(' | ')} | ${t.seconds.toFixed(0)} |`;
};

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      count: { type: 'string', default: '200' },
      seed: { type: 'string', default: '1' },
      row: { type: 'string', multiple: true },
      python: { type: 'string' },
      write: { type: 'boolean' },
    },
  });
  const { modules } = await import('./rows/index.js');
  const ask = { count: Number(values.count), seed: Number(values.seed), python: values.python };
  const all: { module: string; row: Row }[] = [];
  for (const module of modules) {
    const { rows } = (await import(pathToFileURL(module).href)) as { rows: Row[] };
    all.push(...rows.map((row) => ({ module, row })));
  }
  const ids = all.map(({ row }) => row.id);
  const wanted = (id: string) => !values.row || values.row.some((r) => id === r || id.startsWith(`${r} `));
  const unknown = values.row?.filter((r) => !ids.some((id) => id === r || id.startsWith(`${r} `))) ?? [];
  if (unknown.length > 0) throw new Error(`no row ${unknown.join(', ')}; there are ${ids.join(', ')}`);
  let bad = 0;
  console.log(columns);
  for (const { module, row } of all.filter(({ row }) => wanted(row.id))) {
    const tally = await tryRow(module, row, ask);
    console.log(line(row, tally));
    const faults = faultsIn(tally);
    for (const text of faults.slice(0, 12)) console.log(`  ${text}`);
    bad += faults.length;
    if (values.write) write(row, tally, ask, ids);
  }
  console.log(bad === 0 ? 'nothing crashed, hung, was over memory, different or lost' : `${bad} faults`);
  process.exit(bad > 0 ? 1 : 0);
}

const results = fileURLToPath(new URL('./RESULTS.md', import.meta.url));

/** Puts a row's line into RESULTS.md; lines of rows that are no more go. */
function write(row: Row, tally: Tally, { count, seed, python }: Ask, ids: readonly string[]): void {
  const commit = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).stdout.trim();
  const how = [`--count ${count}`, ...(seed === 1 ? [] : [`--seed ${seed}`]), ...(python ? ['--python'] : [])].join(' ');
  const run = `${how}, ${new Date().toISOString().slice(0, 10)}, ${commit}`;
  const old = fs.existsSync(results) ? fs.readFileSync(results, 'utf8').split('\n') : [];
  const lineOf = (id: string) =>
    id === row.id ? `${line(row, tally)} ${run} |` : old.find((text) => text.startsWith(`| ${id} |`));
  const text = [
    '# What hostile inputs did',
    '',
    'Made by `npm run hostile -- [--row ROW …] --count N --python PYTHON --write`, a row as it ends; not edited. The last column says with',
    `which N a row ran, when, and at which commit. Node ${process.version}, ${os.cpus().length} cores.`,
    '',
    'Every input is tried in a process with limits of time and memory. *Refused*: by a typed error that names place, found, expected and',
    'what to do. *Accepted and equal*: as the peer reads it (images: Pillow and libpng, tifffile, ITK, nibabel), or as it was written.',
    '*Accepted, no peer*: sound (finite, sizes agree), with nobody to compare with. Everything else is a fault.',
    '',
    ...columns.split('\n').map((text, i) => `${text}${i === 0 ? ' run' : '---'} |`),
    ...ids.map(lineOf).filter((text) => text !== undefined),
    '',
  ];
  fs.writeFileSync(results, text.join('\n'));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
