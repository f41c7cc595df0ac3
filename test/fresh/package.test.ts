// Opt-in (VOXELBOOK_FRESH_TESTS=1; Linux; ten minutes, 4 GB of temporary space): what `npm run pack` makes, installed as a person installs it
// with npm's defaults, is set up and computes; and so does a copy that nobody may write to, with a home elsewhere, for somebody else.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');

describe('the package', function () {
  this.timeout(2_400_000);
  let folder: string;
  let tarball: string;
  const nobody = 65534;
  /** Nothing of this checkout or of the person who tests it. */
  const clean = () => {
    const kept = Object.entries(process.env).filter(([name]) => !/^(npm_|VOXELBOOK_|NODE_OPTIONS|INIT_CWD)/.test(name));
    return { ...Object.fromEntries(kept), XDG_CACHE_HOME: path.join(folder, 'cache') };
  };
  const run = (command: string, args: string[], cwd: string, env: object = {}, uid?: number) => {
    const begin = Date.now();
    const options = { cwd, encoding: 'utf8', env: { ...clean(), ...env }, ...(uid && { uid, gid: uid }) } as const;
    const { status, stdout, stderr } = spawnSync(command, args, options);
    assert.equal(status, 0, `${command} ${args.join(' ')}\n${stdout}\n${stderr}`);
    console.log(`      ${path.basename(command)} ${args.slice(0, 3).join(' ')}: ${((Date.now() - begin) / 1000).toFixed(0)} s`);
    return stdout;
  };
  const sizeOf = (at: string) => spawnSync('du', ['-sh', at], { encoding: 'utf8' }).stdout.split('\t')[0];

  before(function () {
    if (!process.env.VOXELBOOK_FRESH_TESTS) this.skip();
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-package-'));
    fs.chmodSync(folder, 0o755);
    run('npm', ['run', 'pack', '--', '--pack-destination', folder], root);
    tarball = path.join(folder, fs.readdirSync(folder).find((name) => name.endsWith('.tgz'))!);
    console.log(`      ${path.basename(tarball)}: ${(fs.statSync(tarball).size / 1e6).toFixed(1)} MB`);
  });
  after(() => {
    if (!folder) return;
    spawnSync('chmod', ['-R', 'u+w', folder]);
    fs.rmSync(folder, { recursive: true, force: true });
  });

  /** A new study beside nothing of ours: its notebook trains two steps, predicts and scores. */
  function works(voxelbook: string, cwd: string, env: object = {}, uid?: number): void {
    run(voxelbook, ['new', 'my-study'], cwd, env, uid);
    const study = path.join(cwd, 'my-study');
    run(voxelbook, ['notebooks', 'study.ipynb', '--set', 'epochs=1', '--set', 'iterationsPerEpoch=2'], study, env, uid);
    const executed = JSON.parse(fs.readFileSync(path.join(study, 'runs/notebooks/study.ipynb'), 'utf8'));
    const printed = executed.cells.flatMap((cell: { outputs?: { text?: string[] }[] }) => cell.outputs ?? []);
    assert.match(JSON.stringify(printed), /DSC \d\.\d{3}, -?\d.* ml/);
    assert.ok(fs.existsSync(path.join(study, 'runs/notebooks/study.html')));
    const [own] = fs
      .readdirSync(path.join(study, 'runs'))
      .filter((name) => fs.existsSync(path.join(study, 'runs', name, 'scores.json')));
    const progress = fs
      .readFileSync(path.join(study, 'runs', own, 'progress.jsonl'), 'utf8')
      .trim()
      .split('\n');
    assert.equal(JSON.parse(progress.at(-1)!).step, 2);
    assert.match(run(voxelbook, ['list'], study, env, uid), /MedNeXt, 8 channels .*finished/);
    // The experiment's own file, read by the command line.
    run(voxelbook, ['experiment', 'SimGlioma', '--network', 'mednext', '--out', 'whole.json'], study, env, uid);
  }

  it('installs into an empty project, is set up, and computes in plain Node, in the kernel and in a child process', () => {
    const project = path.join(folder, 'project');
    fs.mkdirSync(project);
    run('npm', ['install', tarball], project);
    const installed = path.join(project, 'node_modules/voxelbook');
    assert.ok(!fs.existsSync(path.join(project, 'node_modules/@tensorflow/tfjs-node-gpu')));
    // Before set-up the error says what to do, as soon as something is to be computed.
    const use = "import('voxelbook').then(({ tf }) => tf.add(1, 1))";
    const early = spawnSync(process.execPath, ['-e', use], { cwd: project, encoding: 'utf8', env: clean() });
    assert.match(early.stderr, /TensorFlow is not set up.*npx voxelbook setup/s);
    const bin = path.join(project, 'node_modules/.bin/voxelbook');
    assert.match(run('npx', ['voxelbook', 'setup'], project), /set-up complete/);
    assert.match(run(bin, ['doctor'], project), /the (avx|generic).*ones[\s\S]*Everything needed is here/);
    const [home] = fs.readdirSync(path.join(folder, 'cache/voxelbook'));
    assert.equal(home, JSON.parse(fs.readFileSync(path.join(installed, 'package.json'), 'utf8')).version);
    console.log(
      `      node_modules ${sizeOf(path.join(project, 'node_modules'))}, home ${sizeOf(path.join(folder, 'cache/voxelbook'))}`,
    );
    const code = "import { tf, run } from 'voxelbook'; console.log(tf.add(1, 1).dataSync()[0], run.list().length)";
    assert.equal(run(process.execPath, ['--input-type=module', '-e', code], project).trim(), '2 0');
    // Types reach a program of one's own: a wrong argument is found, a right one is not.
    const typed = (text: string) => {
      fs.writeFileSync(path.join(project, 'own.mts'), `import { tf } from 'voxelbook';\n${text}\n`);
      const args = ['tsc', '--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', 'own.mts'];
      return spawnSync('npx', args, { cwd: project, encoding: 'utf8', env: clean() }).stdout;
    };
    assert.equal(typed('export const x: tf.Tensor = tf.add(1, 1);'), '');
    assert.match(typed("tf.add('a', { b: 1 });"), /own\.mts\(2,/);
    works(bin, project);
  });

  it('installed globally where nobody may write, with a home elsewhere, it serves another person', () => {
    const isRoot = process.getuid?.() === 0;
    const shared = path.join(folder, 'shared');
    run('npm', ['install', '--global', '--prefix', shared, tarball], folder);
    const voxelbook = path.join(shared, 'bin/voxelbook');
    // The other person needs a Python that everybody may run: not one that lies in this one's home.
    const PATH = `${path.dirname(process.execPath)}:/usr/bin:${process.env.PATH}`;
    const home = { VOXELBOOK_HOME: path.join(folder, 'classroom'), PATH };
    run(voxelbook, ['setup'], folder, home);
    for (const at of [shared, home.VOXELBOOK_HOME]) spawnSync('chmod', ['-R', 'a-w,a+rX', at]);
    const person = path.join(folder, 'person');
    fs.mkdirSync(person);
    if (isRoot) fs.chownSync(person, nobody, nobody);
    const env = { ...home, HOME: person, XDG_CACHE_HOME: path.join(person, '.cache'), TMPDIR: person };
    works(voxelbook, person, env, isRoot ? nobody : undefined);
    run(voxelbook, ['register', '--user'], person, env, isRoot ? nobody : undefined);
    const spec = path.join(person, '.local/share/jupyter/kernels/voxelbook/kernel.json');
    assert.equal(JSON.parse(fs.readFileSync(spec, 'utf8')).env.VOXELBOOK_HOME, home.VOXELBOOK_HOME);
  });
});
