// The set-up steps of a fresh clone, in order. Each step says whether it is done, does its work, and on failure
// names the command that failed and what to install. Re-running continues at the first step that is not done.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const at = (...parts) => path.join(root, ...parts);
export const python = at('environment/.venv/bin/python');
const stateFolder = at('environment/.state');

/** The first and last lines of a long output: errors stand at either end. */
function excerpt(text) {
  const lines = text.trim().split('\n');
  return lines.length <= 20 ? lines.join('\n') : [...lines.slice(0, 8), '…', ...lines.slice(-12)].join('\n');
}

/** Runs a command; resolves with its output, rejects with the command, its last lines and a hint. */
export function run(command, args, { hint = '', quiet = true, env = {}, cwd = root } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: quiet ? ['ignore', 'pipe', 'pipe'] : 'inherit',
    });
    let text = '';
    child.stdout?.on('data', (d) => (text += d));
    child.stderr?.on('data', (d) => (text += d));
    const fail = (why) =>
      reject(
        new Error(
          `command failed (${why}): ${command} ${args.join(' ')}\n${excerpt(text)}${hint ? `\nWhat to do: ${hint}` : ''}`,
        ),
      );
    child.on('error', (error) => fail(error.code ?? error.message));
    child.on('close', (code, signal) => (code === 0 ? resolve(text) : fail(signal ?? `exit code ${code}`)));
  });
}

/** Hash of files and folders (by relative name and content), to know whether a step's inputs changed. */
function hashOf(paths) {
  const hash = createHash('sha256');
  const visit = (p) => {
    if (!fs.existsSync(p)) return;
    if (fs.statSync(p).isDirectory()) {
      for (const name of fs.readdirSync(p).sort()) visit(path.join(p, name));
    } else hash.update(path.relative(root, p)).update('\0').update(fs.readFileSync(p));
  };
  for (const p of paths) visit(at(p));
  return hash.digest('hex').slice(0, 16);
}

const cpuFlags = () => {
  const info = fs.existsSync('/proc/cpuinfo') ? fs.readFileSync('/proc/cpuinfo', 'utf8') : '';
  return info.match(/^flags.*$/m)?.[0] ?? process.arch;
};
export const hasNvidia = () =>
  process.env.VOXELBOOK_DEVICE !== 'cpu' && spawnSync('nvidia-smi', ['-L'], { stdio: 'ignore' }).status === 0;

const compilerHint = 'install a C++ compiler (Debian, Ubuntu: apt-get install g++; macOS: xcode-select --install)';

/** Where the TensorFlow libraries come from: the CPU wheel, or the CUDA wheel where a driver is present. */
function tensorflowWheel() {
  const { version } = JSON.parse(fs.readFileSync(at('environment/tensorflow.json'), 'utf8'));
  return hasNvidia() ? `tensorflow==${version}` : `tensorflow-cpu==${version}`;
}

const bindingSource = 'node_modules/@tensorflow/tfjs-node-gpu';
const bindingOutput = `${bindingSource}/lib/napi-v8`;

