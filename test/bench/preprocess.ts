// Preprocessing (crop, normalise, resample to 1 mm) of a seeded synthetic CT case with 13 labels, and 14-class logits brought back to it,
// against nnunetv2 2.8.1 on the same data and machine, the two taking turns in processes of their own.
//
//   npx tsx test/bench/preprocess.ts --python <interpreter with nnunetv2> [--rounds 3] [--shape 120,320,320] [--spacing 2.5,0.8,0.8]
//
// Reading and writing files is not timed. Both keep what they hand on; ours resamples logits slice by slice as the sliding window
// finishes them, the peer the whole array.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Random } from '../../src/base/random.js';
import type { DatasetJson } from '../../src/dataset/dataset.js';
import type { Plan } from '../../src/plan/plan.js';

interface Settings {
  image: string;
  label: string;
  shape: [number, number, number];
  spacing: [number, number, number];
  resampled: [number, number, number];
  heads: number;
  plan: Plan;
  dataset: DatasetJson;
  threads: number;
  peer: string;
  ours: string;
}

interface Result {
  seconds: number;
  peakBytes: number;
  baseBytes: number;
}

const self = fileURLToPath(import.meta.url);
const peakNow = () => process.resourceUsage().maxRSS * 1024;
const floats = (file: string) => {
  const bytes = fs.readFileSync(file);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
};
const shorts = (file: string) => {
  const bytes = fs.readFileSync(file);
  return new Int16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
};
const bytesOf = (a: Float32Array | Int16Array | Uint8Array | Uint16Array) => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);

async function preprocessOurs(s: Settings): Promise<Result> {
  const { preprocessCase } = await import('../../src/preprocess/index.js');
  const { labels } = await import('../../src/dataset/labels.js');
  const { identityDirection } = await import('../../src/volume/index.js');
  const grid = {
    shape: s.shape,
    channels: 1,
    spacingMm: s.spacing,
    originMm: [0, 0, 0] as [number, number, number],
    direction: identityDirection,
  };
  const loaded = { id: 'a', image: { ...grid, data: floats(s.image) }, label: { ...grid, data: shorts(s.label) } };
  const baseBytes = peakNow();
  const start = performance.now();
  const done = preprocessCase(loaded, s.plan, '3d_fullres', labels(s.dataset));
  const seconds = (performance.now() - start) / 1000;
  const peakBytes = peakNow();
  fs.writeFileSync(s.ours, bytesOf(done.data));
  fs.writeFileSync(`${s.ours}.seg`, bytesOf(done.seg));
  return { seconds, peakBytes, baseBytes };
}

async function restoreOurs(s: Settings): Promise<Result> {
  const { restorer } = await import('../../src/predict/restore.js');
  const geometry = {
    spacing: s.spacing,
    shape_before_cropping: s.shape,
    bbox_used_for_cropping: s.shape.map((n) => [0, n]),
    shape_after_cropping_and_before_resampling: s.shape,
  };
  const heads = { heads: s.heads, hasRegions: false, regionsClassOrder: null };
  const [depth, height, width] = s.resampled;
  const slice = height * width;
  const slab = new Float32Array(slice * s.heads);
  const fill = (z: number) => {
    for (let v = 0; v < slice; v++)
      for (let c = 0; c < s.heads; c++) {
        const i = (Math.imul(z * slice + v, -1640531535) + c * 97531 + 1) >>> 0;
        slab[v * s.heads + c] = ((i >>> 8) % 4096) / 256 - 8;
      }
  };
  fill(0);
  const baseBytes = peakNow();
  let seconds = 0;
  const timed = <T>(work: () => T): T => {
    const start = performance.now();
    const value = work();
    seconds += (performance.now() - start) / 1000;
    return value;
  };
  const { consume, result } = timed(() =>
    restorer(s.resampled, geometry, { plan: s.plan, configuration: s.plan.configurations['3d_fullres'], heads }),
  );
  for (let z = 0; z < depth; z++) {
    fill(z);
    timed(() => consume(slab, z, z + 1));
  }
  const { labels } = timed(result);
  const peakBytes = peakNow();
  fs.writeFileSync(`${s.ours}.labels`, labels);
  return { seconds, peakBytes, baseBytes };
}

/** Thirteen ellipsoids with grey values of their own in a noisy body. */
function syntheticCase([d, h, w]: number[]): { image: Float32Array; label: Int16Array } {
  const random = new Random('preprocess bench');
  const image = new Float32Array(d * h * w);
  const label = new Int16Array(d * h * w);
  const bodies = Array.from({ length: 13 }, () => ({
    centre: [d, h, w].map((n) => random.uniform(0.25, 0.75) * n),
    radii: [d, h, w].map((n) => random.uniform(0.06, 0.16) * n),
    grey: random.uniform(-100, 250),
  }));
  let state = 1;
  for (let z = 0, at = 0; z < d; z++)
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++, at++) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        const inside = ((y / h - 0.5) / 0.45) ** 2 + ((x / w - 0.5) / 0.48) ** 2 < 1;
        let value = inside ? 40 : -1000;
        bodies.forEach(({ centre: c, radii: r, grey }, i) => {
          if (((z - c[0]) / r[0]) ** 2 + ((y - c[1]) / r[1]) ** 2 + ((x - c[2]) / r[2]) ** 2 > 1) return;
          value = grey;
          label[at] = i + 1;
        });
        image[at] = Math.round(value + (state / 2 ** 32 - 0.5) * 60);
      }
  return { image, label };
}

