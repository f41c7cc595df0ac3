// Tells Jupyter about the kernels: this one, and stock tslab as the second. Paths are absolute, so it runs at every set-up.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageFolder } from '../../environment/places.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));

/** What TensorFlow needs in its environment before the process starts. */
export const kernelEnvironment = {
  // Its log would go to the terminal that runs Jupyter.
  TF_CPP_MIN_LOG_LEVEL: '2',
  // Large outputs stay in the heap between operations; fresh pages cost more than cheap operations (glibc's upper limits).
  MALLOC_MMAP_THRESHOLD_: '33554432',
  MALLOC_TRIM_THRESHOLD_: '4294967296',
};

/** The command that starts the kernel, without the connection file. */
export const kernelCommand = (node = process.execPath) => [
  node,
  // Without this flag Node aborts when a hard stop lands in a timer callback.
  '--no-force-async-hooks-checks',
  path.join(here, 'main.mjs'),
];

const kernelspec = () => ({
  argv: [...kernelCommand(), '{connection_file}'],
  display_name: 'TypeScript (voxelbook)',
  language: 'typescript',
  interrupt_mode: 'message',
  // Jupyter may be started where nobody says which home was set up.
  env: { ...kernelEnvironment, ...(process.env.VOXELBOOK_HOME && { VOXELBOOK_HOME: path.resolve(process.env.VOXELBOOK_HOME) }) },
  metadata: { debugger: false },
});

function write(folder, spec) {
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'kernel.json'), `${JSON.stringify(spec, null, 2)}\n`);
  fs.copyFileSync(path.join(here, 'logo.svg'), path.join(folder, 'logo-svg.svg'));
}

/**
 * Writes the kernelspecs `voxelbook` and `tslab` below `<prefix>/share/jupyter/kernels/`, and what papermill needs.
 * @param root the project folder
 * @param prefix the Python environment that has Jupyter
 */
export async function register({ root, prefix }) {
  const kernels = path.join(prefix, 'share/jupyter/kernels');
  write(path.join(kernels, 'voxelbook'), kernelspec());
  write(path.join(kernels, 'tslab'), {
    argv: [process.execPath, path.join(packageFolder('tslab'), 'bin/tslab'), 'kernel', '--config-path', '{connection_file}'],
    display_name: 'TypeScript (tslab)',
    language: 'typescript',
    env: kernelEnvironment,
  });
  // JupyterLab would otherwise ask every new reader whether to fetch news.
  const settings = path.join(prefix, 'share/jupyter/lab/settings');
  const overrides = { '@jupyterlab/apputils-extension:notification': { fetchNews: 'false', checkForUpdates: false } };
  fs.mkdirSync(settings, { recursive: true });
  fs.writeFileSync(path.join(settings, 'overrides.json'), `${JSON.stringify(overrides, null, 2)}\n`);
  teachPapermill({ root, prefix });
}

/** What `pip install environment/papermill` would leave: the module, and the entry point by which papermill finds it. */
function teachPapermill({ root, prefix }) {
  const library = path.join(prefix, 'lib');
  const python = fs.existsSync(library) ? fs.readdirSync(library).find((name) => name.startsWith('python3')) : undefined;
  if (!python) return;
  const packages = path.join(library, python, 'site-packages');
  const about = path.join(packages, 'voxelbook_papermill-0.1.0.dist-info');
  fs.mkdirSync(about, { recursive: true });
  fs.copyFileSync(path.join(root, 'environment/papermill/voxelbook_papermill.py'), path.join(packages, 'voxelbook_papermill.py'));
  fs.writeFileSync(path.join(about, 'METADATA'), 'Metadata-Version: 2.1\nName: voxelbook-papermill\nVersion: 0.1.0\n');
  fs.writeFileSync(path.join(about, 'entry_points.txt'), '[papermill.engine]\nvoxelbook = voxelbook_papermill:Engine\n');
}

// ---- for front ends of the person's own -------------------------------------------------------------------------

/** Jupyter's folder of the person who calls, where VS Code, JupyterLab Desktop and every Jupyter of theirs look. */
function userFolder() {
  if (process.env.JUPYTER_DATA_DIR) return process.env.JUPYTER_DATA_DIR;
  if (process.platform === 'darwin') return path.join(os.homedir(), 'Library/Jupyter');
  return path.join(process.env.XDG_DATA_HOME || path.join(os.homedir(), '.local/share'), 'jupyter');
}
const specFolder = (prefix) =>
  path.join(prefix === undefined ? userFolder() : path.join(path.resolve(prefix), 'share/jupyter'), 'kernels/voxelbook');

/**
 * Makes this kernel known to Jupyter outside of the project, with absolute paths of this Node and this folder.
 * @param prefix a Python environment, or /usr/local for all; absent: the person's own folder
 * @returns the kernelspec's folder
 */
export function registerElsewhere({ prefix } = {}) {
  const folder = specFolder(prefix);
  write(folder, kernelspec());
  return folder;
}

/**
 * The kernel of this package for a Jupyter that we start ourselves: several installed packages share a Python environment.
 * @returns the value of `JUPYTER_PATH`; the folder it names is gone when this process ends
 */
export const jupyterPath = () => (ownPath ??= makePath());
let ownPath;
function makePath() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'voxelbook-jupyter-'));
  process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
  write(path.join(folder, 'kernels/voxelbook'), kernelspec());
  return [folder, process.env.JUPYTER_PATH].filter(Boolean).join(path.delimiter);
}

/** Takes that back; undefined where there was nothing. */
export function unregister({ prefix } = {}) {
  const folder = specFolder(prefix);
  if (!fs.existsSync(path.join(folder, 'kernel.json'))) return undefined;
  fs.rmSync(folder, { recursive: true });
  return folder;
}

/** Who sees the kernel: [front ends, kernelspec's folder, whether it is this project's]. */
export function registrations({ prefix }) {
  const places = [
    ['npm run lab of this project', specFolder(prefix)],
    ['VS Code, JupyterLab Desktop and every Jupyter of yours', specFolder()],
    ['every Jupyter of this machine, JupyterHub too', specFolder('/usr/local')],
    ['every Jupyter of this machine, JupyterHub too', specFolder('/usr')],
  ];
  return places.flatMap(([who, folder]) => {
    try {
      const { argv } = JSON.parse(fs.readFileSync(path.join(folder, 'kernel.json'), 'utf8'));
      return [{ who, folder, ours: argv.includes(path.join(here, 'main.mjs')) && fs.existsSync(argv[0]) }];
    } catch {
      return [];
    }
  });
}
