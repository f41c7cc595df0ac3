// npm run doctor, npx voxelbook doctor: what is installed where, and for each failing piece what to do.
//
//   npm run doctor [-- --report] [-- --node], npx voxelbook doctor [--report] [--node]
//
// With --node, inside a cluster's job, it says what this job really has.
// With --report the answer can be shown to others: no name of a person or machine, no absolute path.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { registrations } from '../kernels/voxelbook/register.mjs';
import { commandText, isCheckout, packageFolder, places, root } from './places.mjs';
import { hasJupyter, hasNvidia, isDone, python, steps, venv } from './steps.mjs';

const setUp = `Run ${commandText('setup')}.`;
const report = process.argv.includes('--report');
const write = (text) => console.log(report ? anonymous(text) : text);
const say = (name, text) => write(`${name.padEnd(22)} ${text}`);

/** Text without names of this person and machine, and without absolute paths. */
function anonymous(text) {
  const escaped = (word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const { username, homedir } = os.userInfo();
  const names = [
    [places().home, '<home>'],
    [root, '<project>'],
    ...[os.homedir(), homedir].filter((home) => home.length > 1).map((home) => [home, '~']),
  ];
  for (const [from, to] of names) text = text.replaceAll(from, to);
  text = text.replace(/(?<![\w~>.])\/(?:[^\s/:,;'"()]+\/)+([^\s/:,;'"()]*)/g, '<folder>/$1');
  for (const [word, to] of [
    [username, '<user>'],
    [os.hostname(), '<machine>'],
  ])
    if (word.length > 2) text = text.replace(new RegExp(`(?<![\\w])${escaped(word)}(?![\\w])`, 'g'), to);
  return text;
}
const first = (command, args) => {
  const done = spawnSync(command, args, { encoding: 'utf8', cwd: root });
  return done.status === 0 ? (done.stdout || done.stderr).trim().split('\n')[0] : undefined;
};
let failing = 0;
const check = (name, value, todo) => {
  if (value) say(name, value);
  else {
    failing++;
    say(name, `MISSING. ${todo}`);
  }
};

/** What TensorFlow's library answered, which only the compiled kernels can ask. */
function oneDnnState(on) {
  if (on === undefined) return 'not known, as the native kernels are not compiled';
  const setting = process.env.TF_ENABLE_ONEDNN_OPTS;
  if (on) return 'on';
  return `off: dense networks train several times slower${setting ? ` (TF_ENABLE_ONEDNN_OPTS=${setting} is set)` : ''}`;
}

say('Node', process.version);
if (hasJupyter())
  check(
    'Python',
    first('python3', ['--version']),
    'Install python3 3.10 or newer (Debian, Ubuntu: apt-get install python3 python3-venv).',
  );
check('C++ compiler', first('g++', ['--version']), 'Install g++ (Debian, Ubuntu: apt-get install g++).');
const version = (folder) => {
  const file = path.join(folder ?? '', 'package.json');
  return fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')).version : undefined;
};
check('voxelbook', `${version(root)}, ${isCheckout ? 'a checkout' : root}`);
check('TypeScript', version(packageFolder('typescript')), setUp);
check('tfjs-node-gpu', version(places().binding), setUp);
if (!hasJupyter()) say('JupyterLab', `left out; ${commandText(isCheckout ? 'setup --' : 'setup')} --with-jupyter adds it`);
else {
  check('JupyterLab', first(python, ['-m', 'jupyterlab', '--version']), setUp);
  for (const kernel of ['voxelbook', 'tslab']) {
    const spec = path.join(venv, 'share/jupyter/kernels', kernel, 'kernel.json');
    check(`kernel ${kernel}`, fs.existsSync(spec) && path.relative(isCheckout ? root : places().home, spec), setUp);
  }
}
for (const { who, folder, ours } of registrations({ prefix: venv }))
  say(
    'kernel seen by',
    `${who} (${folder})${ours ? '' : '. It belongs to another folder or Node: npx voxelbook register --user'}`,
  );
say(
  'GPU',
  hasNvidia()
    ? (first('nvidia-smi', ['--query-gpu=name,driver_version', '--format=csv,noheader']) ??
        'no driver here; the CUDA library is set up')
    : 'none found; computing on the CPU',
);
const probe = `
const [{ tf }, { nativeVariant, usesOneDnn }, { threads }] = await Promise.all(process.argv.slice(1).map((name) => import(name)));
const two = tf.add(1, 1).dataSync()[0];
console.log(JSON.stringify({ gpu: tf.backend().isUsingGpuDevice, two, oneDnn: usesOneDnn(), variant: nativeVariant(), threads: threads() }));`;
const modules = ['tensor/tf.js', 'tensor/native/load.js', 'base/threads.js'].map((name) => path.join(root, 'dist', name));
const tensorflow = spawnSync(process.execPath, ['--input-type=module', '-e', probe, ...modules], { encoding: 'utf8', cwd: root });
const answer = tensorflow.status === 0 ? JSON.parse(tensorflow.stdout.trim().split('\n').at(-1)) : undefined;
const wheel = JSON.parse(fs.readFileSync(path.join(root, 'environment/tensorflow.json'), 'utf8')).version;
check(
  'TensorFlow',
  answer && `${wheel} (${answer.gpu ? 'CUDA' : 'CPU'}, oneDNN ${oneDnnState(answer.oneDnn)}), 1 + 1 = ${answer.two}`,
  `It did not start:\n${tensorflow.stderr.trim().split('\n').slice(-4).join('\n')}\n${setUp}`,
);
if (answer) say('threads', `${answer.threads}`);
say(
  'native kernels',
  process.env.VOXELBOOK_NATIVE === '0'
    ? 'switched off by VOXELBOOK_NATIVE=0'
    : answer?.variant
      ? `the ${answer.variant} ones`
      : answer?.gpu
        ? 'not used on a GPU'
        : `none: the plain, slower operators are used. ${setUp}`,
);
if (process.argv.includes('--node')) await sayNode();
for (const step of steps) if (!isDone(step)) say(`step "${step.name}"`, `not up to date: ${commandText('setup')}`);
for (const [name, use] of [
  ['chromium', 'the browser test'],
  ['sbatch', 'the Slurm test'],
])
  say(name, first('which', [name]) ?? `not installed; only ${use} needs it`);
for (const [name, folder] of [
  ['runs', process.env.VOXELBOOK_RUNS ?? path.join(places().work, 'runs')],
  ['data', process.env.VOXELBOOK_DATA ?? path.join(process.env.VOXELBOOK_RUNS ?? path.join(places().work, 'runs'), 'data')],
]) {
  const mode = fs.statSync(folder, { throwIfNoEntry: false })?.mode ?? 0;
  if ((mode & 0o004) !== 0 && isReached(path.dirname(path.resolve(folder))))
    say(
      `${name} folder`,
      `${folder} can be read by everyone on this machine; if it holds data of patients: chmod o-rwx ${folder}`,
    );
}

/** What a job has of its node: the cores, memory and GPUs that were given to it, and the node's own disk. */
async function sayNode() {
  const { SLURM_JOB_ID, SLURM_JOB_PARTITION, CUDA_VISIBLE_DEVICES, TMPDIR } = process.env;
  say('node', `${os.hostname()}, ${SLURM_JOB_ID ? `job ${SLURM_JOB_ID} in ${SLURM_JOB_PARTITION}` : 'not inside a Slurm job'}`);
  say(
    'processor',
    `${os.cpus()[0]?.model.trim()}, ${os.cpus().length} cores on the node, ${os.availableParallelism()} for this job`,
  );
  const { availableBytes } = await import('../dist/base/memory.js').catch(() => ({}));
  const gib = (bytes) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  if (availableBytes) say('memory', `${gib(availableBytes())} left to this job of ${gib(os.totalmem())} on the node`);
  const listed = first('nvidia-smi', ['-L']);
  say(
    'GPUs',
    listed
      ? `${listed}${CUDA_VISIBLE_DEVICES === undefined ? '' : `; CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES}`}`
      : 'no driver here',
  );
  say('TensorFlow uses', answer ? (answer.gpu ? 'a GPU' : 'the CPU') : 'nothing: it did not start');
  const scratch = TMPDIR ?? os.tmpdir();
  const disk = fs.statfsSync(scratch, { throwIfNoEntry: false });
  say('scratch', `${scratch}: ${disk ? `${gib(disk.bavail * disk.bsize)} free` : 'not there'}`);
}

/** Whether others may pass through every folder above. */
function isReached(folder) {
  if ((fs.statSync(folder).mode & 0o001) === 0) return false;
  return path.dirname(folder) === folder || isReached(path.dirname(folder));
}
write(failing === 0 ? 'Everything needed is here.' : `${failing} missing.`);
process.exit(failing === 0 ? 0 : 1);
