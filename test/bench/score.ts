// npx tsx test/bench/score.ts <folder with peers-timing-input.safetensors.gz> --python <python with the peers> [--rounds 5] [--threads 2]
// DSC, NSD at 2 mm and HD95 of 13 classes beside DeepMind's surface-distance and MONAI, in turns; wall time, values, memory.

import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import zlib from 'node:zlib';
import { readSafetensors } from '../../src/base/safetensors.js';
import { type DefinitionName, quantile, volumeInThreads } from '../../src/score/index.js';
import { identityDirection, type LabelMap } from '../../src/volume/volume.js';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    python: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    threads: { type: 'string', default: '2' },
  },
});
const file = path.join(positionals[0] ?? 'test/golden/metrics', 'peers-timing-input.safetensors.gz');
const threads = Number(options.threads);

const { tensors } = readSafetensors(zlib.gunzipSync(fs.readFileSync(file)));
const map = (name: string): LabelMap => ({
  data: tensors[name].data as Uint8Array,
  shape: tensors[name].shape as LabelMap['shape'],
  channels: 1,
  spacingMm: [1.5, 0.8, 0.8],
  originMm: [0, 0, 0],
  direction: [...identityDirection],
});
const [reference, prediction] = [map('ref'), map('pred')];
const classes = Object.fromEntries(Array.from({ length: 13 }, (_, i) => [`class ${i + 1}`, i + 1]));

interface Result {
  seconds: number;
  values: number[][];
  peakMiB?: number;
}

async function ours(definition: DefinitionName): Promise<Result> {
  const start = performance.now();
  const scores = await volumeInThreads(reference, prediction, { classes, definition, nsdToleranceMm: 2 }, { threads });
  const seconds = (performance.now() - start) / 1000;
  return { seconds, values: Object.values(scores).map((s) => [s.dsc, s.nsd, s.hd95]) };
}

/** One Python process per peer, so that memory is its own. */
class Peer {
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;
  constructor(
    python: string,
    private readonly name: string,
  ) {
    const script = fileURLToPath(new URL('score.py', import.meta.url));
    const env = { ...process.env, OMP_NUM_THREADS: options.threads };
    this.child = spawn(python, [script, file], { stdio: ['pipe', 'pipe', 'ignore'], env });
    this.lines = readline.createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }
  async run(): Promise<Result> {
    this.child.stdin!.write(`${this.name}\n`);
    const { value } = await this.lines.next();
    if (value === undefined) throw new Error(`${this.name}: the Python process ended`);
    const answer = JSON.parse(value);
    if (answer.error) throw new Error(`${this.name}: ${answer.error}`);
    return answer;
  }
  close(): void {
    this.child.stdin!.end();
  }
}

const contenders: Record<string, () => Promise<Result>> = {
  'ours (deepmind definition)': () => ours('deepmind'),
  'ours (default definition)': () => ours('default'),
};
const peers: Peer[] = [];
if (options.python)
  for (const name of ['surface-distance', 'monai']) {
    const peer = new Peer(options.python, name);
    peers.push(peer);
    contenders[name] = () => peer.run();
  }

const seconds: Record<string, number[]> = {};
const results: Record<string, Result> = {};
for (let round = -1; round < Number(options.rounds); round++)
  for (const [name, run] of Object.entries(contenders)) {
    const result = await run();
    results[name] = result;
    // The first round warms up compilers, caches and threads.
    if (round >= 0) {
      seconds[name] ??= [];
      seconds[name].push(result.seconds);
    }
  }
for (const peer of peers) peer.close();

const median = (name: string) => quantile(seconds[name], 0.5);
const load = os.loadavg()[0].toFixed(1);
console.log(
  `${options.rounds} interleaved rounds after one warm-up, ${threads} threads, ${os.availableParallelism()} cores, load ${load}`,
);
for (const name of Object.keys(contenders)) {
  const memory = results[name].peakMiB ?? process.resourceUsage().maxRSS / 1024;
  console.log(
    `${name.padEnd(28)} median ${median(name).toFixed(3)} s  best ${Math.min(...seconds[name]).toFixed(3)} s  peak memory of the process ${memory.toFixed(0)} MiB`,
  );
}
for (const [mine, peer] of [
  ['ours (deepmind definition)', 'surface-distance'],
  ['ours (default definition)', 'monai'],
])
  if (results[peer]) {
    let worst = 0;
    results[mine].values.forEach((row, c) => {
      row.forEach((v, m) => {
        worst = Math.max(worst, Math.abs(v - results[peer].values[c][m]) / Math.max(1, Math.abs(v)));
      });
    });
    const times = median(peer) / median(mine);
    console.log(
      `${mine} is ${times.toFixed(1)} times as fast as ${peer}; largest difference of 39 values ${worst.toExponential(1)}`,
    );
  }
