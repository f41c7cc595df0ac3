// What a real study holds: sets of full geometry through check, fingerprint, preprocessing, the training loader and prediction, beside
// nnunetv2 2.8.1 on the same files, the two in turn, each step in a process of its own; `convert` has no peer.
//
//   npx tsx test/bench/scale.ts --python <interpreter with nnunetv2> [--sets amos,brats,total] [--cases 2] [--batches 20]
//     [--steps convert,check,fingerprint,preprocess,load,predict] [--spacing <mm, all axes, that preprocessing resamples to>]
//     [--folder <where the sets are kept>] [--record]
//
// Steps can be measured one by one in a folder that is kept, in this order; with none (`--steps make`) the sets are made and nothing else.
// Sets come from seeds (`scaleSets.ts`). Both sides take as many threads or processes as there are cores. Seconds are those of the call
// itself, peak memory what the process and its children hold for themselves (anonymous pages, looked at four times a second). A row is
// extrapolated to the public set's cases in proportion, but for the fingerprint, whose draws are as many in all. `--record` writes results/scale.json and .md, rows of other sets kept.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Random } from '../../src/base/random.js';
import { nodeArguments } from '../../src/base/workers.js';
import type { DatasetJson } from '../../src/dataset/dataset.js';
import { convert, descriptor, labels, open } from '../../src/dataset/index.js';
import type { Plan } from '../../src/plan/plan.js';
import { measured } from './measured.js';
import { makeCase, publishedFolder, type ScaleSet, scaleSets, writeDatasetJson } from './scaleSets.js';

/** What both sides are told. */
interface Settings {
  raw: string;
  /** Folders of what each side makes. */
  ours: string;
  peer: string;
  folder: string;
  threads: number;
  /** Loader. */
  augment?: boolean;
  batches?: number;
  /** Prediction. */
  plan?: Plan;
  dataset?: DatasetJson;
  image?: string;
  shape?: [number, number, number];
  heads?: number;
  weights?: number[];
  ourLabels?: string;
  peerLabels?: string;
  /** Folder whose pages are given back before a cold row. */
  evict?: string;
}

/** One side's answer to a step. */
interface Measured {
  seconds: number;
  peakBytes: number;
  diskBytes?: number;
  patches?: number;
  intensities?: Record<string, Record<string, number>>;
}

/** A line of the record. */
interface Row {
  set: string;
  step: string;
  cases: number;
  date: string;
  command: string;
  machine: string;
  ours: Measured;
  peer?: Measured;
  full?: { cases: number; oursHours: number; peerHours?: number; oursGB?: number; peerGB?: number };
  note?: string;
}

const self = fileURLToPath(import.meta.url);
const here = path.dirname(self);
const patch = [128, 128, 128];

// ——— our side of each step, in a child

const dataset = (s: Settings) => open(path.join(s.raw, s.folder));
const timed = async (work: () => unknown) => {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1000;
};