export const steps = [
  {
    name: 'versions',
    key: () => process.version,
    work() {
      const [major, minor] = process.versions.node.split('.').map(Number);
      if (major < 20 || (major === 20 && minor < 19) || (major === 22 && minor < 12))
        throw new Error(
          `Node ${process.version} found; 20.19, 22.12, 24 or newer is needed.\nWhat to do: install a current Node LTS.`,
        );
      const p = spawnSync('python3', ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'], { encoding: 'utf8' });
      const [pm, pn] = (p.stdout ?? '').trim().split('.').map(Number);
      if (p.status !== 0 || pm < 3 || pn < 10)
        throw new Error(
          `Python ${p.status === 0 ? p.stdout.trim() : '(python3 not found)'}; 3.10 or newer is needed.\nWhat to do: install python3 (Debian, Ubuntu: apt-get install python3 python3-venv).`,
        );
      if (spawnSync('g++', ['--version'], { stdio: 'ignore' }).status !== 0)
        throw new Error(`g++ not found.\nWhat to do: ${compilerHint}.`);
    },
  },
  {
    name: 'npm packages',
    key: () => hashOf(['package.json', 'package-lock.json']),
    done: () => fs.existsSync(at(bindingSource)),
    work: () =>
      run('npm', ['install', '--no-save', '--ignore-scripts'], {
        hint: 'check that the npm registry is reachable (npm ping), then run again',
      }),
  },
  {
    name: 'python environment',
    key: () => hashOf(['environment/requirements.txt']) + root,
    done: () => fs.existsSync(python),
    async work() {
      const hint = 'install the venv module (Debian, Ubuntu: apt-get install python3-venv), then run again';
      const venv = at('environment/.venv');
      fs.rmSync(venv, { recursive: true, force: true });
      const hasEnsurepip = spawnSync('python3', ['-c', 'import ensurepip'], { stdio: 'ignore' }).status === 0;
      if (hasEnsurepip) await run('python3', ['-m', 'venv', venv], { hint });
      else {
        await run('python3', ['-m', 'venv', '--without-pip', venv], { hint });
        await run('python3', ['-m', 'pip', '--python', python, 'install', '-q', 'pip'], { hint });
      }
      await run(python, ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', '-r', at('environment/requirements.txt')], {
        hint: 'check that the Python package index is reachable, then run again',
      });
    },
  },
  {
    name: 'tensorflow library',
    key: () => tensorflowWheel(),
    done: () =>
      ['libtensorflow_cc.so.2', 'include/tsl/platform/platform.h'].every((f) =>
        fs.existsSync(at('environment/tensorflow/tensorflow', f)),
      ),
    async work() {
      const target = at('environment/tensorflow');
      const download = at('environment/.state/wheel');
      for (const folder of [target, download]) fs.rmSync(folder, { recursive: true, force: true });
      const hint = 'check that the Python package index is reachable and that Python is between 3.10 and 3.13, then run again';
      if (hasNvidia()) {
        const wheel = tensorflowWheel().replace('==', '[and-cuda]==');
        await run(python, ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', '--target', target, wheel], { hint });
        return;
      }
      await run(
        python,
        ['-m', 'pip', 'download', '-q', '--disable-pip-version-check', '--no-deps', '-d', download, tensorflowWheel()],
        {
          hint,
        },
      );
      const unzip = `
import glob, json, sys, zipfile
spec = json.load(open(sys.argv[1]))
with zipfile.ZipFile(glob.glob(sys.argv[2] + '/*.whl')[0]) as z:
    for n in z.namelist():
        if n in spec['libraries'] or (n.startswith(spec['includeFolder']) and any(s in n for s in ('/tensorflow/c/', '/platform/ctstring', '/tsl/c/', '/tsl/platform/platform.h', '/next_pluggable_device/c/'))):
            z.extract(n, sys.argv[3])
`;
      await run(python, ['-c', unzip, at('environment/tensorflow.json'), download, target]);
      fs.rmSync(download, { recursive: true, force: true });
    },
  },
  {
    name: 'tensorflow binding',
    key: () => `${process.arch} ${tensorflowWheel()} ${hashOf(['package-lock.json', 'src/tensor/beforeTensorflow.c'])}`,
    done: () => ['tfjs_binding.node', 'libbeforetensorflow.so'].every((f) => fs.existsSync(at(bindingOutput, f))),
    async work() {
      const lib = at('environment/tensorflow/tensorflow');
      const output = at(bindingOutput);
      fs.mkdirSync(output, { recursive: true });
      const before = path.join(output, 'libbeforetensorflow.so');
      await run('gcc', ['-O2', '-fPIC', '-shared', '-Wl,-z,initfirst', at('src/tensor/beforeTensorflow.c'), '-o', before], {
        hint: compilerHint,
      });
      await run(
        'g++',
        [
          ...['-std=c++17', '-O2', '-fPIC', '-shared', '-DNAPI_VERSION=8', '-w'],
          ...[`-I${at('node_modules/node-api-headers/include')}`, `-I${lib}/include`, `-I${at(bindingSource, 'binding')}`],
          ...['tfjs_backend.cc', 'tfjs_binding.cc'].map((f) => at(bindingSource, 'binding', f)),
          ...['-o', path.join(output, 'tfjs_binding.node'), `-L${output}`, `-L${lib}`],
          // Nothing calls into the first library: without the flag some linkers leave it out.
          ...['-Wl,--no-as-needed', '-l:libbeforetensorflow.so', '-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2'],
          `-Wl,-rpath,$ORIGIN:$ORIGIN/../../../../../environment/tensorflow/tensorflow`,
        ],
        { hint: compilerHint },
      );
    },
  },
  {
    name: 'native kernels',
    key: () => `${hashOf(['src/tensor/native'])} ${createHash('sha256').update(cpuFlags()).digest('hex').slice(0, 8)}`,
    skip: () => !fs.existsSync(at('src/tensor/native/build.mjs')),
    async work() {
      const { build } = await import(at('src/tensor/native/build.mjs'));
      await build({ root, run });
    },
  },
  {
    name: 'library',
    key: () => hashOf(['src', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json']),
    // npm removes the link whenever it installs something.
    done: () => fs.existsSync(at('dist/index.js')) && fs.existsSync(at('node_modules/voxelbook')),
    async work() {
      // Files that left src/ must not stay importable.
      fs.rmSync(at('dist'), { recursive: true, force: true });
      await run(process.execPath, [at('node_modules/typescript/bin/tsc'), '-p', at('tsconfig.build.json')], {
        hint: 'the compiler lists the faults of the source above',
      });
      // `import … from 'voxelbook'` resolves inside the project itself, in cells, under tslab and in child processes.
      const link = at('node_modules/voxelbook');
      fs.rmSync(link, { recursive: true, force: true });
      fs.symlinkSync('..', link);
    },
  },
  {
    name: 'jupyter kernels',
    key: () => `${process.execPath} ${root} ${hashOf(['kernels'])}`,
    skip: () => !fs.existsSync(at('kernels/voxelbook/register.mjs')),
    async work() {
      const { register } = await import(at('kernels/voxelbook/register.mjs'));
      await register({ root, prefix: at('environment/.venv') });
    },
  },
];

const stampOf = (step) => path.join(stateFolder, step.name.replaceAll(' ', '-'));
export function isDone(step) {
  if (step.skip?.()) return true;
  if (step.done && !step.done()) return false;
  const stamp = stampOf(step);
  return fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === String(step.key());
}

/** Runs every step that is not done; prints one line a step, with its time, and a dot every two seconds of work. */
export async function setup() {
  fs.mkdirSync(stateFolder, { recursive: true });
  const begin = Date.now();
  for (const [i, step] of steps.entries()) {
    const label = `[${i + 1}/${steps.length}] ${step.name}`;
    if (isDone(step)) {
      console.log(`${label}: already done`);
      continue;
    }
    process.stdout.write(`${label} …`);
    const start = Date.now();
    const dots = setInterval(() => process.stdout.write('.'), 2000);
    try {
      await step.work();
      fs.writeFileSync(stampOf(step), String(step.key()));
      console.log(` ${((Date.now() - start) / 1000).toFixed(1)} s`);
    } catch (error) {
      console.log(' failed');
      throw new Error(`set-up stopped at step "${step.name}": ${error.message}\nRunning the same command again continues here.`);
    } finally {
      clearInterval(dots);
    }
  }
  console.log(`set-up complete in ${((Date.now() - begin) / 1000).toFixed(1)} s`);
}
