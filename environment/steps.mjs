// The set-up steps of a fresh clone, or of an installed package, in order. Each step says whether it is done, does its work, and on failure
// names the command that failed and what to install. Re-running continues at the first step that is not done.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { giveBack, signOfLife, thisProcess, tryClaim } from './claim.mjs';
import { commandText, isCheckout, packageFolder, places, root } from './places.mjs';
import { fetchWheel, unpackWheel } from './wheel.mjs';

export { isCheckout, root };

const at = (...parts) => path.join(root, ...parts);
const own = places();
export const { home, python, venv } = own;
/** Whether set-up left Jupyter out, and with it Python. */
const leftOut = path.join(own.state, 'without-jupyter');
export const hasJupyter = () => !fs.existsSync(leftOut);
let withJupyter = hasJupyter();

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

/**
 * Whether TensorFlow's CUDA library is set up; `VOXELBOOK_DEVICE` (cpu, cuda) says it where a container is built, or a cluster's login node
 * sets up, without a driver. One that stands serves machines with and without a GPU, and stays: each process computes on what it finds.
 */
export function hasNvidia() {
  const { VOXELBOOK_DEVICE: device } = process.env;
  if (device) return device === 'cuda';
  if (fs.existsSync(path.join(path.dirname(own.tensorflow), 'nvidia'))) return true;
  return spawnSync('nvidia-smi', ['-L'], { stdio: 'ignore' }).status === 0;
}

/** What this system calls its packages: the fields of /etc/os-release, or nothing. */
const osRelease = () =>
  Object.fromEntries(
    (fs.existsSync('/etc/os-release') ? fs.readFileSync('/etc/os-release', 'utf8') : '')
      .split('\n')
      .map((line) => line.split('='))
      .filter(([key, value]) => key && value)
      .map(([key, value]) => [key, value.replaceAll('"', '')]),
  );

/** How to install something here: the command of this system's package manager, or of all we know. */
function toInstall(what, { debian, fedora, macos }) {
  const { ID = '', ID_LIKE = '' } = osRelease();
  const like = `${ID} ${ID_LIKE}`;
  const commands = {
    debian: `apt-get install ${debian} (as root)`,
    fedora: `dnf install ${fedora} (as root)`,
    macos,
  };
  const own =
    process.platform === 'darwin'
      ? 'macos'
      : /debian|ubuntu/.test(like)
        ? 'debian'
        : /fedora|rhel/.test(like)
          ? 'fedora'
          : undefined;
  if (own) return `install ${what}: ${commands[own]}`;
  return `install ${what} (Debian, Ubuntu: ${commands.debian}; Fedora: ${commands.fedora}; macOS: ${macos})`;
}
export const compilerHint = toInstall('a C++ compiler', { debian: 'g++', fedora: 'gcc-c++', macos: 'xcode-select --install' });
export const pythonHint = toInstall('Python 3.10 or newer', {
  debian: 'python3 python3-venv',
  fedora: 'python3',
  macos: 'brew install python',
});

/** True on a system whose C library is not glibc: TensorFlow's library does not load there. */
const isMusl = () => process.platform === 'linux' && !process.report.getReport().header.glibcVersionRuntime;

const tensorflowFile = () => JSON.parse(fs.readFileSync(at('environment/tensorflow.json'), 'utf8'));

/** Where the TensorFlow libraries come from: the CPU wheel, or the CUDA wheel where a driver is present. */
function tensorflowWheel() {
  const { version, wheels } = tensorflowFile();
  if (hasNvidia()) return `tensorflow[and-cuda]==${version}`;
  const wheel = wheels[`${process.platform}-${process.arch}`];
  if (!wheel)
    throw new Error(
      `TensorFlow's library is not set up on ${process.platform}-${process.arch}, only on ${Object.keys(wheels).join(', ')}.\nWhat to do: use one of these, or a container or WSL on this machine.`,
    );
  return `${wheel.package}==${version}`;
}

const hasPip = (interpreter) => spawnSync(interpreter, ['-m', 'pip', '--version'], { stdio: 'ignore' }).status === 0;

