// Executes notebooks in our kernel through Jupyter: all of them, or those named, or those in the folders named.
//
//   npm run notebooks, npx voxelbook notebooks
//   npm run notebooks -- notebooks/course notebooks/quickstart.ipynb [--out runs/notebooks] [--set epochs=7]
//                        [--kernel voxelbook] [--timeout 3600]
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { jupyterPath } from '../kernels/voxelbook/register.mjs';
import { commandText, isCheckout, places } from './places.mjs';
import { python, root, setup } from './steps.mjs';

const home = path.join(root, 'notebooks');

/** The groups of notebooks in the order they are run, short ones first, by their folder below `notebooks/`. */
const order = ['course', 'course/solutions', '', 'papers'];

/** Folder of a notebook below `notebooks/`: `course`; nothing for one that lies directly there or elsewhere. */
export function folderOf(file) {
  const folder = path.relative(home, path.dirname(path.resolve(file)));
  return folder.startsWith('..') || path.isAbsolute(folder) ? '' : folder;
}

/** The notebooks among files and folders (with all that is in them), each once, short ones first. */
export function notebooksIn(...places) {
  const found = places.flatMap((place) => {
    const at = path.resolve(place);
    if (!fs.existsSync(at)) throw new Error(`${place} does not exist`);
    if (!fs.statSync(at).isDirectory()) return [at];
    const files = fs.readdirSync(at, { recursive: true, encoding: 'utf8' });
    const others = /(^|[\\/])(node_modules|runs|\.ipynb_checkpoints)[\\/]/;
    return files.filter((f) => f.endsWith('.ipynb') && !others.test(f)).map((f) => path.join(at, f));
  });
  const rank = (file) => order.indexOf(folderOf(file));
  return [...new Set(found)].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

/** Every notebook of the project, or of the working folder; short ones first. */
export const allNotebooks = () => notebooksIn(isCheckout ? home : places().work);

/**
 * Runs notebooks one after the other, goes on where one fails, and closes with a table.
 * @param outFolder each notebook and its page are written below it, in the sub-folder they have below `notebooks/`
 * @param parameters set in the notebooks that declare them; one that no notebook declares is an error before anything runs
 * @returns a row for each notebook: `{ file, seconds, html, error? }`; fewer rows when stopped (Ctrl-C)
 */
export async function executeAll(
  files,
  { outFolder = path.join(places().work, 'runs/notebooks'), parameters = {}, output = process.stdout, ...rest } = {},
) {
  const target = (file) => path.join(path.resolve(outFolder), folderOf(file), path.basename(file));
  const clash = files.find((file, i) => files.findIndex((other) => target(other) === target(file)) !== i);
  if (clash)
    throw new Error(
      `two of the notebooks would be written to ${target(clash)}\nWhat to do: run them with a different --out each.`,
    );
  for (const name of Object.keys(parameters))
    if (!files.some((file) => declares(file, name)))
      throw new Error(`no notebook has a parameter "${name}": the cell tagged \`parameters\` declares them`);

  let stopped = false;
  const stop = () => {
    stopped = true;
  };
  process.once('SIGINT', stop);
  const rows = [];
  for (const [i, file] of files.entries()) {
    output.write(`[${i + 1}/${files.length}] ${path.relative(places().work, file)}\n`);
    const own = Object.fromEntries(Object.entries(parameters).filter(([name]) => declares(file, name)));
    const begin = Date.now();
    const row = { file, html: target(file).replace(/\.ipynb$/, '.html') };
    try {
      await executeNotebook(file, { ...rest, outFolder: path.dirname(target(file)), parameters: own, output });
    } catch (error) {
      if (stopped) break;
      row.error = error.message;
      output.write(`${error.message}\n`);
    }
    row.seconds = (Date.now() - begin) / 1000;
    rows.push(row);
    output.write(`${path.basename(file, '.ipynb')}: ${row.seconds.toFixed(1)} s\n`);
  }
  process.off('SIGINT', stop);
  output.write(closing(rows, files.length));
  return rows;
}

const cellTagged = (file, tag) => {
  const { cells } = JSON.parse(fs.readFileSync(file, 'utf8'));
  const cell = cells.find((c) => c.metadata?.tags?.includes(tag));
  return cell ? [cell.source].flat().join('') : '';
};
const declares = (file, name) => new RegExp(`\\b${name}\\b`).test(cellTagged(file, 'parameters').replaceAll(/\/\/.*/g, ''));

/** Name, seconds, result and page of each notebook, and the count. */
function closing(rows, wanted) {
  const name = ({ file }) => path.join(folderOf(file), path.basename(file, '.ipynb'));
  const cells = rows.map((row) => [
    name(row),
    row.seconds.toFixed(1),
    row.error ? 'failed' : 'ok',
    path.relative(process.cwd(), row.html),
  ]);
  const table = [['notebook', 'seconds', 'result', 'page'], ...cells];
  const widths = [0, 1, 2].map((c) => Math.max(...table.map((cell) => cell[c].length)));
  const lines = table.map(([n, s, r, p]) => `${n.padEnd(widths[0])}  ${s.padStart(widths[1])}  ${r.padEnd(widths[2])}  ${p}`);
  const failed = rows.filter((row) => row.error).length;
  const seconds = rows.reduce((sum, row) => sum + row.seconds, 0);
  const left = wanted - rows.length;
  return `\n${lines.join('\n')}\n${rows.length - failed} ok, ${failed} failed${left ? `, ${left} not run` : ''}, ${(seconds / 60).toFixed(1)} minutes\n`;
}

/**
 * Runs every cell of a notebook, in its own folder, and writes `<outFolder>/<name>.ipynb` and `<outFolder>/<name>.html`.
 * Progress goes to the terminal: which cell, how long, the last line it printed.
 * @param parameters values for names the cell tagged `parameters` declares
 * @param timeoutSeconds longest time for one cell
 * @returns paths of both files and the seconds it took
 * @throws Error with the cell's own error; both files are written all the same
 */
export async function executeNotebook(
  file,
  { outFolder, parameters = {}, timeoutSeconds = 3600, kernel = 'voxelbook', output = process.stdout },
) {
  const source = path.resolve(file);
  if (!fs.existsSync(source)) throw new Error(`notebook ${source} does not exist`);
  const name = path.basename(source, '.ipynb');
  const folder = path.resolve(outFolder);
  fs.mkdirSync(folder, { recursive: true });
  const result = { notebook: path.join(folder, `${name}.ipynb`), html: path.join(folder, `${name}.html`) };
  const task = { file: source, kernel, parameters, timeout: timeoutSeconds, ...result };
  const begin = Date.now();
  const progress = progressOf(name, output);
  const failure = await runPython(task, progress);
  progress.end();
  if (failure) {
    const { ename, evalue, traceback = [`${ename}: ${evalue}`] } = failure;
    throw new Error(
      `${path.relative(places().work, source)} stopped with an error in ${progress.where()}:\n${traceback.join('\n')}\nWhat ran so far: ${result.html}`,
    );
  }
  return { ...result, seconds: (Date.now() - begin) / 1000 };
}

/** The Python side; resolves with the failing cell's error, if any. */
function runPython(task, progress) {
  return new Promise((resolve, reject) => {
    const child = spawn(python, [path.join(root, 'environment/run_notebook.py'), JSON.stringify(task)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, JUPYTER_PATH: jupyterPath() },
    });
    const stop = () => child.kill('SIGINT');
    process.once('SIGINT', stop);
    let errors = '';
    let ended;
    child.stderr.on('data', (d) => {
      errors = (errors + d).slice(-4000);
    });
    lines(child.stdout, (line) => {
      const event = JSON.parse(line);
      if (event.event === 'cell') progress.cell(event);
      if (event.event === 'output') progress.print(event.text);
      if (event.event === 'live') progress.live(event.text);
      if (event.event === 'end') ended = event;
    });
    child.on('error', (error) => reject(new Error(`${python}: ${error.message}\nWhat to do: ${commandText('setup')}`)));
    child.on('close', (code) => {
      process.off('SIGINT', stop);
      if (ended) resolve(ended.failure);
      else reject(new Error(`the notebook could not be run (exit code ${code}):\n${errors.trim()}`));
    });
  });
}