const ourSteps: Record<string, (s: Settings) => Promise<object>> = {
  async convert(s) {
    const [set] = scaleSets.filter(({ name }) => name === 'total');
    return {
      seconds: await timed(() => convert('TotalSegmentator', publishedFolder(s.raw, set), { root: s.raw, workers: s.threads })),
    };
  },
  async check(s) {
    const { check } = await import('../../src/dataset/index.js');
    return { seconds: await timed(() => check(dataset(s), { workers: s.threads })) };
  },
  async fingerprint(s) {
    const { fingerprint, plan } = await import('../../src/plan/index.js');
    const set = dataset(s);
    let found: Awaited<ReturnType<typeof fingerprint>>;
    const seconds = await timed(async () => {
      found = await fingerprint(set, { workers: undefined });
    });
    const planned = plan(set, found!, { overrides: { '3d_fullres': { patchSize: patch } } });
    for (const side of [s.ours, s.peer]) {
      fs.mkdirSync(path.join(side, s.folder), { recursive: true });
      fs.writeFileSync(path.join(side, s.folder, 'nnUNetPlans.json'), JSON.stringify(planned));
      fs.copyFileSync(path.join(set.folder, 'dataset.json'), path.join(side, s.folder, 'dataset.json'));
    }
    return { seconds, intensities: found!.foreground_intensity_properties_per_channel };
  },
  async preprocess(s) {
    const preprocess = await import('../../src/preprocess/index.js');
    const folder = path.join(s.ours, s.folder);
    return { seconds: await timed(() => preprocess.run(dataset(s), readPlan(folder), '3d_fullres', { folder })) };
  },
  async load(s) {
    const { startFeed } = await import('../../src/train/index.js');
    const { listCases } = await import('../../src/preprocess/index.js');
    const base = path.join(s.ours, s.folder);
    const configuration = readPlan(base).configurations['3d_fullres'];
    const folder = path.join(base, configuration.data_identifier);
    const ids = listCases(folder);
    const feed = startFeed(
      {
        ...{
          folder,
          train: ids,
          validation: ids,
          seed: 1,
          batchSize: 2,
          patch: patch as [number, number, number],
          channels: Object.keys(dataset(s).json.channel_names).length,
          dimensions: 3,
        },
        ...{ oversampleForeground: 0.33, augmentation: s.augment ? 'nnunetv2' : 'none', cacheBytes: 0 },
        augmentationSettings: { mirrorAxes: [0, 1, 2], useMaskForNorm: configuration.use_mask_for_norm },
        outputShapes: [patch as [number, number, number]],
      },
      { workers: s.threads, turn: (phase, index) => ({ phase, index: index + 1 }) },
    );
    const take = async (i: number) => (await feed.next('train', i)).release?.();
    await take(0);
    const seconds = await timed(async () => {
      for (let i = 1; i <= s.batches!; i++) await take(i);
    });
    await feed.close();
    return { seconds, patches: 2 * s.batches! };
  },
  async predict(s) {
    const { predictCase } = await import('../../src/predict/index.js');
    const { tf } = await import('../../src/tensor/tf.js');
    const bytes = fs.readFileSync(s.image!);
    const data = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    const kernel = tf.tensor2d(s.weights!, [1, s.heads!]);
    const network = (x: import('@tensorflow/tfjs-node-gpu').Tensor) =>
      tf.tidy(() => tf.reshape(tf.matMul(tf.reshape(x, [-1, 1]), kernel), [...x.shape.slice(0, -1), s.heads!]));
    const properties = {
      spacing: s.plan!.configurations['3d_fullres'].spacing,
      shape_before_cropping: s.shape!,
      bbox_used_for_cropping: s.shape!.map((n) => [0, n] as [number, number]),
      shape_after_cropping_and_before_resampling: s.shape!,
    };
    const model = {
      ...{ forwards: [network], plan: s.plan!, configuration: '3d_fullres', dataset: s.dataset! },
      settings: { mirrorAxes: [], stepSize: 0.5, gaussian: true, average: 'logits' as const },
    };
    const source = { data, seg: new Int16Array(0), shape: s.shape!, channels: 1, properties };
    let found: Uint8Array | Uint16Array | undefined;
    const seconds = await timed(async () => {
      found = (await predictCase(model as never, source as never)).labels as Uint8Array;
    });
    fs.writeFileSync(s.ourLabels!, found!);
    return { seconds };
  },
};

/** Another spacing than the images', so that values are interpolated: no whole numbers are left, as in most public sets. */
function respace(folder: string, spacing: number): void {
  const plan = readPlan(folder);
  plan.configurations['3d_fullres'].spacing = [spacing, spacing, spacing];
  fs.writeFileSync(path.join(folder, 'nnUNetPlans.json'), JSON.stringify(plan));
}

const readPlan = (folder: string): Plan => JSON.parse(fs.readFileSync(path.join(folder, 'nnUNetPlans.json'), 'utf8'));

function folderBytes(folder: string): number {
  const entries = fs.existsSync(folder) ? fs.readdirSync(folder, { recursive: true, withFileTypes: true }) : [];
  return entries.reduce((sum, e) => sum + (e.isFile() ? fs.statSync(path.join(e.parentPath, e.name)).size : 0), 0);
}

