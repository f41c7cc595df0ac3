// Whole training loops, loading and augmentation included: ours, through `train.run` on the built library, beside the same loop in PyTorch
// on nnunetv2's loader (Blosc2), batchgeneratorsv2's augmentation and nnunetv2's loss, in two layouts (or compiled), in turn.
//
//   npm run build && npx tsx test/bench/study.ts --python <interpreter with nnunetv2> [--only TEXT] [--sides ours,default,channels_last,compile]
//     [--rounds 3] [--load 0.3] [--fresh] [--compile] [--folder <where sets are kept>] [--out FOLDER]
//
// Every measurement is a process of its own that begins when the machine is idle, and is made again where it is not idle at its end; the
// sides take turns. Both sides compute with as many threads as there are cores; the peer's loader has a process a core, ours its default of
// one thread. A measurement joins those of its row that were made before, so that a row can be measured round by round; --fresh leaves them
// out, --rounds 0 makes the sets and writes the table again. A side with other parameters, batches or outputs than the others is refused.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as mednext from '../../src/paper/mednext/index.js';
import * as recipes from '../../src/paper/recipes.js';
import { deepSupervisionWeights, type Experiment } from '../../src/train/index.js';
import { plainConvUnet } from './cases.js';
import { idle, load } from './idle.js';
import { measured } from './measured.js';
import { makeCase, scaleSets, writeDatasetJson } from './scaleSets.js';

const names = { ours: 'voxelbook', default: 'PyTorch', channels_last: 'PyTorch channels_last', compile: 'torch.compile' };
type Side = keyof typeof names;

/** What a child is told. */
export interface Settings {
  experiment: Experiment;
  fold: number | 'all';
  /** Folders of the peer's sets and of our run. */
  peer: string;
  run: string;
  threads: number;
  side: Side;
  /** Of the losses at all outputs. */
  weights: number[];
  quickstart?: Experiment[];
  /** As `prepare` found it: the raw set and the cases that are trained on. */
  raw?: string;
  folder?: string;
  ids?: string[];
}

/** A child's answer. Times in seconds since 1970. */
export interface Trained {
  /** When the first step had its batch, and when each ended. */
  begin: number;
  ends: number[];
  losses?: number[];
  parameters?: number;
  /** Batch, channels and patch; shapes of the supervised outputs. */
  batch?: number[];
  outputs?: number[][];
  /** Share of the time in which the step waited for its batch. */
  waitingShare?: number;
  version: string;
  peakBytes: number;
}

/** One measurement in the record. */
interface Measurement {
  row: string;
  side: Side;
  date: string;
  /** Largest load of other programs before and after it, in cores. */
  load: number;
  /** From the first step's batch to the last step's end; mean of all steps but the first. */
  wallSeconds: number;
  stepSeconds: number | null;
  /** From the start of the process to the first step. */
  startSeconds: number;
  peakBytes: number;
  steps: number;
  /** Mean loss of the first and the last quarter of the steps. */
  losses?: [number, number];
  parameters?: number;
  batch?: number[];
  outputs?: number[][];
  waitingShare?: number;
  version: string;
}

interface Row {
  name: string;
  /** Absent: the study of the quickstart, which has no peer. */
  experiment?: Experiment;
  fold: number | 'all';
  /** Steps a minute over the whole loop, or seconds a step after the first. */
  unit: 'steps a minute' | 'seconds a step' | 'seconds';
}

const here = path.dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: {
    python: { type: 'string', default: process.env.NNUNET_PYTHON },
    only: { type: 'string', default: '' },
    sides: { type: 'string', default: '' },
    rounds: { type: 'string', default: '3' },
    load: { type: 'string', default: '0.3' },
    fresh: { type: 'boolean', default: false },
    compile: { type: 'boolean', default: false },
    folder: { type: 'string', default: path.join(os.tmpdir(), 'voxelbook-bench-study') },
    out: { type: 'string', default: path.join(here, 'results') },
  },
});

// ——— what is trained

const brats = scaleSets.find(({ name }) => name === 'brats')!;
const cases = 2;
const raw = path.join(options.folder, 'raw');

