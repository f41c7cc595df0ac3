// nnU-Net's augmentation of one patch, ours against batchgeneratorsv2 with the same draws, on one core each.
//
//   node --import tsx test/bench/augment.ts --python <interpreter with batchgeneratorsv2 0.3.6> [--rounds 3] [--only demo]
//
// Both apply the same list of draws (`pipelines.nnunetv2`), the two taking turns in processes of their own; of every draw the best
// of all rounds counts. Where the machine is not idle the table says so, and its seconds are processor time.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { pipeline, type Step } from '../../src/augment/index.js';
import { affineMatrix, type SpatialDraw } from '../../src/augment/spatial.js';
import { Random } from '../../src/base/random.js';

interface Case {
  name: string;
  patch: [number, number, number];
  channels: number;
  samples: number;
}

/** `affine`: the matrix of a spatial step that turns or scales. */
type Drawn = Step & { affine: number[] | null };

interface Settings extends Case {
  initial: [number, number, number];
  image: string;
  seg: string;
  draws: Drawn[][];
  rounds: number;
}

interface Seconds {
  wall: number[];
  cpu: number[];
}

const cases: Case[] = [
  { name: 'demo', patch: [32, 32, 32], channels: 1, samples: 200 },
  { name: '128³ × 4', patch: [128, 128, 128], channels: 4, samples: 20 },
];

const self = fileURLToPath(import.meta.url);

/** Times every draw in this process, as a training process runs it: with its allocator. */
async function ours(s: Settings): Promise<Seconds> {
  const { usesOneDnn } = await import('../../src/tensor/native/load.js');
  usesOneDnn();
  const made = pipeline('nnunetv2', { patchSize: s.patch });
  const image = new Float32Array(new Uint8Array(fs.readFileSync(s.image)).buffer);
  const seg = new Int16Array(new Uint8Array(fs.readFileSync(s.seg)).buffer);
  const out: Seconds = { wall: [], cpu: [] };
  for (let round = 0; round < s.rounds; round++)
    for (const [i, draw] of s.draws.entries()) {
      const sample = { image, seg, shape: s.initial, channels: s.channels };
      const [begin, used] = [performance.now(), process.cpuUsage()];
      made.apply(draw, sample);
      const spent = process.cpuUsage(used);
      const took = { wall: (performance.now() - begin) / 1000, cpu: (spent.user + spent.system) / 1e6 };
      for (const kind of ['wall', 'cpu'] as const) out[kind][i] = Math.min(out[kind][i] ?? Number.POSITIVE_INFINITY, took[kind]);
    }
  return out;
}

/** Smooth grey values with noise, and four labels in bodies of some size; a margin lies outside of the image. */
function patchOf(initial: readonly number[], channels: number): { image: Float32Array; seg: Int16Array } {
  const random = new Random('augment bench');
  const [depth, height, width] = initial;
  const n = depth * height * width;
  const image = new Float32Array(n * channels);
  const seg = new Int16Array(n);
  let i = 0;
  for (let z = 0; z < depth; z++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++, i++) {
        const wave = Math.sin((9 * z) / depth) + Math.cos((7 * y) / height) + Math.sin((8 * x) / width + (4 * y) / height);
        seg[i] = x < width / 20 ? -1 : wave > 1.6 ? 3 : wave > 1.2 ? 2 : wave > 0.5 ? 1 : 0;
        for (let c = 0; c < channels; c++) image[i * channels + c] = wave * (c + 1) + random.uniform(-0.5, 0.5);
      }
  return { image, seg };
}

const bytesOf = (a: Float32Array | Int16Array) => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);
const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const best = (a: Seconds | undefined, b: Seconds): Seconds =>
  a ? { wall: a.wall.map((v, i) => Math.min(v, b.wall[i])), cpu: a.cpu.map((v, i) => Math.min(v, b.cpu[i])) } : b;

function run(command: string, args: string[]): Seconds {
  const env = { ...process.env, OMP_NUM_THREADS: '1', VOXELBOOK_THREADS: '1' };
  const done = spawnSync(command, args, { encoding: 'utf8', env, maxBuffer: 1 << 26 });
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${done.stderr}`);
  return JSON.parse(done.stdout.trim().split('\n').at(-1)!);
}

function measure(c: Case, python: string, rounds: number): void {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'voxelbook-bench-augment-'));
  try {
    const made = pipeline('nnunetv2', { patchSize: c.patch });
    const initial = made.initialPatchSize as Case['patch'];
    const { image, seg } = patchOf(initial, c.channels);
    const draws = Array.from({ length: c.samples }, (_, i) =>
      made.draw(new Random('augment bench').split(i), { channels: c.channels }).map(forBoth),
    );
    const files = { image: path.join(folder, 'image'), seg: path.join(folder, 'seg') };
    fs.writeFileSync(files.image, bytesOf(image));
    fs.writeFileSync(files.seg, bytesOf(seg));
    const settings = path.join(folder, 'settings.json');
    fs.writeFileSync(settings, JSON.stringify({ ...c, ...files, initial, draws, rounds: 2 } satisfies Settings));
    let [us, peer]: (Seconds | undefined)[] = [];
    let busiest = 0;
    for (let round = 0; round < rounds; round++) {
      busiest = Math.max(busiest, os.loadavg()[0]);
      us = best(us, run(process.execPath, ['--import', 'tsx', self, settings]));
      peer = best(peer, run(python, [fileURLToPath(new URL('./augment.py', import.meta.url)), settings]));
    }
    const idle = busiest < 0.3;
    const kind = idle ? 'wall' : 'cpu';
    const turned = draws.filter((draw) => draw.some(({ affine }) => affine)).length;
    console.log(
      `${c.name}: ours ${(mean(us![kind]) * 1000).toFixed(2)} ms, batchgeneratorsv2 ${(mean(peer![kind]) * 1000).toFixed(2)} ms a patch: ${(mean(peer![kind]) / mean(us![kind])).toFixed(1)} × (${turned} of ${c.samples} turned or scaled; ${idle ? 'wall time, idle machine' : `processor time: the machine was busy, load ${busiest.toFixed(1)}`})`,
    );
    for (const turns of [true, false]) {
      const chosen = draws.flatMap((draw, i) => (draw.some(({ affine }) => affine) === turns ? [i] : []));
      const [a, b] = [us!, peer!].map((side) => mean(chosen.map((i) => side[kind][i])) * 1000);
      console.log(`  ${turns ? 'turned' : 'as they are'}: ${a.toFixed(2)} and ${b.toFixed(2)} ms, ${(b / a).toFixed(1)} ×`);
    }
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

function forBoth(step: Step): Drawn {
  const { angles, scale } = step as SpatialDraw;
  const turns = step.transform === 'spatial' && (angles || scale);
  return { ...step, affine: turns ? affineMatrix(step as SpatialDraw) : null };
}

if (process.argv[2]?.endsWith('.json'))
  console.log(JSON.stringify(await ours(JSON.parse(fs.readFileSync(process.argv[2], 'utf8')))));
else {
  const { values } = parseArgs({
    options: {
      python: { type: 'string', default: 'python3' },
      rounds: { type: 'string', default: '3' },
      only: { type: 'string', default: '' },
    },
  });
  const [cpu] = os.cpus();
  console.log(`${cpu.model}, Node ${process.version}`);
  for (const c of cases) if (c.name.includes(values.only)) measure(c, values.python, Number(values.rounds));
}
