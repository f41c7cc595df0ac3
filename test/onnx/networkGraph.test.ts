// Every network as an ONNX graph: ONNX Runtime (in WebAssembly) gives the numbers that the network gives here.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Random } from '../../src/base/random.js';
import type { StoredTensor } from '../../src/base/safetensors.js';
import { build } from '../../src/model/index.js';
import type { Network } from '../../src/model/network.js';
import { halve } from '../../src/onnx/half.js';
import { networkGraph } from '../../src/onnx/index.js';
import { loadRuntime, type Runtime } from '../../src/onnx/runtime.js';
import type { SlabOptions } from '../../src/onnx/slabs.js';
import { tf } from '../../src/tensor/tf.js';
import { fromParams } from '../../src/weights/index.js';
import { ends, randomised, tinyNetworks } from '../model/tinyNetworks.js';

describe('a network as an ONNX graph', function () {
  this.timeout(120_000);
  let runtime: Runtime;
  let folder: string;
  before(async () => {
    runtime = await loadRuntime('onnxruntime-web');
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'onnx-'));
  });
  after(() => fs.rmSync(folder, { recursive: true }));

  const first = (x: tf.Tensor) => tf.transpose(x, [0, x.rank - 1, ...Array.from({ length: x.rank - 2 }, (_, i) => i + 1)]);

  for (const [name, { spec, input }] of Object.entries(tinyNetworks))
    it(`${name}: logits within 1e-4`, async () => {
      const { network, params } = build(spec, undefined, { seed: 1, ...ends });
      const random = new Random('onnx');
      const drawn = randomised(params, random);
      const shape = [1, ...input, ends.inputChannels];
      const x = tf.tensor(
        Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
        shape,
      );
      const here = (given: tf.Tensor) =>
        tf.tidy(() => first(network.forward({ params: drawn, training: false, updates: {} }, given)[0]).dataSync<'float32'>());
      const expected = here(x);
      const image = first(x);
      const stored = fromParams(network, drawn) as Record<string, StoredTensor>;
      const before = tf.memory().numTensors;
      // MedNeXt's blocks in slabs, as large patches have them; whole they are in the bundles' tests.
      const cut = name.startsWith('mednext');
      const graph = networkGraph(network, stored, input, ends.inputChannels, cut ? { most: 4000 } : undefined);
      const count = (wanted: string, slabs?: SlabOptions) =>
        networkGraph(network, stored, input, ends.inputChannels, slabs).nodes.filter(({ op }) => op === wanted).length;
      if (cut && !name.includes('GRN')) {
        assert.ok(count('Slice', { most: 4000 }) > 10);
        // Norms before wide layers are cut with them, but where that is not wanted.
        assert.ok(count('InstanceNormalization', { most: 4000 }) < count('InstanceNormalization'));
        assert.equal(count('InstanceNormalization', { most: 4000, norms: false }), count('InstanceNormalization'));
      }
      assert.equal(tf.memory().numTensors, before);
      const file = path.join(folder, 'network.onnx');
      assert.deepEqual(graph.write(file), ['network.onnx']);
      const session = await runtime.InferenceSession.create(file, {});
      const given = new runtime.Tensor('float32', image.dataSync<'float32'>(), image.shape);
      const { logits } = await session.run({ image: given });
      assert.deepEqual([...logits.dims], [1, ends.classes, ...input]);
      const apart = (values: ArrayLike<number>) => expected.reduce((most, v, i) => Math.max(most, Math.abs(v - values[i])), 0);
      const largest = apart(new Float32Array(expected.length));
      // Swin UNETR v2 with drawn weights has norms over two voxels: the input's last bit alone moves its logits by 3e-4.
      const lastBit = tf.tidy(() => apart(here(tf.mul(x, 1 + 2 ** -23))));
      const worst = apart(logits.data);
      assert.ok(worst <= Math.max(1e-4 * largest, 2 * lastBit), `off by ${worst / largest} of the largest logit`);
      await session.release();
      tf.dispose([params, drawn, x, image]);
    });

  it('a convolutional network is turned nowhere, and its weights bear the checkpoint’s names', () => {
    const { spec, input } = tinyNetworks['plain-conv-unet'];
    const { network, params } = build(spec, undefined, { seed: 1, ...ends });
    const graph = networkGraph(network, fromParams(network, params) as Record<string, StoredTensor>, input, ends.inputChannels);
    assert.ok(!graph.nodes.some(({ op }) => op === 'Transpose'));
    const conv = graph.nodes.find(({ op }) => op === 'Conv')!;
    assert.deepEqual(conv.inputs.slice(1), ['encoder.stages.0.0.convs.0.conv.weight', 'encoder.stages.0.0.convs.0.conv.bias']);
    tf.dispose(params);
  });

  it('weights above the limit of one message lie in a file of their own', async () => {
    const { spec, input } = tinyNetworks['plain-conv-unet'];
    const { network, params } = build(spec, undefined, { seed: 1, ...ends });
    const graph = networkGraph(network, fromParams(network, params) as Record<string, StoredTensor>, input, ends.inputChannels);
    tf.dispose(params);
    const file = path.join(folder, 'large.onnx');
    assert.deepEqual(graph.write(file, {}, 1000), ['large.onnx', 'large.onnx.data']);
    const data = fs.readFileSync(path.join(folder, 'large.onnx.data'));
    assert.ok(data.length > (8 * fs.statSync(file).size) / 10);
    const session = await runtime.InferenceSession.create(file, { externalData: [{ path: 'large.onnx.data', data }] });
    await session.release();
  });

  it('half precision: within a hundredth of the largest logit; a selective scan is refused by name', async () => {
    for (const name of ['plain-conv-unet', 'mednext, deep supervision', 'stunet']) {
      const { spec, input } = tinyNetworks[name];
      const { network, params } = build(spec, undefined, { seed: 1, ...ends });
      const stored = fromParams(network, params) as Record<string, StoredTensor>;
      const x = tf.randomNormal([1, ...input, ends.inputChannels], 0, 1, 'float32', 5);
      const expected = tf.tidy(() =>
        first(network.forward({ params, training: false, updates: {} }, x)[0]).dataSync<'float32'>(),
      );
      const graph = networkGraph(network, stored, input, ends.inputChannels);
      halve(graph);
      const file = path.join(folder, 'half.onnx');
      graph.write(file);
      const session = await runtime.InferenceSession.create(file, {});
      const image = first(x);
      const { logits } = await session.run({ image: new runtime.Tensor('float32', image.dataSync<'float32'>(), image.shape) });
      const worst = expected.reduce((most, v, i) => Math.max(most, Math.abs(v - logits.data[i])), 0);
      const largest = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      assert.ok(worst > 0 && worst <= 1e-2 * largest, `${name}: off by ${worst / largest} of the largest logit`);
      await session.release();
      tf.dispose([params, x, image]);
    }
    const { spec, input } = tinyNetworks['swin-umamba-d'];
    const { network, params } = build(spec, undefined, { seed: 1, ...ends });
    const scans = networkGraph(network, fromParams(network, params) as Record<string, StoredTensor>, input, ends.inputChannels);
    tf.dispose(params);
    assert.throws(() => halve(scans), /\w+ in half precision; expected operators that work in it/);
  });

  it('without a runtime it is said how to install one', async () => {
    await assert.rejects(
      loadRuntime('onnxruntime-nowhere' as never),
      /a bundle needs ONNX Runtime\n.*Cannot find package.*expected onnxruntime-node\. Install it once: npm install /,
    );
  });

  it('an operator that has no form in ONNX is named', () => {
    const network: Network = {
      parameters: [],
      divisibleBy: [1, 1, 1],
      forward: (_, x) => [tf.tidy(() => tf.reshape(tf.topk(tf.reshape(x, [-1]), x.size).values, x.shape))],
    };
    assert.throws(
      () => networkGraph(network, {}, [4, 4, 4], 1),
      /the operator TopK; expected operators that have a form in ONNX/,
    );
    const looking: Network = { ...network, forward: (_, x) => [tf.mul(x, x.dataSync()[0])] };
    assert.throws(() => networkGraph(looking, {}, [4, 4, 4], 1), /a layer that looks at values while it runs/);
  });
});
