import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { VoxelbookError } from '../../src/base/errors.js';
import { Random } from '../../src/base/random.js';
import { readSafetensors, writeSafetensors } from '../../src/base/safetensors.js';
import { Declaration } from '../../src/model/network.js';
import { batchNorm, conv } from '../../src/tensor/index.js';
import { tf } from '../../src/tensor/tf.js';
import { readWeights } from '../../src/weights/checkpoint.js';
import { fromParams, save, toParams } from '../../src/weights/params.js';
import { readTorch } from '../../src/weights/pth.js';
import { allButHeads, transfer } from '../../src/weights/transfer.js';

const folder = fileURLToPath(new URL('./checkpoints/', import.meta.url));
const hostile = fileURLToPath(new URL('../hostile/checkpoints/', import.meta.url));
const expected = readSafetensors(`${folder}expected.safetensors`).tensors;

/** The network of make_checkpoints.py: conv 3³ 1→4, batch norm, conv 1³ 4→2. */
function smallNetwork(classes = 2) {
  const d = new Declaration();
  const init = { kind: 'zeros' } as const;
  d.add('0.weight', [4, 1, 3, 3, 3], { layout: 'kernel', init });
  for (const name of ['0.bias', '1.weight', '1.bias']) d.add(name, [4], { init });
  for (const name of ['1.running_mean', '1.running_var']) d.add(name, [4], { buffer: true, init });
  d.add('1.num_batches_tracked', [], { buffer: true, dtype: 'int32', init });
  d.add('2.weight', [classes, 4, 1, 1, 1], { layout: 'kernel', init });
  d.add('2.bias', [classes], { init });
  return d;
}

describe('checkpoints', () => {
  for (const [file, unwrapped] of [
    ['plain.pth', []],
    ['legacy.pth', []],
    ['nnunetv1.model', ['state_dict']],
    ['nnunetv2.pth', ['network_weights', 'prefix _orig_mod.']],
    ['parallel.pt', ['model', 'prefix module.']],
  ] as [string, string[]][])
    it(`${file}: every tensor equals what torch saved`, () => {
      const checkpoint = readWeights(folder + file);
      assert.deepEqual(checkpoint.unwrapped, unwrapped);
      assert.equal(Object.keys(checkpoint.tensors).length, 9);
      for (const [name, { shape, data }] of Object.entries(checkpoint.tensors)) {
        assert.deepEqual(shape, expected[`w.${name}`].shape);
        assert.deepEqual(data, expected[`w.${name}`].data);
      }
    });

  for (const [file, digits] of [
    ['half.pth', 11],
    ['bfloat16.pth', 8],
  ] as [string, number][])
    it(`${file} is widened to float32`, () => {
      const { tensors } = readWeights(folder + file);
      const [ours, theirs] = [tensors['0.weight'].data as Float32Array, expected['w.0.weight'].data as Float32Array];
      assert.ok(ours.every((v, i) => Math.abs(v - theirs[i]) <= Math.abs(theirs[i]) * 2 ** -digits + 1e-7));
    });

  it('views are laid out: transposed, sliced, scalar, boolean', () => {
    const { tensors } = readWeights(`${folder}views.pth`);
    assert.deepEqual(tensors.transposed.shape, [4, 2, 3]);
    assert.deepEqual(Array.from(tensors.transposed.data as Float32Array).slice(0, 7), [0, 4, 8, 12, 16, 20, 1]);
    assert.deepEqual(Array.from(tensors.slice.data as Float32Array), [12, 13, 14, 15, 20, 21, 22, 23]);
    assert.deepEqual([tensors.scalar.shape, tensors.scalar.data], [[], new BigInt64Array([3n])]);
    assert.deepEqual(Array.from(tensors.flags.data as Uint8Array), [1, 0]);
  });

  it('what stands beside the weights is plain data', () => {
    const value = readTorch(`${folder}nnunetv2.pth`) as Map<string, unknown>;
    assert.equal(value.get('_best_ema'), 0.4);
    assert.deepEqual((value.get('logging') as Map<string, unknown>).get('dice_per_class_or_region'), [[0.25]]);
    assert.deepEqual(value.get('inference_allowed_mirroring_axes'), [0, 1, 2]);
  });

  it('a checkpoint loads into memory layout and comes back as it was', () => {
    const network = smallNetwork();
    const params = toParams(network, readWeights(`${folder}plain.pth`).tensors);
    assert.deepEqual(params['0.weight'].shape, [3, 3, 3, 1, 4]);
    const back = fromParams(network, params);
    for (const { name } of network.parameters) assert.deepEqual(back[name].data, expected[`w.${name}`].data);
    const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'vb-')), 'weights.safetensors');
    save(file, network, params);
    assert.deepEqual(readSafetensors(file).tensors['2.weight'], expected['w.2.weight']);
    tf.dispose(params);
  });

  it('the loaded network gives the logits torch gave', () => {
    const p = toParams(smallNetwork(), readWeights(`${folder}nnunetv2.pth`).tensors);
    const before = tf.memory().numTensors;
    const ours = tf.tidy(() => {
      const x = tf.transpose(tf.tensor(expected.x.data as Float32Array, expected.x.shape), [0, 2, 3, 4, 1]);
      const a = conv(x, p['0.weight'], { padding: 1, bias: p['0.bias'] });
      const n = batchNorm(a, p['1.weight'], p['1.bias'], 1e-5, { mean: p['1.running_mean'], variance: p['1.running_var'] });
      return tf.transpose(conv(n, p['2.weight'], { bias: p['2.bias'] }), [0, 4, 1, 2, 3]);
    });
    const reference = expected.y.data as Float32Array;
    assert.ok((ours.dataSync() as Float32Array).every((v, i) => Math.abs(v - reference[i]) <= 1e-5));
    ours.dispose();
    assert.equal(tf.memory().numTensors, before);
    tf.dispose(p);
  });

  it('a checkpoint that does not fit names every tensor, expected and found', () => {
    const network = smallNetwork(5);
    network.add('3.weight', [7], { init: { kind: 'zeros' } });
    const { '0.bias': _, ...rest } = readWeights(`${folder}plain.pth`).tensors;
    assert.throws(
      () => toParams(network, { ...rest, other: rest['1.bias'] }),
      (error: VoxelbookError) => {
        assert.deepEqual(
          error.faults.map((f) => `${f.code} ${f.path}: ${f.given} / ${f.expected}`),
          [
            'missing 0.bias: no such tensor in the checkpoint / shape [4]',
            'shape 2.weight: shape [2,4,1,1,1] / [5,4,1,1,1]',
            'shape 2.bias: shape [2] / [5]',
            'missing 3.weight: no such tensor in the checkpoint / shape [7]',
            'extra other: shape [4] / no such parameter',
          ],
        );
        return true;
      },
    );
  });
});

