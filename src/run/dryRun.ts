// A study before anything is computed: every run, its plan, memory, disk and hours.
//
// The plan is made by the function that training calls (`planOf`), the memory by the forecast that training makes, on shapes alone. A data
// set that is not on this machine is stood for by its descriptor; what only the data can say is said to be so.
import { product } from '../base/shape.js';
import { type Descriptor, descriptorIfAny, labels, open, placeOf } from '../dataset/index.js';
import { hoursReference, type PaperStudy, passes } from '../paper/index.js';
import {
  type Configuration,
  configuration,
  describedFingerprint,
  fingerprintOf,
  fixedPlans,
  type Plan,
  plannerEntry,
  storedFingerprint,
} from '../plan/index.js';
import { withPlainOperators } from '../tensor/native/load.js';
import {
  cacheBytes,
  canonicalJson,
  drawsOf,
  type Experiment,
  type Forecast,
  forecast,
  forecastInputOf,
  initOf,
  type Planned,
  planOf,
  runHash,
} from '../train/index.js';
import { by, DryRun, type DryRunRow, type DryRunTotals, preparedData } from './dryRunTable.js';
import type { PlannedRun } from './folder.js';
import { graph } from './graph.js';
import { type NeedsOf, type SlurmOptions, submit } from './slurm.js';

/** What a dry run writes besides its table. */
export interface DryRunOptions {
  /** Also write the job scripts of a Slurm cluster; what a site wants in them. */
  slurm?: SlurmOptions;
  signal?: AbortSignal;
  onEvent?: (text: string) => void;
}

/**
 * Plans a study without computing it: all experiments and what they start from, each run once.
 * @param what a paper's study (`paper.study('mednext', { scale: 'paper' })`) or a list of experiments
 * @returns a table; a row that cannot be built says why
 */
export async function dryRun(what: PaperStudy | readonly Experiment[], options: DryRunOptions = {}): Promise<DryRun> {
  const study = 'tables' in what ? what : undefined;
  const experiments = study ? study.experiments : (what as readonly Experiment[]);
  const runs = graph(experiments);
  const rows = await rowsOf(runs, experiments, study, options);
  const totals = totalsOf(rows, runs);
  const scripts = options.slurm ? (await submit(runs, { ...options.slurm, dryRun: true }, needsFrom(rows))).folder : undefined;
  return new DryRun(rows, totals, runs, { scale: experiments[0]?.scale ?? 'demo', study, scripts });
}

/** What the runs of a study ask a cluster for, where its site does not say. */
export async function needsOf(runs: readonly PlannedRun[], options: Pick<DryRunOptions, 'signal'> = {}): Promise<NeedsOf> {
  const left = runs.filter((run) => !run.finished);
  return needsFrom(await rowsOf(left, [], undefined, options));
}

/** A row for every experiment of some runs. */
async function rowsOf(
  runs: readonly PlannedRun[],
  experiments: readonly Experiment[],
  study: PaperStudy | undefined,
  options: DryRunOptions,
): Promise<DryRunRow[]> {
  const byHash = new Map<string, PlannedRun[]>();
  for (const run of runs) {
    const key = identityOf(run.experiment);
    byHash.set(key, [...(byHash.get(key) ?? []), run]);
  }
  const rows: DryRunRow[] = [];
  const sources: Sources = new Map();
  for (const [key, same] of byHash) {
    options.signal?.throwIfAborted();
    const row = placeOfRow(key, same, experiments, study, rows);
    rows.push(row);
    options.onEvent?.(`${rows.length}/${byHash.size} ${row.name}, ${row.dataset}`);
    try {
      await fill(row, sources, options.signal);
    } catch (error) {
      row.error = (error as Error).message;
    }
    await new Promise(setImmediate);
  }
  return rows;
}

/** Equal for experiments that are the same runs. */
const identityOf = (experiment: Experiment) => runHash(experiment, 0, 0);

/** Hours in steps, so that runs of much the same length share an array. */
const upTo = (hours: number) => (hours <= 24 ? 4 * Math.max(1, Math.ceil(hours / 4)) : 24 * Math.ceil(hours / 24));

