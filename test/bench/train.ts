// Ours against PyTorch, in its default layout and in channels_last, on this machine: seconds, memory, share of the roofline.
//
//   node --import tsx test/bench/train.ts [--only TEXT] [--rounds 3] [--repetitions 2] [--growth] [--out FOLDER]
//
// Every measurement is a process of its own; the three sides take turns and the best of all their repetitions counts, so a
// machine that is busy for a while is unfair to none. PyTorch comes from PyPI into a scratch environment under the system's
// temporary folder (or set VOXELBOOK_TORCH to a Python that has it). Results: train.json, train.md, and the figure as plotly's JSON and
// as SVG; with --growth the same under that name. Rows already in the JSON are kept and joined, so that cases can be measured one by one;
// --rounds 0 writes table and figure of them again.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { network } from '../../src/model/index.js';
import { memoryAxes } from '../../src/model/network.js';
import { Figure, type Trace } from '../../src/report/figure.js';
import { symbolic, symbolicOutput } from '../../src/tensor/symbolic.js';
import { tf } from '../../src/tensor/tf.js';
import { type Case, cases, growth } from './cases.js';

const torchVersion = '2.13.0';
const here = path.dirname(fileURLToPath(import.meta.url));
const sides = ['ours', 'default', 'channels_last'] as const;
type Side = (typeof sides)[number];

interface Measurement {
  seconds: number;
  cpuSeconds: number;
  peakBytes: number;
}
interface Row {
  name: string;
  mode: Case['mode'];
  patch: number[];
  /** Multiply-adds of one forward pass. */
  forwardMacs: number;
  results: Partial<Record<Side, Measurement | { error: string }>>;
  /** Faster PyTorch layout's seconds over ours; the same for its memory. */
  timesFaster?: number;
  memoryShare?: number;
  /** Arithmetic of the task (a step is three forward passes) over seconds and this machine's fastest dense arithmetic. */
  rooflineShare?: number;
}

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    rounds: { type: 'string', default: '3' },
    repetitions: { type: 'string', default: '2' },
    threads: { type: 'string', default: String(os.availableParallelism()) },
    growth: { type: 'boolean', default: false },
    out: { type: 'string', default: path.join(here, 'results') },
    limit: { type: 'string', default: '900' },
  },
});

/** A Python with PyTorch. */
function torchPython(): string {
  if (process.env.VOXELBOOK_TORCH) return process.env.VOXELBOOK_TORCH;
  const folder = path.join(os.tmpdir(), `voxelbook-bench-torch-${torchVersion}`);
  const python = path.join(folder, 'bin/python');
  if (spawnSync(python, ['-c', 'import torch'], { stdio: 'ignore' }).status === 0) return python;
  console.log(`installing PyTorch ${torchVersion} into ${folder} …`);
  const steps = [
    ['python3', '-m', 'venv', folder],
    [python, '-m', 'pip', 'install', '-q', '--disable-pip-version-check', `torch==${torchVersion}`, 'numpy'],
  ];
  for (const [command, ...args] of steps)
    if (spawnSync(command, args, { stdio: 'inherit' }).status !== 0) throw new Error(`failed: ${command} ${args.join(' ')}`);
  return python;
}

function measure(side: Side, python: string, c: Case): Promise<Measurement | { error: string }> {
  const [command, args] =
    side === 'ours'
      ? [process.execPath, ['--import', 'tsx', path.join(here, 'ours.ts'), JSON.stringify(c), options.repetitions]]
      : [python, [path.join(here, 'train.py'), JSON.stringify(c), options.repetitions, side, options.threads]];
  return new Promise((resolve) => {
    const env = { ...process.env, VOXELBOOK_THREADS: options.threads };
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: Number(options.limit) * 1000 });
    let [out, error] = ['', ''];
    child.stdout.on('data', (d) => (out += d));
    child.stderr.on('data', (d) => (error += d));
    child.on('close', (code, signal) => {
      if (code !== 0) {
        const why = signal ? `stopped after ${options.limit} s (${signal})` : error.trim().split('\n').at(-1)!.slice(0, 200);
        return resolve({ error: why });
      }
      const { seconds, cpuSeconds, peakBytes } = JSON.parse(out.trim().split('\n').at(-1)!);
      resolve({ seconds: Math.min(...seconds), cpuSeconds: Math.min(...cpuSeconds), peakBytes });
    });
  });
}

/** The better of two measurements, figure by figure. */
function better(a: Row['results'][Side], b: Measurement | { error: string }): Measurement | { error: string } {
  if (!a || 'error' in a) return b;
  if ('error' in b) return a;
  return {
    seconds: Math.min(a.seconds, b.seconds),
    cpuSeconds: Math.min(a.cpuSeconds, b.cpuSeconds),
    peakBytes: Math.min(a.peakBytes, b.peakBytes),
  };
}

interface Rates {
  /** Multiply-adds per second of the fastest dense arithmetic found: matrix products and a 3³ convolution, ours and PyTorch's. */
  macsPerSecond: number;
  /** Bytes read and written per second by a copy. */
  bytesPerSecond: number;
}