describe('checkpoints in parts', () => {
  const at = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-parts-'));
  const file = path.join(at, 'model.safetensors.index.json');
  const index = (map: unknown) => fs.writeFileSync(file, JSON.stringify({ metadata: {}, weight_map: map }));
  const tensor = (...values: number[]) => ({ shape: [values.length], data: Float32Array.from(values) });
  writeSafetensors(path.join(at, 'model-00001-of-00002.safetensors'), { a: tensor(1), b: tensor(2) });
  writeSafetensors(path.join(at, 'model-00002-of-00002.safetensors'), { c: tensor(3) });
  after(() => fs.rmSync(at, { recursive: true }));

  it('are read through their index', () => {
    index({ a: 'model-00001-of-00002.safetensors', c: 'model-00002-of-00002.safetensors' });
    const { tensors } = readWeights(file);
    assert.deepEqual(
      Object.entries(tensors).map(([name, { data }]) => [name, data[0]]),
      [
        ['a', 1],
        ['c', 3],
      ],
    );
  });

  it('may be of PyTorch’s own format', () => {
    fs.copyFileSync(`${folder}plain.pth`, path.join(at, 'part.bin'));
    const bin = path.join(at, 'pytorch_model.bin.index.json');
    fs.writeFileSync(bin, JSON.stringify({ weight_map: { '0.bias': 'part.bin' } }));
    assert.deepEqual(readWeights(bin).tensors['0.bias'].data, expected['w.0.bias'].data);
  });

  for (const [what, map, message] of [
    ['a part that is not there', { a: 'model-00003-of-00003.safetensors' }, /model-00003-of-00003\.safetensors: no such file/],
    ['a part outside the folder', { a: '../x.safetensors' }, /"\.\.\/x\.safetensors"; expected the plain name/],
    ['a part that is another index', { a: 'model.safetensors.index.json' }, /expected the plain name/],
    ['a part without the tensor', { c: 'model-00001-of-00002.safetensors' }, /c: not in model-00001-of-00002/],
    ['no list of parts', 7, /weight_map: number/],
    ['an empty list of parts', {}, /holds no weights/],
  ] as const)
    it(`${what} is named`, () => {
      index(map);
      assert.throws(() => readWeights(file), message);
    });
});

