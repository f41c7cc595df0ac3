// A desk study's recording: every score of every case and run, what it was made with and what it cost, and a few label maps; no weights.
// `notebooks/recorded/<study>.json` and, beside it, the folder of the maps. Notebooks show it, a new run is held against it.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { atomicWrite } from '../base/atomicWrite.js';
import { VoxelbookError } from '../base/errors.js';
import { readJsonFile } from '../base/json.js';
import { projectRoot } from '../base/paths.js';
import { openSafetensors } from '../base/safetensors.js';
import { parse } from '../base/schema.js';
import { escapeText, plainText } from '../base/text.js';
import { loadCase, open } from '../dataset/index.js';
import {
  type Decision,
  type DeskStudy,
  decide,
  decisionSentences,
  decisionTable,
  desk,
  deskNames,
  planTable,
  seedDifferences,
} from '../paper/index.js';
import { classNames, countingOf, perCase } from '../report/aggregate.js';
import {
  type Figure,
  type MimeBundle,
  NotebookOutput,
  type ResultTable,
  type Variant,
  type VolumeView,
  view,
} from '../report/index.js';
import type { RunScores } from '../train/index.js';
import { type LabelMap, readVolume } from '../volume/index.js';
import { type DeskIdentity, identityChanges, identityOf } from './deskIdentity.js';
import { restoreNonFinite } from './folder.js';
import type { FinishedRun } from './result.js';

export const ranks = ['best', 'median', 'worst'] as const;
/** Of the held-out cases, by the first claim's variant, seeds averaged. */
export type Rank = (typeof ranks)[number];

/** One prediction that was kept. */
export interface RecordedMap {
  rank: Rank;
  case: string;
  system: string;
  seed: number;
  /** Mean over the classes, of this prediction. */
  dsc: number;
  /** Name in the recording's folder. */
  file: string;
}

/** What `notebooks/recorded/<paper>.json` holds: every score of a desk study, and what it was computed from. */
export interface Recording {
  study: string;
  /** ISO day. */
  recordedOn: string;
  machine: { processor: string; cores: number; memoryGb: number; system: string };
  versions: { voxelbook: string; node: string; tensorflow: string };
  /** Wall time of all runs added up, training and prediction; more than they compute where other work goes on beside them. */
  hours: number;
  /** Threads → runs that computed with so many. Another number of threads adds up in another order, and training drifts from there. */
  threads: Record<string, number>;
  identity: DeskIdentity;
  /** What knows intensities only. */
  floor: RunScores[];
  runs: RunScores[];
  /** Runs of the trial that chose the rates; their `experiment` says the rate. */
  trial: RunScores[];
  maps: RecordedMap[];
}

const text = z.string().max(200);
const score = z.looseObject({ state: z.enum(['ok', 'both-empty', 'missed', 'false-alarm']), dsc: z.number().nullable() });
const scores = z.looseObject({
  experiment: text,
  fold: z.union([z.literal('all'), z.int().nonnegative()]),
  seed: z.int(),
  nsd: z.looseObject({ toleranceMm: z.number().nullable(), definition: text }),
  cases: z.array(z.looseObject({ id: text, classes: z.record(text, score) })),
});
/** Names of files in the recording's own folder: never a path. */
const fileName = z.string().regex(/^[\w-]+(\.\w+)+$/);
const shape = z.object({
  study: text,
  recordedOn: z.iso.date(),
  machine: z.object({ processor: text, cores: z.int(), memoryGb: z.number(), system: text }),
  versions: z.object({ voxelbook: text, node: text, tensorflow: text }),
  hours: z.number(),
  threads: z.record(text, z.int()),
  identity: z.object({ plan: text, experiments: z.record(text, text), data: z.record(text, text), rule: text }),
  floor: z.array(scores),
  runs: z.array(scores),
  trial: z.array(scores),
  maps: z.array(z.object({ rank: z.enum(ranks), case: text, system: text, seed: z.int(), dsc: z.number(), file: fileName })),
});

/** Where recordings lie. */
export const recordedFolder = () => path.join(projectRoot, 'notebooks/recorded');

export interface RecordingOptions {
  /** Where the recording lies; default `recordedFolder()`. */
  folder?: string;
}

/** A finished desk study. */
export interface DeskResult {
  study: DeskStudy;
  runs: readonly FinishedRun[];
  rows: readonly Variant[];
  floor: Variant;
  decisions: Decision[];
}

/**
 * Writes a finished study as a recording, maps first.
 * @returns the recording as `recorded` reads it
 */
