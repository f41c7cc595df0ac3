#!/usr/bin/env node
// npx voxelbook <command>: thin calls of the public functions, for a terminal or a job script.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect, type ParseArgsConfig, parseArgs } from 'node:util';
import { atomicWriteJson } from '../base/atomicWrite.js';
import { VoxelbookError } from '../base/errors.js';
import { type DatasetJson, type Fold, labels } from '../dataset/index.js';
import { foldsOf } from '../train/experiment.js';
import type { Experiment, ProgressLine, Scale } from '../train/index.js';

type Values = Record<string, string | boolean | string[] | undefined>;

interface Command {
  /** One line: what it does. */
  about: string;
  /** Positional arguments as help shows them. */
  takes: string;
  options: NonNullable<ParseArgsConfig['options']>;
  /** What each option means. */
  help: Record<string, string>;
  example: string;
  work(positionals: string[], values: Values): Promise<void>;
}

const print = (text: string) => process.stdout.write(`${text}\n`);
const integer = (value: unknown, name: string, fallback: number): number => {
  if (value === undefined) return fallback;
  const n = Number(value);
  if (!Number.isInteger(n)) throw usage(`--${name} ${value}`, 'a whole number');
  return n;
};
/** A fold number or `all`. */
const foldOf = (value: unknown, fallback: Fold): Fold =>
  value === 'all' ? 'all' : value === undefined ? fallback : integer(value, 'fold', 0);
const usage = (given: string, expected: string) =>
  new VoxelbookError('this command cannot run', {
    code: 'usage',
    path: 'arguments',
    given,
    expected,
    fix: 'See npx voxelbook <command> --help.',
  });

function need(positionals: string[], ...names: string[]): string[] {
  if (positionals.length < names.length) throw usage(positionals.join(' ') || 'nothing', names.map((n) => `<${n}>`).join(' '));
  return positionals;
}

const readDataset = (file: string): DatasetJson => {
  if (!fs.existsSync(file)) throw usage(file, 'an existing dataset.json');
  return JSON.parse(fs.readFileSync(file, 'utf8'));
};

/** One experiment, or a list of them, from a JSON file. */
function readExperiments(file: string): Experiment[] {
  if (!fs.existsSync(file)) throw usage(file, 'an existing JSON file with an experiment');
  const value = JSON.parse(fs.readFileSync(file, 'utf8'));
  return [value].flat();
}

/** A paper's study by its name, or the experiments of a JSON file. */
async function studyOf(what: string, scale: Scale, tables?: string[]) {
  const { study, studyNames } = await import('../paper/index.js');
  const name = studyNames.find((n) => n === what);
  if (name) return study(name, { scale, tables });
  if (tables) throw usage('--table', `one of ${studyNames.join(', ')} before it`);
  if (!fs.existsSync(what)) throw usage(what, `${studyNames.join(', ')}, or an existing JSON file with experiments`);
  return readExperiments(what);
}

/** Progress in one line of a terminal, or a line every tenth of the way elsewhere. */
function bar() {
  let last = -1;
  return (line: ProgressLine, statusLine: string) => {
    const share = line.step / Math.max(1, line.steps);
    if (process.stdout.isTTY) {
      const width = 24;
      const full = Math.round(share * width);
      process.stdout.write(`\r\x1b[K[${'#'.repeat(full)}${'.'.repeat(width - full)}] ${statusLine}`);
      if (share === 1) process.stdout.write('\n');
    } else if (Math.floor(share * 10) !== last) {
      last = Math.floor(share * 10);
      print(statusLine);
    }
  };
}

/** An abort signal that Ctrl-C and TERM trigger: work stops with what it has kept. */
let stopped: AbortSignal | undefined;
function interrupt(): AbortSignal {
  const stop = new AbortController();
  stopped = stop.signal;
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort(new Error(`stopped by ${name}`)));
  return stop.signal;
}

