// How the plan of a study shows itself: a row an experiment, the totals, and what each column means.
import { hoursFormula, hoursGpu, hoursSource, methodNotes, type PaperStudy } from '../paper/index.js';
import { plannerEntry } from '../plan/index.js';
import { type Cell, type Column, ResultTable } from '../report/index.js';
import type { Experiment, Scale } from '../train/index.js';
import type { PlannedRun } from './folder.js';

/** One experiment of a study; bytes and hours are of one run. Null: `unknown` says why. */
export interface DryRunRow {
  /** Place in the table, from 1. */
  number: number;
  name: string;
  /** Other rows of the tables that are this same run. */
  alsoNamed: string[];
  /** Labels of the tables it stands in; empty for one that is only started from. */
  tables: string[];
  dataset: string;
  experiment: Experiment;
  /** 0 starts from nothing. */
  level: number;
  /** What it starts from: the number of that row, or a file. */
  startsFrom?: number | string;
  folds: number;
  seeds: number;
  runs: number;
  finished: number;
  /** Where the plan comes from. */
  planSource: string;
  /** Why the data's own fingerprint may give another plan. */
  approximate?: string;
  patch: number[] | null;
  batch: number | null;
  spacingMm: number[] | null;
  parameters: number | null;
  /** Multiply-adds of a forward pass on one patch. */
  macs: number | null;
  /** Tensors on a GPU: every activation kept, and recomputed where the network can; null at demo scale, which runs on the CPU. */
  gpuBytes: number | null;
  gpuRecomputedBytes: number | null;
  /** The process beside a GPU; at demo scale all of it. */
  hostBytes: number | null;
  checkpointBytes: number | null;
  hours: number | null;
  /** What the hours are scaled from, or why there are none. */
  hoursBasis: string;
  /** Folder of the preprocessed cases, how many, and their bytes. */
  preprocessed?: { key: string; what: string; bytes: number | null };
  /** Why the plan and all that follows from it is missing. */
  unknown?: string;
  error?: string;
}

/** Sums of a dry run. */
export interface DryRunTotals {
  experiments: number;
  runs: number;
  finished: number;
  /** Runs of each level. */
  levels: number[];
  /** Of all runs whose hours can be said. */
  gpuHours: number;
  runsWithoutHours: number;
  checkpointBytes: number;
  /** Of the data sets whose image size is known. */
  preprocessedBytes: number;
  preprocessedUnknown: number;
  largestGpuBytes: number;
  largestHostBytes: number;
}

/** The plan of a study; shows itself as a table. */
export class DryRun extends ResultTable {
  constructor(
    readonly rows: readonly DryRunRow[],
    readonly totals: DryRunTotals,
    readonly runs: readonly PlannedRun[],
    { scale, study, scripts }: { scale: Scale; study?: PaperStudy; scripts?: string },
  ) {
    super(captionOf(totals, scale, study), columnsOf(rows), rows.map(cellsOf), notesOf(rows, totals, scale, study, scripts));
    this.scripts = scripts;
  }

  /** Folder of the job scripts, if they were written. */
  readonly scripts?: string;

  /** The totals in one line. */
  get summary(): string {
    return totalText(this.rows, this.totals);
  }
}

function captionOf(totals: DryRunTotals, scale: Scale, study?: PaperStudy): string {
  const levels = totals.levels.map((n, level) => `${n} of level ${level}`).join(', ');
  const runs = `${totals.experiments} experiments, ${totals.runs} runs (${levels}), ${totals.finished} finished`;
  return `${study ? `${study.title}, ` : ''}${scale} scale: ${runs}`;
}

function totalText(rows: readonly DryRunRow[], totals: DryRunTotals): string {
  const { runs, runsWithoutHours: without, gpuHours } = totals;
  const gpu = rows.some((row) => row.gpuBytes !== null);
  const sure = totals.preprocessedUnknown === 0;
  const bytes = gbOrTb(totals.preprocessedBytes);
  const prepared = sure ? bytes : totals.preprocessedBytes > 0 ? `${bytes} where it can be said` : 'not known';
  const counted = without > 0 ? `; ${without} runs have none and are not counted` : '';
  const hours =
    without === runs
      ? 'GPU hours: no run has an estimate'
      : `≈ ${thousands(gpuHours)} GPU hours on an ${hoursGpu} (estimate${counted})`;
  return [
    `${runs} runs`,
    ...(gpu ? [hours] : []),
    `checkpoints ${gbOrTb(totals.checkpointBytes)}`,
    `preprocessed data ${prepared}`,
    gpu
      ? `largest run ${gb(totals.largestGpuBytes)} GB on the GPU, ${gb(totals.largestHostBytes)} GB beside it`
      : `largest run ${gb(totals.largestHostBytes)} GB`,
  ].join('; ');
}

