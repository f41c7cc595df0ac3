// Every network alike: shapes, parameters, one training step, determinism, checkpointing, nothing left behind.
import assert from 'node:assert';
import { Random } from '../../src/base/random.js';
import { build, type ModelSpec, networkNames, network as networkOf } from '../../src/model/index.js';
import { type Context, memoryAxes, type Params, parameterCount } from '../../src/model/network.js';
import { gradients } from '../../src/tensor/gradients.js';
import { tf } from '../../src/tensor/tf.js';

interface Tiny {
  spec: ModelSpec;
  /** Spatial shape, and the outputs' shapes where deep supervision gives more than one. */
  input: number[];
  outputs?: number[][];
  /** Parameters that no pass uses. */
  unused?: RegExp;
}

const ends = { inputChannels: 2, classes: 3 };
const architecture = {
  n_stages: 3,
  features_per_stage: [4, 6, 8],
  conv_op: 'torch.nn.modules.conv.Conv3d',
  kernel_sizes: [
    [1, 3, 3],
    [3, 3, 3],
    [3, 3, 3],
  ],
  strides: [
    [1, 1, 1],
    [1, 2, 2],
    [2, 2, 2],
  ],
  n_conv_per_stage: 2,
  n_blocks_per_stage: [1, 2, 1],
  n_conv_per_stage_decoder: 1,
  conv_bias: true,
  norm_op: 'torch.nn.modules.instancenorm.InstanceNorm3d',
  norm_op_kwargs: { eps: 1e-5, affine: true },
  nonlin: 'torch.nn.LeakyReLU',
};
const strides = [
  [2, 2, 2],
  [1, 2, 2],
];

const umambaTopology = {
  widths: [4, 6, 8],
  kernels: Array(3).fill([3, 3, 3]),
  strides: [
    [1, 1, 1],
    [2, 2, 2],
    [2, 2, 2],
  ],
  blocks: [1, 1, 1],
  decoderBlocks: [1, 1],
};

