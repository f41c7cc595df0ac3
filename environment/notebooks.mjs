// Executes notebooks in the project's kernel through Jupyter:
//
//   npm run notebooks -- notebooks/quickstart.ipynb [--out runs/notebooks] [--set epochs=7] [--kernel voxelbook]
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { python, root } from './steps.mjs';

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
  { outFolder, parameters = {}, timeoutSeconds = 3600, kernel = 'voxelbook', output = process.stdout } = {},
) {
  const source = path.resolve(file);
  if (!fs.existsSync(source)) throw new Error(`notebook ${source} does not exist`);
  const name = path.basename(source, '.ipynb');
  const folder = path.resolve(outFolder ?? path.join(root, 'runs/notebooks'));
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
      `${path.relative(root, source)} stopped with an error in ${progress.where()}:\n${traceback.join('\n')}\nWhat ran so far: ${result.html}`,
    );
  }
  return { ...result, seconds: (Date.now() - begin) / 1000 };
}

/** The Python side; resolves with the failing cell's error, if any. */
function runPython(task, progress) {
  return new Promise((resolve, reject) => {
    const child = spawn(python, [path.join(root, 'environment/run_notebook.py'), JSON.stringify(task)], {
      stdio: ['ignore', 'pipe', 'pipe'],
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
      if (event.event === 'end') ended = event;
    });
    child.on('error', (error) => reject(new Error(`${python}: ${error.message}\nWhat to do: npm run setup`)));
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

/** One line that follows the running cell on a terminal; elsewhere a line every ten seconds. */
function progressOf(name, output) {
  let cell;
  let since = Date.now();
  let last = '';
  let shownAt = Date.now();
  const text = () => {
    const seconds = Math.round((Date.now() - since) / 1000);
    return `${name}: cell ${cell.number} of ${cell.total}, ${seconds} s  ${last || cell.first}`;
  };
  const timer = setInterval(() => {
    if (!cell || Date.now() - since < 2000) return;
    if (output.isTTY) output.write(`\r\x1b[2K${text().slice(0, (output.columns ?? 100) - 1)}`);
    else if (Date.now() - shownAt > 10_000) {
      output.write(`${text()}\n`);
      shownAt = Date.now();
    }
  }, 500);
  return {
    cell(event) {
      finishLine();
      cell = event;
      since = Date.now();
      last = '';
    },
    print(printed) {
      last = printed.trim().split('\n').at(-1).split('\r').at(-1);
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
  const files = [];
  const settings = { parameters: {} };
  const args = process.argv.slice(2);
  while (args.length > 0) {
    const arg = args.shift();
    if (arg === '--out') settings.outFolder = args.shift();
    else if (arg === '--kernel') settings.kernel = args.shift();
    else if (arg === '--timeout') settings.timeoutSeconds = Number(args.shift());
    else if (arg === '--set') {
      const [, key, value] = (args.shift() ?? '').match(/^(\w+)=(.*)$/s) ?? [];
      if (!key) throw new Error('--set wants name=value, the value as JSON or plain text');
      settings.parameters[key] = asValue(value);
    } else files.push(arg);
  }
  try {
    if (files.length === 0) throw new Error('give one or more notebooks: npm run notebooks -- notebooks/quickstart.ipynb');
    for (const file of files) {
      const { html, seconds } = await executeNotebook(file, settings);
      console.log(`${file}: ${seconds.toFixed(1)} s, page ${path.relative(process.cwd(), html)}`);
    }
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}

function asValue(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
