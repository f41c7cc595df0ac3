// Predicting a folder of six medium cases: each read, computed and written one after the other, and with the next read and the last written
// beside the network; the two in turn, each in a process of its own.
//
//   npx tsx test/bench/predictCases.ts [--rounds 2] [--folder <where cases are kept>]
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { peakResidentBytes } from '../../src/base/memory.js';
import { Random } from '../../src/base/random.js';
import { nodeArguments } from '../../src/base/workers.js';
import { casesIn } from '../../src/dataset/index.js';
import { initialise, network as networkOf } from '../../src/model/index.js';
import { plan as planOf } from '../../src/plan/index.js';
import { forwardOf, run } from '../../src/predict/index.js';
import { makeCase, scaleSets, writeDatasetJson } from './scaleSets.js';

const set = {
  ...scaleSets[0],
  folder: 'Dataset903_Medium',
  cases: 6,
  shape: [64, 256, 256] as [number, number, number],
  labels: 6,
};
const labels = Object.fromEntries(['background', ...Array.from({ length: 6 }, (_, i) => `organ ${i + 1}`)].map((n, i) => [n, i]));
const dataset = { channel_names: { 0: 'CT' }, labels, numTraining: 6, file_ending: '.nii.gz' };

/** Predicts the cases and says how long it took. */
async function child(images: string, output: string, beside: boolean): Promise<void> {
  const intensities = { max: 400, mean: 60, median: 60, min: -80, percentile_00_5: -60, percentile_99_5: 300, std: 80 };
  const print = {
    foreground_intensity_properties_per_channel: { 0: intensities },
    median_relative_size_after_cropping: 1,
    shapes_after_crop: Array.from({ length: 6 }, () => [...set.shape]),
    spacings: Array.from({ length: 6 }, () => [2, 0.9, 0.9]),
  };
  const overrides = { '3d_fullres': { patchSize: [48, 96, 96], spacing: [2, 0.9, 0.9] } };
  const plan = planOf({ name: set.folder, json: dataset }, print, { overrides });
  const { network } = networkOf({ network: 'stunet', size: 'S' }, plan.configurations['3d_fullres'], {
    inputChannels: 1,
    classes: 7,
    deepSupervision: false,
  });
  const model = {
    ...{
      forwards: [forwardOf(network, initialise(network, new Random(1)))],
      plan,
      configuration: '3d_fullres',
      dataset,
      identity: 'bench',
    },
    settings: { stepSize: 1, gaussian: true, mirrorAxes: [], average: 'logits' as const },
  };
  const begin = performance.now();
  await run(model, casesIn(images, '.nii.gz'), output, { ...(beside ? {} : { besideBytes: 0 }), onWarning: () => {} });
  console.log(JSON.stringify({ seconds: (performance.now() - begin) / 1000, peakBytes: peakResidentBytes() }));
}

function main(): void {
  const { values } = parseArgs({ options: { rounds: { type: 'string', default: '2' }, folder: { type: 'string' } } });
  const root = values.folder ?? fs.mkdtempSync(path.join(os.tmpdir(), 'predict-cases-'));
  for (let i = 0; i < set.cases; i++) makeCase(set, root, i, []);
  writeDatasetJson(set, root, set.cases);
  const images = path.join(root, set.folder, 'imagesTr');
  const script = nodeArguments(new URL('./predictCases.js', import.meta.url));
  for (let round = 0; round < Number(values.rounds); round++) {
    const digests = [false, true].map((beside) => {
      const output = path.join(root, `out-${beside}`);
      fs.rmSync(output, { recursive: true, force: true });
      const { stdout, stderr, status } = spawnSync(process.execPath, [...script, '--child', images, output, String(beside)], {
        encoding: 'utf8',
      });
      if (status !== 0) throw new Error(stderr);
      const { seconds, peakBytes } = JSON.parse(stdout.trim().split('\n').at(-1)!);
      console.log(
        `${beside ? 'beside the network' : 'one after the other'}: ${seconds.toFixed(1)} s, ${(peakBytes / 1e9).toFixed(2)} GB`,
      );
      return fs
        .readdirSync(output)
        .sort()
        .map((name) => fs.readFileSync(path.join(output, name), 'base64'))
        .join();
    });
    if (digests[0] !== digests[1]) throw new Error('the two differ');
  }
  if (!values.folder) fs.rmSync(root, { recursive: true });
}

if (process.argv[2] === '--child') await child(process.argv[3], process.argv[4], process.argv[5] === 'true');
else main();
