import assert from 'node:assert';
import { build } from '../../src/model/index.js';
import type { MedNextSpec } from '../../src/model/papers/mednext.js';
import { tf } from '../../src/tensor/tf.js';
import { upkern } from '../../src/weights/upkern.js';

const spec = (kernel: number, more: Partial<MedNextSpec> = {}): MedNextSpec => ({
  ...{ network: 'mednext', kernel, width: 2, blocks: Array(9).fill(1), expansion: 1, inputChannels: 1, classes: 2, ...more },
});
const model = (kernel: number, seed: number, more: Partial<MedNextSpec> = {}) => build(spec(kernel, more), undefined, { seed });
const name = 'enc_block_0.0.conv1.weight';

/** Values of a one-dimensional profile through a depthwise kernel `[k, k, k, 1, C]`, along depth at the centre, channel 0. */
function profile(kernel: tf.Tensor): number[] {
  const [k] = kernel.shape;
  const values = kernel.arraySync() as number[][][][][];
  const middle = Math.floor(k / 2);
  return Array.from({ length: k }, (_, z) => values[z][middle][middle][0][0]);
}

describe('UpKern', () => {
  it('with equal kernels is the identity', () => {
    const [small, large] = [model(3, 1), model(3, 2)];
    const { params, transferred } = upkern(small.params, large.params, large.network.parameters);
    assert.ok(transferred.every((t) => t.how === 'copied'));
    for (const key of Object.keys(params)) assert.deepStrictEqual(params[key].arraySync(), small.params[key].arraySync());
    tf.dispose([small.params, large.params, params]);
  });

  // Rows of the interpolation matrices as torch computes them.
  const rows: Record<string, number[][]> = {
    '3 to 5': [
      [1, 0, 0],
      [0.6, 0.4, 0],
      [0, 1, 0],
      [0, 0.4, 0.6],
      [0, 0, 1],
    ],
    '3 to 7': [
      [1, 0, 0],
      [6 / 7, 1 / 7, 0],
      [3 / 7, 4 / 7, 0],
      [0, 1, 0],
      [0, 4 / 7, 3 / 7],
      [0, 1 / 7, 6 / 7],
      [0, 0, 1],
    ],
    '5 to 7': [
      [1, 0, 0, 0, 0],
      [3 / 7, 4 / 7, 0, 0, 0],
      [0, 5 / 7, 2 / 7, 0, 0],
      [0, 0, 1, 0, 0],
      [0, 0, 2 / 7, 5 / 7, 0],
      [0, 0, 0, 4 / 7, 3 / 7],
      [0, 0, 0, 0, 1],
    ],
  };
  for (const [what, matrix] of Object.entries(rows))
    it(`interpolates kernels ${what} with torch's weights`, () => {
      const [from, to] = what.split(' to ').map(Number);
      const [small, large] = [model(from, 1), model(to, 2)];
      const { params } = upkern(small.params, large.params, large.network.parameters);
      const before = profile(small.params[name]);
      const expected = matrix.map((row) => row.reduce((sum, w, i) => sum + w * before[i], 0));
      for (const [i, value] of profile(params[name]).entries()) assert.ok(Math.abs(value - expected[i]) < 1e-6);
      tf.dispose([small.params, large.params, params]);
    });

  it('a constant kernel grows to the same values: its sum is not kept', () => {
    const [small, large] = [model(3, 1), model(5, 2)];
    small.params[name].dispose();
    small.params[name] = tf.fill([3, 3, 3, 1, 2], 0.5);
    const { params } = upkern(small.params, large.params, large.network.parameters);
    assert.ok((params[name].dataSync() as Float32Array).every((v) => Math.abs(v - 0.5) < 1e-6));
    tf.dispose([small.params, large.params, params]);
  });

  for (const [size, keys, named, same, interpolated] of [
    ['S', 237, 145, 66, 26],
    ['M', 365, 225, 98, 42],
    ['L', 525, 325, 138, 62],
  ] as const)
    it(`size ${size}, 3 to 5: ${named} copied by name, ${same} by shape, ${interpolated} interpolated`, () => {
      // Width 1 has the same parameters in the same order as the full network.
      const full = { size, width: 1, blocks: undefined, expansion: undefined, deepSupervision: true };
      const [small, large] = [model(3, 1, full), model(5, 2, full)];
      const { params, transferred } = upkern(small.params, large.params, large.network.parameters);
      const byName = transferred.filter((t) => /bias|norm|dummy/.test(t.name));
      const rest = transferred.filter((t) => !byName.includes(t));
      const counts = [transferred, byName, rest.filter((t) => t.how === 'copied'), rest.filter((t) => t.how === 'interpolated')];
      assert.deepStrictEqual(
        counts.map((c) => c.length),
        [keys, named, same, interpolated],
      );
      assert.ok(rest.filter((t) => t.how === 'interpolated').every((t) => t.name.endsWith('conv1.weight')));
      tf.dispose([small.params, large.params, params]);
    });

  it('heads the small network lacks keep the large one’s values; parameters only it has are ignored', () => {
    const [plain, deep] = [model(3, 1), model(5, 2, { deepSupervision: true })];
    const { params, transferred } = upkern(plain.params, deep.params, deep.network.parameters);
    const kept = transferred.filter((t) => t.how === 'kept').map((t) => t.name);
    assert.strictEqual(kept.length, 8);
    for (const key of kept) assert.deepStrictEqual(params[key].arraySync(), deep.params[key].arraySync());
    const back = upkern(deep.params, plain.params, plain.network.parameters);
    assert.strictEqual(Object.keys(back.params).length, plain.network.parameters.length);
    tf.dispose([plain.params, deep.params, params, back.params]);
  });

  it('works in 2-D', () => {
    const [small, large] = [model(3, 1, { dimensions: 2 }), model(5, 2, { dimensions: 2 })];
    const { params } = upkern(small.params, large.params, large.network.parameters);
    assert.deepStrictEqual(params[name].shape, [5, 5, 1, 2]);
    tf.dispose([small.params, large.params, params]);
  });

  it('names every parameter whose channels differ, and leaves no tensor behind', () => {
    const [small, large] = [model(3, 1), model(5, 2, { classes: 4 })];
    const before = tf.memory().numTensors;
    assert.throws(
      () => upkern(small.params, large.params, large.network.parameters),
      (error: Error) => {
        assert.match(error.message, /UpKern cannot transfer these weights/);
        assert.match(
          error.message,
          /out_0\.conv_out\.weight: \[2,2,1,1,1\] in the small network; expected \[2,4,1,1,1\], differing in kernel size only/,
        );
        assert.match(error.message, /out_0\.conv_out\.bias: \[2\] in the small network; expected \[4\]\./);
        return true;
      },
    );
    assert.strictEqual(tf.memory().numTensors, before);
    tf.dispose([small.params, large.params]);
  });
});
