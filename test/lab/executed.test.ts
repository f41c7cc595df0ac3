// Every notebook run by Jupyter, two at a time and with a small budget: lessons unsolved and solved, the quickstart, one paper whole and
// the others up to their first table of trained systems (all of them with VOXELBOOK_PAPERS=1, some eight minutes more). What they print
// is held against ranges.json.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const { python, root } = await import(new URL('../../environment/steps.mjs', import.meta.url).href);
const { allNotebooks, executeNotebook, folderOf } = await import(
  new URL('../../environment/notebooks.mjs', import.meta.url).href
);

interface Expected {
  /** Values of the cell tagged `parameters`. */
  parameters?: Record<string, unknown>;
  /** Cells from the first with this text on are left out, unless VOXELBOOK_PAPERS is set. */
  upTo?: string;
  /** A number printed or shown: a pattern whose groups are numbers, and what each of them lies between. */
  ranges: [pattern: string, low: number, high: number][];
}
const expected: Record<string, Expected> = JSON.parse(fs.readFileSync(path.join(here, 'ranges.json'), 'utf8'));

interface Ran {
  seconds: number;
  /** All that was printed and shown, as text. */
  text: string;
  /** What went to the error stream. */
  errors: string;
}

describe('every notebook runs', function () {
  this.timeout(1_200_000);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'voxelbook-notebooks-'));
  const files: string[] = allNotebooks();
  const nameOf = (file: string) => path.join(folderOf(file), path.basename(file, '.ipynb'));
  const ran = new Map<string, Promise<Ran>>();
  const { VOXELBOOK_RUNS, VOXELBOOK_DATA, VOXELBOOK_THREADS } = process.env;
  const mine = { VOXELBOOK_RUNS, VOXELBOOK_DATA, VOXELBOOK_THREADS };

  before(function () {
    if (!fs.existsSync(python)) {
      console.log('    no Python environment (npm run setup makes it): the notebooks are not run');
      return this.skip();
    }
    // Runs are made again; data sets, which take long to make, are shared with the person's own.
    process.env.VOXELBOOK_DATA ??= path.join(process.env.VOXELBOOK_RUNS ?? path.join(root, 'runs'), 'data');
    process.env.VOXELBOOK_RUNS = path.join(folder, 'runs');
    // Two at a time on as few as two cores.
    process.env.VOXELBOOK_THREADS ??= '1';
    // The quickstart, which takes longest, goes first.
    const queue = files.toSorted((a, b) => Number(nameOf(b) === 'quickstart') - Number(nameOf(a) === 'quickstart'));
    const begin = new Map<string, () => void>();
    for (const file of queue) {
      const turn = new Promise<void>((resolve) => begin.set(file, resolve));
      const result = turn.then(() => execute(file));
      ran.set(file, result);
      result.catch(() => {}).finally(next);
    }
    function next() {
      begin.get(queue.shift() ?? '')?.();
    }
    next();
    next();
  });
  after(() => {
    for (const [name, value] of Object.entries(mine)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    fs.rmSync(folder, { recursive: true, force: true });
  });

  async function execute(file: string): Promise<Ran> {
    const { parameters, upTo } = expected[nameOf(file)];
    const notebook = JSON.parse(fs.readFileSync(file, 'utf8'));
    if (upTo && !process.env.VOXELBOOK_PAPERS) {
      const end = notebook.cells.findIndex((cell: any) => cell.cell_type === 'code' && textOf(cell.source).includes(upTo));
      assert.ok(end > 0, `${file} has no cell with ${upTo}`);
      notebook.cells.length = end;
    }
    // In a folder of its own: a notebook may write beside itself.
    const copy = path.join(folder, 'notebooks', `${nameOf(file)}.ipynb`);
    fs.mkdirSync(path.dirname(copy), { recursive: true });
    fs.writeFileSync(copy, JSON.stringify(notebook));
    const outFolder = path.join(folder, 'executed', folderOf(file));
    const output = { isTTY: false, write() {} };
    const { notebook: executed, seconds } = await executeNotebook(copy, { outFolder, parameters, output });
    const outputs = JSON.parse(fs.readFileSync(executed, 'utf8')).cells.flatMap((cell: any) => cell.outputs ?? []);
    const shown = outputs.map((o: any) => textOf(o.text ?? o.data?.['text/plain'] ?? ''));
    const errors = outputs.filter((o: any) => o.name === 'stderr').map((o: any) => textOf(o.text));
    return { seconds, text: shown.join('\n'), errors: errors.join('') };
  }

  for (const file of files) {
    const name = nameOf(file);
    const solved = name.endsWith('-solved');
    const lesson = name.startsWith('course/') && !solved;
    const how = lesson ? ', unsolved' : '';
    it(`${name}${how}: to its end without error output, its numbers within their ranges`, async () => {
      assert.ok(expected[name], `test/lab/ranges.json says nothing about ${name}`);
      const { seconds, text, errors } = await ran.get(file)!;
      console.log(`      ${name}: ${seconds.toFixed(1)} s`);
      assert.equal(errors, '');
      const verdicts = [...text.matchAll(/^([✓✗…]) \d+\.\d+ .*/gm)];
      if (lesson) assert.ok(verdicts.length >= 3 && verdicts.every(([, sign]) => sign === '…'), verdicts.join('\n'));
      if (solved) assert.ok(verdicts.length >= 3 && verdicts.every(([, sign]) => sign === '✓'), verdicts.join('\n'));
      for (const [pattern, low, high] of expected[name].ranges) {
        const found = [...text.matchAll(new RegExp(pattern, 'gm'))].flatMap(([, ...groups]) => groups.map(Number));
        assert.ok(found.length > 0, `${name} prints nothing like ${pattern}`);
        for (const number of found)
          assert.ok(number >= low && number <= high, `${pattern}: ${number}, not within ${low} to ${high}`);
      }
    });
  }
});

const textOf = (text: string | string[]) => [text].flat().join('');
