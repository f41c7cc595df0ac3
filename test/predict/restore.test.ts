import assert from 'node:assert';
import { Random } from '../../src/base/random.js';
import { labelsForNextStage, type RestoreSettings, restore, restorer } from '../../src/predict/index.js';
import { resample, separateAxis } from '../../src/volume/index.js';

const heads = { heads: 3, hasRegions: false, regionsClassOrder: null };
const regions = { heads: 2, hasRegions: true, regionsClassOrder: [2, 1] };

function logitsOf(shape: readonly number[], channels: number) {
  const random = new Random(`${shape}`);
  return Float32Array.from({ length: shape[0] * shape[1] * shape[2] * channels }, () => random.normal(0, 3));
}

const settings = (rest: Partial<RestoreSettings> = {}): RestoreSettings => ({
  plan: { transpose_forward: [0, 1, 2], transpose_backward: [0, 1, 2] },
  configuration: { spacing: [1, 1, 1] },
  heads,
  ...rest,
});

const geometry = (shape: number[], spacing = [1, 1, 1]) => ({
  spacing,
  shape_before_cropping: shape,
  bbox_used_for_cropping: shape.map((n) => [0, n]),
  shape_after_cropping_and_before_resampling: shape,
});

describe('restoring a prediction', () => {
  it('of unchanged shape is the argmax', () => {
    const logits = logitsOf([4, 5, 6], 3);
    const { labels, shape } = restore(logits, [4, 5, 6], geometry([4, 5, 6]), settings());
    assert.deepEqual(shape, [4, 5, 6]);
    labels.forEach((label, v) => {
      assert.equal(
        label,
        [0, 1, 2].reduce((best, c) => (logits[3 * v + c] > logits[3 * v + best] ? c : best), 0),
      );
    });
  });

  for (const [from, to, spacing] of [
    [
      [6, 7, 8],
      [9, 5, 12],
      [0.7, 1.4, 0.6],
    ],
    [
      [6, 7, 8],
      [6, 20, 3],
      [1, 0.3, 2],
    ],
    [
      [4, 10, 12],
      [9, 14, 11],
      [0.4, 2, 2],
    ],
    [
      [9, 4, 10],
      [7, 9, 15],
      [1, 5, 1],
    ],
    [
      [1, 8, 8],
      [1, 16, 5],
      [999, 1, 1],
    ],
  ])
    for (const precision of ['float32', 'float16'] as const)
      it(`resamples each class as volumes are resampled: ${from.join('×')} to ${to.join('×')}, ${precision}`, () => {
        const logits = logitsOf(from, 2);
        const axis = separateAxis([1, 1, 1], spacing);
        const channels = [0, 1].map((c) =>
          resample(
            { data: logits.filter((_, i) => i % 2 === c), shape: from as [number, number, number] },
            to as [number, number, number],
            {
              kind: 'values',
              order: 1,
              orderZ: 0,
              axis,
            },
          ),
        );
        const two = { heads: 2, hasRegions: true, regionsClassOrder: [1, 2] };
        const out = restore(logits, from, geometry(to, spacing), settings({ heads: two, keepProbabilities: true, precision }));
        const tolerance = precision === 'float16' ? 1e-3 : 1e-6;
        out.probabilities!.forEach((p, i) => {
          const x = channels[i % 2][Math.floor(i / 2)];
          assert.ok(Math.abs(p - 1 / (1 + Math.exp(-x))) < tolerance);
        });
      });

  it('slices handed over one by one give the same as all at once', () => {
    const logits = logitsOf([7, 6, 5], 3);
    const where = geometry([12, 9, 4], [0.6, 0.7, 1.2]);
    const whole = restore(logits, [7, 6, 5], where, settings());
    const { consume, result } = restorer([7, 6, 5], where, settings());
    for (const [from, to] of [
      [0, 1],
      [1, 4],
      [4, 5],
      [5, 7],
    ])
      void consume(logits.slice(from * 90, to * 90), from, to);
    assert.deepEqual(result(), whole);
  });

  it('slices along any axis give the same, cropped, transposed and with an axis resampled on its own', () => {
    const shape = [7, 6, 5];
    const logits = logitsOf(shape, 3);
    for (const axis of [0, 1, 2])
      for (const spacing of [
        [0.6, 0.7, 1.2],
        [6, 0.7, 0.7],
      ])
        for (const order of [
          [0, 1, 2],
          [2, 0, 1],
        ]) {
          const where = {
            ...geometry([12, 9, 4], spacing),
            shape_before_cropping: [14, 10, 6],
            bbox_used_for_cropping: [
              [1, 13],
              [1, 10],
              [2, 6],
            ],
          };
          const transpose = { transpose_forward: order, transpose_backward: [0, 1, 2].map((a) => order.indexOf(a)) };
          const how = settings({ plan: transpose, keepProbabilities: true });
          const whole = restore(logits, shape, where, how);
          const { consume, result } = restorer(shape, where, { ...how, axis });
          const next = labelsForNextStage(shape, where, [9, 8, 7], { ...how, axis });
          const others = [0, 1, 2].filter((a) => a !== axis);
          for (let z = 0; z < shape[axis]; z++) {
            const slice: number[] = [];
            for (let y = 0; y < shape[others[0]]; y++)
              for (let x = 0; x < shape[others[1]]; x++) {
                const at = [0, 0, 0];
                [at[axis], at[others[0]], at[others[1]]] = [z, y, x];
                const i = ((at[0] * 6 + at[1]) * 5 + at[2]) * 3;
                slice.push(...logits.subarray(i, i + 3));
              }
            void consume(Float32Array.from(slice), z, z + 1);
            void next.consume(Float32Array.from(slice), z, z + 1);
          }
          const { labels, shape: size, probabilities } = result();
          assert.deepEqual([labels, size], [whole.labels, whole.shape]);
          assert.ok(probabilities!.every((p, i) => Math.abs(p - whole.probabilities![i]) < 1e-6));
          const first = labelsForNextStage(shape, where, [9, 8, 7], how);
          void first.consume(logits, 0, 7);
          assert.deepEqual(next.result(), first.result());
        }
  });

  it('is not given out before the last slice', () => {
    const { consume, result } = restorer([4, 2, 2], geometry([4, 2, 2]), settings());
    void consume(logitsOf([4, 2, 2], 3), 0, 3);
    assert.throws(result, {
      message:
        'the prediction is not complete\n  restore: 3 of 4 slices; expected all 4 slices of the prediction, in order. Ask for the result after the last slice.',
    });
  });

  it('puts the crop back and turns the axes back', () => {
    const logits = logitsOf([2, 3, 4], 3).map((v, i) => (i % 3 === 1 ? 100 + i : v));
    const { labels, shape, probabilities } = restore(
      logits,
      [2, 3, 4],
      {
        spacing: [1, 1, 1],
        shape_before_cropping: [5, 6, 7],
        bbox_used_for_cropping: [
          [1, 3],
          [2, 5],
          [3, 7],
        ],
        shape_after_cropping_and_before_resampling: [2, 3, 4],
      },
      settings({ plan: { transpose_forward: [2, 0, 1], transpose_backward: [1, 2, 0] }, keepProbabilities: true }),
    );
    assert.deepEqual(shape, [6, 7, 5]);
    labels.forEach((label, i) => {
      const [y, x, z] = [Math.floor(i / 35), Math.floor(i / 5) % 7, i % 5];
      const inside = z >= 1 && z < 3 && y >= 2 && y < 5 && x >= 3;
      assert.equal(label, inside ? 1 : 0);
      assert.ok(Math.abs(probabilities![3 * i + (inside ? 1 : 0)] - 1) < 1e-6);
    });
  });

  it('outside of the crop no region is probable', () => {
    const where = { ...geometry([1, 1, 1]), shape_before_cropping: [1, 1, 2] };
    const out = restore(Float32Array.of(5, -5), [1, 1, 1], where, settings({ heads: regions, keepProbabilities: true }));
    assert.deepEqual([...out.labels], [2, 0]);
    assert.deepEqual([...out.probabilities!].slice(2), [0, 0]);
  });

  it('a plan that resamples probabilities otherwise is refused', () =>
    assert.throws(
      () =>
        restore(
          logitsOf([2, 2, 2], 3),
          [2, 2, 2],
          geometry([2, 2, 2]),
          settings({ configuration: { spacing: [1, 1, 1], resampling_fn_probabilities_kwargs: { order: 3 } } }),
        ),
      {
        message:
          'this plan resamples probabilities in a way that is not supported\n  resampling_fn_probabilities_kwargs: order 3, order_z 0; expected order 1, order_z 0. Set them so in plans.json; they are what every nnU-Net planner writes.',
      },
    ));
});

describe('labels for the next stage', () => {
  it('are the argmax of resampled logits', () => {
    const logits = logitsOf([3, 4, 5], 3);
    const settled = settings({ configuration: { spacing: [2, 2, 2] } });
    const restored = restore(logits, [3, 4, 5], geometry([6, 8, 10], [1, 1, 1]), settled);
    const { consume, result } = labelsForNextStage([3, 4, 5], { spacing: [1, 1, 1] }, [6, 8, 10], settled);
    assert.throws(result, /the prediction is not complete/);
    void consume(logits, 0, 3);
    assert.deepEqual(result(), restored.labels);
  });
});
