import assert from 'node:assert';
import { Random } from '../../src/base/random.js';
import { build, type ModelSpec, network } from '../../src/model/index.js';
import { fromMemory, memoryAxes } from '../../src/model/network.js';
import { narrow2d, narrow3d } from '../../src/paper/index.js';
import { tf } from '../../src/tensor/tf.js';

describe('model.build', () => {
  it('fills channels and classes in from the data set, and the specification wins', () => {
    const spec = { network: 'segresnet', classes: 5 } as const;
    assert.deepStrictEqual(network(spec, undefined, { inputChannels: 2, classes: 3 }).spec, { ...spec, inputChannels: 2 });
  });

  it('names everything that is missing or unknown at once', () =>
    assert.throws(
      () => network({ network: 'vnet' } as never),
      (error: Error) => {
        assert.match(error.message, /network: "vnet"; expected mednext, /);
        assert.match(error.message, /inputChannels: undefined; expected a whole number above 0/);
        assert.match(error.message, /classes: undefined; expected a whole number above 0/);
        return true;
      },
    ));

  it('a network that takes its topology from a plan asks for one', () =>
    assert.throws(
      () => network({ network: 'plain-conv-unet', inputChannels: 1, classes: 2 }),
      /plan: none; expected a configuration of a plan/,
    ));

  it('a plan’s architecture is checked entry by entry', () => {
    const architecture = {
      ...{ n_stages: 3, features_per_stage: [4, 8], conv_op: 'torch.nn.modules.conv.Conv3d' },
      kernel_sizes: Array(3).fill([3, 3]),
      strides: Array(3).fill([1, 1, 1]),
      ...{ n_conv_per_stage: 2, n_conv_per_stage_decoder: 2, conv_bias: true, norm_op: 'torch.nn.GroupNorm' },
    };
    assert.throws(
      () => network({ network: 'plain-conv-unet', inputChannels: 1, classes: 2, architecture }),
      (error: Error) => {
        assert.match(error.message, /features_per_stage: \[4,8\]; expected 3 entries/);
        assert.match(error.message, /kernel_sizes\[0\]: \[3,3\]; expected 3 numbers/);
        assert.match(error.message, /norm_op: torch\.nn\.GroupNorm/);
        return true;
      },
    );
  });

  it('starts as the official code does: He for nnU-Net, PyTorch’s default for MedNeXt, a zero last norm in residual blocks', () => {
    const deviation = (values: Float32Array) => {
      const mean = values.reduce((a, b) => a + b, 0) / values.length;
      return Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
    };
    const check = (params: Record<string, tf.Tensor>, name: string, sd: number) => {
      const ours = deviation(params[name].dataSync() as Float32Array);
      assert.ok(Math.abs(ours / sd - 1) < 0.05, `${name}: ${ours}, expected ${sd}`);
    };
    const kaist = build({ network: 'kaist-unet', inputChannels: 4, classes: 3, width: 8, maxWidth: 16 });
    check(kaist.params, 'conv_blocks_context.1.blocks.0.conv.weight', Math.sqrt(2 / 1.0001 / (8 * 27)));
    assert.ok((kaist.params['conv_blocks_context.1.blocks.0.conv.bias'].dataSync() as Float32Array).every((v) => v === 0));
    const mednext = build({ network: 'mednext', kernel: 3, width: 8, inputChannels: 1, classes: 2 });
    // Uniform in ±1/√fanIn has standard deviation 1/√(3 fanIn).
    check(mednext.params, 'enc_block_2.0.conv2.weight', 1 / Math.sqrt(3 * 32));
    check(mednext.params, 'up_2.res_conv.weight', 1 / Math.sqrt(3 * 32));
    const architecture = {
      ...{ n_stages: 2, features_per_stage: [4, 8], conv_op: 'torch.nn.modules.conv.Conv3d' },
      kernel_sizes: Array(2).fill([3, 3, 3]),
      strides: [
        [1, 1, 1],
        [2, 2, 2],
      ],
      ...{ n_blocks_per_stage: 1, n_conv_per_stage_decoder: 1, conv_bias: true },
      ...{ norm_op: 'torch.nn.modules.instancenorm.InstanceNorm3d', norm_op_kwargs: { affine: true } },
    };
    const residual = build({ network: 'residual-encoder-unet', inputChannels: 1, classes: 2, architecture });
    assert.deepStrictEqual(residual.params['encoder.stages.1.blocks.0.conv2.norm.weight'].arraySync(), Array(8).fill(0));
    assert.deepStrictEqual(residual.params['encoder.stages.1.blocks.0.conv1.norm.weight'].arraySync(), Array(8).fill(1));
    tf.dispose([kaist.params, mednext.params, residual.params]);
  });

  it('values drawn in bulk are those of one draw after another', () => {
    const { params, network } = build({ network: 'mednext', kernel: 3, width: 8, inputChannels: 1, classes: 2 }, undefined, {
      seed: 5,
    });
    const he = build({ network: 'kaist-unet', inputChannels: 4, classes: 3, width: 8, maxWidth: 16 }, undefined, { seed: 5 });
    let [uniform, normal] = [0, 0];
    for (const built of [{ params, network }, he])
      for (const info of built.network.parameters) {
        const { name, init, aliasOf } = info;
        if (aliasOf || !(init.kind === 'uniform' || init.kind === 'normal')) continue;
        const random = new Random(5).split('model').split(name);
        for (const value of fromMemory(info, built.params[name])) {
          const wanted = Math.fround(
            init.kind === 'uniform' ? random.uniform(-init.bound, init.bound) : random.normal(0, init.sd),
          );
          // The compiled logarithm and sine are exact to a double's last place.
          assert.ok(Math.abs(value - wanted) <= 2 ** -23 * Math.abs(wanted), `${name}: ${value}, ${wanted}`);
          if (init.kind === 'uniform') uniform++;
          else normal++;
        }
      }
    assert.ok(uniform > 1000 && normal > 1000, `${uniform}, ${normal}`);
    tf.dispose([params, he.params]);
  });

  const fixed: [string, object, number[], number[]][] = [
    ['unetr', narrow3d.UNETR, [32, 32, 32], [1, 64, 64, 64, 1]],
    ['transbts', narrow3d.TransBTS, [32, 32, 32], [1, 32, 32, 64, 1]],
    ['transunet', narrow2d.TransUNet, [64, 64], [1, 32, 32, 1]],
  ];
  for (const [name, spec, patch, shape] of fixed)
    it(`${name}: a patch for which its positions were not made is refused by name`, () => {
      const plan = { patch_size: patch } as never;
      const { params, forward } = build(spec as ModelSpec, plan, { inputChannels: 1, classes: 2 });
      const x = tf.zeros(shape);
      assert.throws(
        () => forward({ params, training: false, updates: {} }, x),
        new RegExp(`another patch size[\\s\\S]*${shape.slice(1, -1).join('×')}; expected ${patch.join('×')}`),
      );
      tf.dispose([params, x]);
    });

  it('kernels lie in memory as TensorFlow wants them', () => {
    assert.deepStrictEqual(memoryAxes({ layout: 'kernel', shape: [8, 4, 3, 3, 3] }), [2, 3, 4, 1, 0]);
    assert.deepStrictEqual(memoryAxes({ layout: 'kernel', shape: [8, 4] }), [1, 0]);
    assert.deepStrictEqual(memoryAxes({ layout: 'plain', shape: [1, 4, 1, 1, 1] }), [0, 1, 2, 3, 4]);
  });
});
