#!/usr/bin/env node
// npx voxelbook <command>: thin calls of the public functions, for a terminal or a job script. One file a command in commands/.
import fs from 'node:fs';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { VoxelbookError } from '../base/errors.js';
import { attach } from './commands/attach.js';
import { check } from './commands/check.js';
import { type Command, print, stopped, type Values } from './commands/command.js';
import { convert } from './commands/convert.js';
import { demo } from './commands/demo.js';
import { dicomSeg } from './commands/dicomSeg.js';
import { disk } from './commands/disk.js';
import { ensemble } from './commands/ensemble.js';
import { evaluate } from './commands/evaluate.js';
import { experiment } from './commands/experiment.js';
import { exportNnunet } from './commands/exportNnunet.js';
import { exportOnnx } from './commands/exportOnnx.js';
import { exportProgress } from './commands/exportProgress.js';
import { fetch } from './commands/fetch.js';
import { findBest } from './commands/findBest.js';
import { importNnunet } from './commands/importNnunet.js';
import { list } from './commands/list.js';
import { lrRange } from './commands/lrRange.js';
import { model } from './commands/model.js';
import { movePlans } from './commands/movePlans.js';
import { newStudy } from './commands/new.js';
import { plan } from './commands/plan.js';
import { postprocess } from './commands/postprocess.js';
import { predict } from './commands/predict.js';
import { preprocess } from './commands/preprocess.js';
import { pull } from './commands/pull.js';
import { recorded } from './commands/recorded.js';
import { register } from './commands/register.js';
import { reproduce } from './commands/reproduce.js';
import { rm } from './commands/rm.js';
import { run } from './commands/run.js';
import { doctor, lab, notebooks, setup } from './commands/script.js';
import { stop } from './commands/stop.js';
import { study } from './commands/study.js';
import { submit } from './commands/submit.js';
import { train } from './commands/train.js';

const commands: Record<string, Command> = {
  setup,
  doctor,
  new: newStudy,
  lab,
  notebooks,
  run,
  study,
  submit,
  pull,
  fetch,
  convert,
  'dicom-seg': dicomSeg,
  check,
  experiment,
  plan,
  preprocess,
  train,
  predict,
  evaluate,
  ensemble,
  'find-best': findBest,
  'export-nnunet': exportNnunet,
  'export-onnx': exportOnnx,
  demo,
  'import-nnunet': importNnunet,
  'move-plans': movePlans,
  postprocess,
  'lr-range': lrRange,
  'export-progress': exportProgress,
  model,
  register,
  reproduce,
  recorded,
  list,
  disk,
  attach,
  stop,
  rm,
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
    else await command.work(positionals, values as Values, rest);
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
