// What is particular to the transformer and Mamba networks; what every network must do is in harness.test.ts.
import assert from 'node:assert';
import { Random } from '../../src/base/random.js';
import { nnFormer } from '../../src/model/baselines/nnFormer.js';
import { transUnet } from '../../src/model/baselines/transUnet.js';
import { umambaBot } from '../../src/model/baselines/umamba.js';
import { unetr } from '../../src/model/baselines/unetr.js';
import { dropout, dropPath } from '../../src/model/layers/dropout.js';
import { recomputed } from '../../src/model/layers/layers.js';
import { Declaration, initialise, memoryAxes, type Network, type Params, parameterCount } from '../../src/model/network.js';
import { swinUmamba } from '../../src/model/papers/swinUmamba.js';
import { swinUmambaD } from '../../src/model/papers/swinUmambaD.js';
import type { Configuration } from '../../src/plan/plan.js';
import { recurrenceFlops } from '../../src/tensor/ops/selectiveScan.js';
import { symbolic, symbolicOutput } from '../../src/tensor/symbolic.js';
import { tf } from '../../src/tensor/tf.js';

const ends = { inputChannels: 1, classes: 2, deepSupervision: true };

/** Output shapes and multiply-adds without computing anything. */
function look(network: Network, shape: number[]) {
  return symbolic(() => {
    const params: Params = {};
    for (const p of network.parameters)
      if (!p.aliasOf)
        params[p.name] = symbolicOutput(
          memoryAxes(p).map((axis) => p.shape[axis]),
          p.dtype,
        );
    return network.forward({ params, training: false, updates: {} }, symbolicOutput(shape)).map((y) => y.shape);
  });
}

const planar = {
  widths: [4, 6, 8],
  kernels: Array(3).fill([3, 3]),
  strides: [
    [1, 1],
    [2, 2],
    [2, 2],
  ],
  blocks: [2, 2, 2],
  decoderBlocks: [2, 2],
};