const workProgress = (p: { what: string; done: number; total: number }) => {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${p.done}/${p.total} ${p.what}${p.done === p.total ? '\n' : ''}`);
};

const commands: Record<string, Command> = {
  run: {
    about: 'train, predict and score experiments, each with what it starts from',
    takes: '<experiment.json>',
    options: {
      fold: { type: 'string' },
      seed: { type: 'string' },
      'at-once': { type: 'string' },
      'in-process': { type: 'boolean' },
    },
    help: {
      fold: 'only this fold, a number or all (default: those of the experiment)',
      seed: 'only this seed',
      'at-once': 'runs computed at the same time (default 1)',
      'in-process': 'compute here instead of in a child process; ends with code 85 after USR1, for job scripts',
    },
    example: 'npx voxelbook run mednext.json --fold 0',
    async work(positionals, values) {
      const [file] = need(positionals, 'experiment.json');
      const { study } = await import('./study.js');
      const { meanText } = await import('./result.js');
      const { statusLine } = await import('./live.js');
      const experiments = readExperiments(file).map((e) => ({
        ...e,
        folds: values.fold === undefined ? foldsOf(e).slice() : [foldOf(values.fold, 0)],
        seeds: values.seed === undefined ? e.seeds : [integer(values.seed, 'seed', 0)],
      }));
      if (values['in-process']) {
        const { prepareFolder } = await import('./folder.js');
        const { child } = await import('./child.js');
        const [experiment] = experiments;
        process.exit(await child(prepareFolder({ experiment, fold: foldsOf(experiment)[0], seed: experiment.seeds[0] })));
      }
      const show = bar();
      const { runs, failures } = await study(experiments, {
        atOnce: integer(values['at-once'], 'at-once', 1),
        signal: interrupt(),
        display: null,
        onEvent: print,
        onLine: (line) => show(line, statusLine([line])),
      });
      for (const run of runs) print(`${run.name}: ${meanText(run.scores)}`);
      if (failures.length > 0) throw failures[0].error;
    },
  },
  study: {
    about: 'run a list of experiments with everything they start from, here or on Slurm',
    takes: '<experiments.json>',
    options: { 'at-once': { type: 'string' }, target: { type: 'string' }, site: { type: 'string' } },
    help: {
      'at-once': 'runs computed at the same time (default 1)',
      target: 'local (default) or slurm',
      site: 'JSON with partition, account, time, memory … of the cluster',
    },
    example: 'npx voxelbook study ablation.json --target slurm --site site.json',
    async work(positionals, values) {
      const [file] = need(positionals, 'experiments.json');
      const { study } = await import('./study.js');
      const { meanText } = await import('./result.js');
      const target = values.target ?? 'local';
      if (target !== 'local' && target !== 'slurm') throw usage(`--target ${target}`, 'local or slurm');
      const site = values.site ? JSON.parse(fs.readFileSync(String(values.site), 'utf8')) : undefined;
      const { runs, failures } = await study(readExperiments(file), {
        atOnce: integer(values['at-once'], 'at-once', 1),
        target,
        slurm: site,
        signal: interrupt(),
        display: null,
        onEvent: print,
      });
      for (const run of runs) print(`${run.name}: ${meanText(run.scores)}`);
      if (failures.length > 0) throw failures[0].error;
    },
  },
  submit: {
    about: 'write job arrays for Slurm and hand in what is missing; returns at once',
    takes: '<experiments.json>',
    options: { site: { type: 'string' }, 'dry-run': { type: 'boolean' } },
    help: {
      site: 'JSON with partition, account, time, memory … of the cluster',
      'dry-run': 'write the scripts, hand in nothing',
    },
    example: 'npx voxelbook submit ablation.json --site site.json',
    async work(positionals, values) {
      const [file] = need(positionals, 'experiments.json');
      const { submit } = await import('./slurm.js');
      const { graph } = await import('./study.js');
      const site = values.site ? JSON.parse(fs.readFileSync(String(values.site), 'utf8')) : {};
      const { folder, jobs } = await submit(graph(readExperiments(file)), { ...site, dryRun: values['dry-run'] === true });
      print(`scripts in ${folder}`);
      for (const job of jobs) print(`job ${job.id}: ${job.runs} runs of level ${job.level}`);
    },
  },
  plan: {
    about: 'fingerprint a data set and plan it by the rules of nnU-Net v2',
    takes: '<data set>',
    options: { planner: { type: 'string' }, out: { type: 'string' }, 'gpu-gb': { type: 'string' } },
    help: {
      planner: 'ExperimentPlanner (default), ResEncUNetPlanner, nnUNetPlannerResEncM, …L, …XL',
      out: 'folder for dataset_fingerprint.json and the plan (default: the preprocessed folder of the data set)',
      'gpu-gb': 'GPU memory to plan for',
    },
    example: 'npx voxelbook plan SimGlioma',
    async work(positionals, values) {
      const [name] = need(positionals, 'data set');
      const { open } = await import('../dataset/index.js');
      const { fingerprint, plan } = await import('../plan/index.js');
      const { preprocessedFolder } = await import('../preprocess/index.js');
      const dataset = open(name, { onProgress: workProgress });
      const print_ = await fingerprint(dataset, { onProgress: workProgress, signal: interrupt() });
      const planned = plan(dataset, print_, {
        planner: values.planner as 'ExperimentPlanner' | undefined,
        gpuMemoryGb: values['gpu-gb'] === undefined ? undefined : Number(values['gpu-gb']),
      });
      const folder = path.resolve(String(values.out ?? preprocessedFolder(dataset)));
      fs.mkdirSync(folder, { recursive: true });
      atomicWriteJson(path.join(folder, 'dataset_fingerprint.json'), print_);
      atomicWriteJson(path.join(folder, `${planned.plans_name}.json`), planned);
      for (const [key, c] of Object.entries(planned.configurations))
        if (c.patch_size) print(`${key}: patch [${c.patch_size}], batch ${c.batch_size}, spacing [${c.spacing}] mm`);
      print(`written to ${folder}`);
    },
  },
  preprocess: {
    about: 'preprocess the cases of a data set for one configuration',
    takes: '<data set>',
    options: { configuration: { type: 'string', short: 'c' }, planner: { type: 'string' }, workers: { type: 'string' } },
    help: {
      configuration: '2d, 3d_fullres (default), 3d_lowres',
      planner: 'as in plan',
      workers: 'threads (default: one per core)',
    },
    example: 'npx voxelbook preprocess SimGlioma -c 3d_fullres',
    async work(positionals, values) {
      const [name] = need(positionals, 'data set');
      const { open } = await import('../dataset/index.js');
      const { fingerprint, plan } = await import('../plan/index.js');
      const { run } = await import('../preprocess/index.js');
      const dataset = open(name, { onProgress: workProgress });
      const signal = interrupt();
      const planned = plan(dataset, await fingerprint(dataset, { onProgress: workProgress, signal }), {
        planner: values.planner as 'ExperimentPlanner' | undefined,
      });
      const workers = values.workers === undefined ? undefined : integer(values.workers, 'workers', 1);
      const configuration = String(values.configuration ?? '3d_fullres');
      const result = await run(dataset, planned, configuration, { workers, signal, onProgress: workProgress });
      print(`${result.cases.length} cases in ${result.folder}, ${result.computed.length} made now`);
    },
  },
  train: {
    about: 'train one fold of an experiment in this process, without prediction',
    takes: '<experiment.json>',
    options: { fold: { type: 'string' }, seed: { type: 'string' }, workers: { type: 'string' } },
    help: { fold: 'default: the first', seed: 'default: the first', workers: 'augmentation threads (default 1)' },
    example: 'npx voxelbook train mednext.json --fold 0 --seed 1',
    async work(positionals, values) {
      const [file] = need(positionals, 'experiment.json');
      const { run } = await import('../train/index.js');
      const { prepareFolder } = await import('./folder.js');
      const { takeLease } = await import('./lease.js');
      const { statusLine } = await import('./live.js');
      const [experiment] = readExperiments(file);
      const fold = foldOf(values.fold, foldsOf(experiment)[0]);
      const seed = integer(values.seed, 'seed', experiment.seeds[0]);
      const folder = prepareFolder({ experiment, fold, seed });
      const lease = takeLease(folder);
      const show = bar();
      try {
        const workers = integer(values.workers, 'workers', 1);
        const onLine = (line: ProgressLine) => show(line, statusLine([line]));
        await run(experiment, fold, seed, folder, { signal: interrupt(), workers, onLine, beforeSave: lease.check });
      } finally {
        lease.release();
      }
      print(`trained: ${path.join(folder, 'checkpoints', 'final.safetensors')}`);
    },
  },
  predict: {
    about: 'predict the cases of a folder with trained runs (several are averaged)',
    takes: '<image folder> <output folder>',
    options: { run: { type: 'string', multiple: true }, previous: { type: 'string' }, probabilities: { type: 'boolean' } },
    help: {
      run: 'run folder; give it once per fold',
      previous: 'cascade: folder of the labels the previous stage predicted for the same cases',
      probabilities: 'write probabilities too',
    },
    example: 'npx voxelbook predict imagesTs out --run runs/MedNeXt-S-k3_fold0_seed1-0123456789ab',
    async work(positionals, values) {
      const [input, output] = need(positionals, 'image folder', 'output folder');
      const { predictFolder } = await import('./predictFolder.js');
      const runs = (values.run as string[] | undefined) ?? [];
      if (runs.length === 0) throw usage('no --run', 'at least one run folder');
      const written = await predictFolder(input, output, runs, {
        probabilities: values.probabilities === true,
        previous: values.previous as string | undefined,
        signal: interrupt(),
        onProgress: workProgress,
      });
      print(`${written} cases written to ${output}`);
    },
  },
  evaluate: {
    about: 'compare a folder of predictions with reference labels, as nnU-Net does (summary.json)',
    takes: '<prediction folder> <reference folder>',
    options: { dataset: { type: 'string' }, out: { type: 'string' } },
    help: {
      dataset: 'dataset.json with the labels (default: the one in the prediction folder)',
      out: 'where to write the summary',
    },
    example: 'npx voxelbook evaluate out labelsTs',
    async work(positionals, values) {
      const [predictions, references] = need(positionals, 'prediction folder', 'reference folder');
      const { evaluateFolder } = await import('../nnunet/summary.js');
      const json = readDataset(String(values.dataset ?? path.join(predictions, 'dataset.json')));
      const output = String(values.out ?? path.join(predictions, 'summary.json'));
      const { foreground_mean, mean } = evaluateFolder(predictions, references, labels(json), {
        ending: json.file_ending,
        output,
        onProgress: workProgress,
      });
      for (const [key, m] of Object.entries(mean)) print(`${key}: Dice ${m.Dice.toFixed(4)}`);
      print(`foreground mean: Dice ${foreground_mean.Dice.toFixed(4)}; written to ${output}`);
    },
  },
  ensemble: {
    about: 'average predictions made with --probabilities',
    takes: '<folder> <folder> …',
    options: { out: { type: 'string' }, probabilities: { type: 'boolean' } },
    help: { out: 'output folder', probabilities: 'write the mean probabilities too' },
    example: 'npx voxelbook ensemble fold0 fold1 --out averaged',
    async work(positionals, values) {
      need(positionals, 'folder', 'folder');
      if (!values.out) throw usage('no --out', 'an output folder');
      const { ensembleFolders } = await import('../predict/index.js');
      const json = readDataset(path.join(positionals[0], 'dataset.json'));
      const keepProbabilities = values.probabilities === true;
      ensembleFolders(positionals, String(values.out), json, { keepProbabilities, onProgress: workProgress });
      print(`written to ${values.out}`);
    },
  },
  'find-best': {
    about: 'choose among trained configurations and pairs of them, and their post-processing, as nnU-Net does',
    takes: '<results folder of the data set> <reference folder>',
    options: {
      configuration: { type: 'string', short: 'c', multiple: true },
      plans: { type: 'string' },
      trainer: { type: 'string' },
    },
    help: {
      configuration: 'once per configuration (default 2d and 3d_fullres)',
      plans: 'default nnUNetPlans',
      trainer: 'default nnUNetTrainer',
    },
    example: 'npx voxelbook find-best nnUNet_results/Dataset042_Balls labelsTr -c 2d -c 3d_fullres',
    async work(positionals, values) {
      const [results, references] = need(positionals, 'results folder', 'reference folder');
      const { findBestConfiguration } = await import('../nnunet/best.js');
      const { plans = 'nnUNetPlans', trainer = 'nnUNetTrainer', configuration = ['2d', '3d_fullres'] } = values;
      const models = [configuration]
        .flat()
        .map((c) => ({ configuration: String(c), plans: String(plans), trainer: String(trainer) }));
      findBestConfiguration(results, references, models, { onProgress: workProgress });
      print(fs.readFileSync(path.join(results, 'inference_instructions.txt'), 'utf8'));
    },
  },
  postprocess: {
    about: 'apply a postprocessing.json to a folder of predictions',
    takes: '',
    options: { input: { type: 'string', short: 'i' }, output: { type: 'string', short: 'o' }, steps: { type: 'string' } },
    help: { input: 'folder of predictions', output: 'folder to write', steps: 'postprocessing.json' },
    example: 'npx voxelbook postprocess -i out -o out_pp --steps postprocessing.json',
    async work(_positionals, values) {
      const { input, output, steps } = values;
      if (!input || !output || !steps) throw usage('too little', '-i <folder> -o <folder> --steps <postprocessing.json>');
      const { applyPostprocessing, readPostprocessing } = await import('../nnunet/postprocessing.js');
      const json = readDataset(path.join(String(input), 'dataset.json'));
      const work = { ending: json.file_ending, onProgress: workProgress };
      applyPostprocessing(String(input), String(output), readPostprocessing(String(steps)), work);
      print(`written to ${output}`);
    },
  },
  model: {
    about: 'show a network stage by stage, or what training an experiment needs',
    takes: '<spec.json or experiment.json>',
    options: { input: { type: 'string' }, channels: { type: 'string' }, classes: { type: 'string' } },
    help: {
      input: 'spatial shape in voxels, 128,128,128 (specification only)',
      channels: 'input channels, where the specification does not say (default 1)',
      classes: 'output classes, likewise (default 2)',
    },
    example: 'npx voxelbook model mednext.json --input 128,128,128',
    async work(positionals, values) {
      const [file] = need(positionals, 'spec.json');
      const [first] = readExperiments(file) as unknown as Record<string, unknown>[];
      if (typeof first?.network === 'string') {
        const { describe } = await import('../model/index.js');
        const input = values.input === undefined ? undefined : String(values.input).split(',').map(Number);
        const ends = {
          inputChannels: integer(values.channels, 'channels', 1),
          classes: integer(values.classes, 'classes', 2),
        };
        print(inspect(describe(first as never, input, ends)));
        return;
      }
      const { forecastOf } = await import('../train/index.js');
      for (const experiment of readExperiments(file)) {
        const f = await forecastOf(experiment, { onProgress: workProgress });
        print(
          [
            experiment.name,
            `${f.parameters} parameters`,
            `${(f.flops / 1e9).toFixed(2)} G multiply-adds a patch`,
            `${(f.bytes.total / 1e9).toFixed(2)} GB to train`,
            `${(f.diskBytes / 1e9).toFixed(2)} GB of checkpoints`,
          ].join(' · '),
        );
      }
    },
  },
  reproduce: {
    about: 'run a paper’s tables again and print them, or say first what that takes',
    takes: '<mednext | kaist-brats21 | stu-net | swin-umamba | experiments.json>',
    options: {
      scale: { type: 'string' },
      table: { type: 'string', multiple: true },
      'dry-run': { type: 'boolean' },
      'at-once': { type: 'string' },
      target: { type: 'string' },
      site: { type: 'string' },
      csv: { type: 'string' },
    },
    help: {
      scale: 'demo (default) or paper',
      table: 'only this table of the paper; may be given again (default: all)',
      'dry-run': 'compute nothing: print every run with its plan, memory, disk and hours, and write the job scripts',
      'at-once': 'runs computed at the same time (default 1)',
      target: 'local (default) or slurm',
      site: 'JSON with partition, account, time, memory … of the cluster',
      csv: 'also write the table to this file',
    },
    example: 'npx voxelbook reproduce mednext --scale paper --dry-run',
    async work(positionals, values) {
      const [what] = need(positionals, 'paper or experiments.json');
      const { target = 'local', scale = 'demo' } = values;
      if (target !== 'local' && target !== 'slurm') throw usage(`--target ${target}`, 'local or slurm');
      if (scale !== 'demo' && scale !== 'paper') throw usage(`--scale ${scale}`, 'demo or paper');
      const site = values.site ? JSON.parse(fs.readFileSync(String(values.site), 'utf8')) : undefined;
      const study = await studyOf(what, scale, values.table as string[] | undefined);
      const experiments = 'tables' in study ? study.experiments : study.filter((e) => e.scale === scale);
      if (values['dry-run']) {
        const { dryRun } = await import('./dryRun.js');
        const planned = await dryRun('tables' in study ? study : experiments, {
          slurm: { ...site, atOnce: site?.atOnce ?? (values['at-once'] && integer(values['at-once'], 'at-once', 1)) },
          signal: interrupt(),
          onEvent: (text) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`),
        });
        if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
        print(`${planned}\n\n${planned.summary}\nJob scripts in ${planned.scripts}; bash submit.sh there hands them in.`);
        if (values.csv) fs.writeFileSync(String(values.csv), planned.toCsv());
        const wrong = planned.rows.find((row) => row.error);
        if (wrong) throw new Error(`${wrong.name}, ${wrong.dataset}: ${wrong.error}`);
        return;
      }
      const { reproduce, rowsByTable } = await import('./reproduce.js');
      const { ablation } = await import('../report/index.js');
      const { runs, rows, failures } = await reproduce(experiments, {
        scale,
        atOnce: integer(values['at-once'], 'at-once', 1),
        target,
        slurm: site,
        signal: interrupt(),
        display: null,
        onEvent: print,
      });
      const sets = [...new Set(rows.map((row) => row.dataset ?? ''))];
      const parts =
        'tables' in study
          ? await rowsByTable(study, { runs, rows })
          : sets.map((dataset) => ({ id: '', dataset, rows: rows.filter((row) => row.dataset === dataset), note: '' }));
      const csv: string[] = [];
      for (const part of parts) {
        const table = ablation(part.rows);
        print(`${part.id ? `${part.id}, ${part.dataset}. ${part.note}\n` : ''}${table.toMarkdown()}`);
        csv.push(table.toCsv());
      }
      if (values.csv) fs.writeFileSync(String(values.csv), csv.join('\n'));
      if (failures.length > 0) throw failures[0].error;
    },
  },
  list: {
    about: 'all runs and their state',
    takes: '',
    options: {},
    help: {},
    example: 'npx voxelbook list',
    async work() {
      const { list, listText } = await import('./list.js');
      print(listText(list()));
    },
  },
};

