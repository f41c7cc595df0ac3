import assert from 'node:assert';
import { inspect } from 'node:util';
import { describe as describeModel } from '../../src/model/index.js';
import { tf } from '../../src/tensor/tf.js';

const mednextS = { network: 'mednext', size: 'S', kernel: 3, inputChannels: 1, classes: 14 } as const;

describe('model.describe', () => {
  it('MedNeXt-S at 128³ is the paper’s 5.6 M parameters and 130 GFLOPs', () => {
    const d = describeModel(mednextS, [128, 128, 128]);
    assert.strictEqual((d.parameters / 1e6).toFixed(1), '5.6');
    assert.ok(Math.abs(d.flops / 1e9 - 130.8) < 0.1);
    assert.deepStrictEqual(d.outputs, [[128, 128, 128, 14]]);
  });

  it('STU-Net-B at 128³ is the paper’s 58.26 M parameters and 0.51 TFLOPs', () => {
    const d = describeModel({ network: 'stunet', inputChannels: 1, classes: 105, deepSupervision: true }, [128, 128, 128]);
    assert.strictEqual((d.parameters / 1e6).toFixed(2), '58.26');
    assert.strictEqual((d.flops / 1e12).toFixed(2), '0.51');
  });

  it('stages add up to the total, come in the order of the pass, and say what is not used', () => {
    const d = describeModel(mednextS, [32, 32, 32]);
    const sum = (key: 'parameters' | 'macs' | 'activationBytes') => d.stages.reduce((total, s) => total + s[key], 0);
    assert.strictEqual(sum('parameters'), d.parameters);
    assert.strictEqual(sum('macs'), d.macs);
    assert.strictEqual(sum('activationBytes'), d.activationBytes);
    assert.strictEqual(d.stages[0].name, 'stem');
    assert.deepStrictEqual(d.stages[0].shape, [32, 32, 32, 32]);
    assert.strictEqual(d.stages.find((s) => s.name === 'dummy_tensor')!.shape, null);
    assert.ok(d.peakBytes.training > d.activationBytes);
  });

  it('takes its shape and topology from a plan’s configuration', () => {
    const configuration = {
      patch_size: [16, 32],
      architecture: {
        arch_kwargs: {
          ...{ n_stages: 2, features_per_stage: [4, 8], conv_op: 'torch.nn.modules.conv.Conv2d' },
          kernel_sizes: Array(2).fill([3, 3]),
          strides: [
            [1, 1],
            [2, 2],
          ],
          ...{ n_conv_per_stage: 2, n_conv_per_stage_decoder: 2, conv_bias: true },
          norm_op: 'torch.nn.modules.instancenorm.InstanceNorm2d',
        },
      },
    };
    const d = describeModel({ network: 'plain-conv-unet' }, configuration as never, { inputChannels: 3, classes: 2 });
    assert.deepStrictEqual(d.input, [16, 32, 3]);
    assert.deepStrictEqual(
      d.stages.map((s) => s.name),
      ['encoder.stages.0', 'encoder.stages.1', 'decoder.transpconvs.0', 'decoder.stages.0', 'decoder.seg_layers.0'],
    );
  });

  it('shows itself as a table and stays plain JSON; no tensor is made', () => {
    const before = tf.memory().numTensors;
    const d = describeModel(mednextS, [32, 32, 32]);
    assert.match(inspect(d), /stage +output +parameters +FLOPs +kept for backward\nstem +32 × 32 × 32 × 32/);
    const display = (d as unknown as Record<symbol, () => Record<string, string>>)[Symbol.for('Jupyter.display')]();
    assert.match(display['text/html'], /^<table>/);
    assert.deepStrictEqual(JSON.parse(JSON.stringify(d)).outputs, d.outputs);
    assert.strictEqual(tf.memory().numTensors, before);
  });

  it('takes 128 voxels an axis when nothing else says', () =>
    assert.deepStrictEqual(describeModel({ ...mednextS, dimensions: 2 }).input, [128, 128, 1]));

  it('refuses an input that does not divide, with the nearest that does', () =>
    assert.throws(
      () => describeModel(mednextS, [100, 128, 128]),
      /inputShape: \[100,128,128\]; expected 3 edges, multiples of \[16,16,16\]\. Nearest: \[96,128,128\]\./,
    ));
});
