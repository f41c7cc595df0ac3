import assert from 'node:assert';
import { z } from 'zod';
import type { GammaDraw } from '../../src/augment/gamma.js';
import {
  cutBox,
  type Entry,
  type PipelineName,
  pipeline,
  pipelines,
  type Sample,
  type Transform,
} from '../../src/augment/index.js';
import { Random } from '../../src/base/random.js';
import { extend } from '../../src/base/registry.js';

const names = Object.keys(pipelines) as PipelineName[];

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

  for (const patch of [
    [9, 12, 14],
    [3, 15, 18],
    [16, 20],
  ])
    it(`of ${patch.join('×')} gives the same voxels of the part that a draw reads as of the whole`, () => {
      const p = pipeline('moreDA', { patchSize: patch, useMaskForNorm: [true, false] });
      const sample = sampleOf(p.initialPatchSize, 2);
      let smaller = 0;
      for (let i = 0; i < 15; i++) {
        const draw = p.draw(new Random(i), sample);
        const { start, size } = p.reads(draw);
        const n = size[0] * size[1] * size[2];
        const part: Sample = {
          image: cutBox(sample.image, sample.shape, start, size, new Float32Array(n * 2), 2),
          seg: cutBox(sample.seg, sample.shape, start, size, new Int16Array(n)),
          shape: size,
          channels: 2,
        };
        if (part.seg.length < sample.seg.length) smaller++;
        assert.deepEqual(p.apply(draw, part), p.apply(draw, sample));
      }
      assert.ok(smaller > 2 && smaller < 15);
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
      const gammas = draws.flat().filter((s) => s.transform === 'gamma') as GammaDraw[];
      const inverted = gammas.filter((s) => s.inverted).length / n;
      assert.ok(Math.abs(inverted - (name === 'DA4' ? 0.15 : 0.1)) < 0.02);
      assert.ok(Math.abs((gammas.length / n - inverted) / 0.3 - 1) < 0.1);
    }
  });

  it('variants differ from nnU-Net’s own in the lines that say so', () => {
    const { nnunetv2 } = pipelines;
    const differing = (list: readonly Entry[]) =>
      list.flatMap((entry) => {
        const own = nnunetv2.find((other) => JSON.stringify(other) === JSON.stringify(entry));
        return own ? [] : [entry];
      });
    assert.deepEqual(differing(pipelines.noMirroring), []);
    assert.equal(pipelines.noMirroring.length, nnunetv2.length - 1);
    assert.deepEqual(differing(pipelines.DASegOrd0), [{ ...nnunetv2[0], labels: 'nearest' }]);
    assert.deepEqual(differing(pipelines.DAOrd0), [{ ...nnunetv2[0], interpolation: 'nearest', labels: 'nearest' }]);
    assert.deepEqual(
      differing(pipelines.moreDA).map((entry) => entry.transform),
      ['spatial', 'blur', 'multiply', 'lowResolution'],
    );
  });

  it('a list written out is the pipeline of its name, bit for bit', () => {
    const [named, written] = ['DA4' as const, JSON.parse(JSON.stringify(pipelines.DA4)) as Entry[]].map((p) =>
      pipeline(p, { patchSize: [10, 12, 14] }),
    );
    const sample = sampleOf(named.initialPatchSize, 2);
    assert.deepEqual(written.initialPatchSize, named.initialPatchSize);
    const [a, b] = [new Random(4), new Random(4)];
    for (let i = 0; i < 8; i++)
      assert.deepEqual(written.apply(written.draw(b, sample), sample), named.apply(named.draw(a, sample), sample));
  });

  it('nearest sampling gives values and labels of the sample alone, and both move alike', () => {
    const p = pipeline('DAOrd0', { patchSize: [10, 12, 14], mirrorAxes: [] });
    const sample = sampleOf(p.initialPatchSize, 1);
    // The image says the label, 0 outside as the background is.
    sample.image.set(sample.seg.map((label) => Math.max(label, 0)));
    const random = new Random('nearest');
    let moved = 0;
    for (let i = 0; i < 30; i++) {
      const spatial = p.draw(random, sample).filter((s) => s.transform === 'spatial');
      const out = p.apply(spatial, sample);
      assert.deepEqual([...out.image], [...out.seg]);
      if ((spatial[0] as { angles?: unknown }).angles) moved++;
    }
    assert.ok(moved > 2);
  });

  it('says everything that is wrong with a list at once', () => {
    const entries = [
      { transform: 'nose', sd: [0, 0.1] },
      { transform: 'noise', probability: 2, sd: 0.1 },
      { transform: 'gamma', range: [0.7, 1.5], invert: true },
    ] as never;
    assert.throws(
      () => pipeline(entries, { patchSize: [8, 8, 8] }),
      (error: Error) => {
        assert.match(error.message, /augmentation\[0\]\.transform: "nose"; expected spatial, noise, /);
        assert.match(error.message, /augmentation\[1\]\.probability: 2; expected a number from 0 to 1/);
        assert.match(error.message, /augmentation\[1\]\.sd: 0\.1; expected .*tuple/);
        assert.match(error.message, /augmentation\[2\]\.inverted: nothing; expected .*boolean/);
        assert.match(error.message, /augmentation\[2\]: .*; expected .*"invert"/);
        return true;
      },
    );
  });

  it('a transform from outside draws and applies like the built-in ones', () => {
    const settings = z.strictObject({ low: z.number(), high: z.number() });
    const clip: Transform<z.infer<typeof settings>, { transform: 'clip'; to: number[] }> = {
      name: 'clip',
      settings,
      draw: (_, { low, high }) => ({ transform: 'clip', to: [low, high] }),
      apply({ to: [low, high] }, planes) {
        for (const plane of planes.channels) plane.set(plane.map((v) => Math.min(Math.max(v, low), high)));
        return planes;
      },
    };
    extend({ transforms: [clip] });
    const p = pipeline([{ transform: 'clip', low: -0.5, high: 0.5 }] as never, { patchSize: [4, 4, 4] });
    const sample = sampleOf([4, 4, 4], 1);
    const draw = p.draw(new Random(1), sample);
    assert.deepEqual(draw.at(-1), { transform: 'clip', to: [-0.5, 0.5] });
    const expected = Array.from(sample.image, (v) => Math.fround(Math.min(Math.max(v, -0.5), 0.5)));
    assert.deepEqual([...p.apply(draw, sample).image], expected);
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
    const before = structuredClone(sample);
    const out = p.apply(p.draw(new Random(0), sample), sample);
    assert.deepEqual(sample, before, 'the given sample was changed');
    assert.ok(sample.seg.some((label) => label < 0));
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