function help(): string {
  const width = Math.max(...Object.keys(commands).map((c) => c.length));
  return [
    'npx voxelbook <command> …',
    '',
    ...Object.entries(commands).map(([name, c]) => `  ${name.padEnd(width)}  ${c.about}`),
    '',
    'npx voxelbook <command> --help says more.',
  ].join('\n');
}

function helpOf(name: string, { about, takes, help: meanings, example, options }: Command): string {
  const lines = Object.keys(options).map((o) => {
    const { type, short } = options[o] as { type: string; short?: string };
    return `  --${o}${short ? `, -${short}` : ''}${type === 'string' ? ' …' : ''}  ${meanings[o] ?? ''}`;
  });
  return [
    `npx voxelbook ${name} ${takes}`.trimEnd(),
    `  ${about}`,
    ...(lines.length > 0 ? ['', ...lines] : []),
    '',
    `example: ${example}`,
  ].join('\n');
}

/** Runs a command line. @returns the exit code */
export async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (!name || name === '--help' || name === '-h' || name === 'help') {
    print(help());
    return name ? 0 : 2;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) {
    console.error(`voxelbook: there is no command ${name}; there are ${Object.keys(commands).join(', ')}.`);
    return 2;
  }
  try {
    const { values, positionals } = parseArgs({
      args: rest,
      allowPositionals: true,
      options: { ...command.options, help: { type: 'boolean', short: 'h' } },
    });
    if (values.help) print(helpOf(name, command));
    else await command.work(positionals, values as Values);
    return 0;
  } catch (error) {
    if (stopped?.aborted) {
      console.error(`${(stopped.reason as Error).message}; starting it again goes on from what was kept`);
      return 130;
    }
    const known = error instanceof VoxelbookError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
    console.error(known ? (error as Error).message : error);
    return error instanceof VoxelbookError && error.code === 'usage' ? 2 : 1;
  }
}

const started = process.argv[1] && import.meta.url === pathToFileURL(fs.realpathSync(process.argv[1])).href;
if (started) main(process.argv.slice(2)).then((code) => process.exit(code));
