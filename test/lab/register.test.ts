// The kernel outside of the project: registered for a Jupyter of one's own, and taken back; tools around notebooks.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const run = promisify(execFile);
/** A Python environment outside of the project, with what the tests below say: `python3 -m venv`, then pip. */
const tools = process.env.VOXELBOOK_TOOLS ? path.join(process.env.VOXELBOOK_TOOLS, 'bin') : undefined;
const own = path.join(root, 'environment/.venv/bin');

describe('voxelbook register', function () {
  this.timeout(150_000);
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'voxelbook-home-'));
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'voxelbook-elsewhere-'));
  // A person's own Jupyter: nothing of the project's settings, a home of its own.
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    HOME: home,
    XDG_DATA_HOME: '',
    JUPYTER_DATA_DIR: '',
    JUPYTER_PATH: '',
    XDG_STATE_HOME: '',
  };
  const voxelbook = (...args: string[]) =>
    run(
      process.execPath,
      [
        '--import',
        pathToFileURL(path.join(root, 'node_modules/tsx/dist/loader.mjs')).href,
        path.join(root, 'src/run/cli.ts'),
        'register',
        ...args,
      ],
      {
        cwd: folder,
        env,
      },
    );
  const specOf = (file: string) => JSON.parse(fs.readFileSync(path.join(file, 'kernel.json'), 'utf8'));
  after(() => {
    for (const f of [home, folder]) fs.rmSync(f, { recursive: true, force: true });
  });

  it('--user: for every front end of the person, with absolute paths; --remove takes it back', async () => {
    const spec = path.join(home, process.platform === 'darwin' ? 'Library/Jupyter' : '.local/share/jupyter', 'kernels/voxelbook');
    assert.match((await voxelbook('--user')).stdout, new RegExp(spec));
    const { argv, interrupt_mode, language } = specOf(spec);
    assert.deepEqual(
      [argv[0], argv.at(-2), argv.at(-1)],
      [process.execPath, path.join(root, 'kernels/voxelbook/main.mjs'), '{connection_file}'],
    );
    assert.deepEqual([interrupt_mode, language], ['message', 'typescript']);
    assert.ok(fs.existsSync(path.join(spec, 'logo-svg.svg')));
    if (fs.existsSync(own)) {
      const { stdout } = await run(path.join(tools ?? own, 'jupyter'), ['kernelspec', 'list', '--json'], { cwd: folder, env });
      assert.equal(fs.realpathSync(JSON.parse(stdout).kernelspecs.voxelbook.resource_dir).endsWith('kernels/voxelbook'), true);
    }
    await voxelbook('--user', '--remove');
    assert.ok(!fs.existsSync(spec));
    assert.match((await voxelbook('--user', '--remove')).stdout, /was not registered there/);
  });

  it('--prefix: for one environment', async () => {
    await voxelbook('--prefix', folder);
    assert.equal(specOf(path.join(folder, 'share/jupyter/kernels/voxelbook')).language, 'typescript');
    await voxelbook('--prefix', folder, '--remove');
    assert.ok(!fs.existsSync(path.join(folder, 'share/jupyter/kernels/voxelbook')));
  });

  it('neither or both: says what to give', async () => {
    await assert.rejects(voxelbook(), /neither --user nor --prefix/);
    await assert.rejects(voxelbook('--user', '--prefix', folder), /--user and --prefix; expected one of/);
  });

  describe('tools around notebooks', () => {
    const cell = (source: string, i: number) => ({
      ...{ cell_type: 'code', id: `c${i}`, source, outputs: [], execution_count: null },
      metadata: source.startsWith('let epochs') ? { tags: ['parameters'] } : {},
    });
    const write = (name: string, cells: string[]) => {
      const file = path.join(folder, name);
      const kernelspec = { name: 'voxelbook', display_name: 'voxelbook', language: 'typescript' };
      fs.writeFileSync(
        file,
        JSON.stringify({ cells: cells.map(cell), metadata: { kernelspec }, nbformat: 4, nbformat_minor: 5 }),
      );
      return file;
    };
    const tool = (program: string, ...args: string[]) => {
      const bin = [tools, own].find((b) => b && fs.existsSync(path.join(b, program)));
      return bin ? run(path.join(bin, program), args, { cwd: folder, env }) : undefined;
    };
    before(async function () {
      if (!fs.existsSync(own)) {
        console.log('    no Python environment (npm run setup makes it): tools around notebooks are not tested');
        return this.skip();
      }
      await voxelbook('--user');
    });

    it('papermill as it is: parameters are assigned, checked by their types; a failing cell fails', async () => {
      write('p.ipynb', ['let epochs = 3;', 'console.log("epochs", epochs)']);
      await run(path.join(own, 'papermill'), ['p.ipynb', 'out.ipynb', '-p', 'epochs', '7'], { cwd: folder, env });
      assert.match(fs.readFileSync(path.join(folder, 'out.ipynb'), 'utf8'), /epochs 7/);
      const mistyped = run(path.join(own, 'papermill'), ['p.ipynb', 'out.ipynb', '-p', 'epochs', 'many'], { cwd: folder, env });
      await assert.rejects(mistyped, /TS2322/);
      const { stdout } = await run(path.join(own, 'papermill'), ['--help-notebook', 'p.ipynb'], { cwd: folder, env });
      assert.match(stdout, /epochs: .*\(default 3\)/);
    });

    it('jupyter run runs a file of TypeScript', async () => {
      fs.writeFileSync(path.join(folder, 'script.ts'), 'const six: number = 6;\nconsole.log(six * 7);\n');
      const { stdout } = await run(path.join(own, 'jupyter'), ['run', '--kernel=voxelbook', 'script.ts'], { cwd: folder, env });
      assert.equal(stdout.trim(), '42');
    });

    it('nbconvert runs a notebook in a folder elsewhere', async () => {
      write('n.ipynb', [
        'import fs from "node:fs"; fs.existsSync("n.ipynb")',
        'import * as vb from "voxelbook"; typeof vb.plan.plan',
      ]);
      await run(path.join(own, 'jupyter'), ['nbconvert', '--to', 'notebook', '--execute', 'n.ipynb', '--output', 'n-out.ipynb'], {
        cwd: folder,
        env,
      });
      const { cells } = JSON.parse(fs.readFileSync(path.join(folder, 'n-out.ipynb'), 'utf8'));
      assert.deepEqual(
        cells.map((c: any) => c.outputs[0].data['text/plain'].toString()),
        ['true', "'function'"],
      );
    });

    it('jupytext turns a file of TypeScript into a notebook and runs it', async function () {
      fs.writeFileSync(path.join(folder, 'j.ts'), '// %%\nlet a: number = 6;\n\n// %%\na * 7\n');
      const done = tool('jupytext', '--to', 'notebook', '--set-kernel', 'voxelbook', '--execute', 'j.ts');
      if (!done) return this.skip();
      await done;
      assert.match(fs.readFileSync(path.join(folder, 'j.ipynb'), 'utf8'), /"42"/);
    });

    it('jupyter console runs lines of a session', async function () {
      const bin = [tools, own].find((b) => b && fs.existsSync(path.join(b, 'jupyter-console')));
      if (!bin) return this.skip();
      const done = run(path.join(bin, 'jupyter-console'), ['--kernel', 'voxelbook', '--simple-prompt'], {
        cwd: folder,
        env,
        timeout: 100_000,
      });
      done.child.stdin!.end('let six = 6\nsix * 7\nexit\n');
      const { stdout } = await done.catch((e) => e);
      assert.match(stdout, /42/);
    });

    it('qtconsole, without a screen, shows a result, a type error and a picture', async function () {
      const python = tools && path.join(tools, 'python');
      if (!python || !(await run(python, ['-c', 'import qtconsole, PySide6'], { env }).catch(() => undefined)))
        return this.skip();
      const { stdout } = await run(python, [fileURLToPath(new URL('qtSession.py', import.meta.url))], {
        cwd: folder,
        env: { ...env, QT_QPA_PLATFORM: 'offscreen', QT_API: 'pyside6' },
        timeout: 100_000,
      });
      assert.match(stdout, /^Out\[1\]: 42$/m);
      assert.match(stdout, /TS2322/);
      assert.match(stdout, /pictures 1/);
    });

    it('nbgrader grades: right and wrong answers', async function () {
      const bin = [tools, own].find((b) => b && fs.existsSync(path.join(b, 'nbgrader')));
      if (!bin) return this.skip();
      const course = path.join(folder, 'course');
      fs.mkdirSync(path.join(course, 'source/ps1'), { recursive: true });
      const graded = (id: string, source: string, more: object) => ({
        ...cell(source, 0),
        id,
        metadata: { nbgrader: { schema_version: 3, grade_id: id, locked: false, ...more } },
      });
      const notebook = (answer: string) =>
        JSON.stringify({
          cells: [
            graded('answer', answer, { grade: false, solution: true }),
            graded('test', 'if (twice(2) !== 4) throw new Error("wrong")', {
              grade: true,
              solution: false,
              points: 2,
              locked: true,
            }),
          ],
          metadata: { kernelspec: { name: 'voxelbook', display_name: 'voxelbook', language: 'typescript' } },
          ...{ nbformat: 4, nbformat_minor: 5 },
        });
      const solution = 'function twice(n: number) {\n  // BEGIN SOLUTION\n  return n * 2;\n  // END SOLUTION\n}';
      fs.writeFileSync(
        path.join(course, 'source/ps1/p.ipynb'),
        notebook(solution.replaceAll('// BEGIN', '### BEGIN').replaceAll('// END', '### END')),
      );
      fs.writeFileSync(
        path.join(course, 'nbgrader_config.py'),
        "c = get_config()\nc.CourseDirectory.course_id = 'c'\nc.ClearSolutions.code_stub = {'typescript': 'throw new Error(\"not done\")'}\n",
      );
      const inside = { ...env, PATH: `${bin}${path.delimiter}${env.PATH}` };
      const grader = (...args: string[]) => run(path.join(bin, 'nbgrader'), args, { cwd: course, env: inside });
      await grader('generate_assignment', 'ps1');
      for (const [who, body] of [
        ['right', 'function twice(n: number) { return n * 2 }'],
        ['wrong', 'function twice(n: number) { return n * 3 }'],
      ]) {
        fs.mkdirSync(path.join(course, `submitted/${who}/ps1`), { recursive: true });
        fs.writeFileSync(path.join(course, `submitted/${who}/ps1/p.ipynb`), notebook(body));
      }
      await grader('autograde', 'ps1');
      await grader('export', '--to', 'grades.csv');
      const rows = fs
        .readFileSync(path.join(course, 'grades.csv'), 'utf8')
        .trim()
        .split('\n')
        .map((l) => l.split(','));
      const at = (name: string) => rows[0].indexOf(name);
      const scores = Object.fromEntries(rows.slice(1).map((r) => [r[at('student_id')], Number(r[at('score')])]));
      assert.deepEqual(scores, { right: 2, wrong: 0 });
    });
  });
});
