// `voxelbook setup`, `doctor`, `lab`, `notebooks`: the scripts of environment/, which work before the library does.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Command } from './command.js';

const script = (file: string, rest: Omit<Command, 'work'>): Command => ({
  ...rest,
  async work(_positionals, _values, args) {
    const { projectRoot } = await import('../../base/paths.js');
    const child = spawn(process.execPath, [path.join(projectRoot, 'environment', file), ...args], { stdio: 'inherit' });
    // Ctrl-C reaches the script too, which ends in its own way.
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
    const [code] = await once(child, 'exit');
    process.exit(code ?? 1);
  },
});

export const setup = script('setup.mjs', {
  about: 'prepare what the package needs beside itself: TensorFlow’s library, our kernels, JupyterLab',
  takes: '',
  options: {
    'without-jupyter': { type: 'boolean' },
    'with-jupyter': { type: 'boolean' },
    download: { type: 'string' },
    from: { type: 'string' },
  },
  help: {
    'without-jupyter': 'leave JupyterLab out, for which alone Python is needed',
    'with-jupyter': 'add it again',
    download: 'only collect all that is fetched, in this folder, for a machine without a network',
    from: 'fetch nothing: take it from such a folder',
  },
  example: 'VOXELBOOK_HOME=/shared/voxelbook npx voxelbook setup',
});

export const doctor = script('doctor.mjs', {
  about: 'say what is installed where, and for each missing piece what to do',
  takes: '',
  options: { report: { type: 'boolean' } },
  help: { report: 'for showing to others: without names and folders' },
  example: 'npx voxelbook doctor --report',
});

export const lab = script('lab.mjs', {
  about: 'open JupyterLab on this machine only, with a token',
  takes: '[<notebook>]',
  options: { port: { type: 'string' } },
  help: { port: 'the port (default: a free one)' },
  example: 'npx voxelbook lab study.ipynb',
});

export const notebooks = script('notebooks.mjs', {
  about: 'execute notebooks: each is written with its outputs, and as a page',
  takes: '[<notebook or folder> …]',
  options: {
    out: { type: 'string' },
    set: { type: 'string', multiple: true },
    kernel: { type: 'string' },
    timeout: { type: 'string' },
  },
  help: {
    out: 'the folder (default runs/notebooks)',
    set: 'name=value of a parameter; may be given again',
    kernel: 'voxelbook (default) or tslab',
    timeout: 'seconds for the longest cell (default 3600)',
  },
  example: 'npx voxelbook notebooks study.ipynb --set epochs=7',
});
