// A long day in minutes: cells, Stops at random moments and restarts; no process left behind, memory flat, cells right.
//
//   npx tsx test/bench/kernelSoak.ts [cells=1000] [stops=50] [restarts=10] [seed=1]
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { Kernel, sleep } from '../kernels/client.js';

const [cells, stops, restarts, seed] = [1000, 50, 10, 1].map((fallback, i) => Number(process.argv[2 + i] ?? fallback));
let state = seed;
/** Mulberry32. */
const random = () => {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};
const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)];

const endless = [
  'console.log("running"); while (true) {}',
  'console.log("running"); for (;;) { try { await wait(5); turns++ } catch {} }',
  'console.log("running"); for await (const t of every(5)) turns += Number(t !== null);',
  'console.log("running"); await once(spawn("sleep", ["999"]), "exit");',
  'console.log("running"); execFileSync("sleep", ["999"]);',
  'console.log("running"); const hop = (): Promise<unknown> => wait(5).then(() => { turns++; return hop() }); await hop();',
  'console.log("running"); await new Promise(() => {});',
];
const setup = `import { setInterval as every } from 'node:timers/promises'; import { spawn, execFileSync } from 'node:child_process';
import { once } from 'node:events'; const wait = (ms: number) => new Promise((r) => setTimeout(r, ms)); let turns = 0; let kept = 0;`;
const memory = (pid: number) => Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)![1]) / 1024;
const left = () =>
  execFileSync('ps', ['-eo', 'args='], { encoding: 'utf8' })
    .split('\n')
    .filter((l) => l === 'sleep 999').length;

const atStop = new Set(Array.from({ length: stops }, (_, i) => Math.floor(((i + random()) * cells) / stops)));
const atRestart = new Set(Array.from({ length: restarts }, (_, i) => Math.floor(((i + 0.5) * cells) / restarts)));
const before = left();
const begin = async () => {
  const kernel = await Kernel.start(undefined, { VOXELBOOK_HISTORY: '' });
  const { error } = await kernel.run(setup);
  assert.equal(error, undefined);
  return kernel;
};

let kernel = await begin();
let expected = 0;
const rss: number[] = [];
for (let i = 0; i < cells; i++) {
  if (atRestart.has(i)) {
    rss.push(memory(kernel.process.pid!));
    await kernel.ask('control', 'shutdown_request', { restart: true });
    await kernel.close();
    kernel = await begin();
    expected = 0;
  }
  if (atStop.has(i)) {
    const id = kernel.begin(pick(endless));
    await kernel.find(id, 'stream', (m) => m.content.text.includes('running'));
    await sleep(random() * 300);
    kernel.send('control', 'interrupt_request', {});
    assert.equal((await kernel.finish(id, 10_000)).error?.ename, 'Interrupted', `cell ${i}`);
    const then = await kernel.run('const atStop = turns; await wait(60); [turns - atStop, kept]');
    assert.equal(then.result?.['text/plain'], `[ 0, ${expected} ]`, `behind the stop at cell ${i}`);
  }
  expected++;
  const { result, error } = await kernel.run(
    `let v${i % 40}: number = ${i}; kept += 1; function f${i % 40}() { return v${i % 40} + kept } f${i % 40}()`,
  );
  assert.equal(result?.['text/plain'], String(i + expected), error?.traceback.join('\n'));
}
rss.push(memory(kernel.process.pid!));
await kernel.ask('control', 'shutdown_request', { restart: false });
await kernel.close();
await sleep(500);
assert.equal(left(), before, 'processes are left behind');
console.log(
  `${cells} cells, ${stops} stops, ${restarts} restarts: every result right, no process left; MB before each restart: ${rss.map(Math.round).join(', ')}`,
);
process.exit(0);