/** One epoch of so many steps, augmented and weighed as nnU-Net v2 does, without validation. */
const loop = (experiment: Experiment, steps: number): Experiment => ({
  ...experiment,
  recipe: {
    ...experiment.recipe,
    ...{ epochs: 1, iterationsPerEpoch: steps, validationIterationsPerEpoch: 0, batchSize: 2, augmentation: 'nnunetv2' },
    loss: { kind: 'dice+ce', dice: 'nnunetv2', batchDice: false, smooth: 1e-5 },
    // Known to the child alone.
    hooks: [{ kind: 'stopwatch' } as never],
  },
});

const large = (name: string, model: Experiment['model'], recipe: Experiment['recipe']): Experiment =>
  loop(
    {
      ...{ name, dataset: path.join(raw, brats.folder), configuration: '3d_fullres', scale: 'demo', folds: 'all', seeds: [0] },
      model: { ...model, deepSupervision: true },
      recipe: { ...recipe, patchSize: [128, 128, 128], mirrorAxes: [0, 1, 2] },
      prediction: recipes.predictions.nnunetv2,
    },
    4,
  );

/** As the notebook has it: three seeds of the four variants on SimGlioma, then one of each on real tissue. */
const quickstart = [
  ...mednext.ablation({ scale: 'demo', seeds: [0, 1, 2], epochs: 16 }),
  ...mednext.ablation({ scale: 'demo', dataset: 'IcbmTissue', seeds: [0], epochs: 6 }),
];

const rows: Row[] = [
  {
    name: '200 demo steps: MedNeXt, 8 channels, 2 × 32³ × 4',
    experiment: loop(mednext.ablation({ scale: 'demo' })[0], 200),
    fold: 0,
    unit: 'steps a minute',
  },
  {
    name: 'PlainConvUNet, 2 × 128³ × 4',
    experiment: large('PlainConvUNet', plainConvUnet, recipes.nnunetv2),
    fold: 'all',
    unit: 'seconds a step',
  },
  {
    name: 'MedNeXt-S k3, 2 × 128³ × 4',
    experiment: large('MedNeXt-S k3', { network: 'mednext', size: 'S', kernel: 3 }, recipes.mednext),
    fold: 'all',
    unit: 'seconds a step',
  },
  { name: 'the quickstart’s study, 16 runs, two at once', fold: 0, unit: 'seconds' },
];

// ——— measuring

const peer = path.join(options.folder, 'peer');
const settingsFile = path.join(options.folder, 'settings.json');
const env = { VOXELBOOK_DATA: path.join(options.folder, 'ours'), VOXELBOOK_RUNS: path.join(options.folder, 'runs') };

function child<T>(
  what: 'prepare' | 'train' | 'quickstart' | 'peer' | 'preprocess',
  settings: Partial<Settings>,
): Promise<T & { peakBytes: number }> {
  fs.writeFileSync(settingsFile, JSON.stringify(settings));
  if (what === 'peer') return measured(options.python!, [path.join(here, 'study.py'), settingsFile]);
  if (what === 'preprocess') return measured(options.python!, [path.join(here, 'scale.py'), what, settingsFile]);
  return measured(process.execPath, [path.join(here, 'studyOurs.ts'), what, settingsFile], env);
}

/** Makes the set of a row on both sides where that is not done yet. */
async function prepared({ experiment, fold }: Row): Promise<Partial<Settings>> {
  const threads = os.availableParallelism();
  if (!experiment) {
    for (const dataset of ['SimGlioma', 'IcbmTissue'])
      await child('prepare', { experiment: quickstart.find((e) => e.dataset === dataset), fold, peer });
    return { quickstart, threads };
  }
  if (path.isAbsolute(experiment.dataset)) {
    for (let i = 0; i < cases; i++) makeCase(brats, raw, i, []);
    writeDatasetJson(brats, raw, cases);
  }
  const settings: Partial<Settings> = { experiment, fold, peer, threads };
  Object.assign(settings, await child<Pick<Settings, 'raw' | 'folder' | 'ids'>>('prepare', settings));
  const own = path.join(peer, settings.folder!);
  const done = path.join(own, 'made');
  if (!fs.existsSync(done)) {
    await child('preprocess', settings);
    fs.writeFileSync(done, '');
  }
  return settings;
}