/** Downloads the CPU wheel, which is only unpacked: one for every version of Python. pip knows proxies and indexes; it need not be there. */
async function downloadTensorflow(interpreter, folder) {
  const { wheels } = tensorflowFile();
  const { package: name, platform, sha256 } = wheels[`${process.platform}-${process.arch}`];
  if (!hasPip(interpreter)) {
    await fetchWheel(name, sha256, folder).catch((error) => {
      const cause = error.cause ? ` (${error.cause.message})` : '';
      throw new Error(
        `${error.message}${cause}\nWhat to do: install pip (Debian, Ubuntu: apt-get install python3-pip), or set PIP_INDEX_URL and run again.`,
      );
    });
    return;
  }
  const which = [
    '--only-binary=:all:',
    '--python-version',
    '3.12',
    '--implementation',
    'cp',
    '--abi',
    'cp312',
    '--platform',
    platform,
  ];
  await run(
    interpreter,
    ['-m', 'pip', 'download', '-q', '--disable-pip-version-check', '--no-deps', ...which, '-d', folder, tensorflowWheel()],
    {
      hint: indexHint,
    },
  );
}

/** The project's Python where it is there, else the machine's. */
const interpreter = () => (fs.existsSync(python) ? python : 'python3');

const indexHint = 'check that the Python package index is reachable, then run again';
const npmHint = 'check that the npm registry is reachable (npm ping), then run again';

/** Folder of `npm run setup -- --from <folder>`: everything that is otherwise fetched lies there. */
let offline;
const pipFrom = () => (offline ? ['--no-index', '--find-links', path.join(offline, 'pip')] : []);

const bindingOutput = path.join(own.binding, 'lib/napi-v8');
const offlineNpm = () => (offline ? ['--offline', '--cache', path.join(offline, 'npm')] : []);

const engineFiles = ['package.json', 'package-lock.json'];
const quietly = ['--ignore-scripts', '--no-audit', '--no-fund'];

