// Logits of 14 classes at 1 mm back to a 320×320×120 CT at 0.8×0.8×2.5 mm as labels, against nnunetv2 2.8.1 on the same seeded logits and
// machine, the two taking turns in processes of their own.
//
//   npx tsx test/bench/restore.ts --python <interpreter with nnunetv2> [--rounds 3] [--shape 300,256,256] [--target 120,320,320] [--spacing 2.5,0.8,0.8]
//
// The peer starts with all logits in memory, float16, as its predictor leaves them. Ours takes them slab by slab, as the sliding window
// finishes them; its time includes reading the slabs from the file.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

interface Settings {
  logits: string;
  shape: number[];
  target: number[];
  spacing: number[];
  heads: number;
  threads: number;
  peerLabels: string;
  ourLabels: string;
}

interface Result {
  seconds: number;
  peakBytes: number;
  baseBytes: number;
}

const self = fileURLToPath(import.meta.url);

async function ours(file: string): Promise<Result> {
  const { restorer } = await import('../../src/predict/index.js');
  const { heads, shape, target, spacing, logits, ourLabels } = JSON.parse(fs.readFileSync(file, 'utf8')) as Settings;
  const half = halfTable();
  const size = shape[1] * shape[2] * heads;
  const depth = 16;
  const words = new Uint16Array(depth * size);
  const values = new Float32Array(depth * size);
  const baseBytes = process.resourceUsage().maxRSS * 1024;
  const start = performance.now();
  const { consume, result } = restorer(
    shape,
    {
      spacing,
      shape_before_cropping: target,
      shape_after_cropping_and_before_resampling: target,
      bbox_used_for_cropping: target.map((n) => [0, n]),
    },
    {
      plan: { transpose_forward: [0, 1, 2], transpose_backward: [0, 1, 2] },
      configuration: { spacing: [1, 1, 1] },
      heads: { heads, hasRegions: false, regionsClassOrder: null },
    },
  );
  const descriptor = fs.openSync(logits, 'r');
  for (let from = 0; from < shape[0]; from += depth) {
    const to = Math.min(from + depth, shape[0]);
    fs.readSync(descriptor, words, 0, (to - from) * size * 2, from * size * 2);
    for (let i = 0; i < (to - from) * size; i++) values[i] = half[words[i]];
    await consume(values, from, to);
  }
  fs.closeSync(descriptor);
  const { labels } = result();
  const seconds = (performance.now() - start) / 1000;
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  fs.writeFileSync(ourLabels, labels);
  return { seconds, peakBytes, baseBytes };
}

/** Value of every half number by its bits. */
function halfTable(): Float32Array {
  return Float32Array.from({ length: 65536 }, (_, word) => {
    const exponent = (word >>> 10) & 31;
    const fraction = word & 1023;
    return (word & 0x8000 ? -1 : 1) * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
  });
}

function run(command: string, args: string[]): Result {
  const child = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (child.status !== 0)
    throw new Error(`${command} ${args.join(' ')} ended with ${child.status}: ${child.stderr.slice(-2000)}`);
  const line = child.stdout.trim().split('\n').at(-1);
  return line ? (JSON.parse(line) as Result) : { seconds: 0, peakBytes: 0, baseBytes: 0 };
}

function main(): void {
  const { values } = parseArgs({
    options: {
      python: { type: 'string', default: process.env.NNUNET_PYTHON },
      rounds: { type: 'string', default: '3' },
      shape: { type: 'string', default: '300,256,256' },
      target: { type: 'string', default: '120,320,320' },
      spacing: { type: 'string', default: '2.5,0.8,0.8' },
      heads: { type: 'string', default: '14' },
    },
  });
  if (!values.python) {
    console.error('restore: give --python or NNUNET_PYTHON, an interpreter that has nnunetv2 2.8.1.');
    process.exit(2);
  }
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'restore-'));
  const numbers = (text: string) => text.split(',').map(Number);
  const settings: Settings = {
    logits: path.join(folder, 'logits.f16'),
    shape: numbers(values.shape!),
    target: numbers(values.target!),
    spacing: numbers(values.spacing!),
    heads: Number(values.heads),
    threads: os.availableParallelism(),
    peerLabels: path.join(folder, 'peer.u8'),
    ourLabels: path.join(folder, 'ours.u8'),
  };
  const file = path.join(folder, 'settings.json');
  fs.writeFileSync(file, JSON.stringify(settings));
  const script = path.join(path.dirname(self), 'restore.py');
  const results: Record<'peer' | 'ours', Result[]> = { peer: [], ours: [] };
  let different = 0;
  try {
    run(values.python, [script, 'make', file]);
    for (let round = 0; round < Number(values.rounds); round++) {
      results.peer.push(run(values.python, [script, 'run', file]));
      results.ours.push(run(process.execPath, ['--import', 'tsx', self, '--child', file]));
    }
    const [a, b] = [fs.readFileSync(settings.peerLabels), fs.readFileSync(settings.ourLabels)];
    for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) different++;
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
  const median = (list: number[]) => [...list].sort((x, y) => x - y)[Math.floor(list.length / 2)];
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
  console.log(
    `${settings.heads} classes, ${settings.shape.join('×')} → ${settings.target.join('×')}, ${settings.threads} threads, ${values.rounds} rounds, medians`,
  );
  for (const [name, list] of Object.entries(results))
    console.log(
      `${name.padEnd(6)} ${median(list.map((r) => r.seconds)).toFixed(2)} s   peak ${gib(median(list.map((r) => r.peakBytes)))} (${gib(median(list.map((r) => r.baseBytes)))} before)`,
    );
  console.log(`labels that differ: ${different} of ${settings.target.reduce((a, b) => a * b, 1)}`);
  const better = (key: keyof Result) => median(results.ours.map((r) => r[key])) <= median(results.peer.map((r) => r[key]));
  console.log(
    `time ${better('seconds') ? 'at most' : 'above'} the peer's, peak memory ${better('peakBytes') ? 'at most' : 'above'} the peer's`,
  );
  process.exit(better('seconds') && better('peakBytes') ? 0 : 1);
}

const [mode, settingsFile] = process.argv.slice(2);
if (mode === '--child') void ours(settingsFile).then((result) => console.log(JSON.stringify(result)));
else main();
