// `npm run notebooks`: which notebooks, in which order, where to, and what it says when one fails.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('../../environment/notebooks.mjs', import.meta.url));
const { python, root } = await import(new URL('../../environment/steps.mjs', import.meta.url).href);
const { allNotebooks, executeAll, folderOf } = await import(script);

describe('npm run notebooks', function () {
  this.timeout(300_000);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'voxelbook-runner-'));
  after(() => fs.rmSync(folder, { recursive: true, force: true }));

  function notebook(name: string, cells: string[]): string {
    const file = path.join(folder, `${name}.ipynb`);
    const content = {
      cells: cells.map((source, i) => ({
        ...{ cell_type: 'code', id: `cell-${i}`, source, outputs: [], execution_count: null },
        metadata: {
          ...(source.startsWith('let ') ? { tags: ['parameters'] } : {}),
          ...(source.startsWith('// folded') ? { jupyter: { source_hidden: true } } : {}),
        },
      })),
      metadata: { kernelspec: { name: 'voxelbook', display_name: 'voxelbook', language: 'typescript' } },
      nbformat: 4,
      nbformat_minor: 5,
    };
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, JSON.stringify(content));
    return file;
  }
  function npmRun(args: string[], { stopWhen }: { stopWhen?: RegExp } = {}) {
    const child = spawn(process.execPath, [script, ...args], { cwd: folder });
    let text = '';
    let stopped = false;
    const take = (data: Buffer) => {
      text += data;
      if (stopped || !stopWhen?.test(text)) return;
      stopped = child.kill('SIGINT');
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    return new Promise<{ code: number | null; text: string }>((resolve) => child.on('close', (code) => resolve({ code, text })));
  }

  it('--help says which options there are', async () => {
    const { code, text } = await npmRun(['--help']);
    assert.equal(code, 0);
    for (const option of ['--out', '--set', '--kernel', '--timeout']) assert.ok(text.includes(option), text);
  });

  it('means every notebook of the project, each once: lessons, their solutions, the quickstart, the papers', () => {
    const files: string[] = allNotebooks();
    const tree = fs.readdirSync(path.join(root, 'notebooks'), { recursive: true, encoding: 'utf8' });
    assert.deepEqual(
      files.toSorted(),
      tree
        .filter((f) => /^(?!.*checkpoints).*\.ipynb$/.test(f))
        .map((f) => path.join(root, 'notebooks', f))
        .toSorted(),
    );
    assert.deepEqual([...new Set(files.map(folderOf))], ['course', 'course/solutions', '', 'papers']);
  });

  it('two notebooks never overwrite each other: one of the same name elsewhere is refused before anything runs', async () => {
    const files = [notebook('a/same', ['1']), notebook('b/same', ['2'])];
    await assert.rejects(
      executeAll(files, { outFolder: folder }),
      /two of the notebooks would be written to .*same\.ipynb\nWhat to do: .*--out/,
    );
  });

  it('a parameter no notebook declares, an unknown option and a missing notebook are said before anything runs', async () => {
    const file = notebook('plain', ['let epochs = 1; // not seeds', 'epochs']);
    const { code, text } = await npmRun([file, '--set', 'seeds=[0]']);
    assert.equal(code, 1);
    assert.match(text, /no notebook has a parameter "seeds": the cell tagged `parameters` declares them\n$/);
    assert.ok(!text.includes('plain.ipynb'), text);
    assert.match(
      (await npmRun(['--kernal', 'x'])).text,
      /^unknown option --kernal; there are --out, --set, --kernel and --timeout$/m,
    );
    assert.match((await npmRun(['nothere.ipynb'])).text, /^nothere\.ipynb does not exist$/m);
    assert.match((await npmRun(['--timeout', 'long'])).text, /^--timeout wants seconds/m);
  });

  describe('in the kernel', () => {
    before(function () {
      if (fs.existsSync(python)) return;
      console.log('    no Python environment (npm run setup makes it): nothing is run');
      this.skip();
    });

    it('goes on after a failing notebook, sets parameters where they are declared, closes with a table, exits 1', async () => {
      const failing = notebook('first', ["throw new RangeError('too large a patch')"]);
      notebook('folder/second', ['let epochs = 3;', "console.log('epochs', epochs)"]);
      const { code, text } = await npmRun([failing, 'folder', '--set', 'epochs=7', '--out', 'out']);
      assert.equal(code, 1, text);
      assert.match(text, /RangeError: too large a patch/);
      assert.match(
        text,
        /\nnotebook +seconds +result +page\nfirst +\d+\.\d +failed +out\/first\.html\nsecond +\d+\.\d +ok +out\/second\.html\n1 ok, 1 failed, \d+\.\d minutes\n$/,
      );
      assert.match(fs.readFileSync(path.join(folder, 'out/second.html'), 'utf8'), /epochs 7/);
      assert.ok(fs.existsSync(path.join(folder, 'out/first.ipynb')));
    });

    it('a page shows what a folded cell gave, not its source; the notebook beside it keeps both', async () => {
      const file = notebook('folded', ["// folded away\nconsole.log('checked', 6 * 7);", "console.log('open')"]);
      const { code, text } = await npmRun([file, '--out', 'out3']);
      assert.equal(code, 0, text);
      const page = fs.readFileSync(path.join(folder, 'out3/folded.html'), 'utf8');
      assert.match(page, /checked 42/);
      assert.match(page, /(console|log)[\s\S]*open/);
      assert.ok(!page.includes('folded away'));
      assert.match(fs.readFileSync(path.join(folder, 'out3/folded.ipynb'), 'utf8'), /folded away/);
    });

    it('stopped by Ctrl-C, it ends, says what it did not run, and leaves no kernel behind', async () => {
      const endless = notebook('endless', [
        "console.log('going', process.pid); (globalThis as any)[Symbol.for('Jupyter.kernel')].displayBundle({ 'text/plain': 'tiny: step 3/8 · 2 s left' }); await new Promise((r) => setTimeout(r, 1_000_000));",
      ]);
      // The last line printed, and the text of the picture that is redrawn while a run trains.
      const stopWhen = /cell 1 of 1, \d+ s {2}going \d+ {2}\| {2}tiny: step 3\/8 · 2 s left\n/;
      const { code, text } = await npmRun([endless, '--out', 'out2'], { stopWhen });
      assert.equal(code, 1, text);
      assert.match(text, /\n0 ok, 0 failed, 1 not run, 0\.0 minutes\n$/);
      const kernel = Number(/going (\d+)/.exec(text)![1]);
      assert.throws(() => process.kill(kernel, 0), /ESRCH/);
    });
  });
});
