// Networks of ours against PyTorch and inference engines on this machine: seconds, memory, share of the roofline.
//
// Every measurement is a process of its own; the sides take turns, each begins when the machine is idle, and the least of all
// repetitions counts (the median stands beside it). Peers come from PyPI into a scratch environment under the system's temporary folder
// (or set VOXELBOOK_PEERS to a Python that has them). Results: NAME.json, NAME.md, and the figure as plotly's JSON and as SVG. Rows already
// in the JSON are kept and joined, so that cases can be measured one by one; --rounds 0 writes table and figure of them again.
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
import type { Case } from './cases.js';
import { idle } from './idle.js';

/** What is compared, by its name in peer.py. */
export const names = {
  ours: 'voxelbook',
  default: 'PyTorch',
  channels_last: 'PyTorch channels_last',
  compile: 'torch.compile',
  openvino: 'OpenVINO',
  onnxruntime: 'ONNX Runtime',
};
export type Side = keyof typeof names;
const colours: Record<Side, string> = {
  ours: '#0072B2',
  default: '#D55E00',
  channels_last: '#E69F00',
  compile: '#CC79A7',
  openvino: '#009E73',
  onnxruntime: '#56B4E9',
};

export interface Bench {
  /** Of the files written. */
  name: string;
  cases: Case[];
  /** Ours first. */
  sides: Side[];
  title: string;
  /** Lines over the patch's edge in place of bars a case. */
  overEdge?: boolean;
}

const packages = [
  'torch==2.14.1',
  'numpy',
  'openvino==2026.4.1',
  'onnxruntime==1.32.0',
  'onnx==1.23.2',
  'onnxscript',
  'monai==1.6.1',
];
const here = path.dirname(fileURLToPath(import.meta.url));

interface Measurement {
  /** Least of all repetitions. */
  seconds: number;
  /** Median of them. */
  median?: number;
  repetitions?: number;
  cpuSeconds: number;
  peakBytes: number;
  /** What computed. */
  version?: string;
}
/** One process's repetitions. */
interface Repetitions {
  seconds: number[];
  cpuSeconds: number[];
  peakBytes: number;
  version?: string;
}
type Outcome<T> = T | { error: string };
interface Row {
  name: string;
  mode: Case['mode'];
  patch: number[];
  /** Multiply-adds of one forward pass. */
  forwardMacs: number;
  results: Partial<Record<Side, Outcome<Measurement>>>;
  /** The fastest peer, its seconds over ours, and our memory over the least of any peer's. */
  fastest?: Side;
  timesFaster?: number;
  memoryShare?: number;
  /** Day of the last round, and the largest load of other programs before one, in cores. */
  date: string;
  load?: number;
  /** Fastest dense arithmetic known when the row was measured, multiply-adds per second. */
  macsPerSecond?: number;
  /** Arithmetic of the task (a step is three forward passes) over seconds and that rate. */
  rooflineShare?: number;
}

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    rounds: { type: 'string', default: '5' },
    repetitions: { type: 'string', default: '2' },
    threads: { type: 'string', default: String(os.availableParallelism()) },
    load: { type: 'string', default: '0.3' },
    growth: { type: 'boolean', default: false },
    out: { type: 'string', default: path.join(here, 'results') },
    limit: { type: 'string', default: '900' },
  },
});

export const { growth: asksForGrowth } = options;

/** A Python with the peers. */
function peerPython(): string {
  if (process.env.VOXELBOOK_PEERS) return process.env.VOXELBOOK_PEERS;
  const folder = path.join(os.tmpdir(), 'voxelbook-bench-peers');
  const python = path.join(folder, 'bin/python');
  if (spawnSync(python, ['-c', 'import torch, openvino, onnxruntime, onnxscript, monai'], { stdio: 'ignore' }).status === 0)
    return python;
  console.log(`installing ${packages.join(', ')} into ${folder} …`);
  const steps = [
    ['python3', '-m', 'venv', folder],
    [python, '-m', 'pip', 'install', '-q', '--disable-pip-version-check', ...packages],
  ];
  for (const [command, ...args] of steps)
    if (spawnSync(command, args, { stdio: 'inherit' }).status !== 0) throw new Error(`failed: ${command} ${args.join(' ')}`);
  return python;
}

function measure(side: Side, python: string, c: Case): Promise<Outcome<Repetitions>> {
  const [command, args] =
    side === 'ours'
      ? [process.execPath, ['--import', 'tsx', path.join(here, 'ours.ts'), JSON.stringify(c), options.repetitions]]
      : [python, [path.join(here, 'peer.py'), JSON.stringify(c), options.repetitions, side, options.threads]];
  return new Promise((resolve) => {
    const env = { ...process.env, VOXELBOOK_THREADS: options.threads };
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: Number(options.limit) * 1000 });
    let [out, error] = ['', ''];
    child.stdout.on('data', (d) => (out += d));
    child.stderr.on('data', (d) => (error += d));
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(JSON.parse(out.trim().split('\n').at(-1)!));
      const why = signal ? `stopped after ${options.limit} s (${signal})` : error.trim().split('\n').at(-1)!.slice(0, 200);
      resolve({ error: why });
    });
  });
}