export async function record(
  { study, runs, rows, floor }: DeskResult,
  { folder = recordedFolder(), trial = [] }: RecordingOptions & { trial?: readonly RunScores[] } = {},
): Promise<Recorded> {
  const { tf } = await import('../tensor/tf.js');
  const [cpu] = os.cpus();
  const made: Recording = {
    study: study.study,
    recordedOn: new Date().toISOString().slice(0, 10),
    machine: {
      processor: cpu?.model ?? 'unknown',
      cores: os.availableParallelism(),
      memoryGb: Math.round(os.totalmem() / 2 ** 30),
      system: `${os.platform()} ${os.arch()}`,
    },
    versions: {
      voxelbook: versionIn('package.json'),
      node: process.versions.node,
      tensorflow: `${versionIn('environment/tensorflow.json')} (tfjs ${tf.version['tfjs-core']})`,
    },
    hours: runs.reduce((sum, { scores: { cost } }) => sum + cost.trainSeconds + cost.predictSeconds, 0) / 3600,
    threads: countThreads(runs),
    identity: identityOf(study),
    floor: [...floor.scores],
    runs: runs.map(({ scores, experiment }) => ({ ...scores, experiment: experiment.name })),
    trial: [...trial],
    maps: keepMaps(study, runs, rows, path.join(folder, study.study)),
  };
  atomicWrite(path.join(folder, `${study.study}.json`), jsonOf(made));
  return recorded(study, { folder });
}

const versionIn = (file: string): string => JSON.parse(fs.readFileSync(path.join(projectRoot, file), 'utf8')).version;

/** By what each run's newest checkpoint says. */
function countThreads(runs: readonly FinishedRun[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { folder } of runs) {
    const checkpoints = path.join(folder, 'checkpoints');
    const newest = fs
      .readdirSync(checkpoints)
      .filter((name) => /^at-\d+\.safetensors$/.test(name))
      .sort()
      .at(-1);
    const header = newest && openSafetensors(path.join(checkpoints, newest)).metadata.voxelbook;
    const threads = header ? (JSON.parse(header).threads ?? 'unknown') : 'unknown';
    counts[threads] = (counts[threads] ?? 0) + 1;
  }
  return counts;
}

/** A line for every run, so that a difference of two recordings can be read. */
function jsonOf({ floor, runs, trial, maps, ...rest }: Recording): string {
  const list = (name: string, all: readonly object[]) =>
    `"${name}": [${all.map((one) => `\n${JSON.stringify(one)}`).join(',')}\n]`;
  const head = JSON.stringify(rest, null, 1).slice(0, -2);
  return `${head},\n${[list('floor', floor), list('trial', trial), list('maps', maps), list('runs', runs)].join(',\n')}\n}\n`;
}

/** Copies every system's prediction of the best, the median and the worst case, first seed. */
function keepMaps(study: DeskStudy, runs: readonly FinishedRun[], rows: readonly Variant[], folder: string): RecordedMap[] {
  const classes = classNames(rows);
  const counting = countingOf(rows);
  const leading = rows.find((row) => row.name === study.plan.claims[0].variant)!;
  const sorted = [...perCase(leading.scores, classes, study.plan.metric, counting)].sort((a, b) => b[1] - a[1]);
  const chosen: Record<Rank, string> = {
    best: sorted[0][0],
    median: sorted[Math.floor((sorted.length - 1) / 2)][0],
    worst: sorted.at(-1)![0],
  };
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  const seed = study.experiments[0].seeds[0];
  return ranks.flatMap((rank) =>
    study.experiments.flatMap(({ name }, i) => {
      const run = runs.find(
        (r) => r.experiment.name === name && r.seed === seed && r.scores.cases.some((c) => c.id === chosen[rank]),
      );
      if (!run) return [];
      const id = chosen[rank];
      const { file_ending } = open(run.experiment.dataset).json;
      const file = `${rank}-${i}${file_ending}`;
      fs.copyFileSync(path.join(run.folder, 'predictions', `${id}${file_ending}`), path.join(folder, file));
      const dsc = perCase([run.scores], classes, 'dsc', counting).get(id)!;
      return [{ rank, case: id, system: name, seed, dsc, file }];
    }),
  );
}

/**
 * A desk study as it was recorded: its scores as rows of a report, the decisions they come to by today's code, and what has changed since.
 * In a cell it says when, on what and at which cost it was recorded.
 * @param which name of a paper's desk study, or a study of one's own
 * @throws VoxelbookError when there is no recording, or a damaged one
 */
export function recorded(which: string | DeskStudy, { folder = recordedFolder() }: RecordingOptions = {}): Recorded {
  const study = typeof which === 'string' ? desk(which) : which;
  const file = path.join(folder, `${study.study}.json`);
  if (!fs.existsSync(file))
    throw new VoxelbookError('this study has not been recorded', {
      code: 'no-recording',
      path: file,
      given: 'no such file',
      expected: 'a recording',
      fix: `npx voxelbook reproduce ${study.study} --scale desk --record makes it.`,
    });
  const recording = parse(shape, readJsonFile(file, 'this recording'), `${file} cannot be used`) as unknown as Recording;
  for (const run of [...recording.floor, ...recording.runs, ...recording.trial]) {
    run.nsd.toleranceMm ??= Number.NaN;
    for (const { classes } of run.cases) restoreNonFinite(classes);
  }
  return new Recorded(study, recording, path.join(folder, study.study));
}