/** This machine's own rates; the best seen so far is what is possible. */
function roofline(python: string): Rates {
  const best = (work: () => tf.Tensor) => {
    let seconds = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 6; i++) {
      const start = process.hrtime.bigint();
      work().dispose();
      seconds = Math.min(seconds, Number(process.hrtime.bigint() - start) / 1e9);
    }
    return seconds;
  };
  const sizes = [1024, 2048, 4096];
  const products = sizes.map((n) => {
    const [a, b] = [tf.ones([n, n]), tf.ones([n, n])];
    const rate = n ** 3 / best(() => tf.matMul(a, b));
    tf.dispose([a, b]);
    return rate;
  });
  const [edge, channels] = [48, 64];
  const [x, kernel] = [
    tf.ones([1, edge, edge, edge, channels]) as tf.Tensor5D,
    tf.ones([3, 3, 3, channels, channels]) as tf.Tensor5D,
  ];
  const convolution = (edge ** 3 * 27 * channels ** 2) / best(() => tf.conv3d(x, kernel, 1, 'same'));
  const vector = tf.ones([1 << 24]);
  const bytesPerSecond = (2 * 4 * vector.size) / best(() => tf.neg(vector));
  tf.dispose([x, kernel, vector]);
  const torch = spawnSync(python, [path.join(here, 'train.py'), 'roofline', options.threads, ...sizes.map(String)], {
    encoding: 'utf8',
  });
  return { macsPerSecond: Math.max(...products, convolution, Number(torch.stdout) || 0), bytesPerSecond };
}

const faster = (a: Rates, b: Rates): Rates => ({
  macsPerSecond: Math.max(a.macsPerSecond, b.macsPerSecond),
  bytesPerSecond: Math.max(a.bytesPerSecond, b.bytesPerSecond),
});

function forwardMacs(c: Case): number {
  const net = network(c.spec, undefined, { inputChannels: c.channels, classes: c.classes }).network;
  return symbolic(() => {
    const params = Object.fromEntries(
      net.parameters.map((p) => [
        p.name,
        symbolicOutput(
          memoryAxes(p).map((axis) => p.shape[axis]),
          p.dtype,
        ),
      ]),
    );
    net.forward({ params, training: false, updates: {} }, symbolicOutput([1, ...c.patch, c.channels]));
  }).macs;
}

const finished = (r: Row['results'][Side]): Measurement | undefined => (r && 'seconds' in r ? r : undefined);

function judge(row: Row, rates: Rates) {
  const ours = finished(row.results.ours);
  const theirs = [finished(row.results.default), finished(row.results.channels_last)].filter((r) => r !== undefined);
  if (!ours) return;
  row.rooflineShare = (row.forwardMacs * (row.mode === 'train' ? 3 : 1)) / ours.seconds / rates.macsPerSecond;
  if (theirs.length === 0) return;
  row.timesFaster = Math.min(...theirs.map((r) => r.seconds)) / ours.seconds;
  row.memoryShare = ours.peakBytes / Math.min(...theirs.map((r) => r.peakBytes));
}