async function settingsFor(folder: string, shape: number[], spacing: number[]): Promise<Settings> {
  const { plan } = await import('../../src/plan/index.js');
  const { image, label } = syntheticCase(shape);
  const names = Array.from({ length: 13 }, (_, i) => [`organ ${i + 1}`, i + 1]);
  const dataset = {
    channel_names: { '0': 'CT' },
    labels: { background: 0, ...Object.fromEntries(names) },
    numTraining: 1,
    file_ending: '.nii.gz',
  } as DatasetJson;
  const statistics = { max: 280, mean: 70, median: 60, min: -130, percentile_00_5: -120, percentile_99_5: 270, std: 95 };
  const fingerprint = {
    foreground_intensity_properties_per_channel: { '0': statistics },
    median_relative_size_after_cropping: 1,
    shapes_after_crop: [shape],
    spacings: [spacing],
  };
  const s: Settings = {
    image: path.join(folder, 'image.f32'),
    label: path.join(folder, 'label.i16'),
    shape: shape as Settings['shape'],
    spacing: spacing as Settings['spacing'],
    resampled: shape.map((n, i) => Math.round(n * spacing[i])) as Settings['resampled'],
    heads: 14,
    plan: plan({ name: 'Dataset999_Bench', json: dataset }, fingerprint, { targetSpacing: [1, 1, 1] }),
    dataset,
    threads: os.availableParallelism(),
    peer: path.join(folder, 'peer'),
    ours: path.join(folder, 'ours'),
  };
  fs.writeFileSync(s.image, bytesOf(image));
  fs.writeFileSync(s.label, bytesOf(label));
  return s;
}

function run(command: string, args: string[]): Result {
  const child = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  const line = child.stdout.trim().split('\n').at(-1);
  if (child.status !== 0 || !line)
    throw new Error(`${command} ${args.join(' ')} ended with ${child.status}: ${child.stderr.slice(-2000)}`);
  return JSON.parse(line) as Result;
}

const median = (list: number[]) => [...list].sort((x, y) => x - y)[Math.floor(list.length / 2)];

function table(name: string, peer: Result[], ours: Result[]): boolean {
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
  console.log(name);
  for (const [who, list] of [
    ['peer', peer],
    ['ours', ours],
  ] as const) {
    const seconds = median(list.map((r) => r.seconds));
    console.log(
      `  ${who}  ${seconds.toFixed(2)} s   peak ${gib(median(list.map((r) => r.peakBytes)))} (${gib(median(list.map((r) => r.baseBytes)))} before)`,
    );
  }
  const better = (key: keyof Result) => median(ours.map((r) => r[key])) <= median(peer.map((r) => r[key]));
  console.log(
    `  time ${better('seconds') ? 'at most' : 'above'} the peer's, peak memory ${better('peakBytes') ? 'at most' : 'above'} the peer's`,
  );
  return better('seconds') && better('peakBytes');
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      python: { type: 'string', default: process.env.NNUNET_PYTHON },
      rounds: { type: 'string', default: '3' },
      shape: { type: 'string', default: '120,320,320' },
      spacing: { type: 'string', default: '2.5,0.8,0.8' },
    },
  });
  if (!values.python) {
    console.error('preprocess: give --python or NNUNET_PYTHON, an interpreter that has nnunetv2 2.8.1.');
    process.exit(2);
  }
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'preprocess-'));
  const s = await settingsFor(folder, values.shape.split(',').map(Number), values.spacing.split(',').map(Number));
  const file = path.join(folder, 'settings.json');
  fs.writeFileSync(file, JSON.stringify(s));
  const python = path.join(path.dirname(self), 'preprocess.py');
  const kinds = ['preprocess', 'restore'] as const;
  const results: Record<string, Result[]> = {};
  const keep = (name: string, result: Result) => {
    results[name] = [...(results[name] ?? []), result];
  };
  for (let round = 0; round < Number(values.rounds); round++)
    for (const kind of kinds) {
      keep(`peer ${kind}`, run(values.python, [python, file, kind]));
      keep(`ours ${kind}`, run(process.execPath, ['--import', 'tsx', self, `--${kind}`, file]));
    }
  const [ours, peer] = [floats(s.ours), floats(s.peer)];
  let furthest = 0;
  for (let i = 0; i < peer.length; i++) furthest = Math.max(furthest, Math.abs(ours[i] - peer[i]));
  const differ = (ending: string) => {
    const [a, b] = [fs.readFileSync(s.ours + ending), fs.readFileSync(s.peer + ending)];
    let n = a.length === b.length ? 0 : Number.NaN;
    for (let i = 0; i < b.length; i++) if (a[i] !== b[i]) n++;
    return `${n} of ${b.length}`;
  };
  console.log(
    `CT ${s.shape.join('×')} at ${s.spacing.join('×')} mm to ${s.resampled.join('×')} at 1 mm, ${s.threads} threads, ${values.rounds} rounds, medians`,
  );
  console.log(
    `values differ by at most ${furthest}; label bytes that differ: ${differ('.seg')}; restored labels: ${differ('.labels')}`,
  );
  const good = kinds.map((kind) => table(kind, results[`peer ${kind}`], results[`ours ${kind}`]));
  fs.rmSync(folder, { recursive: true });
  process.exit(good.every(Boolean) ? 0 : 1);
}

const [mode, file] = process.argv.slice(2);
const load = () => JSON.parse(fs.readFileSync(file, 'utf8')) as Settings;
if (mode === '--preprocess') void preprocessOurs(load()).then((r) => console.log(JSON.stringify(r)));
else if (mode === '--restore') void restoreOurs(load()).then((r) => console.log(JSON.stringify(r)));
else void main();