describe('transformer and Mamba networks', () => {
  it('deep supervision: full resolution first, at the published factors', () => {
    const factors = (network: Network, edge: number) => look(network, [1, edge, edge, 1]).result.map((s) => edge / s[1]!);
    const small = { widths: [4, 4, 8, 16, 32], depths: [1, 1, 1, 1], states: 2 };
    assert.deepStrictEqual(factors(swinUmamba.build({ network: 'swin-umamba', ...small, ...ends }), 64), [1, 2, 4, 8]);
    assert.deepStrictEqual(
      factors(swinUmamba.build({ network: 'swin-umamba', version: 'v1', ...small, ...ends }), 64),
      [1, 2, 4, 8],
    );
    const dagger = swinUmambaD.build({
      network: 'swin-umamba-d',
      widths: [4, 8, 16, 32],
      depths: [1, 1, 1, 1],
      states: 2,
      ...ends,
    });
    assert.deepStrictEqual(factors(dagger, 64), [1, 4, 8, 16]);
    for (const version of ['first', 'current'] as const)
      for (const name of ['umamba-bot', 'umamba-enc'] as const)
        assert.deepStrictEqual(
          factors(umambaBot.build({ network: name, version, ...planar, patchSize: [16, 16], ...ends }), 16),
          [1, 2],
        );
    const acdc = look(nnFormer.build({ network: 'nnformer', variant: 'acdc', ...ends }), [1, 14, 160, 160, 1]).result;
    assert.deepStrictEqual(acdc, [
      [1, 14, 160, 160, 2],
      [1, 14, 80, 80, 2],
      [1, 7, 40, 40, 2],
    ]);
  });

  it('Swin-UMamba v1 computes its last VSS stage and never uses it', () => {
    const network = swinUmamba.build({
      network: 'swin-umamba',
      version: 'v1',
      widths: [4, 4, 8, 16, 32],
      depths: [1, 1, 1, 1],
      states: 2,
      inputChannels: 1,
      classes: 2,
    });
    const params = initialise(network, new Random('v1'));
    const names = network.parameters.map((p) => p.name);
    const x = tf.ones([1, 32, 32, 1]);
    const { value, grads } = tf.engine().gradients(
      () => tf.mean(network.forward({ params, training: true, updates: {} }, x)[0]),
      names.map((n) => params[n]),
      undefined as never,
      true,
    );
    const silent = names.filter((_, i) => !grads[i]);
    tf.dispose([value, grads, x, params]);
    assert.ok(
      silent.every((n) => /vssm_encoder\.(layers\.3|downsamples\.2)|out_layers\.[123]/.test(n)),
      silent.join(),
    );
    assert.ok(silent.some((n) => n.includes('layers.3')));
    assert.ok(network.parameters.every((p) => !p.name.startsWith('decoder6')));
  });

  it('the first U-Mamba Enc starts with zeroed last norms, as its builder sets them; Bot and the current code do not', () => {
    const last = (name: 'umamba-bot' | 'umamba-enc', version: 'first' | 'current') =>
      umambaBot
        .build({ network: name, version, ...planar, patchSize: [16, 16], ...ends })
        .parameters.filter((p) => /conv2\.norm\.weight$/.test(p.name) && !p.aliasOf)
        .map((p) => p.init.kind);
    assert.ok(last('umamba-enc', 'first').every((kind) => kind === 'zeros'));
    assert.ok(last('umamba-bot', 'first').every((kind) => kind === 'ones'));
    assert.ok(last('umamba-enc', 'current').every((kind) => kind === 'ones'));
  });

  it('the current 2-D U-Mamba Enc has Mamba behind every second stage and the last, 3-D behind all', () => {
    const stages = (dimensions: 2 | 3, count: number) => {
      const topology = {
        widths: Array.from({ length: count }, (_, i) => 4 + 2 * i),
        kernels: Array(count).fill(Array(dimensions).fill(3)),
        strides: Array.from({ length: count }, (_, i) => Array(dimensions).fill(i === 0 ? 1 : 2)),
        blocks: Array(count).fill(2),
        decoderBlocks: Array(count - 1).fill(2),
      };
      const network = umambaBot.build({ network: 'umamba-enc', ...topology, patchSize: Array(dimensions).fill(32), ...ends });
      const found = network.parameters.flatMap((p) => /^encoder\.mamba_layers\.(\d+)\.norm\.weight/.exec(p.name)?.[1] ?? []);
      return found.map(Number);
    };
    assert.deepStrictEqual(stages(2, 4), [1, 3]);
    assert.deepStrictEqual(stages(2, 5), [0, 2, 4]);
    assert.deepStrictEqual(stages(3, 4), [0, 1, 2, 3]);
  });

  it('U-Mamba takes its topology from a plan', () => {
    const plan = {
      patch_size: [32, 32],
      architecture: {
        arch_kwargs: {
          features_per_stage: [4, 8, 12],
          kernel_sizes: planar.kernels,
          strides: planar.strides,
          n_conv_per_stage: [2, 2, 2],
          n_conv_per_stage_decoder: 2,
        },
      },
    } as unknown as Configuration;
    for (const name of ['umamba-bot', 'umamba-enc'] as const) {
      const network = umambaBot.build({ network: name, ...ends }, plan);
      assert.deepStrictEqual(network.divisibleBy, [4, 4]);
      assert.deepStrictEqual(look(network, [1, 32, 32, 1]).result, [
        [1, 32, 32, 2],
        [1, 16, 16, 2],
      ]);
    }
  });

  it('FLOPs: the scan is charged apart, so both published conventions of Swin-UMamba v1 and v2 come out', () => {
    const count = (version: 'v1' | 'v2') => {
      const { macs, normFlops, perOp } = look(
        swinUmamba.build({ network: 'swin-umamba', version, inputChannels: 1, classes: 14, deepSupervision: true }),
        [1, 320, 320, 1],
      );
      const now = macs + normFlops;
      return { now, before: now - perOp.selectiveScan.macs * (1 - recurrenceFlops.before / recurrenceFlops.since2024) };
    };
    assert.strictEqual((count('v2').now / 1e9).toFixed(1), '68.0'); // paper v2
    assert.ok(Math.abs(count('v1').before / 1e9 - 58.4) < 0.2); // paper v1, which counts 3.5 a state
  });

  it('parameter counts of the papers', () => {
    const million = (network: Network) => (parameterCount(network) / 1e6).toFixed(1);
    const abdomen = { inputChannels: 1, classes: 14 };
    assert.strictEqual(million(swinUmamba.build({ network: 'swin-umamba', ...abdomen })), '59.9');
    assert.strictEqual(million(swinUmamba.build({ network: 'swin-umamba', version: 'v1', ...abdomen })), '40.4');
    assert.strictEqual(million(swinUmambaD.build({ network: 'swin-umamba-d', ...abdomen })), '27.5');
    assert.strictEqual(million(unetr.build({ network: 'unetr', patchSize: [96, 96, 96], ...abdomen })), '92.8');
    assert.strictEqual(
      million(transUnet.build({ network: 'transunet', patchSize: [224, 224], inputChannels: 3, classes: 9 })),
      '105.3',
    );
  });

  it('dropout and drop path act while training with a generator only, and the same seed drops the same', () => {
    tf.tidy(() => {
      const x = tf.ones([8, 50]);
      const apply = (layer: ReturnType<typeof dropout>, training: boolean, seed?: string) =>
        Array.from(
          layer({ params: {}, updates: {}, training, random: seed === undefined ? undefined : new Random(seed) }, x).dataSync(),
        );
      for (const layer of [dropout(0.5), dropPath(0.5)]) {
        assert.ok(apply(layer, true).every((v) => v === 1));
        assert.ok(apply(layer, false, 'a').every((v) => v === 1));
        assert.deepStrictEqual(apply(layer, true, 'a'), apply(layer, true, 'a'));
        assert.ok(apply(layer, true, 'a').every((v) => v === 0 || v === 2));
      }
      const rows = apply(dropPath(0.5), true, 'b');
      for (let row = 0; row < 8; row++) assert.strictEqual(new Set(rows.slice(row * 50, row * 50 + 50)).size, 1);
    });
  });

  it('a recomputed block drops the same values in both runs', () => {
    tf.tidy(() => {
      const d = new Declaration();
      const layer = recomputed(d, () => {
        const name = d.add('w', [40], { init: { kind: 'ones' } });
        const drop = dropout(0.5);
        return (c, x) => drop(c, tf.mul(x, c.params[name]));
      });
      const w = tf.ones([40]);
      const x = tf.range(1, 41);
      const random = new Random('recomputed');
      let y: tf.Tensor | undefined;
      const gradient = tf.grad((w: tf.Tensor) => {
        y = tf.keep(layer({ params: { w }, training: true, updates: {}, checkpoint: true, random }, x));
        return tf.sum(y);
      })(w);
      // y = w·x·mask, so dy/dw = x·mask, which is y itself where w is one.
      assert.deepStrictEqual(Array.from(gradient.dataSync()), Array.from(y!.dataSync()));
      y!.dispose();
    });
  });

  it('what is missing is named: size, topology, variant', () => {
    assert.throws(
      () => unetr.build({ network: 'unetr', inputChannels: 1, classes: 2 }),
      /patchSize: none; expected two or three edges/,
    );
    assert.throws(
      () => umambaBot.build({ network: 'umamba-enc', widths: [4, 8], inputChannels: 1, classes: 2 }),
      /kernels: undefined; expected 2 entries[\s\S]*decoderBlocks: undefined; expected 1 entries[\s\S]*patchSize: none/,
    );
    assert.throws(
      () => nnFormer.build({ network: 'nnformer', variant: 'lung' as never, inputChannels: 1, classes: 2 }),
      /variant: lung; expected synapse, acdc, tumor/,
    );
  });
});