const tiny: Record<string, Tiny> = {
  'mednext, deep supervision': {
    spec: { network: 'mednext', kernel: 3, width: 2, blocks: Array(9).fill(1), expansion: 2, deepSupervision: true },
    input: [16, 32, 16],
    outputs: [
      [16, 32, 16],
      [8, 16, 8],
      [4, 8, 4],
      [2, 4, 2],
      [1, 2, 1],
    ],
    unused: /dummy_tensor/,
  },
  'mednext 2-D with GRN': {
    spec: { network: 'mednext', kernel: 5, width: 2, blocks: Array(9).fill(1), expansion: 2, dimensions: 2, grn: true },
    input: [32, 48],
    unused: /dummy_tensor/,
  },
  stunet: {
    spec: { network: 'stunet', widths: [2, 3, 4], blocks: [1, 2, 1], strides, deepSupervision: true },
    input: [4, 8, 12],
    outputs: [
      [4, 8, 12],
      [2, 4, 6],
    ],
  },
  'kaist-unet, large, group norm, axial attention': {
    spec: {
      network: 'kaist-unet',
      width: 2,
      maxWidth: 8,
      encoderScale: 2,
      norm: 'group',
      groups: 2,
      strides,
      attention: { where: 'decoder', heads: 1, headWidth: 2, without: [1], volume: [4, 8, 8] },
    },
    input: [4, 8, 8],
    unused: /seg_outputs\.0/,
  },
  'kaist-unet, batch norm, attention in both': {
    spec: {
      network: 'kaist-unet',
      width: 2,
      strides: strides.slice(0, 1).concat([[2, 2, 2]]),
      attention: { where: 'both', heads: 1, headWidth: 2, without: [0], volume: [4, 8, 8] },
      deepSupervision: true,
    },
    input: [4, 8, 8],
    outputs: [
      [4, 8, 8],
      [2, 4, 4],
    ],
  },
  'plain-conv-unet': {
    spec: { network: 'plain-conv-unet', architecture, deepSupervision: true },
    input: [6, 8, 12],
    outputs: [
      [6, 8, 12],
      [6, 4, 6],
    ],
  },
  'residual-encoder-unet': {
    spec: { network: 'residual-encoder-unet', architecture },
    input: [6, 8, 12],
    unused: /seg_layers\.0/,
  },
  segresnet: {
    spec: { network: 'segresnet', width: 4, groups: 2, blocksDown: [1, 1, 1], blocksUp: [1, 1] },
    input: [8, 4, 12],
  },
  'segresnet 2-D, sub-pixel': {
    spec: {
      network: 'segresnet',
      dimensions: 2,
      width: 4,
      groups: 2,
      blocksDown: [1, 1],
      blocksUp: [1],
      upsample: 'pixelshuffle',
    },
    input: [8, 6],
  },
  'ux-net': {
    spec: { network: 'ux-net', widths: [2, 3, 4, 5], depths: [1, 1, 1, 1], hidden: 6 },
    input: [32, 32, 32],
  },
  cotr: {
    spec: {
      network: 'cotr',
      widths: [4, 6, 12, 12],
      blocks: [1, 2, 1],
      layers: 2,
      heads: 2,
      points: 2,
      mlp: 10,
      deepSupervision: true,
    },
    input: [8, 16, 32],
    outputs: [
      [8, 16, 32],
      [8, 8, 16],
      [4, 4, 8],
      [2, 2, 4],
    ],
  },
  'umamba-bot without Mamba': {
    spec: { network: 'umamba-bot', ...umambaTopology, mamba: false },
    input: [8, 8, 8],
    unused: /seg_layers\.0/,
  },
  'swin-unetr v2': {
    spec: { network: 'swin-unetr', width: 6, depths: [1, 1, 1, 1], heads: [1, 2, 2, 2], window: 3, v2: true },
    // An instance norm of a single voxel is refused, as PyTorch refuses it.
    input: [32, 32, 64],
  },
  'swin-umamba': {
    spec: { network: 'swin-umamba', widths: [4, 4, 8, 16, 32], depths: [1, 1, 1, 1], states: 2 },
    input: [64, 64],
    unused: /out_layers\.[1-3]/,
  },
  'swin-umamba-d': {
    spec: { network: 'swin-umamba-d', widths: [4, 8, 16, 32], depths: [1, 1, 1, 1], states: 2 },
    input: [64, 64],
    unused: /seg_layers\.[0-2]/,
  },
  'umamba-bot': {
    spec: { network: 'umamba-bot', ...umambaTopology },
    input: [8, 8, 8],
    unused: /seg_layers\.0/,
  },
  'umamba-enc': {
    spec: { network: 'umamba-enc', ...umambaTopology, patchSize: [8, 8, 8] },
    input: [8, 8, 8],
    unused: /seg_layers\.0/,
  },
  unetr: {
    spec: { network: 'unetr', patchSize: [32, 32], width: 2, hidden: 8, mlp: 12, heads: 2 },
    input: [32, 32],
    unused: /norm_cross_attn/,
  },
  'swin-unetr': {
    spec: { network: 'swin-unetr', dimensions: 2, width: 6, depths: [2, 1, 1, 1], heads: [1, 2, 2, 2], window: 3 },
    input: [64, 64],
  },
  nnformer: {
    spec: {
      network: 'nnformer',
      variant: 'synapse',
      patchSize: [16, 32, 32],
      width: 6,
      depths: [2, 1, 1, 1],
      heads: [1, 2, 2, 2],
      patch: [2, 4, 4],
      windows: [4, 4, 2, 1],
    },
    input: [16, 32, 32],
  },
  transbts: {
    spec: {
      network: 'transbts',
      patchSize: [16, 16, 16],
      width: 1,
      groups: 1,
      layers: 2,
      heads: 2,
      mlp: 12,
      softmax: false,
    },
    input: [16, 16, 16],
    unused: /linear_encoding|pre_head_ln/,
  },
  transunet: {
    spec: {
      network: 'transunet',
      patchSize: [64, 64],
      units: [1, 1, 1],
      widthFactor: 0.0625,
      groups: 2,
      ...{ hidden: 8, mlp: 12, heads: 2, layers: 1, headWidth: 8, decoder: [8, 6, 4, 4], skips: 3, skipWidths: [32, 16, 4, 0] },
    },
    input: [64, 64],
  },
};

/** Outputs must depend on every parameter: small random values instead of ones and zeros. */
function randomised(params: Params, random: Random): Params {
  const drawn: Params = {};
  for (const [name, value] of Object.entries(params)) {
    const own = random.split(name);
    const positive = /running_var/.test(name);
    drawn[name] =
      value.dtype === 'int32'
        ? tf.clone(value)
        : tf.tidy(() => {
            const noise = Float32Array.from({ length: value.size }, () =>
              own.uniform(positive ? 0.5 : -0.3, positive ? 1.5 : 0.3),
            );
            return positive ? tf.tensor(noise, value.shape) : tf.add(value, tf.tensor(noise, value.shape));
          });
  }
  return drawn;
}