/**
 * One GPU at paper scale, twice the forecast of memory (at least 16 GB there: the first job of a data set also preprocesses it, and CUDA's
 * libraries are not in the forecast), and twice the forecast of hours where there is one.
 */
function needsFrom(rows: readonly DryRunRow[]): NeedsOf {
  const byIdentity = new Map(rows.map((row) => [identityOf(row.experiment), row]));
  return ({ experiment }) => {
    const { hostBytes = null, hours = null } = byIdentity.get(identityOf(experiment)) ?? {};
    const gpu = experiment.scale === 'paper';
    const gib = hostBytes === null ? undefined : Math.max(gpu ? 16 : 1, Math.ceil((2 * hostBytes) / 2 ** 30));
    return {
      ...(gpu && { gres: 'gpu:1' }),
      ...(gib !== undefined && { memory: `${gib}G` }),
      ...(hours !== null && { time: `${upTo(2 * hours)}:00:00` }),
    };
  };
}

const distinct = <T>(list: readonly T[]) => [...new Set(list)];

/** Where a group of runs stands in the study; everything still to be planned is null. */
function placeOfRow(
  key: string,
  same: readonly PlannedRun[],
  experiments: readonly Experiment[],
  study: PaperStudy | undefined,
  before: readonly DryRunRow[],
): DryRunRow {
  const asked = experiments.filter((e) => identityOf(e) === key);
  const experiment = asked[0] ?? same[0].experiment;
  const names = distinct(asked.map((e) => e.name));
  const { init, previousStage } = experiment;
  const from = previousStage ?? initOf(experiment);
  return {
    number: before.length + 1,
    name: experiment.name,
    alsoNamed: names.slice(1),
    tables: study ? study.tables.filter((t) => t.experiments.some((e) => identityOf(e) === key)).map((t) => t.label) : [],
    dataset: experiment.dataset,
    experiment,
    level: same[0].level,
    startsFrom: from
      ? before.find((row) => identityOf(row.experiment) === identityOf(from))?.number
      : init && 'weights' in init
        ? init.weights
        : undefined,
    folds: distinct(same.map((r) => r.fold)).length,
    seeds: distinct(same.map((r) => r.seed)).length,
    runs: same.length,
    finished: same.filter((r) => r.finished).length,
    planSource: '',
    patch: null,
    batch: null,
    spacingMm: null,
    parameters: null,
    macs: null,
    gpuBytes: null,
    gpuRecomputedBytes: null,
    hostBytes: null,
    checkpointBytes: null,
    hours: null,
    hoursBasis: '',
  };
}

/** A data set as planning takes it. */
interface Source {
  name: string;
  json: Planned['dataset']['json'];
  fingerprint: Parameters<typeof planOf>[1];
  /** Where the fingerprint comes from. */
  from: 'data' | 'descriptor';
  unknown: ('spacing' | 'size')[];
  cases: number;
  descriptor?: Descriptor;
}

type Sources = Map<string, Promise<Source>>;

/** A data set's source; each is looked for once. */
function sourceOf(experiment: Experiment, known: Sources, signal?: AbortSignal): Promise<Source> {
  const key = `${experiment.dataset} ${experiment.scale}`;
  if (!known.has(key)) known.set(key, findSource(experiment, signal));
  return known.get(key)!;
}

/** The data set itself where its fingerprint is stored or it has no descriptor, else the descriptor. */
async function findSource(experiment: Experiment, signal?: AbortSignal): Promise<Source> {
  const { dataset: name } = experiment;
  const place = placeOf(name);
  const described = descriptorIfAny(name);
  if (place || !described) {
    const dataset = open(name);
    const stored = storedFingerprint(dataset, drawsOf(experiment));
    if (stored || !described) {
      const fingerprint = stored ?? (await fingerprintOf(dataset, { signal, draws: drawsOf(experiment) }));
      return { name: dataset.name, json: dataset.json, fingerprint, from: 'data', unknown: [], cases: dataset.cases.length };
    }
  }
  const json = { ...described.datasetJson, numTraining: described.cases.train } as Source['json'];
  return {
    name: described.folder,
    json,
    ...describedFingerprint(described),
    from: 'descriptor',
    cases: described.cases.train,
    descriptor: described,
  };
}

