// The kernel as Jupyter's own tools use it: its client, its conformance tests, notebooks executed from the command line.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = path.dirname(fileURLToPath(import.meta.url));
const { python } = await import(new URL('../../environment/steps.mjs', import.meta.url).href);
const { executeNotebook } = await import(new URL('../../environment/notebooks.mjs', import.meta.url).href);
const run = promisify(execFile);

describe('Jupyter’s tools', function () {
  this.timeout(150_000);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'voxelbook-jupyter-'));
  after(() => fs.rmSync(folder, { recursive: true, force: true }));
  before(function () {
    if (fs.existsSync(python)) return;
    console.log('    no Python environment (npm run setup makes it): Jupyter’s own tools are not tested');
    this.skip();
  });

  /** A notebook of these cells; a cell beginning with `// parameters` carries that tag. */
  function notebook(name: string, cells: string[], kernel = 'voxelbook'): string {
    const file = path.join(folder, `${name}.ipynb`);
    const content = {
      cells: cells.map((source, i) => ({
        ...{ cell_type: 'code', id: `cell-${i}`, source, outputs: [], execution_count: null },
        metadata: source.startsWith('// parameters') ? { tags: ['parameters'] } : {},
      })),
      metadata: { kernelspec: { name: kernel, display_name: kernel, language: 'typescript' } },
      nbformat: 4,
      nbformat_minor: 5,
    };
    fs.writeFileSync(file, JSON.stringify(content));
    return file;
  }
  /** Outputs by cell, texts joined (the format stores them as lists of lines). */
  const outputs = (file: string): any[] => {
    const joined = (key: string, value: unknown) => (/^text/.test(key) && Array.isArray(value) ? value.join('') : value);
    return JSON.parse(fs.readFileSync(file, 'utf8'), joined).cells.map((c: any) => c.outputs);
  };
  const silent = { isTTY: false, write() {} };

  it('jupyter_client: stream, result, type error, stop, restart, shut down', async () => {
    const { stdout } = await run(python, [path.join(here, 'client.py')], { cwd: folder });
    const steps = Object.fromEntries(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
        .map((s) => [s.step, s]),
    );
    assert.equal(steps.stream.stdout, '0\n1\n2\n');
    assert.equal(steps.result.result, '42');
    assert.equal(steps['type error'].evalue, "Type 'string' is not assignable to type 'number'.");
    assert.equal(steps.stop.ename, 'Interrupted');
    assert.equal(steps['after stop'].result, '6');
    assert.equal(steps['after restart'].result, "'undefined fresh'");
    assert.equal(steps['undefined name'].evalue, "Cannot find name 'value'.");
    assert.equal(steps['shut down'].status, 'ok');
  });

  it('jupyter_kernel_test: every conformance test passes', async () => {
    const done = await run(python, [path.join(here, 'conformance.py'), '-v'], { cwd: folder }).catch((e) => e);
    assert.match(done.stderr, /\nOK( \(skipped=\d+\))?\n$/, done.stderr);
    const count = Number(done.stderr.match(/Ran (\d+) tests/)[1]);
    assert.ok(count >= 12, `only ${count} tests`);
  });

  it('executeNotebook: parameters are assigned, cells run in the notebook’s folder, outputs and a page that loads nothing are written', async () => {
    const file = notebook('parameters', [
      '// parameters\nlet epochs = 3; let name = "none"; let sizes: number[] = [];',
      'console.log(epochs, name, sizes); console.log(process.cwd()); ({ [Symbol.for("Jupyter.display")]: () => ({ "text/html": "<em>shown</em>", "text/plain": "x" }) })',
    ]);
    const parameters = { epochs: 7, name: 'a "quoted" name', sizes: [1, 2] };
    const { notebook: out, html } = await executeNotebook(file, {
      outFolder: path.join(folder, 'out'),
      parameters,
      output: silent,
    });
    const [, , [printed, shown]] = outputs(out);
    assert.equal(printed.text, `7 a "quoted" name [ 1, 2 ]\n${fs.realpathSync(folder)}\n`);
    assert.equal(shown.data['text/html'], '<em>shown</em>');
    const page = fs.readFileSync(html, 'utf8');
    assert.match(page, /<em>shown<\/em>/);
    assert.doesNotMatch(page, /(src|href)="https?:/);
    assert.doesNotMatch(page, /cdnjs|unpkg|jsdelivr/);
  });

  it('a parameter of the wrong type is a type error', async () => {
    const file = notebook('mistyped', ['// parameters\nlet epochs = 3;', 'epochs']);
    await assert.rejects(
      executeNotebook(file, { outFolder: path.join(folder, 'out'), parameters: { epochs: 'many' }, output: silent }),
      /Type 'string' is not assignable to type 'number'\./,
    );
  });

  it('executeNotebook: a failing cell rejects with its error and number; what ran is written all the same', async () => {
    const file = notebook('failing', ['const fine = 1; fine', "throw new RangeError('too large a patch')", 'fine + 1']);
    const outFolder = path.join(folder, 'out');
    await assert.rejects(executeNotebook(file, { outFolder, output: silent }), (error: Error) => {
      assert.match(error.message, /stopped with an error in cell 2 of 3/);
      assert.match(error.message, /RangeError: too large a patch\n {4}at In \[2\]:1:7/);
      return true;
    });
    const [first, second, third] = outputs(path.join(outFolder, 'failing.ipynb'));
    assert.equal(first[0].data['text/plain'], '1');
    assert.equal(second[0].ename, 'RangeError');
    assert.deepEqual(third, []);
  });

  it('executeNotebook: progress names the cell, the seconds and the last line printed', async () => {
    // The cell ends once its progress has been seen.
    const seen = path.join(folder, 'seen');
    const file = notebook('slow', [
      `import fs from 'node:fs'; console.log('epoch 1'); while (!fs.existsSync(${JSON.stringify(seen)})) await new Promise((r) => setTimeout(r, 50));`,
    ]);
    let shown = '';
    const write = (text: string) => {
      shown += text;
      if (/slow: cell 1 of 1, \d+ s {2}epoch 1/.test(shown)) fs.writeFileSync(seen, '');
    };
    const output = { isTTY: true, columns: 80, write };
    await executeNotebook(file, { outFolder: path.join(folder, 'out'), output });
    assert.match(shown, /slow: cell 1 of 1 took \d+\.\d s\n/);
  });

  describe('stock tslab, the second kernel', () => {
    // tslab resolves packages from the notebook's folder upwards, so these notebooks lie inside the project.
    const inside = fs.mkdtempSync(path.join(here, '.tslab-'));
    before(() => {
      // Set-up makes this link; npm takes it away whenever it installs something.
      const link = path.join(here, '../../node_modules/voxelbook');
      if (!fs.existsSync(link)) fs.symlinkSync('..', link);
    });
    after(() => fs.rmSync(inside, { recursive: true, force: true }));
    const runTslab = async (name: string, cells: string[]) => {
      const file = path.join(inside, `${name}.ipynb`);
      fs.copyFileSync(notebook(name, cells, 'tslab'), file);
      const done = await executeNotebook(file, { outFolder: path.join(folder, 'tslab'), kernel: 'tslab', output: silent });
      const shown = outputs(done.notebook).flat();
      assert.deepEqual(
        shown.filter((o: any) => o.name === 'stderr'),
        [],
      );
      return shown;
    };

    it('runs a notebook that imports a room of voxelbook and displays', async () => {
      const shown = await runTslab('plain', [
        "import { display } from 'tslab';\nimport { plan } from 'voxelbook/plan';\nlet n: number = 2;",
        'n = n * 21;\ndisplay.html("<b>" + n + "</b>");\nconsole.log(typeof plan)',
      ]);
      assert.equal(shown.find((o: any) => o.output_type === 'display_data').data['text/html'], '<b>42</b>');
      assert.match(shown.find((o: any) => o.name === 'stdout').text, /function/);
    });

    it('runs the quickstart’s cells up to the plan, values shown as text', async () => {
      const quickstart = JSON.parse(fs.readFileSync(path.join(here, '../../notebooks/quickstart.ipynb'), 'utf8'));
      const sources: string[] = quickstart.cells
        .filter((c: any) => c.cell_type === 'code')
        .map((c: any) => [c.source].flat().join(''));
      const upToPlan = sources.slice(0, sources.findIndex((s) => s.includes('plan.show')) + 1);
      assert.ok(upToPlan.length >= 3);
      const shown = await runTslab('quickstart', upToPlan);
      assert.match(shown.map((o: any) => o.text).join(''), /nnUNetPlans/);
    });
  });
});
