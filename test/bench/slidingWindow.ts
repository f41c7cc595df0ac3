// The sliding window's own work (tiles, Gaussian weights, mirroring) around a 1×1×1 convolution, against nnunetv2 2.8.1 on the same
// seeded image and machine, the two taking turns in processes of their own.
//
//   npx tsx test/bench/slidingWindow.ts --python <interpreter with nnunetv2> [--rounds 3] [--shape 160,192,192] [--patch 128,128,128] [--heads 14]
//
// Both keep the logits of all classes of the whole image; ours in float32, the peer's in float16. `--labels` also times ours handing finished
// slices to an argmax, as predict.run does.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Random } from '../../src/base/random.js';

interface Settings {
  image: string;
  shape: number[];
  patchSize: number[];
  heads: number;
  weights: number[];
  threads: number;
  peerLabels: string;
  ourLabels: string;
}

interface Result {
  seconds: number;
  peakBytes: number;
  baseBytes: number;
}

const self = fileURLToPath(import.meta.url);

async function ours(file: string, labelsOnly: boolean): Promise<Result> {
  const { predictLogits, predictSlabs, segmentation } = await import('../../src/predict/index.js');
  const { tf } = await import('../../src/tensor/tf.js');
  const settings = JSON.parse(fs.readFileSync(file, 'utf8')) as Settings;
  const bytes = fs.readFileSync(settings.image);
  const image = { data: new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4), shape: settings.shape, channels: 1 };
  const kernel = tf.tensor2d(settings.weights, [1, settings.heads]);
  const network = (x: import('@tensorflow/tfjs-node-gpu').Tensor) =>
    tf.tidy(() => tf.reshape(tf.matMul(tf.reshape(x, [-1, 1]), kernel), [...x.shape.slice(0, -1), settings.heads]));
  const options = { patchSize: settings.patchSize, heads: settings.heads, mirrorAxes: [0, 1, 2] };
  const heads = { heads: settings.heads, hasRegions: false, regionsClassOrder: null };
  const labels = new Uint8Array(settings.shape[0] * settings.shape[1] * settings.shape[2]);
  const slice = settings.shape[1] * settings.shape[2];
  const baseBytes = process.resourceUsage().maxRSS * 1024;
  const start = performance.now();
  let logits: Float32Array | undefined;
  if (labelsOnly)
    await predictSlabs(network, image, options, (values, from, to) => {
      segmentation(values, heads, 'logits', labels.subarray(from * slice, to * slice));
    });
  else logits = await predictLogits(network, image, options);
  const seconds = (performance.now() - start) / 1000;
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  if (logits) segmentation(logits, heads, 'logits', labels);
  fs.writeFileSync(settings.ourLabels, labels);
  return { seconds, peakBytes, baseBytes };
}

function run(command: string, args: string[]): Result {
  const child = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  const line = child.stdout.trim().split('\n').at(-1);
  if (child.status !== 0 || !line)
    throw new Error(`${command} ${args.join(' ')} ended with ${child.status}: ${child.stderr.slice(-2000)}`);
  return JSON.parse(line) as Result;
}

function main(): void {
  const { values } = parseArgs({
    options: {
      python: { type: 'string', default: process.env.NNUNET_PYTHON },
      rounds: { type: 'string', default: '3' },
      shape: { type: 'string', default: '160,192,192' },
      patch: { type: 'string', default: '128,128,128' },
      heads: { type: 'string', default: '14' },
      labels: { type: 'boolean', default: false },
    },
  });
  if (!values.python) {
    console.error('slidingWindow: give --python or NNUNET_PYTHON, an interpreter that has nnunetv2 2.8.1.');
    process.exit(2);
  }
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sliding-window-'));
  const shape = values.shape!.split(',').map(Number);
  const heads = Number(values.heads);
  const random = new Random('sliding window');
  const settings: Settings = {
    image: path.join(folder, 'image.f32'),
    shape,
    patchSize: values.patch!.split(',').map(Number),
    heads,
    weights: Array.from({ length: heads }, () => Math.fround(random.normal())),
    threads: os.availableParallelism(),
    peerLabels: path.join(folder, 'peer.u8'),
    ourLabels: path.join(folder, 'ours.u8'),
  };
  const voxels = shape.reduce((a, b) => a * b, 1);
  fs.writeFileSync(settings.image, new Uint8Array(Float32Array.from({ length: voxels }, () => random.uniform(-2, 2)).buffer));
  const file = path.join(folder, 'settings.json');
  fs.writeFileSync(file, JSON.stringify(settings));

  const results: Record<string, Result[]> = { peer: [], ours: [], ...(values.labels ? { 'ours, labels only': [] } : {}) };
  for (let round = 0; round < Number(values.rounds); round++) {
    results.peer.push(run(values.python, [path.join(path.dirname(self), 'slidingWindow.py'), file]));
    results.ours.push(run(process.execPath, ['--import', 'tsx', self, '--child', file]));
    if (values.labels)
      results['ours, labels only'].push(run(process.execPath, ['--import', 'tsx', self, '--child-labels', file]));
  }
  const [a, b] = [fs.readFileSync(settings.peerLabels), fs.readFileSync(settings.ourLabels)];
  let different = 0;
  for (let i = 0; i < voxels; i++) if (a[i] !== b[i]) different++;
  fs.rmSync(folder, { recursive: true });

  const median = (list: number[]) => [...list].sort((x, y) => x - y)[Math.floor(list.length / 2)];
  console.log(
    `image ${shape.join('×')}, patch ${settings.patchSize.join('×')}, ${heads} classes, 8 mirrored passes, ${settings.threads} threads, ${values.rounds} rounds, medians`,
  );
  for (const [name, list] of Object.entries(results)) {
    const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
    console.log(
      `${name.padEnd(18)} ${median(list.map((r) => r.seconds)).toFixed(2)} s   peak ${gib(median(list.map((r) => r.peakBytes)))} (${gib(median(list.map((r) => r.baseBytes)))} before)`,
    );
  }
  console.log(`labels that differ: ${different} of ${voxels}`);
  const better = (key: keyof Result) => median(results.ours.map((r) => r[key])) <= median(results.peer.map((r) => r[key]));
  console.log(
    `time ${better('seconds') ? 'at most' : 'above'} the peer's, peak memory ${better('peakBytes') ? 'at most' : 'above'} the peer's`,
  );
  process.exit(better('seconds') && better('peakBytes') ? 0 : 1);
}

const [mode, file] = process.argv.slice(2);
if (mode === '--child' || mode === '--child-labels')
  void ours(file, mode === '--child-labels').then((result) => console.log(JSON.stringify(result)));
else main();
