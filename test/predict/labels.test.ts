import assert from 'node:assert';
import {
  average,
  keepLargestComponent,
  postprocess,
  probabilities,
  replaceIfSmall,
  segmentation,
} from '../../src/predict/index.js';

const labels3 = { heads: 3, hasRegions: false, regionsClassOrder: null };
const regions3 = { heads: 3, hasRegions: true, regionsClassOrder: [1, 2, 3] };

describe('labels of outputs', () => {
  it('the first of equal heads wins', () =>
    assert.deepEqual([...segmentation(Float32Array.of(1, 1, 0, 0, 2, 2), labels3)], [0, 1]));

  it('later regions write over earlier ones, in the order of writing', () => {
    const logits = Float32Array.of(1, 1, -1, 1, 1, 1, -1, -1, 1, -1, -1, -1);
    assert.deepEqual([...segmentation(logits, regions3)], [2, 3, 3, 0]);
    assert.deepEqual([...segmentation(logits, { ...regions3, regionsClassOrder: [3, 2, 1] })], [2, 1, 1, 0]);
  });

  it('a probability of exactly one half does not write', () => {
    assert.deepEqual([...segmentation(Float32Array.of(0, 0, 0), regions3)], [0]);
    assert.deepEqual([...segmentation(Float32Array.of(0.5, 0.5, 0.51), regions3, 'probabilities')], [3]);
  });

  it('softmax sums to 1 also for large logits, sigmoid is per region', () => {
    const p = probabilities(Float32Array.of(1000, 999, -1000), labels3);
    assert.ok(Math.abs(p[0] + p[1] + p[2] - 1) < 1e-6 && Math.abs(p[0] - 1 / (1 + Math.exp(-1))) < 1e-6);
    assert.deepEqual([...probabilities(Float32Array.of(0, 1000, -1000), regions3)], [0.5, 1, 0]);
  });

  it('outputs of another network are refused', () =>
    assert.throws(() => segmentation(new Float32Array(4), labels3), {
      message:
        'these are not outputs for these labels\n  values: 4 values; expected a multiple of 3, one for each head. Use the dataset.json the network was trained with.',
    }));
});

describe('post-processing', () => {
  const shape = [1, 3, 5];
  // prettier-ignore
  const map = Uint8Array.of(1, 1, 0, 2, 0, 0, 0, 0, 0, 0, 2, 2, 2, 0, 1);

  it('keeps the largest component of a label, other labels stay', () =>
    assert.deepEqual([...keepLargestComponent(map, shape, 1)], [1, 1, 0, 2, 0, 0, 0, 0, 0, 0, 2, 2, 2, 0, 0]));

  it('of several labels together the union counts', () =>
    assert.deepEqual([...keepLargestComponent(map, shape, [1, 2])], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 0, 0]));

  it('all components of the largest size are kept', () =>
    assert.deepEqual([...keepLargestComponent(Uint8Array.of(1, 0, 1, 0, 1), [1, 1, 5], 1)], [1, 0, 1, 0, 1]));

  it('an empty label map stays', () =>
    assert.deepEqual([...keepLargestComponent(new Uint8Array(4), [1, 2, 2], 1)], [0, 0, 0, 0]));

  it('steps follow each other, and the map given is not changed', () => {
    const before = map.slice();
    const grid = { shape, spacingMm: [1, 1, 1] };
    const step = (label: number) => ({
      kind: 'remove_all_but_largest_component_from_segmentation',
      labels_or_regions: label,
    });
    assert.deepEqual([...postprocess(map, grid, [step(1), step(2)])], [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 0, 0]);
    assert.notEqual(postprocess(map, grid, []), map);
    assert.deepEqual(map, before);
  });

  it('a label of too few voxels becomes another', () => {
    assert.deepEqual([...replaceIfSmall(Uint8Array.of(3, 3, 2, 0), 3, 2, 3)], [2, 2, 2, 0]);
    assert.deepEqual([...replaceIfSmall(Uint8Array.of(3, 3, 2, 0), 3, 2, 2)], [3, 3, 2, 0]);
  });
});

describe('averaging', () => {
  it('is the mean, in any order', () => {
    const parts = [Float32Array.of(1, 2), Float32Array.of(3, 6)];
    assert.deepEqual([...average(parts)], [2, 4]);
    assert.deepEqual(average([...parts].reverse()), average(parts));
  });

  it('predictions of different sizes are refused', () =>
    assert.throws(() => average([new Float32Array(2), new Float32Array(3)]), {
      message:
        'these predictions cannot be averaged\n  member 1: 3 values; expected 2 values as in the first. Ensemble predictions of the same case and the same labels.',
    }));
});