// ——— the bench

const options = {
  python: { type: 'string', default: process.env.NNUNET_PYTHON },
  sets: { type: 'string', default: 'amos,brats,total' },
  cases: { type: 'string' },
  batches: { type: 'string', default: '20' },
  steps: { type: 'string', default: 'convert,check,fingerprint,preprocess,load,predict' },
  spacing: { type: 'string' },
  folder: { type: 'string' },
  record: { type: 'boolean', default: false },
} as const;

async function main(): Promise<void> {
  const { values } = parseArgs({ options });
  if (!values.python) {
    console.error('scale: give --python or NNUNET_PYTHON, an interpreter that has nnunetv2 2.8.1.');
    process.exit(2);
  }
  const root = values.folder ?? fs.mkdtempSync(path.join(os.tmpdir(), 'scale-'));
  const rows: Row[] = [];
  try {
    for (const set of scaleSets.filter(({ name }) => values.sets!.split(',').includes(name)))
      await measure(
        values.spacing ? { ...set, title: `${set.title}, resampled to ${values.spacing} mm` } : set,
        root,
        {
          python: values.python,
          cases: Math.min(set.cases, Number(values.cases ?? set.cases)),
          batches: Number(values.batches),
          steps: values.steps!.split(','),
          ...(values.spacing && { spacing: Number(values.spacing) }),
        },
        rows,
      );
  } finally {
    if (values.record) record(rows);
    if (!values.folder) fs.rmSync(root, { recursive: true });
  }
}

async function measure(
  set: ScaleSet,
  root: string,
  {
    python,
    cases,
    batches,
    steps,
    spacing,
  }: { python: string; cases: number; batches: number; steps: string[]; spacing?: number },
  rows: Row[],
): Promise<void> {
  const raw = path.join(root, `raw-${cases}`);
  fs.mkdirSync(path.join(raw, set.folder), { recursive: true });
  const s: Settings = {
    raw,
    ours: path.join(root, 'ours'),
    peer: path.join(root, 'peer'),
    folder: set.folder,
    threads: os.availableParallelism(),
  };
  const masks = Object.entries(descriptor('TotalSegmentator').datasetJson.labels as Record<string, number>)
    .filter(([, label]) => label !== 0)
    .map(([name]) => name);
  for (let i = 0; i < cases; i++) makeCase(set, raw, i, masks);
  if (set.name !== 'total') writeDatasetJson(set, raw, cases);

  const file = path.join(root, 'settings.json');
  const side = async (who: 'ours' | 'peer', step: string, changes: Partial<Settings> = {}) => {
    fs.writeFileSync(file, JSON.stringify({ ...s, ...changes }));
    if (who === 'peer') return measured<Measured>(python, [path.join(here, 'scale.py'), step, file]);
    return measured<Measured>(
      process.execPath,
      [...nodeArguments(new URL('./scale.ts', import.meta.url)), '--child', step, file],
      {
        VOXELBOOK_DATA: s.ours,
      },
    );
  };
  const add = (step: string, ours: Measured, peer?: Measured, note?: string) => {
    const row = rowOf(set, step, cases, ours, peer, note);
    rows.push(row);
    console.log(line(row));
  };
  if (steps.includes('convert') && set.name === 'total') {
    fs.rmSync(path.join(raw, set.folder), { recursive: true, force: true });
    const ours = await side('ours', 'convert');
    add('convert', { ...ours, diskBytes: folderBytes(path.join(raw, set.folder)) });
  }
  // What was remembered of an earlier bench of the same files would make ours nothing but a look at the folder.
  if (steps.includes('check')) {
    fs.rmSync(s.ours, { recursive: true, force: true });
    add('check', await side('ours', 'check'), await side('peer', 'check'));
  }
  if (steps.includes('fingerprint')) {
    const [ours, peer] = [await side('ours', 'fingerprint'), await side('peer', 'fingerprint')];
    add('fingerprint', ours, peer, differ(ours, peer));
  }
  if (steps.includes('preprocess')) {
    const folders = { ours: path.join(s.ours, s.folder), peer: path.join(s.peer, s.folder) };
    if (spacing) for (const folder of Object.values(folders)) respace(folder, spacing);
    const { data_identifier } = readPlan(folders.ours).configurations['3d_fullres'];
    for (const folder of Object.values(folders)) fs.rmSync(path.join(folder, data_identifier), { recursive: true, force: true });
    const made = { ours: await side('ours', 'preprocess'), peer: await side('peer', 'preprocess') };
    for (const who of ['ours', 'peer'] as const) made[who].diskBytes = folderBytes(path.join(folders[who], data_identifier));
    add('preprocess', made.ours, made.peer);
  }
  for (const augment of steps.includes('load') ? [false, true] : [])
    for (const cold of [true, false]) {
      const both: Measured[] = [];
      for (const who of ['ours', 'peer'] as const) {
        if (cold) await side('peer', 'evict', { evict: path.join(s[who], s.folder) });
        both.push(await side(who, 'load', { augment, batches: augment ? Math.ceil(batches / 2) : batches }));
      }
      add(`loader${augment ? ' with augmentation' : ''}, ${cold ? 'cold' : 'warm'}`, both[0], both[1]);
    }
  if (steps.includes('predict') && set.name === 'total') await prediction(s, root, side, add);
}

