import assert from 'node:assert';
import { extend, registered } from '../../src/base/registry.js';
import { build, define, describe as describeModel, type Ends, network, networkNames } from '../../src/model/index.js';
import { conv } from '../../src/model/layers/layers.js';
import { Declaration } from '../../src/model/network.js';
import { tf } from '../../src/tensor/tf.js';
import { firstNotFiniteLayer } from '../../src/train/step.js';

interface ThinSpec extends Ends {
  network: 'thin';
  width: number;
}

const thin = define({
  name: 'thin',
  build(spec: ThinSpec) {
    const d = new Declaration();
    const body = conv(d, 'body', spec.inputChannels!, spec.width, [3, 3], { padding: 1 });
    const head = conv(d, 'head', spec.width, spec.classes!, [1, 1]);
    return d.network([1, 1], (c, x) => [head(c, tf.relu(body(c, x)))]);
  },
  heads: ['head.'],
  convention: 'Counted by nobody.',
});

declare module '../../src/model/index.js' {
  interface Networks {
    thin: ThinSpec;
  }
}

describe('a network from outside', () => {
  before(() => extend({ networks: [thin] }));

  it('is built, described and told apart by its name as the built-in ones are', () => {
    const spec = { network: 'thin', width: 4 } as const;
    const model = build(spec, undefined, { inputChannels: 2, classes: 3 });
    assert.deepStrictEqual(model.spec, { ...spec, inputChannels: 2, classes: 3 });
    assert.deepStrictEqual(
      model.network.parameters.map((p) => [p.name, p.head ?? false]),
      [
        ['body.weight', false],
        ['body.bias', false],
        ['head.weight', true],
        ['head.bias', true],
      ],
    );
    tf.dispose(model.params);
    const d = describeModel(spec, [8, 8], { inputChannels: 2, classes: 3 });
    assert.deepStrictEqual(
      d.stages.map((s) => [s.name, s.macs]),
      [
        ['body', 8 * 8 * 9 * 2 * 4],
        ['head', 8 * 8 * 4 * 3],
      ],
    );
    assert.match(d.convention, /Counted by nobody\.$/);
    assert.ok(registered('networks').includes('thin'));
  });
});

describe('context.onLayer', () => {
  const spec = { network: 'mednext', kernel: 3, width: 2, dimensions: 2, inputChannels: 1, classes: 2 } as const;

  it('hears every layer under its module’s name, inner ones inside outer ones, and can keep feature maps', () => {
    const { network, params, forward } = build(spec);
    const before = tf.memory().numTensors;
    const x = tf.ones([1, 16, 16, 1]);
    const heard: string[] = [];
    let map: tf.Tensor | undefined;
    let depth = 0;
    const onLayer = <T>(name: string, apply: () => T): T => {
      heard.push(`${'  '.repeat(depth)}${name}`);
      depth++;
      const y = apply();
      depth--;
      if (name === 'bottleneck.1') map = tf.keep(y as tf.Tensor);
      return y;
    };
    tf.dispose(forward({ params, training: false, updates: {}, onLayer }, x));
    assert.deepStrictEqual(heard.slice(0, 4), ['stem', 'enc_block_0', '  enc_block_0.0', 'enc_block_0']);
    assert.strictEqual(heard.at(-1), '  out_0.conv_out');
    const names = new Set(heard.map((name) => name.trim()));
    assert.ok([...names].every((name) => network.layers!.includes(name)));
    // A block is one operator: its layers are not heard one by one.
    const silent = network.layers!.filter((name) => !names.has(name));
    assert.ok(silent.every((name) => names.has(name.slice(0, name.lastIndexOf('.')))));
    assert.deepStrictEqual(map!.shape, [1, 1, 1, 32]);
    tf.dispose([x, map!]);
    assert.strictEqual(tf.memory().numTensors, before);
    tf.dispose(params);
  });

  it('what it returns goes on', () => {
    const { params, forward } = build(spec);
    const x = tf.ones([1, 16, 16, 1]);
    const silence = <T>(name: string, apply: () => T): T =>
      name === 'out_0' ? (tf.zerosLike(apply() as tf.Tensor) as T) : apply();
    const [y] = forward({ params, training: false, updates: {}, onLayer: silence }, x);
    assert.ok(y.dataSync().every((v) => v === 0));
    tf.dispose([x, y, params]);
  });

  it('finds the first layer whose output is not finite, innermost first', () => {
    const model = build({ ...spec, width: 4 }, undefined, { seed: 1 });
    const big = tf.tidy(() => tf.fill(model.params['dec_block_2.0.conv2.bias'].shape, 3e38));
    const huge = tf.tidy(() => tf.fill(model.params['dec_block_2.0.conv3.weight'].shape, 3e38));
    const params = { ...model.params, 'dec_block_2.0.conv2.bias': big, 'dec_block_2.0.conv3.weight': huge };
    const x = tf.ones([1, 16, 16, 1]);
    const before = tf.memory().numTensors;
    assert.strictEqual(firstNotFiniteLayer(model.network, params, x), 'dec_block_2.0');
    assert.strictEqual(firstNotFiniteLayer(model.network, model.params, x), 'the loss');
    assert.strictEqual(tf.memory().numTensors, before);
    tf.dispose([params, x, model.params]);
  });
});

describe('heads', () => {
  const topology = {
    n_stages: 3,
    features_per_stage: [4, 6, 8],
    conv_op: 'torch.nn.modules.conv.Conv3d',
    kernel_sizes: Array(3).fill([3, 3, 3]),
    strides: [[1, 1, 1], ...Array(2).fill([2, 2, 2])],
    n_conv_per_stage: 1,
    n_blocks_per_stage: 1,
    n_conv_per_stage_decoder: 1,
    conv_bias: true,
    norm_op: 'torch.nn.modules.instancenorm.InstanceNorm3d',
  };
  const umamba = {
    widths: [4, 6],
    kernels: Array(2).fill([3, 3, 3]),
    strides: [
      [1, 1, 1],
      [2, 2, 2],
    ],
    blocks: [1, 1],
    decoderBlocks: [1],
    patchSize: [8, 8, 8],
  };
  const settings: Record<string, object> = {
    mednext: { kernel: 3, width: 2 },
    'plain-conv-unet': { architecture: topology },
    'residual-encoder-unet': { architecture: topology },
    'umamba-bot': umamba,
    'umamba-enc': umamba,
    nnformer: { variant: 'tumor' },
    transbts: { patchSize: [16, 16, 16] },
    transunet: { patchSize: [64, 64], layers: 1 },
    unetr: { patchSize: [32, 32] },
  };

  for (const name of networkNames)
    it(`of ${name} are the parameters whose shape depends on the classes`, () => {
      const at = (classes: number) =>
        network({ network: name, ...settings[name], inputChannels: 2, classes, deepSupervision: true } as never).network
          .parameters;
      const [few, many] = [at(3), at(5)];
      const depends = few.filter((p, i) => String(p.shape) !== String(many[i].shape)).map((p) => p.name);
      assert.deepStrictEqual(
        few.filter((p) => p.head).map((p) => p.name),
        depends,
      );
      assert.ok(depends.length > 0);
    });
});