/** Why a plan cannot be made from a descriptor; undefined when it can. */
function missingFor({ plan, recipe }: Experiment, { unknown, descriptor }: Source): string | undefined {
  const fixed = typeof plan === 'string' ? fixedPlans[plan] : undefined;
  if (typeof plan === 'object') return undefined;
  const needs = [
    ...(unknown.includes('spacing') && !fixed?.spacing ? ['spacing'] : []),
    ...(unknown.includes('size') && !fixed && !(recipe.patchSize && recipe.batchSize) ? ['image size'] : []),
  ];
  return needs.length > 0
    ? `planned from the data's own fingerprint: the descriptor of ${descriptor?.name} has no ${needs.join(' and no ')}`
    : undefined;
}

function planSourceOf(
  { plan, planner, recipe }: Experiment,
  { from, descriptor }: Source,
): Pick<DryRunRow, 'planSource' | 'approximate'> {
  if (typeof plan === 'object') return { planSource: plan.file };
  if (plan) {
    const { paper, source } = fixedPlans[plan];
    return { planSource: `${plan}: fixed by ${paper} (${source})` };
  }
  const { kind: name } = plannerEntry(planner);
  const given = recipe.patchSize ? ', with the recipe’s patch' : '';
  if (from === 'data') return { planSource: `${name} on the data's fingerprint${given}` };
  return {
    planSource: `${name} on the descriptor's median size and spacing${given}`,
    approximate: `planned as if every case of ${descriptor!.name} had the median size and spacing (${descriptor!.typicalShape?.source}); the data's fingerprint decides`,
  };
}

async function fill(row: DryRunRow, sources: Sources, signal?: AbortSignal): Promise<void> {
  const { experiment } = row;
  const source = await sourceOf(experiment, sources, signal);
  Object.assign(row, planSourceOf(experiment, source));
  const missing = missingFor(experiment, source);
  if (missing) {
    row.unknown = missing;
    row.hoursBasis = missing;
    return;
  }
  const { planned, config } = plannedOf(experiment, source);
  row.patch = config.patch_size;
  row.batch = config.batch_size;
  const pictures = source.descriptor?.typicalSpacingMm === null || source.fingerprint.spacings.every(([z]) => z === 999);
  row.spacingMm = pictures ? null : config.spacing;
  row.preprocessed = preprocessedOf(planned, config, source);
  const size = row.preprocessed.bytes === null ? undefined : caseShape(planned, config, source);
  const found = costOf(experiment, config, source, size, row.preprocessed.bytes);
  row.parameters = found.parameters;
  row.macs = found.flops;
  row.checkpointBytes = found.diskBytes;
  row.hostBytes = experiment.scale === 'paper' ? found.bytes.host : found.bytes.total;
  if (experiment.scale === 'paper') {
    row.gpuBytes = found.bytes.device;
    row.gpuRecomputedBytes = costOf(experiment, config, source, size, row.preprocessed.bytes, true).bytes.device;
    await fillHours(row, config, sources, signal);
  } else row.hoursBasis = `no hours at demo scale: minutes on the cores of this machine`;
}

function plannedOf(experiment: Experiment, source: Source): { planned: Plan; config: Configuration } {
  const planned = planOf({ name: source.name, json: source.json }, source.fingerprint, experiment);
  return { planned, config: configuration(planned, experiment.configuration) };
}

/** Median shape of a preprocessed case, `[depth, height, width]`; a 2-D configuration keeps the distance of slices. */
function caseShape(planned: Plan, config: Configuration, { fingerprint }: Source): number[] {
  const axes = planned.transpose_forward;
  const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1];
  const across = (rows: number[][]) => axes.map((axis) => median(rows.map((r) => r[axis])));
  const spacing = across(fingerprint.spacings);
  const wanted = config.spacing.length === 3 ? config.spacing : [spacing[0], ...config.spacing];
  return across(fingerprint.shapes_after_crop).map((n, i) => Math.round((n * spacing[i]) / wanted[i]));
}