/** The recordings there are, by the names of their studies. @param options.among names to look for; default the papers' */
export const recordedNames = ({
  folder = recordedFolder(),
  among = deskNames,
}: RecordingOptions & { among?: readonly string[] } = {}): string[] =>
  among.filter((name) => fs.existsSync(path.join(folder, `${name}.json`)));

export interface RecordedView {
  system?: string;
  /** Of the image beneath. */
  channel?: number;
}

/** A recording as a cell shows it: with its date and cost, and whether it still holds. */
export class Recorded extends NotebookOutput {
  /** One row a system, in the order of the study. */
  readonly rows: Variant[];
  readonly floor: Variant;
  /** What changed since, in words; empty where the recording still holds. */
  readonly outdated: string[];
  private decided: Decision[] | undefined;

  constructor(
    readonly study: DeskStudy,
    readonly recording: Recording,
    private readonly folder: string,
  ) {
    super();
    const systems = [...new Set(recording.runs.map((run) => run.experiment))];
    this.rows = systems.map((name) => ({
      name,
      scores: recording.runs.filter((run) => run.experiment === name),
      dataset: study.experiments.find((e) => e.name === name)?.dataset,
    }));
    this.floor = { name: recording.floor[0]?.experiment ?? 'floor', scores: recording.floor };
    this.outdated = identityChanges(recording.identity, study);
  }

  /** Held-out cases of the study. */
  get cases(): number {
    return new Set(this.recording.runs.flatMap((run) => run.cases.map((c) => c.id))).size;
  }

  /** The claims, decided from the recorded scores. */
  get decisions(): Decision[] {
    this.decided ??= decide(this.study.plan, this.rows, this.floor);
    return this.decided;
  }

  planTable(): ResultTable {
    return planTable(this.study.plan, this.cases);
  }

  decisionTable(): ResultTable {
    return decisionTable(this.study.plan, this.decisions, `Recorded on ${this.recording.recordedOn}${this.mark}`);
  }

  /** The decisions in words. */
  sentences(): string[] {
    return decisionSentences(this.study.plan, this.decisions);
  }

  seedDifferences(): Figure {
    return seedDifferences(this.study.plan, this.decisions, `Every seed’s difference, recorded on ${this.recording.recordedOn}`);
  }

  /**
   * A recorded prediction beside its reference: contours, and filled where they disagree.
   * @param options.system default the first claim's variant
   * @throws VoxelbookError naming the systems whose maps were kept
   */
  view(rank: Rank, { system = this.study.plan.claims[0].variant, channel = 0 }: RecordedView = {}): VolumeView {
    const own = this.recording.maps.filter((m) => m.rank === rank);
    const map = own.find((m) => m.system === system);
    if (!map)
      throw new VoxelbookError('this label map was not recorded', {
        code: 'no-recorded-map',
        path: this.folder,
        given: `${rank} case of ${JSON.stringify(system)}`,
        expected: `${ranks.join(', ')}; ${own.map((m) => m.system).join(' | ')}`,
        fix: 'Choose one of these.',
      });
    const data = open(this.study.experiments.find((e) => e.name === system)!.dataset);
    const { image, label } = loadCase(data.cases.find((c) => c.id === map.case)!);
    return view(image, label, {
      prediction: readVolume(path.join(this.folder, map.file)) as LabelMap,
      channel,
      title: `${rank} case, ${map.case}: ${system}, seed ${map.seed}, DSC ${map.dsc.toFixed(3)} (recorded)`,
      labels: data.json.labels,
    });
  }

  private get mark(): string {
    return this.outdated.length > 0 ? ` — OUTDATED: ${this.outdated.join('; ')}` : '';
  }

  override toString(): string {
    const { recordedOn, machine, versions, hours, runs, threads } = this.recording;
    const counts = Object.entries(threads).map(([n, count]) => `${count} with ${n} thread${n === '1' ? '' : 's'}`);
    const seeds = new Set(runs.map((run) => run.seed)).size;
    return [
      `Recorded on ${recordedOn}${this.mark}.`,
      `${runs.length} runs (${this.rows.length} systems, ${seeds} seeds), ${this.cases} held-out cases, ${hours.toFixed(1)} hours of runs added up (${counts.join(', ')}), on ${machine.processor} (${machine.cores} cores, ${machine.memoryGb} GB, ${machine.system}).`,
      `voxelbook ${versions.voxelbook}, TensorFlow ${versions.tensorflow}, Node ${versions.node}.`,
      `Again: npx voxelbook reproduce ${this.study.study} --scale desk --at-once 2`,
    ]
      .map(plainText)
      .join('\n');
  }

  bundle(): MimeBundle {
    const lines = this.toString().split('\n').map(escapeText);
    const colour = this.outdated.length > 0 ? '#b00020' : '#555';
    return {
      'text/html': `<div style="border-left:4px solid ${colour};padding-left:8px">${lines.join('<br>')}</div>`,
      'text/plain': this.toString(),
    };
  }
}
