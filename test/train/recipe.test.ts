// What a recipe may say besides a paper's: trained, interrupted, gone on from, to the same bits.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { readSafetensors } from '../../src/base/safetensors.js';
import { tf } from '../../src/tensor/tf.js';
import type { Recipe } from '../../src/train/experiment.js';
import { type Experiment, forecast, recipeFaults, runHash } from '../../src/train/index.js';
import { loop, type ProgressLine, Stopped } from '../../src/train/loop.js';
import { side, tinyInput, tinyRecipe } from './tiny.js';

const folder = () => fs.mkdtempSync(path.join(os.tmpdir(), 'recipe-'));
const lines = (f: string): ProgressLine[] =>
  fs
    .readFileSync(path.join(f, 'progress.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((l) => JSON.parse(l));
const timeless = (f: string) => lines(f).map(({ seconds: _s, waitingShare: _w, rssBytes: _r, etaSeconds: _e, ...rest }) => rest);
const bytes = (f: string, name = 'final') =>
  Object.fromEntries(
    Object.entries(readSafetensors(path.join(f, 'checkpoints', `${name}.safetensors`)).tensors).map(([key, { data }]) => [
      key,
      Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex'),
    ]),
  );
const train = async (recipe: Recipe, f = folder()) => {
  const before = tf.memory().numTensors;
  const { params, position } = await loop(tinyInput(f, recipe));
  tf.dispose(params);
  assert.equal(tf.memory().numTensors, before, 'tensors left behind');
  return { f, position };
};

const everything: Recipe = {
  ...tinyRecipe,
  warmup: { epochs: 1 },
  groups: [{ prefixes: ['first.'], learningRate: 0.5, weightDecay: 0.1 }],
  decayNormsAndBiases: false,
  freeze: { prefixes: ['half.'], epochs: 1 },
  accumulate: 3,
  ema: { decay: 0.7, evaluate: true },
  earlyStopping: { patience: 50 },
  keepEvery: 2,
};

describe('a recipe with all its settings', () => {
  it('interrupted at every batch and resumed, equals the uninterrupted run bit for bit', async () => {
    const { f: whole } = await train(everything);
    const cut = folder();
    const before = tf.memory().numTensors;
    for (;;) {
      const stop = new AbortController();
      const input = tinyInput(cut, everything);
      const next = input.feed.next.bind(input.feed);
      let asked = 0;
      // A step's three batches and the first of the next, of which nothing is kept.
      input.feed.next = (phase, index) => {
        if (++asked === 4) stop.abort('enough');
        return next(phase, index);
      };
      try {
        tf.dispose((await loop(input, { signal: stop.signal })).params);
        break;
      } catch (error) {
        if (!(error instanceof Stopped)) throw error;
      }
    }
    assert.equal(tf.memory().numTensors, before);
    assert.deepEqual(bytes(cut), bytes(whole));
    assert.deepEqual(bytes(cut, 'epoch-000002'), bytes(whole, 'epoch-000002'));
    assert.deepEqual(timeless(cut), timeless(whole));
    assert.ok(lines(whole).every((l) => l.gradientNorm! > 0));
  });

  it('names the weights it keeps by their epoch', async () => {
    const { f } = await train({ ...tinyRecipe, epochs: 5, keepEvery: 2 });
    const kept = fs.readdirSync(path.join(f, 'checkpoints')).filter((name) => name.startsWith('epoch'));
    assert.deepEqual(kept, ['epoch-000002.safetensors', 'epoch-000004.safetensors']);
  });

  it('accumulating batches is training on the larger batch', async () => {
    // Group of two batches of two samples: the mean loss of four, but for the Dice, which is left out, and the dropout.
    const ce: Recipe = { ...tinyRecipe, loss: { kind: 'ce' }, epochs: 1, iterationsPerEpoch: 3, accumulate: 2 };
    const [small, large] = [tinyInput(folder(), ce), tinyInput(folder(), { ...ce, accumulate: undefined })];
    for (const input of [small, large]) {
      const forward = input.network.forward;
      input.network = { ...input.network, forward: (c, x) => forward({ ...c, random: undefined }, x) };
    }
    const next = large.feed.next.bind(large.feed);
    large.feed.next = async (phase, index) => {
      if (phase === 'validation') return next(phase, index);
      const [a, b] = [await next(phase, 2 * index), await next(phase, 2 * index + 1)];
      return {
        ...a,
        caseIds: [...a.caseIds, ...b.caseIds],
        image: Float32Array.from([...a.image, ...b.image]),
        labels: a.labels.map((l, i) => Int32Array.from([...l, ...b.labels[i]])),
      };
    };
    const [one, other] = [await loop(small), await loop(large)];
    for (const name of ['first.weight', 'last.weight', 'half.weight'])
      tf.tidy(() => {
        const off = tf.max(tf.abs(tf.sub(one.params[name], other.params[name]))).dataSync()[0];
        assert.ok(off < 2e-5, `${name} is off by ${off}`);
      });
    tf.dispose([one.params, other.params]);
  });

  it('averages are what validates, is kept and returned, where the recipe says so', async () => {
    const used = await train({ ...tinyRecipe, ema: { decay: 0.9, evaluate: true } });
    const unused = await train({ ...tinyRecipe, ema: { decay: 0.9, evaluate: false } });
    const without = await train(tinyRecipe);
    assert.deepEqual(bytes(unused.f), bytes(without.f));
    assert.notDeepEqual(bytes(used.f), bytes(without.f));
    const newest = (f: string) => JSON.parse(fs.readFileSync(path.join(f, 'checkpoints.json'), 'utf8')).checkpoints.at(-1);
    const saved = bytes(used.f, newest(used.f));
    assert.equal(saved['optimiser.ema.last.weight'], bytes(used.f)['last.weight']);
    assert.equal(saved['last.weight'], bytes(without.f)['last.weight']);
    const validation = (f: string) => lines(f).map((l) => l.validationLoss);
    assert.notDeepEqual(validation(used.f), validation(without.f));
    assert.deepEqual(validation(unused.f), validation(without.f));
  });

  it('stops early, says so, and stays stopped', async () => {
    const f = folder();
    const still: Recipe = {
      ...tinyRecipe,
      optimiser: { ...tinyRecipe.optimiser, learningRate: 1e-9 } as Recipe['optimiser'],
      epochs: 40,
      iterationsPerEpoch: 1,
      earlyStopping: { patience: 2 },
    };
    const input = tinyInput(f, still);
    const next = input.feed.next.bind(input.feed);
    // The same patches in every epoch: nothing gets better.
    input.feed.next = (phase, index) => next(phase, phase === 'validation' ? index % 2 : index);
    const said: string[] = [];
    const { params, position } = await loop(input, { onNotice: (text) => said.push(text) });
    tf.dispose(params);
    assert.ok(position.epoch < 40 && position.epoch - 1 - position.bestEpoch! === 2, JSON.stringify(position));
    assert.match(
      said[0],
      new RegExp(`^stopped early after epoch ${position.epoch} of 40: .* not risen since epoch ${position.bestEpoch! + 1}$`),
    );
    assert.equal(lines(f).at(-1)!.stoppedEarly, true);
    const again = await loop(tinyInput(f, still));
    tf.dispose(again.params);
    assert.equal(again.position.step, position.step);
  });

  it('freezes for good what it names, which costs neither slots nor a forecast of them', async () => {
    const recipe: Recipe = { ...tinyRecipe, freeze: { prefixes: ['first.'] } };
    const { f } = await train(recipe);
    const start = tinyInput(folder()).initial();
    const { tensors } = readSafetensors(path.join(f, 'checkpoints', 'final.safetensors'));
    const first = tensors['first.bias'].data as Float32Array;
    assert.deepEqual([...first], [...start['first.bias'].dataSync()]);
    tf.dispose(start);
    const newest = JSON.parse(fs.readFileSync(path.join(f, 'checkpoints.json'), 'utf8')).checkpoints.at(-1);
    const kept = Object.keys(readSafetensors(path.join(f, 'checkpoints', `${newest}.safetensors`)).tensors);
    assert.deepEqual(
      kept.filter((name) => name.startsWith('optimiser.')).sort(),
      ['m.half.weight', 'm.last.weight', 'v.half.weight', 'v.last.weight'].map((n) => `optimiser.${n}`),
    );
    const { network, objective } = tinyInput(folder());
    const bytesOf = (r: Recipe) =>
      forecast({ network, objective, recipe: r, patch: [side, side, side], batchSize: 2, inputChannels: 1 }).bytes;
    assert.equal(bytesOf(recipe).optimiser, 4 * 2 * (3 * 4 + 3 * 4));
    assert.equal(
      bytesOf({ ...tinyRecipe, ema: { decay: 0.9, evaluate: true } }).optimiser,
      (3 / 2) * bytesOf(tinyRecipe).optimiser,
    );
    assert.ok(bytesOf({ ...tinyRecipe, accumulate: 2 }).activations > bytesOf(tinyRecipe).activations);
  });

  it('refuses what its settings exclude', () => {
    const faults = recipeFaults(
      { ...tinyRecipe, validationIterationsPerEpoch: 0, warmup: { epochs: 3 }, earlyStopping: { patience: 1 } },
      { checkpoint: 'best' },
    );
    assert.deepEqual(
      faults.map(({ path: at, given }) => `${at}: ${given}`),
      [
        'recipe.warmup.epochs: 3 of 3 epochs',
        'recipe.earlyStopping: no validation',
        'prediction.checkpoint: best, without validation',
      ],
    );
  });

  it('without the new settings a run has the name it always had', () => {
    const experiment: Experiment = {
      name: 'x',
      dataset: 'Dataset042_Balls',
      configuration: '3d_fullres',
      model: { network: 'mednext', size: 'S', kernel: 3 },
      recipe: {
        ...tinyRecipe,
        optimiser: { ...tinyRecipe.optimiser, learningRate: 0.01 } as Recipe['optimiser'],
        patchSize: [16, 16, 16],
      },
      prediction: { stepSize: 0.5, gaussian: true, mirrorAxes: [], average: 'logits' },
      folds: [0],
      seeds: [1],
      scale: 'demo',
    };
    const { recipe } = experiment;
    const known = {
      ...experiment,
      recipe: { ...recipe, augmentation: 'nnunetv2' as const, oversampleForeground: 0.33, mirrorAxes: [0, 1, 2] },
    };
    assert.equal(runHash(known, 0, 1), '502bc323b152');
    assert.equal(
      runHash({ ...known, recipe: { ...known.recipe, freeze: { prefixes: ['a'], epochs: 3 } } }, 0, 1),
      '47ca67e94a26',
    );
    assert.notEqual(runHash({ ...known, recipe: { ...known.recipe, accumulate: 2 } }, 0, 1), '502bc323b152');
  });
});