describe('every network', () => {
  it('has its row here', () => {
    const missing = networkNames.filter((name) => !Object.values(tiny).some((row) => row.spec.network === name));
    assert.deepStrictEqual(missing, []);
  });

  for (const [name, { spec, input, outputs = [input], unused }] of Object.entries(tiny))
    it(name, () => {
      const before = tf.memory().numTensors;
      const model = build(spec, undefined, { seed: 1, ...ends });
      const again = build(model.spec, undefined, { seed: 1 });
      const other = build(spec, undefined, { seed: 2, ...ends });
      const { network } = model;

      // The parameters are exactly the declared ones, in memory layout, and the seed decides their values.
      const declared = network.parameters.filter((p) => !p.aliasOf);
      assert.deepStrictEqual(
        Object.keys(model.params),
        declared.map((p) => p.name),
      );
      for (const p of declared)
        assert.deepStrictEqual(
          model.params[p.name].shape,
          memoryAxes(p).map((axis) => p.shape[axis]),
        );
      assert.strictEqual(new Set(network.parameters.map((p) => p.name)).size, network.parameters.length, 'a name twice');
      const counted = declared.filter((p) => !p.buffer).reduce((sum, p) => sum + model.params[p.name].size, 0);
      assert.strictEqual(parameterCount(network), counted);
      const values = (params: Params) => declared.map((p) => Array.from(params[p.name].dataSync()));
      assert.deepStrictEqual(values(model.params), values(again.params));
      assert.notDeepStrictEqual(values(model.params), values(other.params));
      assert.deepStrictEqual(
        JSON.parse(JSON.stringify(networkOf(JSON.parse(JSON.stringify(model.spec))).network.parameters.length)),
        network.parameters.length,
      );

      // One pass: shapes, finite values, the same twice, nothing left.
      const random = new Random(name);
      const x = tf.tensor(
        Float32Array.from({ length: 2 * ends.inputChannels * input.reduce((a, b) => a * b, 1) }, () => random.normal()),
        [2, ...input, ends.inputChannels],
      );
      const params = randomised(model.params, random);
      tf.dispose([model.params, again.params, other.params]);
      const held = tf.memory().numTensors;
      const pass = () => {
        const results = network.forward({ params, training: false, updates: {} }, x);
        const numbers = results.map((y) => ({ shape: y.shape, values: Array.from(y.dataSync()) }));
        tf.dispose(results);
        return numbers;
      };
      const first = pass();
      assert.deepStrictEqual(
        first.map((y) => y.shape),
        outputs.map((shape) => [2, ...shape, ends.classes]),
      );
      assert.ok(
        first.every((y) => y.values.every(Number.isFinite)),
        'values that are not finite',
      );
      assert.deepStrictEqual(pass(), first, 'the same pass gives other values');
      assert.strictEqual(tf.memory().numTensors, held, 'tensors left by a pass');

      // One training step down the gradient lowers the loss; every parameter takes part; checkpointing changes nothing.
      const names = declared.filter((p) => !p.buffer).map((p) => p.name);
      const step = (checkpoint: boolean) => {
        const context: Context = { params, training: true, updates: {}, checkpoint };
        const { value, grads } = gradients(
          () => tf.addN(network.forward(context, x).map((y) => tf.mean(tf.square(tf.sub(y, 1))))),
          names.map((n) => params[n]),
        );
        const loss = value.dataSync()[0];
        tf.dispose([value, context.updates]);
        return { loss, grads };
      };
      const { loss, grads } = step(false);
      const silent = names.filter((_, i) => !grads[i]);
      assert.deepStrictEqual(
        silent.filter((n) => !unused?.test(n)),
        [],
        'parameters without gradient',
      );
      if (unused) assert.ok(silent.every((n) => unused.test(n)));
      const recomputed = step(true);
      const steepest = Math.max(...grads.map((g) => (g ? tf.tidy(() => tf.max(tf.abs(g)).dataSync()[0]) : 0)));
      for (const [i, n] of names.entries()) {
        if (!grads[i]) continue;
        const [a, b] = [grads[i].dataSync(), recomputed.grads[i]!.dataSync()];
        const largest = Array.from(a).reduce((m, v) => Math.max(m, Math.abs(v)), 0);
        assert.ok(Array.from(a).every(Number.isFinite), `${n} has a gradient that is not finite`);
        assert.ok(
          Array.from(a).every((v, j) => Math.abs(v - b[j]) <= 1e-4 * largest + 1e-5 * steepest),
          `${n} differs with checkpointing`,
        );
      }
      const norm = Math.sqrt(grads.reduce((sum, g) => sum + (g ? tf.tidy(() => tf.sum(tf.square(g)).dataSync()[0]) : 0), 0));
      for (const [i, n] of names.entries()) {
        if (!grads[i]) continue;
        const moved = tf.tidy(() => tf.sub(params[n], tf.mul(grads[i]!, 0.01 / norm)));
        params[n].dispose();
        params[n] = moved;
      }
      const after = step(false);
      assert.ok(after.loss < loss, `loss ${loss} rose to ${after.loss}`);
      tf.dispose([...grads, ...recomputed.grads, ...after.grads].filter((g) => g !== undefined));
      assert.strictEqual(tf.memory().numTensors, held, 'tensors left by a training step');
      tf.dispose([params, x]);
      assert.strictEqual(tf.memory().numTensors, before);
    });
});