/** A measurement that began and ended on an idle machine. */
async function measure(row: Row, side: Side, settings: Partial<Settings>): Promise<Measurement> {
  for (;;) {
    const before = await idle(Number(options.load));
    const found = await once(row, side, settings);
    const after = await load();
    if (after < Number(options.load)) return { ...found, load: Math.max(before, after) };
    console.log(`other programs took ${after.toFixed(1)} cores at its end: ${row.name} is measured again`);
  }
}

async function once(row: Row, side: Side, settings: Partial<Settings>): Promise<Omit<Measurement, 'load'>> {
  fs.rmSync(env.VOXELBOOK_RUNS, { recursive: true, force: true });
  const { experiment } = row;
  const outputs = experiment?.model.network === 'plain-conv-unet' ? 4 : 5;
  const weights = experiment && deepSupervisionWeights(experiment.recipe.deepSupervision, outputs);
  const began = Date.now() / 1000;
  const found = await child<Trained>(experiment ? (side === 'ours' ? 'train' : 'peer') : 'quickstart', {
    ...settings,
    ...{ side, weights, run: path.join(env.VOXELBOOK_RUNS, 'study') },
  });
  const { begin, ends, losses, peakBytes, parameters, batch, outputs: shapes, waitingShare, version } = found;
  const quarter = Math.ceil((losses?.length ?? 0) / 4);
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  return {
    ...{ row: row.name, side, date: new Date().toISOString().slice(0, 10), steps: ends.length },
    wallSeconds: ends.at(-1)! - begin,
    stepSeconds: ends.length > 1 ? (ends.at(-1)! - ends[0]) / (ends.length - 1) : null,
    startSeconds: begin - began,
    ...{ peakBytes, parameters, batch, outputs: shapes, waitingShare, version },
    ...(losses && { losses: [mean(losses.slice(0, quarter)), mean(losses.slice(-quarter))] }),
  };
}

/** Refuses a side that did other work than those measured before it. */
function same({ row, ...own }: Measurement, all: readonly Measurement[]): void {
  const work = ({ parameters, batch, outputs }: Pick<Measurement, 'parameters' | 'batch' | 'outputs'>) =>
    JSON.stringify({ parameters, batch, outputs });
  const other = all.find((m) => m.row === row && work(m) !== work(own));
  if (other) throw new Error(`${row}: ${own.side} does ${work(own)}, ${other.side} did ${work(other)}`);
}

// ——— the record

const file = path.join(options.out, 'study.json');

const median = (values: number[]) => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

/** Seconds that count in a row, of one measurement. */
const secondsOf = ({ unit }: Row, m: Measurement) => (unit === 'seconds a step' ? m.stepSeconds! : m.wallSeconds);

