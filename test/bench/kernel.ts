// Kernels beside each other, interleaved: start, first result, second cell, small later cells, restart, memory.
//
//   npx tsx test/bench/kernel.ts [rounds=3]
//
// IPython is measured where its kernelspec is found (`ipykernel` in the project's Python environment), Deno where the
// package `deno` is (`npm install --no-save deno`).
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Kernel } from '../kernels/client.js';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const rounds = Number(process.argv[2] ?? 3);
const python = path.join(root, 'environment/.venv/bin/python');
const deno = path.join(root, 'node_modules/.bin/deno');
const kernels: Record<string, string[] | undefined> = {
  voxelbook: undefined,
  tslab: [process.execPath, path.join(root, 'node_modules/tslab/bin/tslab'), 'kernel', '--config-path'],
};
if (spawnSync(python, ['-c', 'import ipykernel']).status === 0) kernels.IPython = [python, '-m', 'ipykernel_launcher', '-f'];
if (fs.existsSync(deno)) kernels.Deno = [deno, 'jupyter', '--kernel', '--conn'];

const cells = 12;
const code = (name: string, i: number) =>
  name === 'IPython' ? `a${i} = ${i}\na${Math.max(0, i - 1)} + 1` : `const a${i} = ${i}; a${Math.max(0, i - 1)} + 1`;
const median = (list: number[]) => list.toSorted((a, b) => a - b)[list.length >> 1];
const columns = ['ready', 'first result', 'second cell', 'later cell', 'restart to first result', 'memory'] as const;
const measured: Record<string, Record<(typeof columns)[number], number[]>> = {};

async function measure(name: string) {
  measured[name] ??= Object.fromEntries(columns.map((c) => [c, []])) as never;
  const seen = measured[name];
  const start = async () => {
    const begin = performance.now();
    const kernel = await Kernel.start(path.join(root, 'test/bench'), { VOXELBOOK_HISTORY: '' }, kernels[name]);
    const ready = performance.now() - begin;
    const { reply } = await kernel.run('1 + 1');
    if (reply.status !== 'ok') throw new Error(`${name} does not compute 1 + 1`);
    return { kernel, ready, first: performance.now() - begin };
  };
  const { kernel, ready, first } = await start();
  const times: number[] = [];
  for (let i = 0; i < cells; i++) {
    const begin = performance.now();
    await kernel.run(code(name, i));
    times.push(performance.now() - begin);
  }
  const rss = fs.readFileSync(`/proc/${kernel.process.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)?.[1];
  // Restart is the end of one process and the start of another.
  const begin = performance.now();
  await kernel.ask('control', 'shutdown_request', { restart: true }).catch(() => {});
  await kernel.close();
  const again = await start();
  seen['restart to first result'].push(performance.now() - begin);
  await again.kernel.close();
  seen.ready.push(ready);
  seen['first result'].push(first);
  seen['second cell'].push(times[0]);
  seen['later cell'].push(median(times.slice(2)));
  seen.memory.push(Number(rss) / 1024);
}

for (let round = 0; round < rounds; round++) for (const name of Object.keys(kernels)) await measure(name);
console.log(`| | ${columns.join(' | ')} |\n|---|${columns.map(() => '---').join('|')}|`);
for (const [name, seen] of Object.entries(measured))
  console.log(
    `| ${name} | ${columns.map((c) => `${Math.round(median(seen[c]))} ${c === 'memory' ? 'MB' : 'ms'}`).join(' | ')} |`,
  );
process.exit(0);
