// What predicts and what a person tries before a run: the best weights, and the learning-rate range test.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { inspect } from 'node:util';
import { nodeArguments } from '../../src/base/workers.js';
import { predictFolder, start, trainedModel } from '../../src/run/index.js';
import { tf } from '../../src/tensor/tf.js';
import { conclusion, lrRange, weightsFile } from '../../src/train/index.js';
import { readVolume } from '../../src/volume/index.js';
import { leaveWorkplace, tinyExperiment, workplace } from './tiny.js';

const cli = nodeArguments(new URL('../../src/run/cli.js', import.meta.url));
const voxelbook = (...args: string[]) => spawnSync(process.execPath, [...cli, ...args], { encoding: 'utf8' });

describe('weights that predict, and rates to train with', () => {
  let root: string;
  after(leaveWorkplace);
  before(() => {
    root = workplace();
  });

  it('a run that predicts with its best weights does so, with averages', async function () {
    this.timeout(240_000);
    const base = tinyExperiment(root);
    const recipe = { ...base.recipe, ema: { decay: 0.5, evaluate: true }, accumulate: 2, keepEvery: 2 };
    const run = await start({ ...base, recipe, prediction: { ...base.prediction, checkpoint: 'best' } }, { display: null });
    const best = weightsFile(run.folder, 'best');
    const models = [
      trainedModel([run.folder]),
      trainedModel([run.folder], { checkpoint: 'best' }),
      trainedModel([run.folder], { checkpoint: 'final' }),
    ];
    const [own, asBest, asFinal] = models.map(({ model }) => model.identity);
    assert.equal(own, asBest);
    assert.notEqual(asBest, asFinal);
    for (const { dispose } of models) dispose();
    const images = path.join(root, 'Dataset042_Balls', 'imagesTr');
    const out = path.join(root, 'out');
    await predictFolder(images, out, [run.folder], { checkpoint: 'best' });
    for (const { id } of run.scores.cases) {
      const [stored, made] = [path.join(run.folder, 'predictions'), out].map(
        (f) => readVolume(path.join(f, `${id}.nii.gz`)).data,
      );
      assert.deepEqual(made, stored);
    }
    assert.ok(run.scores.cases.length === 2 && run.progress.every((l) => l.gradientNorm! > 0));
    assert.ok(fs.existsSync(path.join(run.folder, 'checkpoints', 'epoch-000002.safetensors')));
    const csv = voxelbook('export-progress', run.folder, '--format', 'csv', '--out', path.join(root, 'board'));
    assert.equal(csv.stdout.trim(), path.join(root, 'board', path.basename(run.folder), 'progress.csv'), csv.stderr);
    assert.equal(voxelbook('export-progress', run.folder, '--format', 'mlflow').status, 2);
    fs.rmSync(best);
    assert.throws(() => trainedModel([run.folder]), /this run has no best weights.*\n.*Take the final weights/);
  });

  it('a range test finds where the loss falls, and leaves no run and no tensor', async function () {
    this.timeout(240_000);
    const experiment = tinyExperiment(root);
    const before = tf.memory().numTensors;
    const seen: number[] = [];
    const found = await lrRange(experiment, { steps: 40, from: 1e-5, to: 30, onProgress: ({ done }) => seen.push(done) });
    assert.equal(tf.memory().numTensors, before);
    assert.ok(seen.length >= found.rates.length);
    assert.ok(Math.abs(found.rates[0] - 1e-5) < 1e-12 && found.rates.every((r, i) => i === 0 || r > found.rates[i - 1]));
    assert.ok(found.steepest! < found.lowest! && found.steepest! > 1e-5, JSON.stringify(found));
    const shown = (found as never as Record<symbol, () => Record<string, string>>)[Symbol.for('Jupyter.display')]();
    assert.match(shown['text/html'], /^<svg .*learning rate.*<\/svg>$/s);
    assert.match(inspect(found), /^tiny k3: \d+ steps, .*; the loss falls fastest at .* and is lowest at /);
    // The same again: nothing of it depends on time or on an earlier run.
    const again = await lrRange(experiment, { steps: 40, from: 1e-5, to: 30, workers: 0 });
    assert.deepEqual(again.losses, found.losses);
  });

  it('the same from a terminal', function () {
    this.timeout(120_000);
    const file = path.join(root, 'e.json');
    fs.writeFileSync(file, JSON.stringify(tinyExperiment(root)));
    const out = path.join(root, 'range.json');
    const { status, stdout, stderr } = voxelbook('lr-range', file, '--steps', '12', '--from', '1e-4', '--to', '1', '--out', out);
    assert.equal(status, 0, stderr);
    assert.match(stdout, / 1\.0e-4 {2}-?\d\.\d{4}\n[\s\S]*tiny k3: 12 steps, up to the largest rate; /);
    assert.equal(JSON.parse(fs.readFileSync(out, 'utf8')).rates.length, 12);
    assert.match(
      voxelbook('lr-range', file, '--from', '1', '--to', '0.1').stderr,
      /--from 1 --to 0\.1; expected a range that grows/,
    );
  });

  it('concludes from a curve what it says', () => {
    const rates = Array.from({ length: 60 }, (_, i) => 10 ** (-6 + i / 10));
    const curve = rates.map((r) => 1 / (1 + (r / 1e-3) ** 2) + (r / 0.1) ** 2);
    const { steepest, lowest } = conclusion(rates, curve);
    assert.ok(Math.abs(Math.log10(steepest! / 1e-3)) < 0.11, String(steepest));
    assert.ok(Math.abs(Math.log10(lowest! / 1e-2)) < 0.11, String(lowest));
    assert.deepEqual(conclusion(rates, rates), { steepest: null, lowest: null });
  });
});