function table(rows: Row[], rates: Rates): string {
  const seconds = (r: Row['results'][Side]) => (finished(r) ? finished(r)!.seconds.toFixed(2) : '–');
  const gigabytes = (r: Row['results'][Side]) => (finished(r) ? (finished(r)!.peakBytes / 1e9).toFixed(2) : '–');
  const lines = rows.map((r) => {
    const cells = [
      ...[r.name, seconds(r.results.ours), seconds(r.results.default), seconds(r.results.channels_last)],
      r.timesFaster ? `${r.timesFaster.toFixed(1)}×` : '–',
      ...[gigabytes(r.results.ours), gigabytes(r.results.default), gigabytes(r.results.channels_last)],
      r.rooflineShare ? `${(100 * r.rooflineShare).toFixed(0)} %` : '–',
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return [
    `${os.cpus()[0].model.trim()}, ${options.threads} threads, Node ${process.version}, PyTorch ${torchVersion}. Best of the repetitions, sides in turn, other work on the machine at times. ` +
      `This machine's fastest dense arithmetic (matrix product or 3³ convolution, TensorFlow's or PyTorch's): ${((2 * rates.macsPerSecond) / 1e9).toFixed(0)} GFLOP/s; it copies at ${(rates.bytesPerSecond / 1e9).toFixed(1)} GB/s.`,
    '',
    '| | ours, s | PyTorch default, s | PyTorch channels_last, s | faster than the faster | ours, GB | default, GB | channels_last, GB | of the dense rate |',
    '|---|---|---|---|---|---|---|---|---|',
    ...lines,
    '',
  ].join('\n');
}

const names = { ours: 'voxelbook', default: 'PyTorch', channels_last: 'PyTorch channels_last' };
const colours = { ours: '#0072B2', default: '#D55E00', channels_last: '#E69F00' };

/** What fits under a bar. */
const short = (name: string) =>
  name
    .replace('MedNeXt-', '')
    .replace('PlainConvUNet', 'nnU-Net')
    .replace('Swin-UMamba', 'SwinUM')
    .replace(' train', '')
    .replace('predict', 'pred.');

/** Seconds above, gigabytes below: bars per case, or lines over the patch's edge. */
function figure(rows: Row[]): Figure {
  const panel = (axis: '' | '2', value: (m: Measurement) => number) =>
    sides.map((side): Trace => {
      const measured = rows.filter((r) => finished(r.results[side]));
      return {
        ...(options.growth ? { type: 'scatter', mode: 'lines+markers' } : { type: 'bar' }),
        name: names[side],
        legendgroup: side,
        showlegend: axis === '',
        marker: { color: colours[side] },
        line: { color: colours[side] },
        x: measured.map((r) => (options.growth ? r.patch[0] : short(r.name))),
        y: measured.map((r) => value(finished(r.results[side])!)),
        xaxis: `x${axis}`,
        yaxis: `y${axis}`,
      } as Trace;
    });
  const across = options.growth
    ? { title: { text: 'edge of the patch, voxels' } }
    : { type: 'category' as const, categoryorder: 'array' as const, categoryarray: rows.map((r) => short(r.name)) };
  return new Figure(
    [...panel('', (m) => m.seconds), ...panel('2', (m) => m.peakBytes / 1e9)],
    {
      title: {
        text: options.growth
          ? 'One training step of MedNeXt-S k3'
          : 'Training steps and predictions (pred.): MedNeXt S and B, STU-Net-S, nnU-Net’s PlainConvUNet, Swin-UMamba',
      },
      ...(options.growth ? { width: 900, height: 420 } : { width: 1300, height: 700 }),
      barmode: 'group',
      xaxis: { ...across, domain: options.growth ? [0, 0.44] : [0, 1], anchor: 'y' },
      yaxis: { type: 'log', title: { text: 'seconds' }, anchor: 'x', domain: options.growth ? [0, 1] : [0.58, 1] },
      xaxis2: { ...across, domain: options.growth ? [0.56, 1] : [0, 1], anchor: 'y2' },
      yaxis2: { type: 'log', title: { text: 'peak memory, GB' }, anchor: 'x2', domain: options.growth ? [0, 1] : [0, 0.42] },
    },
    `Seconds and peak memory of ${rows.map((r) => r.name).join(', ')}: voxelbook beside PyTorch in two layouts, best of several.`,
  );
}

const python = torchPython();
const name = options.growth ? 'growth' : 'train';
const file = path.join(options.out, `${name}.json`);
const all = options.growth ? growth : cases;
fs.mkdirSync(options.out, { recursive: true });
let rates = roofline(python);
const before = fs.existsSync(file) ? (JSON.parse(fs.readFileSync(file, 'utf8')) as { machine: Rates; rows: Row[] }) : undefined;
if (before) rates = faster(rates, before.machine);
const chosen = all.filter((c) => c.name.includes(options.only));
const fresh: Row[] = chosen.map((c) => ({
  name: c.name,
  mode: c.mode,
  patch: c.patch,
  forwardMacs: forwardMacs(c),
  results: {},
}));

/** What was measured before, with today's in its place, in the order of the cases. */
function joined(): Row[] {
  const measured = fresh.filter((r) => Object.keys(r.results).length > 0);
  const rows = [...measured, ...(before?.rows ?? []).filter((r) => !measured.some((m) => m.name === r.name))];
  const order = all.map((c) => c.name);
  return rows.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
}

function write() {
  const rows = joined();
  for (const row of rows) {
    row.forwardMacs = fresh.find((r) => r.name === row.name)?.forwardMacs ?? row.forwardMacs;
    judge(row, rates);
  }
  const machine = {
    cpu: os.cpus()[0].model,
    threads: Number(options.threads),
    node: process.version,
    torch: torchVersion,
    ...rates,
  };
  fs.writeFileSync(file, `${JSON.stringify({ machine, rows }, null, 1)}\n`);
  fs.writeFileSync(path.join(options.out, `${name}.md`), table(rows, rates));
  const { data, layout } = figure(rows);
  fs.writeFileSync(path.join(options.out, `${name}-figure.json`), `${JSON.stringify({ data, layout })}\n`);
  fs.writeFileSync(path.join(options.out, `${name}.svg`), `${figure(rows).toSvg()}\n`);
}

if (options.rounds === '0') write(); // what was measured before, drawn again
for (let round = 0; round < Number(options.rounds); round++) {
  for (const [i, c] of chosen.entries())
    for (let k = 0; k < sides.length; k++) {
      const side = sides[(k + round) % sides.length];
      const result = await measure(side, python, c);
      fresh[i].results[side] = better(fresh[i].results[side], result);
      console.log(
        `${c.name}, round ${round + 1}, ${side}: ${'error' in result ? result.error : `${result.seconds.toFixed(2)} s`}`,
      );
    }
  rates = faster(rates, roofline(python));
  write();
}
console.log(`\n${table(joined(), rates)}`);
process.exit(0);
