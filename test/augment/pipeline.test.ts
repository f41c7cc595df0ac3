import assert from 'node:assert';
import { type PipelineName, pipeline, type Sample } from '../../src/augment/index.js';
import { Random } from '../../src/base/random.js';

const names: PipelineName[] = ['nnunetv2', 'moreDA', 'DA4', 'none'];

/** A sample of a pipeline's initial size, labels in blocks, -1 at one border. */
function sampleOf(size: readonly number[], channels: number, seed = 'sample'): Sample {
  const shape = (size.length === 2 ? [1, ...size] : [...size]) as Sample['shape'];
  const random = new Random(seed);
  const n = shape[0] * shape[1] * shape[2];
  const seg = Int16Array.from({ length: n }, (_, i) => (i % shape[2] < 2 ? -1 : Math.floor((i % shape[2]) / 5) % 3));
  return { image: Float32Array.from({ length: n * channels }, () => random.normal()), seg, shape, channels };
}

describe('augmentation pipelines', () => {
  for (const name of names)
    for (const patch of [
      [10, 12, 14],
      [4, 16, 18],
      [16, 20],
    ])
      it(`${name} on ${patch.join('×')}: a draw survives JSON and gives identical voxels again`, () => {
        const p = pipeline(name, { patchSize: patch, useMaskForNorm: [true, false] });
        const sample = sampleOf(p.initialPatchSize, 2);
        const before = { image: sample.image.slice(), seg: sample.seg.slice() };
        const random = new Random(`${name} ${patch}`);
        for (let i = 0; i < 12; i++) {
          const draw = p.draw(random, sample);
          const out = p.apply(draw, sample);
          const again = p.apply(JSON.parse(JSON.stringify(draw)), sample);
          assert.deepEqual(again, out);
          assert.deepEqual(out.shape, patch.length === 2 ? [1, ...patch] : patch);
          assert.equal(out.image.length, out.seg.length * 2);
          assert.ok(out.image.every(Number.isFinite));
          assert.ok(out.seg.every((v) => v >= 0 && v <= 2));
        }
        assert.deepEqual({ image: sample.image, seg: sample.seg }, before, 'the sample given is left as it was');
      });

  it('equal seeds draw equally, others differently', () => {
    const p = pipeline('DA4', { patchSize: [8, 8, 8] });
    const draws = (seed: number) =>
      Array.from(
        { length: 5 },
        (
          (r) => () =>
            p.draw(r, { channels: 3 })
        )(new Random(seed)),
      );
    assert.deepEqual(draws(1), draws(1));
    assert.notDeepEqual(draws(1), draws(2));
  });

  it('transforms come up as often as the trainer says', () => {
    const expected: Record<string, Record<string, number>> = {
      nnunetv2: { noise: 0.1, blur: 0.2, multiply: 0.15, contrast: 0.15, lowResolution: 0.25, mirror: 0.875, shift: 0 },
      moreDA: { noise: 0.1, blur: 0.2, multiply: 0.15, contrast: 0.15, lowResolution: 0.25, mirror: 0.875, shift: 0 },
      DA4: { noise: 0.15, blur: 0.2, multiply: 0.15, contrast: 0.15, lowResolution: 0.25, mirror: 0.875, shift: 0.3 },
    };
    for (const [name, probabilities] of Object.entries(expected)) {
      const p = pipeline(name as PipelineName, { patchSize: [8, 8, 8] });
      const random = new Random(name);
      const n = 4000;
      const draws = Array.from({ length: n }, () => p.draw(random, { channels: 1 }));
      for (const [transform, probability] of Object.entries(probabilities)) {
        const share = draws.filter((d) => d.some((s) => s.transform === transform)).length / n;
        assert.ok(Math.abs(share - probability) < 0.025, `${name} ${transform}: ${share}, expected ${probability}`);
      }
      const gammas = draws.flat().filter((s) => s.transform === 'gamma');
      const inverted = gammas.filter((s) => s.inverted).length / n;
      assert.ok(Math.abs(inverted - (name === 'DA4' ? 0.15 : 0.1)) < 0.02);
      assert.ok(Math.abs((gammas.length / n - inverted) / 0.3 - 1) < 0.1);
    }
  });

  it('none cuts the middle and turns -1 into background', () => {
    const p = pipeline('none', { patchSize: [2, 2, 2] });
    const sample = sampleOf([4, 4, 4], 1);
    const out = p.apply(p.draw(new Random(0), sample), sample);
    const middle = [21, 22, 25, 26, 37, 38, 41, 42];
    assert.deepEqual(
      [...out.image],
      middle.map((i) => sample.image[i]),
    );
    assert.deepEqual(
      [...out.seg],
      middle.map((i) => Math.max(sample.seg[i], 0)),
    );
    assert.deepEqual(p.initialPatchSize, [2, 2, 2]);
  });

  it('outside of the image masked channels are 0', () => {
    const p = pipeline('none', { patchSize: [2, 4, 6], useMaskForNorm: [true, false] });
    const sample = sampleOf([2, 4, 6], 2);
    const out = p.apply(p.draw(new Random(0), sample), sample);
    for (let v = 0; v < sample.seg.length; v++) {
      assert.equal(out.image[2 * v], sample.seg[v] < 0 ? 0 : sample.image[2 * v]);
      assert.equal(out.image[2 * v + 1], sample.image[2 * v + 1]);
    }
  });

  it('a cascade gets the previous stage as one-hot channels that turn with the image', () => {
    const p = pipeline('nnunetv2', { patchSize: [8, 10, 12], cascadeLabels: [1, 2] });
    const sample = { ...sampleOf(p.initialPatchSize, 1) };
    const previous = sample.seg.slice();
    const random = new Random('cascade');
    let untouched = 0;
    for (let i = 0; i < 20; i++) {
      const draw = p.draw(random, sample);
      const out = p.apply(draw, { ...sample, previous });
      assert.equal(out.channels, 3);
      if (draw.some((s) => s.transform === 'binaryOperator' || s.transform === 'removeComponent')) continue;
      untouched++;
      for (let v = 0; v < out.seg.length; v++)
        for (const label of [1, 2]) assert.equal(out.image[3 * v + label], out.seg[v] === label ? 1 : 0);
    }
    assert.ok(untouched > 3);
  });

  it('slices of an anisotropic patch stay where they are', () => {
    const p = pipeline('nnunetv2', { patchSize: [3, 16, 16], mirrorAxes: [] });
    assert.equal(p.initialPatchSize[0], 3);
    const sample = sampleOf(p.initialPatchSize, 1);
    const slice = sample.shape[1] * sample.shape[2];
    for (let i = 0; i < sample.image.length; i++) sample.image[i] = Math.floor(i / slice) + 1;
    const random = new Random('flat');
    for (let i = 0; i < 10; i++) {
      const spatial = p.draw(random, sample).filter((s) => s.transform === 'spatial');
      const out = p.apply(spatial, sample);
      // The middle of a slice is never sampled from outside, so its constant value shows which slice it came from.
      for (let z = 0; z < 3; z++) assert.ok(Math.abs(out.image[(z * 16 + 8) * 16 + 8] - (z + 1)) < 1e-5);
    }
  });
});