/** The sliding window and the way back to labels around a 1×1×1 convolution with 105 classes, without mirroring. */
async function prediction(
  s: Settings,
  root: string,
  side: (who: 'ours' | 'peer', step: string, changes: Partial<Settings>) => Promise<Measured>,
  add: (step: string, ours: Measured, peer: Measured, note: string) => void,
): Promise<void> {
  const random = new Random('scale prediction');
  const json = open(path.join(s.raw, s.folder)).json;
  const { heads } = labels(json);
  const shape: [number, number, number] = [300, 300, 300];
  const told: Partial<Settings> = {
    plan: readPlan(path.join(s.ours, s.folder)),
    dataset: json,
    image: path.join(root, 'image.f32'),
    shape,
    heads,
    weights: Array.from({ length: heads }, () => Math.fround(random.normal())),
    ourLabels: path.join(root, 'ours.labels'),
    peerLabels: path.join(root, 'peer.labels'),
  };
  const image = Float32Array.from({ length: shape[0] * shape[1] * shape[2] }, () => random.uniform(-2, 2));
  fs.writeFileSync(told.image!, new Uint8Array(image.buffer));
  const [ours, peer] = [await side('ours', 'predict', told), await side('peer', 'predict', told)];
  const [a, b] = [fs.readFileSync(told.ourLabels!), fs.readFileSync(told.peerLabels!)];
  let different = 0;
  for (let i = 0; i < b.length; i++) if (a[i] !== b[i]) different++;
  add(`prediction's own work, ${heads} classes`, ours, peer, `labels that differ: ${different} of ${b.length}`);
}

/** How far the statistics of both fingerprints lie apart, relative to the larger. */
function differ(ours: Measured, peer: Measured): string {
  let most = 0;
  for (const [channel, values] of Object.entries(peer.intensities!))
    for (const [key, value] of Object.entries(values)) {
      const own = ours.intensities![channel][key];
      most = Math.max(most, Math.abs(own - value) / Math.max(1e-9, Math.abs(own), Math.abs(value)));
    }
  return `statistics differ by at most ${most.toExponential(1)}`;
}

