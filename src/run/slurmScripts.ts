// The scripts that Slurm runs, as text.
import path from 'node:path';
import { projectRoot, runsFolder } from '../base/paths.js';
import { nodeArguments } from '../base/workers.js';
import type { JobArray, Needs } from './slurmArrays.js';

/** What a site wants in its job scripts; `site.json`. */
export interface SlurmOptions {
  partition?: string;
  account?: string;
  qos?: string;
  /** Features a node must have, `--constraint`. */
  constraint?: string;
  /** `--gres`, for instance `gpu:1`. Default: what the study needs by its forecast. */
  gres?: string;
  /** `--time` of one leg, `hours:minutes:seconds`; a run that needs longer is requeued with a checkpoint. */
  time?: string;
  /** `--mem`, for instance `24G`. Default: what the study needs by its forecast. */
  memory?: string;
  cpus?: number;
  /** Runs at the same time, of one array. */
  atOnce?: number;
  /** Jobs, waiting and running, that the site lets one person have. More runs are handed in as others end. */
  submitLimit?: number;
  /** Seconds before the time limit at which the child is told to write its checkpoint; Slurm may be up to 60 s early. */
  warningSeconds?: number;
  /** Modules to load, `module load …`. */
  modules?: string[];
  /** Folder on the node's own disk for temporary files, for instance `/scratch/$SLURM_JOB_ID`. */
  scratch?: string;
  /** Further lines of the head, each an option of sbatch: `--exclusive`. */
  extra?: string[];
  /** Lines before the work. */
  setup?: string[];
  /** Environment of the jobs besides the submitter's. */
  env?: Record<string, string>;
  dryRun?: boolean;
  /** How often squeue is asked, ms. */
  pollMs?: number;
}

export const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** The name of a file in a `#SBATCH` line or an option: Slurm reads `%` as its own, and the line ends at a space that is not quoted. */
const outputOf = (folder: string) => `"${path.join(folder, 'log').replaceAll('%', '%%')}/%x-%A_%a.txt"`;

function header(folder: string, name: string, options: SlurmOptions): string[] {
  const { partition, account, qos, constraint, gres, time, memory, cpus, warningSeconds = 120, extra = [] } = options;
  const lines = [
    `--job-name=${name}`,
    '--requeue',
    '--open-mode=append',
    `--signal=B:USR1@${warningSeconds}`,
    `--output=${outputOf(folder)}`,
    ...(partition ? [`--partition=${partition}`] : []),
    ...(account ? [`--account=${account}`] : []),
    ...(qos ? [`--qos=${qos}`] : []),
    ...(constraint ? [`--constraint="${constraint}"`] : []),
    ...(gres ? [`--gres=${gres}`] : []),
    ...(time ? [`--time=${time}`] : []),
    ...(memory ? [`--mem=${memory}`] : []),
    ...(cpus ? [`--cpus-per-task=${cpus}`] : []),
    ...extra,
  ];
  return ['#!/bin/bash', ...lines.map((l) => `#SBATCH ${l}`)];
}

/** Options of sbatch for what a run needs by its forecast, where the site does not say. */
const needOptions = ({ gres, memory, time }: Needs, site: SlurmOptions) => [
  ...(gres !== undefined && site.gres === undefined ? [`--gres=${gres}`] : []),
  ...(memory !== undefined && site.memory === undefined ? [`--mem=${memory}`] : []),
  ...(time !== undefined && site.time === undefined ? [`--time=${time}`] : []),
];

/** `--dependency`: each run waits for those it starts from, and for nothing else. One that fails takes what starts from it off the queue. */
const afterOk = (ids: readonly string[]) => (ids.length > 0 ? [`--dependency=afterok:${ids.join(':')}`] : []);

/** Arguments of sbatch for one array. @param after numbers of the jobs it waits for */
export const arrayArguments = (array: JobArray, after: readonly string[], site: SlurmOptions): string[] => [
  ...afterOk(after),
  ...needOptions(array.needs, site),
  `--array=0${array.runs.length > 1 ? `-${array.runs.length - 1}` : ''}${site.atOnce ? `%${site.atOnce}` : ''}`,
];

/** Arguments of sbatch for the summary of some jobs. */
export const summaryArguments = (ids: readonly string[]) => (ids.length > 0 ? [`--dependency=afterany:${ids.join(':')}`] : []);

