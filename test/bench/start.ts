// What starting a study costs where nothing changed: 1,251 tiny cases of BraTS's layout, everything made, from the first command to the run's
// first step. In two ways: three commands (`npx voxelbook plan`, `preprocess`, `run`), and one process with the library's functions.
//
//   npm run build && npx tsx test/bench/start.ts [--cases 1251] [--rounds 3] [--keep <folder>]
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Random } from '../../src/base/random.js';
import { writeVolume } from '../../src/volume/index.js';
import { cubeOf } from '../run/tiny.js';
import { idle } from './idle.js';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '1251' },
    rounds: { type: 'string', default: '3' },
    keep: { type: 'string' },
  },
});
const project = path.resolve(import.meta.dirname, '../..');
const root = values.keep ?? fs.mkdtempSync(path.join(os.tmpdir(), 'start-'));
const set = path.join(root, 'Dataset050_TinyBraTS');
const experimentFile = path.join(root, 'experiment.json');
const env = { ...process.env, VOXELBOOK_RUNS: path.join(root, 'runs'), VOXELBOOK_DATA: path.join(root, 'data') };

const experiment = {
  dataset: set,
  scale: 'demo',
  model: { network: 'mednext', size: 'S', kernel: 3 },
  recipe: { epochs: 1, iterationsPerEpoch: 1, validationIterationsPerEpoch: 0, patchSize: [16, 16, 16], batchSize: 1 },
};

function writeSet(cases: number): void {
  for (const part of ['imagesTr', 'labelsTr']) fs.mkdirSync(path.join(set, part), { recursive: true });
  const n = 12;
  const geometry = cubeOf(n);
  for (let c = 0; c < cases; c++) {
    const random = new Random(c).split('brain');
    const id = `BraTS2021_${String(c).padStart(5, '0')}`;
    const label = Uint8Array.from({ length: n ** 3 }, (_, i) => (i % n < 6 ? i % 4 : 0));
    for (let channel = 0; channel < 4; channel++) {
      const data = Float32Array.from(label, (l) => 10 + 5 * l + random.normal());
      writeVolume(path.join(set, 'imagesTr', `${id}_000${channel}.nii.gz`), { data, ...geometry });
    }
    writeVolume(path.join(set, 'labelsTr', `${id}.nii.gz`), { data: label, ...geometry });
  }
  const channel_names = { 0: 'T1', 1: 'T1ce', 2: 'T2', 3: 'FLAIR' };
  const labels = { background: 0, necrosis: 1, oedema: 2, enhancing: 3 };
  const json = { channel_names, labels, numTraining: cases, file_ending: '.nii.gz' };
  fs.writeFileSync(path.join(set, 'dataset.json'), JSON.stringify(json));
  fs.writeFileSync(experimentFile, JSON.stringify(experiment));
}

/** When the first line of a run's log was written; the run is stopped then, waited for and removed. */
async function firstStep(started: Promise<unknown>): Promise<number> {
  const { VOXELBOOK_RUNS: runs } = env;
  let at: number | undefined;
  const look = () => {
    for (const name of at === undefined && fs.existsSync(runs) ? fs.readdirSync(runs) : []) {
      const line = fs.statSync(path.join(runs, name, 'progress.jsonl'), { throwIfNoEntry: false });
      if (!line?.size) continue;
      at = performance.now();
      process.kill(JSON.parse(fs.readFileSync(path.join(runs, name, 'lease.json'), 'utf8')).pid, 'SIGTERM');
    }
  };
  const timer = setInterval(look, 5);
  await started;
  clearInterval(timer);
  fs.rmSync(runs, { recursive: true, force: true });
  if (at === undefined) throw new Error('the run ended without a step');
  return at;
}

const command = (...args: string[]) =>
  spawnSync('npx', ['voxelbook', ...args], { cwd: project, env, stdio: ['ignore', 'ignore', 'inherit'] });
const ended = (file: string, args: string[]) =>
  new Promise<void>((resolve, reject) => {
    const child = spawn(file, args, { cwd: project, env, stdio: 'ignore' });
    child.on('error', reject);
    child.on('exit', () => resolve());
  });

const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;

async function threeCommands(): Promise<string> {
  const begin = performance.now();
  command('plan', set);
  const planned = performance.now();
  command('preprocess', set);
  const prepared = performance.now();
  const stepped = await firstStep(ended('npx', ['voxelbook', 'run', experimentFile]));
  return `three commands: ${seconds(stepped - begin)} (plan ${seconds(planned - begin)}, preprocess ${seconds(prepared - planned)}, run to its first step ${seconds(stepped - prepared)})`;
}

const program = `
import fs from 'node:fs';
import * as vb from ${JSON.stringify(path.join(project, 'dist/index.js'))};
const data = vb.dataset.open(${JSON.stringify(set)});
const planned = vb.plan.plan(data, await vb.plan.fingerprintOf(data));
await vb.preprocess.run(data, planned, '3d_fullres');
await vb.run.start(JSON.parse(fs.readFileSync(${JSON.stringify(experimentFile)}, 'utf8')));
`;

async function oneProcess(): Promise<string> {
  const file = path.join(root, 'study.mjs');
  fs.writeFileSync(file, program);
  const begin = performance.now();
  const stepped = await firstStep(ended(process.execPath, [file]));
  return `one process: ${seconds(stepped - begin)}`;
}

if (!fs.existsSync(experimentFile)) writeSet(Number(values.cases));
console.log(`${values.cases} cases in ${root}`);
console.log('once, to make everything …');
console.log(await threeCommands());
console.log(await oneProcess());
await idle();
for (let round = 0; round < Number(values.rounds); round++) {
  console.log(await threeCommands());
  console.log(await oneProcess());
}
if (!values.keep) fs.rmSync(root, { recursive: true, force: true });