function lines(stream, take) {
  let rest = '';
  stream.setEncoding('utf8').on('data', (text) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop();
    for (const line of parts) if (line.trim()) take(line);
  });
}

/**
 * One line that follows the running cell on a terminal. Elsewhere a line once a minute, the first after ten seconds: which cell, the last
 * line it printed (a study: how many runs of how many, time left) and where the run on show stands (step, loss, time left).
 */
function progressOf(name, output) {
  let cell;
  let since = Date.now();
  let last = '';
  let live = '';
  let next = 0;
  const text = () => {
    const seconds = Math.round((Date.now() - since) / 1000);
    return `${name}: cell ${cell.number} of ${cell.total}, ${seconds} s  ${[last || cell.first, live].filter(Boolean).join('  |  ')}`;
  };
  const timer = setInterval(() => {
    if (!cell || Date.now() - since < 2000) return;
    if (output.isTTY) output.write(`\r\x1b[2K${text().slice(0, (output.columns ?? 100) - 1)}`);
    else if (Date.now() >= next) {
      output.write(`${text()}\n`);
      next = Date.now() + 60_000;
    }
  }, 500);
  return {
    cell(event) {
      finishLine();
      cell = event;
      since = Date.now();
      next = since + 10_000;
      last = '';
      live = '';
    },
    print(printed) {
      last = printed.trim().split('\n').at(-1).split('\r').at(-1);
    },
    live(text) {
      live = text;
    },
    where: () => (cell ? `cell ${cell.number} of ${cell.total} (${cell.first.trim()})` : 'no cell'),
    end() {
      clearInterval(timer);
      finishLine();
    },
  };
  function finishLine() {
    if (!cell || Date.now() - since < 2000) return;
    const seconds = ((Date.now() - since) / 1000).toFixed(1);
    output.write(`${output.isTTY ? '\r\x1b[2K' : ''}${name}: cell ${cell.number} of ${cell.total} took ${seconds} s\n`);
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    const { help, places, settings } = parse(process.argv.slice(2));
    if (help) {
      process.stdout.write(usage());
      process.exit(0);
    }
    const files = places.length > 0 ? notebooksIn(...places) : allNotebooks();
    if (isCheckout) await setup();
    const rows = await executeAll(files, settings);
    process.exit(rows.length < files.length || rows.some((row) => row.error) ? 1 : 0);
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}

function usage() {
  return `${commandText('notebooks')}${isCheckout ? ' --' : ''} [notebooks and folders] [options]
Executes notebooks through Jupyter: all of them, or those named, or those in the folders named.
  --out <folder>       where each notebook goes, with its page; default runs/notebooks
  --set <name>=<value> a parameter, for the notebooks whose cell tagged \`parameters\` declares it; as often as needed
  --kernel <name>      default voxelbook
  --timeout <seconds>  longest time for one cell; default 3600
`;
}

function parse(args) {
  const places = [];
  const settings = { parameters: {} };
  let help = false;
  while (args.length > 0) {
    const arg = args.shift();
    if (arg === '--help' || arg === '-h') help = true;
    else if (arg === '--out') settings.outFolder = args.shift();
    else if (arg === '--kernel') settings.kernel = args.shift();
    else if (arg === '--timeout') {
      settings.timeoutSeconds = Number(args.shift());
      if (!(settings.timeoutSeconds > 0)) throw new Error('--timeout wants seconds for the longest cell, more than 0');
    } else if (arg === '--set') {
      const [, key, value] = (args.shift() ?? '').match(/^(\w+)=(.*)$/s) ?? [];
      if (!key) throw new Error('--set wants name=value, the value as JSON or plain text');
      settings.parameters[key] = asValue(value);
    } else if (arg.startsWith('--')) throw new Error(`unknown option ${arg}; there are --out, --set, --kernel and --timeout`);
    else places.push(arg);
  }
  return { help, places, settings };
}

function asValue(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