/** Float32 channels and int16 labels of every case at the median size. */
function preprocessedOf(planned: Plan, config: Configuration, source: Source): NonNullable<DryRunRow['preprocessed']> {
  const channels = Object.keys(source.json.channel_names).length;
  const known = !source.unknown.includes('size') && !source.unknown.includes('spacing');
  const bytes = known ? source.cases * product(caseShape(planned, config, source)) * (4 * channels + 2) : null;
  const what = `${source.descriptor?.name ?? source.name}/${config.data_identifier} (${source.cases} cases)`;
  return { key: `${source.name}/${config.data_identifier}`, what, bytes };
}

const costs = new Map<string, Forecast>();

/** The forecast that training makes, at paper scale with the operators a GPU has; kept by all it depends on. */
function costOf(
  experiment: Experiment,
  config: Configuration,
  source: Source,
  largestCase: number[] | undefined,
  preprocessedBytes: number | null,
  checkpointing = false,
): Forecast {
  const planned: Planned = { dataset: { json: source.json }, labels: labels(source.json), configuration: config };
  const { model, recipe, scale } = experiment;
  const caseBytes = preprocessedBytes === null ? cacheBytes : preprocessedBytes <= cacheBytes ? preprocessedBytes : 0;
  const { optimiser, loss, deepSupervision } = recipe;
  const ends = [source.json.channel_names, source.json.labels].map((names) => Object.keys(names).length);
  const setting = [config.patch_size, config.batch_size, config.architecture, ends, planned.labels.hasRegions];
  const key = canonicalJson([
    model,
    optimiser.kind,
    loss,
    deepSupervision,
    setting,
    largestCase,
    caseBytes,
    scale,
    checkpointing,
  ]);
  const known = costs.get(key);
  if (known) return known;
  const work = () => forecast(forecastInputOf(experiment, planned, { caseBytes, largestCase, workers: 1, checkpointing }));
  const found = scale === 'paper' ? withPlainOperators(work) : work();
  costs.set(key, found);
  return found;
}

async function fillHours(row: DryRunRow, config: Configuration, sources: Sources, signal?: AbortSignal): Promise<void> {
  const reference = hoursReference(row.experiment, config.patch_size.length);
  if ('none' in reference) {
    row.hoursBasis = reference.none;
    return;
  }
  const { experiment, hours, row: published } = reference;
  const source = await sourceOf(experiment, sources, signal);
  const theirs = plannedOf(experiment, source).config;
  const cost = costOf(experiment, theirs, source, undefined, null).flops * passes(experiment, theirs.batch_size);
  row.hours = (hours * row.macs! * passes(row.experiment, config.batch_size)) / cost;
  row.hoursBasis = `scaled from ${published}: ${hours} h, ${theirs.batch_size} × ${by(theirs.patch_size)}, ${experiment.recipe.epochs} epochs`;
}

function totalsOf(rows: readonly DryRunRow[], runs: readonly PlannedRun[]): DryRunTotals {
  const sum = (value: (row: DryRunRow) => number) => rows.reduce((total, row) => total + value(row), 0);
  const most = (value: (row: DryRunRow) => number | null) => Math.max(0, ...rows.map((row) => value(row) ?? 0));
  const data = [...preparedData(rows).values()];
  const levels: number[] = [];
  for (const { level } of runs) levels[level] = (levels[level] ?? 0) + 1;
  return {
    experiments: rows.length,
    runs: runs.length,
    finished: runs.filter((run) => run.finished).length,
    levels,
    gpuHours: sum((row) => (row.hours ?? 0) * row.runs),
    runsWithoutHours: sum((row) => (row.hours === null ? row.runs : 0)),
    checkpointBytes: sum((row) => (row.checkpointBytes ?? 0) * row.runs),
    preprocessedBytes: data.reduce((total, { bytes }) => total + (bytes ?? 0), 0),
    preprocessedUnknown: data.filter(({ bytes }) => bytes === null).length,
    largestGpuBytes: most((row) => row.gpuBytes),
    largestHostBytes: most((row) => row.hostBytes),
  };
}
