// Every network alike: shapes, parameters, one training step, determinism, checkpointing, nothing left behind.
import assert from 'node:assert';
import { Random } from '../../src/base/random.js';
import { build, networkNames, network as networkOf } from '../../src/model/index.js';
import { type Context, memoryAxes, type Params, parameterCount } from '../../src/model/network.js';
import { gradients } from '../../src/tensor/gradients.js';
import { tf } from '../../src/tensor/tf.js';
import { ends, randomised, tinyNetworks } from './tinyNetworks.js';

describe('every network', () => {
  it('has its row here', () => {
    const missing = networkNames.filter((name) => !Object.values(tinyNetworks).some((row) => row.spec.network === name));
    assert.deepStrictEqual(missing, []);
  });

  for (const [name, { spec, input, outputs = [input], unused }] of Object.entries(tinyNetworks))
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