/** The same calls as `submit` makes, for whoever wants to look at them first. @param files the lines of each array */
export function submitScript(
  arrays: readonly JobArray[],
  files: readonly string[],
  { script, summary }: { script: string; summary: string },
  options: SlurmOptions,
): string {
  const jobs = new Map<string, string>(
    arrays.flatMap((array, i) => array.runs.map((run, k) => [run.hash, `\${job${i}%%;*}_${k}`] as const)),
  );
  const call = (args: readonly string[]) => ['sbatch --parsable --kill-on-invalid-dep=yes', ...args].join(' ');
  return `${[
    '#!/bin/bash',
    '# Every array after the runs that it starts from, then the summary.',
    'set -e',
    ...Object.entries(options.env ?? {}).map(([k, v]) => `export ${k}=${quote(v)}`),
    ...arrays.map((array, i) => {
      const after = array.after.flatMap((hash) => jobs.get(hash) ?? []);
      return `job${i}=$(${call([...arrayArguments(array, after, options), quote(script), quote(files[i])])})`;
    }),
    ...(arrays.length > 0
      ? [call([...summaryArguments(arrays.map((_, i) => `\${job${i}%%;*}`)), quote(summary)])]
      : ["echo 'nothing is missing'"]),
  ].join('\n')}\n`;
}

/** Makes the run folder of a line of an array's file where there is none, and prints it. */
const makeFolder = [
  "const fs=require('fs');",
  'const {folder,order}=JSON.parse(process.argv[1]);',
  "const file=folder+'/experiment.json';",
  'fs.mkdirSync(folder,{recursive:true});',
  "if(!fs.existsSync(file)){fs.writeFileSync(file+'.'+process.pid,JSON.stringify(order,null,2));fs.renameSync(file+'.'+process.pid,file)}",
  'console.log(folder)',
].join('');

/**
 * One element of an array, whose lines are the file of the first argument. The child is started in the background, because bash itself would
 * die of USR1; a trapped signal ends `wait` early, so it is repeated. Exit code 85: checkpoint written, start me again. A crash (137 killed,
 * 139 segment fault) is requeued up to three times.
 */
export function runScript(folder: string, options: SlurmOptions): string {
  const child = nodeArguments(new URL('./child.js', import.meta.url))
    .map(quote)
    .join(' ');
  const environment = {
    VOXELBOOK_RUNS: runsFolder(),
    ...(process.env.VOXELBOOK_DATA ? { VOXELBOOK_DATA: process.env.VOXELBOOK_DATA } : {}),
    ...options.env,
  };
  const { scratch, modules = [] } = options;
  return `${[
    ...header(folder, 'voxelbook', options),
    ...Object.entries(environment).map(([k, v]) => `export ${k}=${quote(v)}`),
    // A person's own session on a node is no job of this kind, whatever Slurm has set there.
    'export VOXELBOOK_JOB=1',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: bash's own substitution
    'export VOXELBOOK_THREADS=${SLURM_CPUS_PER_TASK:-1}',
    ...(modules.length > 0 ? [`module load ${modules.map(quote).join(' ')}`] : []),
    ...(scratch ? [`export TMPDIR="${scratch}"`, 'mkdir -p "$TMPDIR"'] : []),
    ...(options.setup ?? []),
    `cd ${quote(projectRoot)}`,
    'line=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "$1")',
    `run=$(${quote(process.execPath)} -e ${quote(makeFolder)} "$line")`,
    `${quote(process.execPath)} ${child} "$run" & P=$!`,
    `trap 'kill -USR1 $P' USR1; trap 'kill -TERM $P' TERM`,
    'while :; do wait $P; rc=$?; kill -0 $P 2>/dev/null || break; done',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: bash's own substitution
    'id=${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: bash's own substitution
    'echo "leg ${SLURM_RESTART_COUNT:-0} ended with $rc"',
    'if [ $rc = 85 ]; then scontrol requeue $id && sleep 60; fi',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: bash's own substitution
    'if [ $rc = 137 ] || [ $rc = 139 ]; then [ ${SLURM_RESTART_COUNT:-0} -lt 3 ] && scontrol requeue $id && sleep 60; fi',
    'exit $rc',
  ].join('\n')}\n`;
}

/** Names what is missing at the end; its output is `summary.txt`. It reads a few files: little memory and minutes are enough. */
export function summaryScript(folder: string, options: SlurmOptions): string {
  const program = [
    "const fs=require('fs');",
    "const rows=fs.readFileSync(process.argv[1],'utf8').trim().split('\\n').map(JSON.parse);",
    "const open=rows.filter(r=>!fs.existsSync(r.folder+'/scores.json'));",
    "console.log((rows.length-open.length)+' of '+rows.length+' runs finished');",
    "for(const r of open)console.log('missing: '+r.folder);",
  ].join('');
  const small: SlurmOptions = {
    ...options,
    gres: undefined,
    memory: '512M',
    time: '10:00',
    cpus: 1,
    constraint: undefined,
    extra: [],
  };
  return `${[
    ...header(folder, 'voxelbook-summary', small),
    `${quote(process.execPath)} -e ${quote(program)} ${quote(path.join(folder, 'grid.jsonl'))} > ${quote(path.join(folder, 'summary.txt'))}`,
  ].join('\n')}\n`;
}