/** `128³`, `48×192×192`. */
export const by = (list: readonly number[]) => {
  const short = list.map((n) => +n.toPrecision(4));
  const power = ['', '', '²', '³'][short.length];
  return power && short.every((n) => n === short[0]) ? `${short[0]}${power}` : short.join('×');
};
const gb = (bytes: number) => {
  const n = bytes / 1e9;
  return n >= 79.95 ? n.toFixed(0) : n >= 1 ? n.toFixed(1) : n >= 0.01 ? n.toFixed(2) : n.toFixed(3);
};
const gbOrTb = (bytes: number) => (bytes >= 1e12 ? `${(bytes / 1e12).toFixed(1)} TB` : `${gb(bytes)} GB`);
const hoursText = (hours: number) => (hours < 10 ? hours.toFixed(1) : hours.toFixed(0));
const thousands = (n: number) => Math.round(n).toLocaleString('en');

function columnsOf(rows: readonly DryRunRow[]): Column[] {
  const right = (key: string, label: string): Column => ({ key, label, align: 'right' });
  const gpu = rows.some((row) => row.gpuBytes !== null);
  return [
    // First: a page shows what a row costs in a table of its own, beneath.
    right('number', '#'),
    ...(rows.some((row) => row.tables.length > 0) ? [{ key: 'tables', label: 'table' }] : []),
    { key: 'name', label: 'experiment' },
    { key: 'dataset', label: 'data' },
    { key: 'level', label: 'level' },
    right('runs', 'runs'),
    { key: 'plan', label: 'plan' },
    right('patch', 'patch'),
    right('batch', 'batch'),
    right('spacing', 'mm'),
    right('parameters', 'params, M'),
    right('macs', 'G MAdds'),
    ...(gpu ? [right('gpu', 'GPU, GB'), right('recomputed', 'recomp.')] : []),
    right('host', 'host, GB'),
    right('checkpoints', 'ckpt, GB'),
    ...(gpu ? [right('hours', 'h/run'), right('allHours', 'h all')] : []),
  ];
}

const fromText = ({ startsFrom }: DryRunRow) =>
  startsFrom === undefined ? '' : ` ← ${typeof startsFrom === 'number' ? `#${startsFrom}` : startsFrom}`;

function cellsOf(row: DryRunRow): Record<string, Cell> {
  const why = row.error?.split('\n').slice(0, 2).join(' ') ?? row.unknown;
  const missing = (reason: string | undefined): Cell => ({ value: null, text: '—', why: reason });
  const number = (value: number | null, text: (n: number) => string, reason = why): Cell =>
    value === null ? missing(reason) : { value, text: text(value) };
  const about = row.approximate ? '≈ ' : '';
  const same = row.gpuRecomputedBytes !== null && row.gpuRecomputedBytes > 0.99 * row.gpuBytes!;
  const { plan, planner } = row.experiment;
  return {
    tables: { value: row.tables.join(', '), text: row.tables.join(', ') },
    number: { value: row.number, text: String(row.number) },
    name: { value: row.name, text: row.name },
    dataset: { value: row.dataset, text: row.dataset },
    level: { value: row.level, text: `${row.level}${fromText(row)}` },
    runs: { value: row.runs, text: `${row.folds}×${row.seeds}${row.runs === row.folds * row.seeds ? '' : ` (${row.runs})`}` },
    plan: row.planSource
      ? {
          value: row.planSource,
          text: typeof plan === 'object' ? 'own plan' : (plan ?? plannerEntry(planner).kind),
          why: row.planSource,
        }
      : missing(why),
    patch: row.patch
      ? { value: row.patch.join('×'), text: about + by(row.patch), ...(row.approximate ? { why: row.approximate } : {}) }
      : missing(why),
    batch: number(row.batch, String),
    spacing: row.spacingMm
      ? {
          value: row.spacingMm.join('×'),
          text: row.spacingMm.every((mm) => mm === row.spacingMm![0]) ? String(row.spacingMm[0]) : by(row.spacingMm),
        }
      : row.patch
        ? { value: null, text: 'pixels' }
        : missing(why),
    parameters: number(row.parameters, (n) => (n / 1e6).toFixed(n < 1e6 ? 3 : 1)),
    macs: number(row.macs, (n) => (n >= 1e10 ? thousands(n / 1e9) : (n / 1e9).toFixed(2))),
    gpu: number(row.gpuBytes, gb),
    recomputed: same ? { value: row.gpuRecomputedBytes, text: '=' } : number(row.gpuRecomputedBytes, gb),
    host: number(row.hostBytes, gb),
    checkpoints: number(row.checkpointBytes, gb),
    hours:
      row.hours === null
        ? missing(row.hoursBasis || why)
        : { value: row.hours, text: `≈ ${hoursText(row.hours)}`, why: row.hoursBasis },
    allHours: number(row.hours === null ? null : row.hours * row.runs, (n) => `≈ ${thousands(n)}`, row.hoursBasis || why),
  };
}