/** `seconds`: what the step takes on two idle cores with a fast mirror, for the time left; `jupyter`: only Jupyter needs it. */
export const steps = [
  {
    name: 'versions',
    seconds: 1,
    key: () => process.version,
    work() {
      if (isMusl())
        throw new Error(
          `${osRelease().PRETTY_NAME ?? 'This system'} has no glibc (it uses musl, as Alpine does), and TensorFlow's library needs it.\nWhat to do: use Debian, Ubuntu or Fedora, or a container of one of them.`,
        );
      const [major, minor] = process.versions.node.split('.').map(Number);
      if (major < 20 || (major === 20 && minor < 19) || (major === 22 && minor < 12))
        throw new Error(
          `Node ${process.version} found; 22.12, 24 or newer is needed (20.19 works too, and is out of support).\nWhat to do: install a current Node LTS.`,
        );
      if (spawnSync('g++', ['--version'], { stdio: 'ignore' }).status !== 0)
        throw new Error(`g++ not found.\nWhat to do: ${compilerHint}.`);
      // Of the CUDA wheels pip knows which belong together.
      if (!withJupyter && !hasNvidia()) return;
      const p = spawnSync('python3', ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'], { encoding: 'utf8' });
      const [pm, pn] = (p.stdout ?? '').trim().split('.').map(Number);
      if (p.status !== 0 || pm < 3 || pn < 10)
        throw new Error(
          `Python ${p.status === 0 ? p.stdout.trim() : '(python3 not found)'}; 3.10 or newer is needed.\nWhat to do: ${pythonHint}${hasNvidia() ? '' : ', or leave Jupyter out with --without-jupyter'}.`,
        );
    },
  },
  {
    name: 'npm packages',
    seconds: 16,
    skip: () => !isCheckout,
    key: () => hashOf(['package.json', 'package-lock.json']),
    done: () => fs.existsSync(at('node_modules/@tensorflow/tfjs-node-gpu')),
    // From the lock file, which holds a checksum of every package.
    work: () => run('npm', ['ci', '--ignore-scripts', ...offlineNpm()], { hint: npmHint }),
  },
  {
    // Among the package's dependencies npm would run its install script, which downloads from elsewhere.
    name: 'tensorflow for node',
    seconds: 20,
    skip: () => own.engine === root,
    key: () => hashOf(['environment/engine']),
    done: () => fs.existsSync(own.binding),
    async work() {
      for (const name of engineFiles) fs.copyFileSync(at('environment/engine', name), path.join(own.engine, name));
      await run('npm', ['ci', ...quietly, ...offlineNpm()], { cwd: own.engine, hint: npmHint });
    },
  },
  {
    name: 'python environment',
    seconds: 21,
    jupyter: true,
    key: () => hashOf(['environment/requirements.txt']) + home,
    done: () => fs.existsSync(python),
    async work() {
      fs.rmSync(venv, { recursive: true, force: true });
      const hasEnsurepip = spawnSync('python3', ['-c', 'import ensurepip'], { stdio: 'ignore' }).status === 0;
      if (hasEnsurepip) await run('python3', ['-m', 'venv', venv], { hint: pythonHint });
      else {
        await run('python3', ['-m', 'venv', '--without-pip', venv], { hint: pythonHint });
        await run('python3', ['-m', 'pip', '--python', python, 'install', '-q', ...pipFrom(), 'pip'], { hint: pythonHint });
      }
      await run(
        python,
        [
          '-m',
          'pip',
          'install',
          '-q',
          '--disable-pip-version-check',
          ...pipFrom(),
          '--require-hashes',
          '-r',
          at('environment/requirements.txt'),
        ],
        { hint: indexHint },
      );
    },
  },
  {
    name: 'tensorflow library',
    seconds: 12,
    key: () => tensorflowWheel(),
    done: () =>
      ['libtensorflow_cc.so.2', 'include/tsl/platform/platform.h'].every((f) => fs.existsSync(path.join(own.tensorflow, f))),
    async work() {
      const target = path.dirname(own.tensorflow);
      const download = offline ? path.join(offline, 'tensorflow') : path.join(own.state, 'wheel');
      fs.rmSync(target, { recursive: true, force: true });
      if (hasNvidia()) {
        await run(
          interpreter(),
          ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', ...pipFrom(), '--target', target, tensorflowWheel()],
          { hint: indexHint },
        );
        return;
      }
      if (!offline) {
        fs.rmSync(download, { recursive: true, force: true });
        await downloadTensorflow(interpreter(), download);
      }
      const file = fs.readdirSync(download).find((name) => name.endsWith('.whl'));
      const { wheels, libraries, includeFolder } = tensorflowFile();
      const { sha256 } = wheels[`${process.platform}-${process.arch}`];
      await checkSha256(path.join(download, file), sha256);
      const headers = [
        '/tensorflow/c/',
        '/platform/ctstring',
        '/tsl/c/',
        '/tsl/platform/platform.h',
        '/next_pluggable_device/c/',
      ];
      await unpackWheel(
        path.join(download, file),
        target,
        (name) => libraries.includes(name) || (name.startsWith(includeFolder) && headers.some((part) => name.includes(part))),
      );
      if (!offline) fs.rmSync(download, { recursive: true, force: true });
    },
  },
  {
    name: 'tensorflow binding',
    seconds: 11,
    key: () => `${process.arch} ${tensorflowWheel()} ${hashOf(['environment/engine', 'src/tensor/beforeTensorflow.c'])}`,
    done: () => ['tfjs_binding.node', 'libbeforetensorflow.so'].every((f) => fs.existsSync(path.join(bindingOutput, f))),
    async work() {
      const lib = own.tensorflow;
      const output = bindingOutput;
      fs.mkdirSync(output, { recursive: true });
      const before = path.join(output, 'libbeforetensorflow.so');
      await run('gcc', ['-O2', '-fPIC', '-shared', '-Wl,-z,initfirst', at('src/tensor/beforeTensorflow.c'), '-o', before], {
        hint: compilerHint,
      });
      await run(
        'g++',
        [
          ...['-std=c++17', '-O2', '-fPIC', '-shared', '-DNAPI_VERSION=8', '-w'],
          ...[`-I${packageFolder('node-api-headers')}/include`, `-I${lib}/include`, `-I${own.binding}/binding`],
          ...['tfjs_backend.cc', 'tfjs_binding.cc'].map((f) => path.join(own.binding, 'binding', f)),
          ...['-o', path.join(output, 'tfjs_binding.node'), `-L${output}`, `-L${lib}`],
          // Nothing calls into the first library: without the flag some linkers leave it out.
          ...['-Wl,--no-as-needed', '-l:libbeforetensorflow.so', '-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2'],
          `-Wl,-rpath,$ORIGIN:$ORIGIN/${path.relative(output, lib)}`,
        ],
        { hint: compilerHint },
      );
    },
  },
  {
    name: 'native kernels',
    seconds: 30,
    key: () => `${process.arch} ${hashOf(['base', 'tensor', 'volume', 'augment'].map((room) => `src/${room}/native`))}`,
    done: () => fs.existsSync(path.join(own.native, 'voxelbook.node')),
    skip: () => !fs.existsSync(at('src/tensor/native/build.mjs')),
    async work() {
      const { build } = await import(at('src/tensor/native/build.mjs'));
      await build({ root, run });
    },
  },
  {
    name: 'library',
    seconds: 8,
    skip: () => !isCheckout,
    key: () => hashOf(['src', 'tsconfig.json', 'tsconfig.build.json', 'environment/page.mjs', 'package-lock.json']),
    // npm removes the link whenever it installs something.
    done: () => ['dist/index.js', 'dist/onnx/page/page.js', 'node_modules/voxelbook'].every((name) => fs.existsSync(at(name))),
    async work() {
      // Files that left src/ must not stay importable.
      fs.rmSync(at('dist'), { recursive: true, force: true });
      await run(process.execPath, [at('node_modules/typescript/bin/tsc'), '-p', at('tsconfig.build.json')], {
        hint: 'the compiler lists the faults of the source above',
      });
      // npx makes a command of it once and remembers that; it is a new file now.
      fs.chmodSync(at('dist/run/cli.js'), 0o755);
      const { buildPages } = await import(at('environment/page.mjs'));
      await buildPages();
      // `import … from 'voxelbook'` resolves inside the project itself, in cells, under tslab and in child processes.
      const link = at('node_modules/voxelbook');
      fs.rmSync(link, { recursive: true, force: true });
      fs.symlinkSync('..', link);
    },
  },
  {
    name: 'jupyter kernels',
    seconds: 1,
    jupyter: true,
    key: () => `${process.execPath} ${root} ${home} ${hashOf(['kernels', 'environment/papermill'])}`,
    // A new Python environment has neither.
    done: () => fs.existsSync(path.join(venv, 'share/jupyter/kernels/voxelbook/kernel.json')),
    skip: () => !fs.existsSync(at('kernels/voxelbook/register.mjs')),
    async work() {
      const { register } = await import(at('kernels/voxelbook/register.mjs'));
      await register({ root, prefix: venv });
    },
  },
];

const stampOf = (step) => path.join(own.state, step.name.replaceAll(' ', '-'));
export function isDone(step) {
  if (step.skip?.() || (step.jupyter && !withJupyter)) return true;
  if (step.done && !step.done()) return false;
  const stamp = stampOf(step);
  return fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === String(step.key());
}

/** @throws Error when the file's SHA-256 is another one */
async function checkSha256(file, expected) {
  const hash = createHash('sha256');
  for await (const part of fs.createReadStream(file)) hash.update(part);
  const given = hash.digest('hex');
  if (given !== expected)
    throw new Error(`${path.basename(file)} has SHA-256 ${given}; expected ${expected}.\nWhat to do: fetch it again.`);
}

/** What a folder of `--download` was made for: another Python or project needs other files. */
function manifest() {
  const version = spawnSync('python3', ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'], { encoding: 'utf8' });
  return {
    system: `${process.platform}-${process.arch}`,
    python: version.stdout?.trim(),
    tensorflow: tensorflowWheel(),
    locks: hashOf(['package-lock.json', 'environment/engine', 'environment/requirements.txt']),
  };
}

/**
 * Collects everything a set-up fetches, for a machine without a network: set-up with `--from <folder>` there.
 * @param folder is created; about 1 GB
 */
export async function download(folder) {
  const to = path.resolve(folder);
  const scratch = path.join(to, 'scratch');
  fs.rmSync(path.join(to, 'manifest.json'), { force: true });
  fs.mkdirSync(scratch, { recursive: true });
  const pip = (...args) =>
    run(interpreter(), ['-m', 'pip', 'download', '-q', '--disable-pip-version-check', '-d', path.join(to, 'pip'), ...args], {
      hint: indexHint,
    });
  const parts = {
    'npm packages': async () => {
      const from = isCheckout ? root : at('environment/engine');
      for (const name of engineFiles) fs.copyFileSync(path.join(from, name), path.join(scratch, name));
      await run('npm', ['ci', ...quietly, '--cache', path.join(to, 'npm')], { cwd: scratch, hint: npmHint });
    },
    'python packages': async () => {
      await pip('pip');
      await pip('--require-hashes', '-r', at('environment/requirements.txt'));
    },
    'tensorflow library': () =>
      hasNvidia() ? pip(tensorflowWheel()) : downloadTensorflow(interpreter(), path.join(to, 'tensorflow')),
  };
  for (const [i, [name, work]] of Object.entries(parts).entries())
    await timed(`[${i + 1}/${Object.keys(parts).length}] ${name}`, work);
  fs.rmSync(scratch, { recursive: true });
  fs.writeFileSync(path.join(to, 'manifest.json'), `${JSON.stringify(manifest(), null, 2)}\n`);
  console.log(
    `All that a set-up fetches lies in ${to}. On the other machine: ${commandText(isCheckout ? 'setup --' : 'setup')} --from <that folder>`,
  );
}

async function timed(label, work) {
  process.stdout.write(`${label} …`);
  const start = Date.now();
  const dots = setInterval(() => process.stdout.write('.'), 2000);
  try {
    await work();
    console.log(` ${((Date.now() - start) / 1000).toFixed(1)} s`);
  } catch (error) {
    console.log(' failed');
    throw error;
  } finally {
    clearInterval(dots);
  }
}

/**
 * Runs every step that is not done; prints one line a step with its time, what is left, and a dot every two seconds of work.
 * @param from folder made by `download`: nothing is fetched from elsewhere
 * @param jupyter false leaves JupyterLab out, for which alone Python is needed; default as the last time
 */
export async function setup({ from, jupyter = hasJupyter() } = {}) {
  withJupyter = jupyter;
  if (from) {
    offline = path.resolve(from);
    const file = path.join(offline, 'manifest.json');
    const found = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : {};
    const wrong = Object.entries(manifest()).filter(([key, value]) => found[key] !== value);
    if (wrong.length > 0)
      throw new Error(
        `${from} does not serve this set-up:\n${wrong.map(([key, value]) => `  ${key}: ${found[key] ?? 'nothing'}; expected ${value}`).join('\n')}\nWhat to do: make it by ${commandText(isCheckout ? 'setup --' : 'setup')} --download <folder>, with this project, Python and kind of machine.`,
      );
  }
  fs.mkdirSync(own.state, { recursive: true });
  // A home that is complete may belong to somebody else, and needs no lock.
  if (jupyter === hasJupyter() && needed().every(isDone)) return runSteps();
  await alone(own.state, () => {
    if (jupyter !== hasJupyter()) jupyter ? fs.rmSync(leftOut) : fs.writeFileSync(leftOut, '');
    return runSteps();
  });
}

const needed = () => steps.filter((step) => !step.skip?.() && (withJupyter || !step.jupyter));

/** One set-up of a home at a time: `work` waits for another one, and says for whom. */
export async function alone(folder, work) {
  const file = path.join(folder, 'lock');
  const mine = thisProcess();
  for (let said = false; ; said = true) {
    let owner;
    try {
      owner = tryClaim(file, mine);
    } catch (error) {
      // A file system without hard links has no locks, and sets up none the less.
      if (!['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EPERM'].includes(error.code)) throw error;
    }
    if (!owner) break;
    if (!said)
      console.log(
        `Another set-up (process ${owner.pid} on ${owner.host}, since ${owner.since}) works in ${path.dirname(folder)}; this one goes on when it has ended. Ctrl-C stops waiting.`,
      );
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  const silence = signOfLife(file, mine);
  try {
    return await work();
  } finally {
    silence();
    giveBack(file, mine);
  }
}

async function runSteps() {
  const begin = Date.now();
  const list = needed();
  for (const [i, step] of list.entries()) {
    const label = `[${i + 1}/${list.length}] ${step.name}`;
    if (isDone(step)) {
      console.log(`${label}: already done`);
      continue;
    }
    const left = list
      .slice(i)
      .filter((s) => !isDone(s))
      .reduce((sum, { seconds }) => sum + seconds, 0);
    try {
      await timed(left > 5 ? `${label} (about ${left} s to go)` : label, () => step.work());
      fs.writeFileSync(stampOf(step), String(step.key()));
    } catch (error) {
      throw new Error(`set-up stopped at step "${step.name}": ${error.message}\nRunning the same command again continues here.`);
    }
  }
  const where = isCheckout ? '' : `, in ${home}`;
  console.log(`set-up complete in ${((Date.now() - begin) / 1000).toFixed(1)} s${where}`);
}
