import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { VoxelbookError } from '../../src/base/errors.js';
import { tf } from '../../src/tensor/tf.js';
import { loop, type ProgressLine, Stopped } from '../../src/train/loop.js';
import { tinyInput, tinyRecipe } from './tiny.js';

const folder = () => fs.mkdtempSync(path.join(os.tmpdir(), 'loop-'));
const lines = (f: string): ProgressLine[] =>
  fs
    .readFileSync(path.join(f, 'progress.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((l) => JSON.parse(l));

/** What must not depend on interruptions: the log without times and memory. */
const timeless = (f: string) => lines(f).map(({ seconds: _s, waitingShare: _w, rssBytes: _r, etaSeconds: _e, ...rest }) => rest);

/** The final weights as bytes, without the header that holds the seconds. */
function finalBytes(params: Record<string, tf.Tensor>): string {
  return Object.entries(params)
    .map(([name, t]) => `${name}:${Buffer.from(new Uint8Array((t.dataSync() as Float32Array).slice().buffer)).toString('hex')}`)
    .join('\n');
}

describe('train loop', () => {
  it('learns: the loss falls and the pseudo-Dice rises', async () => {
    const f = folder();
    const recipe = { ...tinyRecipe, epochs: 15, iterationsPerEpoch: 10 };
    const { params } = await loop(tinyInput(f, recipe));
    const ends = lines(f).filter((l) => l.pseudoDsc !== null);
    assert.equal(ends.length, 15);
    assert.ok(ends.at(-1)!.loss < ends[0].loss - 0.3, `${ends[0].loss} → ${ends.at(-1)!.loss}`);
    assert.ok(ends.at(-1)!.pseudoDscPerClass![0]! > 0.5, String(ends.at(-1)!.pseudoDscPerClass));
    tf.dispose(params);
  });

  it('leaves no tensor behind but the parameters it returns', async () => {
    const before = tf.memory().numTensors;
    const { params } = await loop(tinyInput(folder()));
    assert.equal(tf.memory().numTensors - before, Object.keys(params).length);
    tf.dispose(params);
  });

  it('interrupted at every iteration and resumed, equals the uninterrupted run bit for bit', async () => {
    const whole = folder();
    const { params } = await loop(tinyInput(whole));
    const expected = finalBytes(params);
    tf.dispose(params);

    const cut = folder();
    const before = tf.memory().numTensors;
    let sittings = 0;
    for (;;) {
      const stop = new AbortController();
      const input = tinyInput(cut);
      const next = input.feed.next.bind(input.feed);
      let asked = 0;
      // One training or validation iteration a sitting.
      input.feed.next = (phase, index) => {
        if (++asked === 1) stop.abort('enough');
        return next(phase, index);
      };
      sittings++;
      try {
        const done = await loop(input, { signal: stop.signal });
        assert.equal(finalBytes(done.params), expected);
        tf.dispose(done.params);
        break;
      } catch (error) {
        if (!(error instanceof Stopped)) throw error;
        assert.equal(error.reason, 'enough');
      }
    }
    assert.equal(sittings, tinyRecipe.epochs * (tinyRecipe.iterationsPerEpoch + tinyRecipe.validationIterationsPerEpoch));
    assert.equal(tf.memory().numTensors, before);
    assert.deepEqual(timeless(cut), timeless(whole));
  });

  it('saves inside an epoch too, so that a death costs no more than the time since, bit for bit', async () => {
    const whole = folder();
    const { params } = await loop(tinyInput(whole));
    const expected = finalBytes(params);
    tf.dispose(params);

    const cut = folder();
    const input = tinyInput(cut);
    const next = input.feed.next.bind(input.feed);
    let asked = 0;
    // Dies without a word in the middle of an epoch, as a killed process does.
    input.feed.next = (phase, index) => {
      if (++asked === 3) throw new Error('killed');
      return next(phase, index);
    };
    await assert.rejects(loop(input, { saveSeconds: 0 }), /killed/);
    const again = tinyInput(cut);
    const resumed: string[] = [];
    const feed = again.feed.next.bind(again.feed);
    again.feed.next = (phase, index) => {
      resumed.push(`${phase} ${index}`);
      return feed(phase, index);
    };
    const done = await loop(again);
    assert.equal(resumed[0], 'train 2');
    assert.equal(finalBytes(done.params), expected);
    tf.dispose(done.params);
    assert.deepEqual(timeless(cut), timeless(whole));
  });

  it('asks for every batch once and in order, also over interruptions', async () => {
    const input = tinyInput(folder());
    await loop(input).then(({ params }) => tf.dispose(params));
    const asked = (input.feed as unknown as { asked: string[] }).asked;
    const train = asked.filter((a) => a.startsWith('train'));
    assert.deepEqual(
      train,
      train.map((_, i) => `train ${i}`),
    );
    assert.equal(asked.length, 18);
  });

  it('keeps the last two checkpoints, the best and the final one', async () => {
    const f = folder();
    await loop(tinyInput(f), { savingShare: 0 }).then(({ params }) => tf.dispose(params));
    assert.deepEqual(fs.readdirSync(path.join(f, 'checkpoints')).sort(), [
      'at-000000012.safetensors',
      'at-000000018.safetensors',
      'best.safetensors',
      'final.safetensors',
    ]);
  });

  it('stops at a loss that is not finite with step, layer, cases and the last good checkpoint', async () => {
    const f = folder();
    const input = tinyInput(f);
    const next = input.feed.next.bind(input.feed);
    input.feed.next = async (phase, index) => {
      const batch = await next(phase, index);
      if (phase === 'train' && index === 6) batch.image[17] = Number.NaN;
      return batch;
    };
    const before = tf.memory().numTensors;
    await assert.rejects(loop(input, { savingShare: 0 }), (error: VoxelbookError) => {
      assert.equal(error.code, 'not-finite');
      assert.match(error.message, /step 6, layer the input patch, cases case_6_0, case_6_1/);
      assert.match(error.message, /last good checkpoint is .*at-000000006\.safetensors/);
      return true;
    });
    assert.equal(tf.memory().numTensors, before);
  });

  it('stops at a validation loss that is not finite, with its cases', async () => {
    const input = tinyInput(folder());
    const next = input.feed.next.bind(input.feed);
    input.feed.next = async (phase, index) => {
      const batch = await next(phase, index);
      if (phase === 'validation' && index === 3) batch.image[17] = Number.NaN;
      return batch;
    };
    const before = tf.memory().numTensors;
    await assert.rejects(loop(input, { savingShare: 0 }), (error: VoxelbookError) => {
      assert.equal(error.code, 'not-finite');
      assert.match(
        error.message,
        /the validation loss is not finite[\s\S]*cases case_3_0, case_3_1[\s\S]*at-000000006\.safetensors/,
      );
      return true;
    });
    assert.equal(tf.memory().numTensors, before);
  });

  it('going on with another number of threads says what that means', async () => {
    const f = folder();
    const said: string[] = [];
    const stop = new AbortController();
    const onLine = () => stop.abort();
    const known = process.env.TF_NUM_INTRAOP_THREADS;
    try {
      process.env.TF_NUM_INTRAOP_THREADS = '3';
      await assert.rejects(loop(tinyInput(f), { signal: stop.signal, onLine, onNotice: (text) => said.push(text) }), Stopped);
      process.env.TF_NUM_INTRAOP_THREADS = '2';
      const { params } = await loop(tinyInput(f), { onNotice: (text) => said.push(text) });
      tf.dispose(params);
    } finally {
      if (known === undefined) delete process.env.TF_NUM_INTRAOP_THREADS;
      else process.env.TF_NUM_INTRAOP_THREADS = known;
    }
    assert.equal(said.length, 1);
    assert.match(said[0], /3 threads so far and goes on with 2: .* within round-off .*, not bit for bit/);
  });

  it('names the layer in which a value first overflows', async () => {
    const input = tinyInput(folder());
    const make = input.initial;
    input.initial = () => {
      const params = make();
      const big = tf.tidy(() => tf.mul(params['last.weight'], 3e38).mul(10));
      params['last.weight'].dispose();
      return { ...params, 'last.weight': big };
    };
    await assert.rejects(loop(input), /layer last\.weight/);
    const second = tinyInput(folder());
    second.initial = () => {
      const params = make();
      const big = tf.tidy(() => tf.mul(params['last.weight'], 1e38));
      const wide = tf.tidy(() => tf.mul(params['first.weight'], 1e3));
      tf.dispose([params['last.weight'], params['first.weight']]);
      return { ...params, 'last.weight': big, 'first.weight': wide };
    };
    await assert.rejects(loop(second), /layer last, cases/);
  });

  it('keeps frozen parameters fixed for the epochs the recipe says', async () => {
    const freeze = { prefixes: ['first'], except: ['first.bias'], epochs: 3 };
    const input = tinyInput(folder(), { ...tinyRecipe, freeze });
    const start = input.initial();
    const { params } = await loop(input);
    const moved = (name: string) => tf.tidy(() => tf.max(tf.abs(tf.sub(params[name], start[name]))).dataSync()[0] > 0);
    assert.equal(moved('first.weight'), false);
    assert.equal(moved('first.bias'), true);
    assert.equal(moved('last.weight'), true);
    tf.dispose([params, start]);
  });
});