/** GPUs beyond this are rare, bytes. */
const commonGpu = 80e9;

function notesOf(
  rows: readonly DryRunRow[],
  totals: DryRunTotals,
  scale: Scale,
  study: PaperStudy | undefined,
  scripts: string | undefined,
): string[] {
  const gpu = scale === 'paper';
  const listed = (list: readonly DryRunRow[]) => list.map((row) => `#${row.number}`).join(', ');
  const errors = rows.filter((row) => row.error);
  const tooLarge = rows.filter((row) => (row.gpuRecomputedBytes ?? 0) > commonGpu);
  const data = [...preparedData(rows).values()];
  const known = data.flatMap(({ what, bytes }) => (bytes === null ? [] : [`${what} ${gbOrTb(bytes)}`]));
  const unknown = data.flatMap(({ what, bytes }) => (bytes === null ? [what] : []));
  const twins = distinct(rows.flatMap((row) => row.alsoNamed.map((other) => `“${other}” is “${row.name}”`)));
  const reasons = new Map<string, string[]>();
  for (const { absent = {} } of study?.tables ?? [])
    for (const [row, why] of Object.entries(absent)) reasons.set(why, distinct([...(reasons.get(why) ?? []), row]));
  return [
    `Total: ${totalText(rows, totals)}.`,
    ...(errors.length > 0 ? [`Cannot be built: ${listed(errors)}.`] : []),
    ...(tooLarge.length > 0
      ? [`Above ${gb(commonGpu)} GB on the GPU: ${listed(tooLarge)}. A smaller patch or batch is another experiment.`]
      : []),
    'runs: folds × seeds. level: 0 starts from nothing, 1 from runs of level 0, and so on; ← names the row or file.',
    'G MAdds: 10⁹ multiply-adds of a forward pass on one patch.',
    gpu
      ? 'GPU: tensors of a training step, float32, at the row’s patch and batch, all activations kept, without the allocator’s reserve; recomp.: activations recomputed (VOXELBOOK_CHECKPOINTING=1) at about a third more time, = where that changes nothing. host: the process beside the GPU with one augmentation worker, without CUDA’s libraries, and the arrays of a whole image where its size is known. All from shapes, not measured on a GPU.'
      : 'host: the whole process, on the CPU.',
    'ckpt: checkpoints of one run (last two, best, final).',
    ...(gpu
      ? [`${hoursFormula}. Source: ${hoursSource}. An estimate: this library computes in float32 and was not timed on that GPU.`]
      : []),
    ...(known.length > 0 ? [`Preprocessed (median size before cropping, without class locations): ${known.join('; ')}.`] : []),
    ...(unknown.length > 0 ? [`Preprocessed, bytes not known for want of image sizes: ${unknown.join('; ')}.`] : []),
    ...(twins.length > 0 ? [`Computed once: ${twins.join('; ')}.`] : []),
    ...methodsOf(study),
    ...[...reasons].map(([why, names]) => `No experiment for ${names.join('; ')}: ${why}.`),
    ...(scripts ? [`Job scripts: ${scripts}`] : []),
  ];
}

/** Protocol and rule of every table, tables of one text together. */
function methodsOf(study: PaperStudy | undefined): string[] {
  const tables = new Map<string, string[]>();
  for (const { id, label } of study?.tables ?? []) {
    const text = methodNotes(study!.paper, id).join(' ');
    tables.set(text, [...(tables.get(text) ?? []), label === id ? id : `${label} (${id})`]);
  }
  return [...tables].map(([text, names]) => `Table${names.length > 1 ? 's' : ''} ${names.join(', ')}: ${text}`);
}

const distinct = <T>(list: readonly T[]) => [...new Set(list)];

/** Folders of preprocessed cases, each once. */
export const preparedData = (rows: readonly DryRunRow[]) =>
  new Map(rows.flatMap(({ preprocessed }) => (preprocessed ? [[preprocessed.key, preprocessed] as const] : [])));
