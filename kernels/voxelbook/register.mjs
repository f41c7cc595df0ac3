// Tells Jupyter about the kernels: this one, and stock tslab as the second. Paths are absolute, so it runs at every set-up.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

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

/**
 * Writes the kernelspecs `voxelbook` and `tslab` below `<prefix>/share/jupyter/kernels/`.
 * @param root the project folder
 * @param prefix the Python environment that has Jupyter
 */
export async function register({ root, prefix }) {
  const kernels = path.join(prefix, 'share/jupyter/kernels');
  const specs = {
    voxelbook: {
      argv: [...kernelCommand(), '{connection_file}'],
      display_name: 'TypeScript (voxelbook)',
      language: 'typescript',
      interrupt_mode: 'message',
      env: kernelEnvironment,
      metadata: { debugger: false },
    },
    tslab: {
      argv: [process.execPath, path.join(root, 'node_modules/tslab/bin/tslab'), 'kernel', '--config-path', '{connection_file}'],
      display_name: 'TypeScript (tslab)',
      language: 'typescript',
      env: kernelEnvironment,
    },
  };
  for (const [name, spec] of Object.entries(specs)) {
    const folder = path.join(kernels, name);
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(folder, 'kernel.json'), `${JSON.stringify(spec, null, 2)}\n`);
    fs.copyFileSync(path.join(here, 'logo.svg'), path.join(folder, 'logo-svg.svg'));
  }
  // JupyterLab would otherwise ask every new reader whether to fetch news.
  const settings = path.join(prefix, 'share/jupyter/lab/settings');
  const overrides = { '@jupyterlab/apputils-extension:notification': { fetchNews: 'false', checkForUpdates: false } };
  fs.mkdirSync(settings, { recursive: true });
  fs.writeFileSync(path.join(settings, 'overrides.json'), `${JSON.stringify(overrides, null, 2)}\n`);
}