function table(all: Measurement[]): string {
  const said = ({ unit }: Row, seconds: number, steps: number) =>
    unit === 'steps a minute' ? ((60 * steps) / seconds).toFixed(0) : seconds.toFixed(seconds < 100 ? 1 : 0);
  const lines = rows.flatMap((row) => {
    const sides = (Object.keys(names) as Side[]).flatMap((side) => {
      const own = all.filter((m) => m.row === row.name && m.side === side);
      return own.length > 0
        ? [{ side, own, seconds: own.map((m) => secondsOf(row, m)), bytes: Math.min(...own.map((m) => m.peakBytes)) }]
        : [];
    });
    const ours = sides.find(({ side }) => side === 'ours');
    return sides.map(({ side, own, seconds, bytes }) => {
      const starts = own.map((m) => m.startSeconds);
      const losses = own.at(-1)!.losses;
      const cells = [
        ...[row.name, names[side], row.unit],
        `${said(row, Math.min(...seconds), own[0].steps)} (${said(row, median(seconds), own[0].steps)}), ${own.length}`,
        ours && side !== 'ours' ? `${(Math.min(...seconds) / Math.min(...ours.seconds)).toFixed(1)}×` : '',
        row.experiment ? `${Math.min(...starts).toFixed(1)} (${median(starts).toFixed(1)})` : '–',
        `${(bytes / 1e9).toFixed(2)}`,
        ours && side !== 'ours' ? `${(ours.bytes / bytes).toFixed(2)}×` : '',
        own[0].waitingShare === undefined ? '–' : `${(100 * median(own.map((m) => m.waitingShare!))).toFixed(0)} %`,
        losses ? `${losses[0].toFixed(2)} → ${losses[1].toFixed(2)}` : '–',
        `${own.at(-1)!.date}, ${Math.max(...own.map((m) => m.load)).toFixed(1)}`,
      ];
      return `| ${cells.join(' | ')} |`;
    });
  });
  const header = [
    ...[
      'loop',
      'side',
      'unit',
      'best (median), rounds',
      'time beside ours',
      'start to first step, s',
      'peak, GB',
      'our memory beside it',
    ],
    ...['waiting for batches', 'loss', 'measured, load'],
  ];
  const versions = [...new Set(all.map((m) => (m.side === 'ours' ? `voxelbook: ${m.version}` : `peer: ${m.version}`)))];
  return [
    `${os.cpus()[0].model.trim()}, ${os.availableParallelism()} threads. ${versions.join('; ')}. Whole loops with loading and`,
    'augmentation; sides in turn, each in a process of its own on a machine that was idle before it. Steps a minute: from the first step’s batch to the last step’s end; seconds a step: mean of the',
    'three steps after the first. Peak: what the process and its children hold for themselves. Loss: mean of the first and the last quarter of the steps. The',
    'peer’s loader makes three batches ahead (its trainer: six), which takes less memory. The quickstart’s study has no peer: it also predicts and scores.',
    '',
    `| ${header.join(' | ')} |`,
    `|${'---|'.repeat(header.length)}`,
    ...lines,
    '',
    'Command: `npm run build && npx tsx test/bench/study.ts --python <interpreter with nnunetv2>`.',
    '',
  ].join('\n');
}

function record(all: Measurement[]): void {
  fs.mkdirSync(options.out, { recursive: true });
  const order = rows.map(({ name }) => name);
  const sorted = all.toSorted((a, b) => order.indexOf(a.row) - order.indexOf(b.row));
  fs.writeFileSync(
    file,
    `${JSON.stringify({ machine: { cpu: os.cpus()[0].model, threads: os.availableParallelism() }, measurements: sorted }, null, 1)}\n`,
  );
  fs.writeFileSync(path.join(options.out, 'study.md'), table(sorted));
}

async function main(): Promise<void> {
  if (!options.python) {
    console.error('study: give --python or NNUNET_PYTHON, an interpreter that has nnunetv2 2.8.1.');
    process.exit(2);
  }
  fs.mkdirSync(options.folder, { recursive: true });
  const chosen = rows.filter(({ name }) => name.includes(options.only));
  const before: Measurement[] = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')).measurements : [];
  const all = options.fresh ? before.filter((m) => !chosen.some(({ name }) => name === m.row)) : before;
  const ready = new Map<Row, Partial<Settings>>();
  for (const row of chosen) ready.set(row, await prepared(row));
  const asked = options.sides
    ? (options.sides.split(',') as Side[])
    : (Object.keys(names) as Side[]).filter((side) => side !== 'compile' || options.compile);
  for (let round = 0; round < Number(options.rounds); round++)
    for (const row of chosen) {
      const sides = row.experiment ? asked : asked.filter((side) => side === 'ours');
      for (let k = 0; k < sides.length; k++) {
        const side = sides[(k + round) % sides.length];
        const m = await measure(row, side, ready.get(row)!);
        same(m, all);
        all.push(m);
        record(all);
        console.log(
          `${row.name}, ${names[side]}: ${m.wallSeconds.toFixed(1)} s for ${m.steps} steps, ${m.stepSeconds?.toFixed(3)} s each after the first, start ${m.startSeconds.toFixed(1)} s, ${(m.peakBytes / 1e9).toFixed(2)} GB, waiting ${((m.waitingShare ?? 0) * 100).toFixed(0)} %, loss ${m.losses?.map((l) => l.toFixed(3)).join(' → ')}, ${m.parameters} parameters`,
        );
      }
    }
  record(all);
  console.log(`\n${table(all)}`);
}

await main();