describe('damaged weights', () => {
  it('any of 300 flipped bits of saved weights is found before they are used', () => {
    const at = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-flip-'));
    const file = path.join(at, 'w.safetensors');
    const data = Float32Array.from({ length: 64 }, (_, i) => i / 7);
    writeSafetensors(file, { w: { shape: [8, 8], data } }, { made: 'here' });
    const good = fs.readFileSync(file);
    const random = new Random('flips');
    let padding = 0;
    for (let i = 0; i < 300; i++) {
      const bad = Buffer.from(good);
      bad[random.int(0, bad.length)] ^= 1 << random.int(0, 8);
      fs.writeFileSync(file, bad);
      try {
        // White space that pads the header carries nothing.
        assert.deepEqual(readWeights(file).tensors.w, { dtype: 'F32', shape: [8, 8], data });
        padding++;
      } catch (error) {
        assert.ok(error instanceof VoxelbookError, String(error));
      }
    }
    assert.ok(padding < 10, `${padding} flips were read`);
    fs.rmSync(at, { recursive: true });
  });
});

describe('transfer', () => {
  it('copies what fits, keeps the rest, and says why for every tensor', () => {
    const network = smallNetwork(5);
    const start = Object.fromEntries(network.parameters.map((p) => [p.name, tf.zeros([...p.shape])]));
    const before = tf.memory().numTensors;
    const { params, table } = transfer(network, start, {
      ...readWeights(`${folder}plain.pth`).tensors,
      'old.head': expected['w.0.bias'],
    });
    assert.equal(tf.memory().numTensors - before, network.parameters.length);
    assert.deepEqual(
      table.filter((r) => r.outcome !== 'copied').map((r) => [r.name, r.outcome, r.why]),
      [
        ['2.weight', 'kept', 'another shape'],
        ['2.bias', 'kept', 'another shape'],
        ['old.head', 'unused', 'not in the network'],
      ],
    );
    assert.deepEqual(params['0.bias'].dataSync(), expected['w.0.bias'].data);
    tf.dispose([params, start]);
  });

  it('heads stay as they are though they would fit', () => {
    const d = smallNetwork();
    const network = { parameters: d.parameters.map((p) => (p.name.startsWith('2.') ? { ...p, head: true } : p)) };
    const start = Object.fromEntries(network.parameters.map((p) => [p.name, tf.zeros([...p.shape])]));
    const { params, table } = transfer(network, start, readWeights(`${folder}plain.pth`).tensors, allButHeads);
    const kept = table.filter((r) => r.outcome === 'kept').map((r) => [r.name, r.why]);
    assert.deepEqual(kept, [
      ['2.weight', 'kept by rule'],
      ['2.bias', 'kept by rule'],
    ]);
    tf.dispose([params, start]);
  });

  it('a checkpoint of which nothing fits is an error', () => {
    const network = smallNetwork();
    const start = Object.fromEntries(network.parameters.map((p) => [p.name, tf.zeros([...p.shape])]));
    assert.throws(
      () => transfer(network, start, { foreign: expected['w.0.bias'] }),
      /nothing of this checkpoint fits the network\n {2}0\.weight: no such tensor/,
    );
    tf.dispose(start);
  });
});

describe('hostile checkpoints', () => {
  const files = fs.readdirSync(hostile).filter((f) => /\.(pth|pt|model)$/.test(f));

  it('there are at least forty', () => assert.ok(files.length >= 40));

  for (const file of files)
    it(`${file} ends in a typed error, nothing run, nothing written`, () => {
      const work = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-'));
      const home = process.cwd();
      process.chdir(work);
      const memory = process.memoryUsage();
      try {
        assert.throws(
          () => readWeights(hostile + file),
          (error: unknown) => error instanceof VoxelbookError && error.faults.length > 0,
        );
        const after = process.memoryUsage();
        assert.ok(after.rss - memory.rss < 256e6, `${after.rss - memory.rss} bytes`);
        assert.deepEqual(fs.readdirSync(work), []);
      } finally {
        process.chdir(home);
        fs.rmSync(work, { recursive: true });
      }
      assert.ok(!fs.existsSync('/tmp/canary'));
    });

  it('a name that runs code is told by its name', () => {
    assert.throws(
      () => readWeights(`${hostile}run-00-os.system.pth`),
      /holds Python objects that are not data; nothing was run\n {2}os\.system: the Python name os\.system/,
    );
  });
});
