// What npm would pack, by its own list; and that the packages installed beside it are those of the lock file.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { projectRoot } from '../../src/base/paths.js';

const read = (file: string) => JSON.parse(fs.readFileSync(path.join(projectRoot, file), 'utf8'));

describe('the package', () => {
  let packed: { size: number; files: { path: string }[] };

  before(function () {
    this.timeout(60_000);
    const args = ['pack', '--dry-run', '--json', '--ignore-scripts'];
    const { status, stdout, stderr } = spawnSync('npm', args, { cwd: projectRoot, encoding: 'utf8', maxBuffer: 2 ** 26 });
    assert.equal(status, 0, stderr);
    [packed] = JSON.parse(stdout);
  });

  it('holds what runs, and is below 10 MB', () => {
    const names = new Set(packed.files.map((file) => file.path));
    for (const name of [
      ...['dist/index.js', 'dist/index.d.ts', 'dist/run/cli.js', 'dist/paper/mednext/published.json'],
      ...['src/tensor/native/build.mjs', 'src/base/native/processor.cc', 'src/augment/native/spatial.cc'],
      ...['src/tensor/beforeTensorflow.c', 'kernels/voxelbook/main.mjs', 'kernels/voxelbook/kernel.d.ts'],
      ...['environment/places.mjs', 'environment/places.d.mts', 'environment/setup.mjs', 'environment/requirements.txt'],
      ...['environment/engine/package-lock.json', 'environment/study/study.ipynb', 'environment/docs/experiment.schema.json'],
      ...['dist/onnx/page/page.html', 'dist/onnx/page/niivue.js', 'dist/onnx/page/ort.wasm', 'dist/report/page/live.js'],
      ...['environment/onnx/predict.py', 'environment/slurm/site.example.json', 'notebooks/recorded/mednext.json'],
      ...['datasets/AMOS22.json', 'datasets/embedded/NOTICE.md', 'notebooks/quickstart.ipynb', 'README.md', 'LICENSE'],
    ])
      assert.ok(names.has(name), `${name} is missing`);
    assert.ok(packed.size < 10e6, `${packed.size} bytes`);
  });

  it('holds no tests, no golden numbers, nothing compiled for this machine, and no sources beside those that set-up compiles', () => {
    const wrong =
      /^test\/|golden|\.node$|\.so$|\.map$|\.tsbuildinfo$|\.venv|environment\/(native|tensorflow)\/|^src\/(?!.*\/native\/|tensor\/beforeTensorflow\.c)/;
    assert.deepEqual(
      packed.files.map((file) => file.path).filter((name) => wrong.test(name)),
      [],
    );
  });

  it('every module it holds finds what it imports: in the package, among its dependencies, or in Node', () => {
    const names = new Set(packed.files.map((file) => file.path));
    const { dependencies } = read('package.json');
    const missing: string[] = [];
    for (const name of names) {
      // What runs in a page was put together with all that it needs.
      if (!/^(dist|kernels|environment|src)\/.*\.m?js$/.test(name) || /^dist\/\w+\/page\//.test(name)) continue;
      const text = fs.readFileSync(path.join(projectRoot, name), 'utf8');
      for (const { fileName: specifier } of ts.preProcessFile(text, true, true).importedFiles) {
        const [first, second] = specifier.split('/');
        const known = specifier.startsWith('.')
          ? specifier === './package.json' || names.has(path.posix.join(path.posix.dirname(name), specifier))
          : specifier.startsWith('node:') || (first.startsWith('@') ? `${first}/${second}` : first) in dependencies;
        if (!known) missing.push(`${name}: ${specifier}`);
      }
    }
    assert.deepEqual(missing, []);
  });

  it('set-up installs beside it the very tfjs that it is checked with', () => {
    const [beside, here] = ['environment/engine/package-lock.json', 'package-lock.json'].map((file) => read(file).packages);
    for (const [place, { integrity }] of Object.entries<{ integrity: string }>(beside))
      if (place.includes('@tensorflow/')) assert.equal(integrity, here[place].integrity, place);
    const { dependencies } = read('environment/engine/package.json');
    assert.equal(dependencies['@tensorflow/tfjs-node-gpu'], read('package.json').dependencies['@tensorflow/tfjs']);
  });
});
