// Where things lie, for a checkout of the project and for the package as npm installs it. Set-up, the library and the kernel ask here.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the package: what npm installed, or the checkout. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** Whether this is a checkout, in which everything stays inside of one folder. */
export const isCheckout = fs.existsSync(path.join(root, 'tsconfig.build.json'));

const { version } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));

/** What set-up makes: `VOXELBOOK_HOME` moves it, with a folder for each version. */
function home() {
  const { VOXELBOOK_HOME, XDG_CACHE_HOME } = process.env;
  if (VOXELBOOK_HOME) return path.join(path.resolve(VOXELBOOK_HOME), version);
  if (isCheckout) return path.join(root, 'environment');
  return path.join(XDG_CACHE_HOME || path.join(os.homedir(), '.cache'), 'voxelbook', version);
}

/** Every folder that something is looked for in; `engine` is where npm put TensorFlow's binding for Node, with its scripts off. */
export function places() {
  const at = home();
  const engine = at === path.join(root, 'environment') ? root : at;
  const venv = path.join(at, '.venv');
  return {
    home: at,
    engine,
    binding: path.join(engine, 'node_modules/@tensorflow/tfjs-node-gpu'),
    tensorflow: path.join(at, 'tensorflow/tensorflow'),
    native: path.join(at, 'native'),
    venv,
    python: path.join(venv, 'bin/python'),
    state: path.join(at, '.state'),
    /** Runs and data go below it where nothing else is said. */
    work: isCheckout ? root : process.cwd(),
  };
}

/** Folder of a package that this one needs, wherever npm put it; undefined where it is not installed. */
export function packageFolder(name) {
  for (let at = root; ; at = path.dirname(at)) {
    const folder = path.join(at, 'node_modules', name);
    if (fs.existsSync(folder)) return folder;
    if (path.dirname(at) === at) return undefined;
  }
}

/** How a person calls a command here: `npm run setup`, or `npx voxelbook setup`. */
export const commandText = (name) => (isCheckout ? `npm run ${name}` : `npx voxelbook ${name}`);