/** What all rounds of one side come to; a round that failed counts where none succeeded. */
function summary(rounds: Outcome<Repetitions>[]): Outcome<Measurement> {
  const done = rounds.filter((r) => 'seconds' in r);
  if (done.length === 0) return rounds[0] as { error: string };
  const seconds = done.flatMap((r) => r.seconds).sort((a, b) => a - b);
  const middle = seconds.length >> 1;
  return {
    seconds: seconds[0],
    median: seconds.length % 2 ? seconds[middle] : (seconds[middle - 1] + seconds[middle]) / 2,
    repetitions: seconds.length,
    cpuSeconds: Math.min(...done.flatMap((r) => r.cpuSeconds)),
    peakBytes: Math.min(...done.map((r) => r.peakBytes)),
    version: done[0].version,
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
  const torch = spawnSync(python, [path.join(here, 'peer.py'), 'roofline', options.threads, ...sizes.map(String)], {
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

function judge(row: Row) {
  const ours = finished(row.results.ours);
  if (!ours) return;
  row.rooflineShare = (row.forwardMacs * (row.mode === 'train' ? 3 : 1)) / ours.seconds / row.macsPerSecond!;
  const theirs = (Object.keys(row.results) as Side[]).filter((side) => side !== 'ours' && finished(row.results[side]));
  if (theirs.length === 0) return;
  const of = (side: Side) => finished(row.results[side])!;
  row.fastest = theirs.reduce((a, b) => (of(b).seconds < of(a).seconds ? b : a));
  row.timesFaster = of(row.fastest).seconds / ours.seconds;
  row.memoryShare = ours.peakBytes / Math.min(...theirs.map((side) => of(side).peakBytes));
}

function table({ sides }: Bench, rows: Row[], rates: Rates): string {
  const seconds = (r: Row['results'][Side]) => {
    const m = finished(r);
    return m ? `${m.seconds.toFixed(2)}${m.median ? ` (${m.median.toFixed(2)})` : ''}` : '–';
  };
  const gigabytes = (r: Row['results'][Side]) => (finished(r) ? (finished(r)!.peakBytes / 1e9).toFixed(2) : '–');
  const lines = rows.map((r) => {
    const cells = [
      r.name,
      ...sides.map((side) => seconds(r.results[side])),
      r.timesFaster ? `${r.timesFaster.toFixed(1)}× ${names[r.fastest!]}` : '–',
      ...sides.map((side) => gigabytes(r.results[side])),
      r.rooflineShare ? `${(100 * r.rooflineShare).toFixed(0)} %` : '–',
      `${r.date}, ${r.load === undefined ? 'not looked at' : r.load.toFixed(1)}`,
    ];
    return `| ${cells.join(' | ')} |`;
  });
  const versions = sides.flatMap((side) => {
    const found = new Set(rows.map((r) => finished(r.results[side])?.version).filter((v) => v !== undefined));
    return found.size ? [`${names[side]}: ${[...found].join(' or ')}`] : [];
  });
  const header = [
    '',
    ...sides.map((side) => `${names[side]}, s`),
    'faster than the fastest peer',
    ...sides.map((side) => `${names[side]}, GB`),
    'of the dense rate',
    'measured, load',
  ];
  return [
    `${os.cpus()[0].model.trim()}, ${options.threads} threads. ${versions.join('; ')}; all in float32. Least (median) of the repetitions, sides in turn; load: cores that other programs took before a measurement, at most. ` +
      `This machine's fastest dense arithmetic (matrix product or 3³ convolution, TensorFlow's or PyTorch's): ${((2 * rates.macsPerSecond) / 1e9).toFixed(0)} GFLOP/s (a row's share is of the rate known on its day); it copies at ${(rates.bytesPerSecond / 1e9).toFixed(1)} GB/s. ` +
      `A convolution in Winograd's form needs less arithmetic than its definition, which is what the share counts.`,
    '',
    `| ${header.join(' | ')} |`,
    `|${'---|'.repeat(header.length)}`,
    ...lines,
    '',
  ].join('\n');
}

/** What fits under a bar. */
const short = (name: string) =>
  name
    .replace('MedNeXt-', '')
    .replace('PlainConvUNet', 'nnU-Net')
    .replace('Swin-UMamba', 'SwinUM')
    .replace(' train', '')
    .replace('predict', 'pred.');

/** Seconds above, gigabytes below: bars per case, or lines over the patch's edge. */
function figure({ sides, title, overEdge }: Bench, rows: Row[]): Figure {
  const panel = (axis: '' | '2', value: (m: Measurement) => number) =>
    sides.map((side): Trace => {
      const measured = rows.filter((r) => finished(r.results[side]));
      return {
        ...(overEdge ? { type: 'scatter', mode: 'lines+markers' } : { type: 'bar' }),
        name: names[side],
        legendgroup: side,
        showlegend: axis === '',
        marker: { color: colours[side] },
        line: { color: colours[side] },
        x: measured.map((r) => (overEdge ? r.patch[0] : short(r.name))),
        y: measured.map((r) => value(finished(r.results[side])!)),
        xaxis: `x${axis}`,
        yaxis: `y${axis}`,
      } as Trace;
    });
  const across = overEdge
    ? { title: { text: 'edge of the patch, voxels' } }
    : { type: 'category' as const, categoryorder: 'array' as const, categoryarray: rows.map((r) => short(r.name)) };
  return new Figure(
    [...panel('', (m) => m.seconds), ...panel('2', (m) => m.peakBytes / 1e9)],
    {
      title: { text: title },
      ...(overEdge ? { width: 900, height: 420 } : { width: 1300, height: 700 }),
      barmode: 'group',
      xaxis: { ...across, domain: overEdge ? [0, 0.44] : [0, 1], anchor: 'y' },
      yaxis: { type: 'log', title: { text: 'seconds' }, anchor: 'x', domain: overEdge ? [0, 1] : [0.58, 1] },
      xaxis2: { ...across, domain: overEdge ? [0.56, 1] : [0, 1], anchor: 'y2' },
      yaxis2: { type: 'log', title: { text: 'peak memory, GB' }, anchor: 'x2', domain: overEdge ? [0, 1] : [0, 0.42] },
    },
    `Seconds and peak memory of ${rows.map((r) => r.name).join(', ')}: ${sides.map((side) => names[side]).join(', ')}, least of several.`,
  );
}

/** Measures, writes, prints; ends the process. */
export async function compare(bench: Bench): Promise<never> {
  const python = peerPython();
  const { name, sides } = bench;
  const file = path.join(options.out, `${name}.json`);
  fs.mkdirSync(options.out, { recursive: true });
  const before = fs.existsSync(file) ? (JSON.parse(fs.readFileSync(file, 'utf8')) as { machine: Rates; rows: Row[] }) : undefined;
  let rates = options.rounds === '0' && before ? before.machine : roofline(python);
  if (before) rates = faster(rates, before.machine);
  const chosen = bench.cases.filter((c) => c.name.includes(options.only));
  const fresh: Row[] = chosen.map((c) => ({
    name: c.name,
    mode: c.mode,
    patch: c.patch,
    forwardMacs: forwardMacs(c),
    results: {},
    date: new Date().toISOString().slice(0, 10),
  }));
  const rounds = new Map<string, Outcome<Repetitions>[]>();

  /** What was measured before, with today's in its place, in the order of the cases. */
  const joined = (): Row[] => {
    const measured = fresh.filter((r) => Object.keys(r.results).length > 0);
    const rows = [...measured, ...(before?.rows ?? []).filter((r) => !measured.some((m) => m.name === r.name))];
    const order = bench.cases.map((c) => c.name);
    return rows.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  };
  const write = () => {
    const rows = joined();
    for (const row of rows) {
      row.forwardMacs = fresh.find((r) => r.name === row.name)?.forwardMacs ?? row.forwardMacs;
      // A row measured before keeps the rate of its day.
      row.macsPerSecond = fresh.includes(row) ? rates.macsPerSecond : (row.macsPerSecond ?? before!.machine.macsPerSecond);
      judge(row);
    }
    const machine = { cpu: os.cpus()[0].model, threads: Number(options.threads), ...rates };
    fs.writeFileSync(file, `${JSON.stringify({ machine, rows }, null, 1)}\n`);
    fs.writeFileSync(path.join(options.out, `${name}.md`), table(bench, rows, rates));
    const { data, layout } = figure(bench, rows);
    fs.writeFileSync(path.join(options.out, `${name}-figure.json`), `${JSON.stringify({ data, layout })}\n`);
    fs.writeFileSync(path.join(options.out, `${name}.svg`), `${figure(bench, rows).toSvg()}\n`);
  };

  for (let round = 0; round < Number(options.rounds); round++) {
    for (const [i, c] of chosen.entries()) {
      const row = fresh[i];
      for (let k = 0; k < sides.length; k++) {
        const side = sides[(k + round) % sides.length];
        row.load = Math.max(row.load ?? 0, await idle(Number(options.load)));
        const result = await measure(side, python, c);
        const key = `${c.name} ${side}`;
        rounds.set(key, [...(rounds.get(key) ?? []), result]);
        row.results[side] = summary(rounds.get(key)!);
        const told = 'error' in result ? result.error : result.seconds.map((s) => `${s.toFixed(2)} s`).join(', ');
        console.log(`${c.name}, round ${round + 1}, ${names[side]}: ${told}`);
      }
    }
    write();
  }
  if (options.rounds === '0') write(); // what was measured before, drawn again
  console.log(`\n${table(bench, joined(), rates)}`);
  process.exit(0);
}