function rowOf(set: ScaleSet, step: string, cases: number, ours: Measured, peer?: Measured, note?: string): Row {
  const { intensities: _o, ...own } = ours;
  const theirs = peer && (({ intensities: _p, ...rest }: Measured) => rest)(peer);
  const times = set.fullCases / cases;
  // A fingerprint's draws are as many in all, however many cases there are.
  const perCase = !own.patches && !step.startsWith('prediction') && step !== 'fingerprint';
  const [cpu] = os.cpus();
  return {
    ...{
      set: set.title,
      step,
      cases,
      date: new Date().toISOString().slice(0, 10),
      machine: `${cpu.model}, ${os.availableParallelism()} cores`,
    },
    command: `npx tsx test/bench/scale.ts ${process.argv
      .slice(2)
      .filter((a, i, all) => !/^--(python|folder)$/.test(a) && !/^--(python|folder)$/.test(all[i - 1] ?? ''))
      .join(' ')}`,
    ours: own,
    ...(theirs && { peer: theirs }),
    ...(perCase && {
      full: {
        cases: set.fullCases,
        oursHours: (own.seconds * times) / 3600,
        ...(theirs && { peerHours: (theirs.seconds * times) / 3600 }),
        ...(own.diskBytes && { oursGB: (own.diskBytes * times) / 1e9 }),
        ...(theirs?.diskBytes && { peerGB: (theirs.diskBytes * times) / 1e9 }),
      },
    }),
    ...(note && { note }),
  };
}

const gb = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;
const said = (m: Measured | undefined, cases: number) =>
  m
    ? [
        m.patches
          ? `${(m.patches / m.seconds).toFixed(2)} patches/s`
          : `${m.seconds.toFixed(1)} s (${((60 * cases) / m.seconds).toFixed(1)} cases/min)`,
        gb(m.peakBytes),
        ...(m.diskBytes ? [`${gb(m.diskBytes)} on disk`] : []),
      ].join(', ')
    : '—';
const hours = (h: number | undefined) => (h === undefined ? '—' : `${h.toFixed(h < 1 ? 2 : 1)} h`);

/** Time of the peer over ours. */
const ratio = ({ ours, peer }: Row) => (peer ? `${(peer.seconds / ours.seconds).toFixed(1)}×` : '—');
const line = (row: Row) =>
  `${row.set} | ${row.step}: ours ${said(row.ours, casesIn(row))}; nnunetv2 ${said(row.peer, casesIn(row))}; ${ratio(row)} ${row.note ?? ''}`;
const casesIn = (row: Row) => (row.step.startsWith('prediction') ? 1 : row.cases);

/** Writes the record; rows of this run take the place of older ones of the same set and step. */
function record(rows: readonly Row[]): void {
  const file = path.join(here, 'results', 'scale.json');
  const before: Row[] = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : [];
  const same = (a: Row, b: Row) => a.set === b.set && a.step === b.step;
  const kept = before.filter((old) => !rows.some((row) => same(row, old)));
  const all = [...kept, ...rows];
  const order = scaleSets.map(({ title }) => title);
  all.sort((a, b) => order.indexOf(a.set) - order.indexOf(b.set));
  fs.writeFileSync(file, `${JSON.stringify(all, null, 1)}\n`);
  const text = [
    'Sets of full geometry from seeds, both sides on the same files, in turn (`test/bench/scale.ts`). Seconds of the call itself; memory is what',
    'the process and its children hold for themselves. The last columns are in proportion to the cases, not measured, and say too much: each step was run once, the start of its processes included.',
    '',
    '| set | step | cases | ours | nnunetv2 2.8.1 | time | full set, ours | full set, nnunetv2 | note |',
    '|---|---|---|---|---|---|---|---|---|',
    ...all.map((row) => {
      const { full } = row;
      const whole = (h?: number, disk?: number) =>
        full && h !== undefined ? `${hours(h)}${disk ? `, ${disk.toFixed(0)} GB` : ''} (${full.cases} cases)` : '—';
      return `| ${row.set} | ${row.step} | ${row.cases} | ${said(row.ours, casesIn(row))} | ${said(row.peer, casesIn(row))} | ${ratio(row)} | ${whole(full?.oursHours, full?.oursGB)} | ${whole(full?.peerHours, full?.peerGB)} | ${row.note ?? ''} |`;
    }),
    '',
    ...[...new Set(all.map(({ date, command, machine }) => `${date}, ${machine}: \`${command}\``))],
    '',
  ];
  fs.writeFileSync(path.join(here, 'results', 'scale.md'), text.join('\n'));
}

if (process.argv[2] === '--child') {
  const [step, file] = process.argv.slice(3);
  console.log(JSON.stringify(await ourSteps[step](JSON.parse(fs.readFileSync(file, 'utf8')))));
} else await main();
