import assert from 'node:assert/strict';
import { shareOf } from '../../src/train/split.js';

const cases = Array.from({ length: 13 }, (_, i) => `case_${String(i).padStart(2, '0')}`);

describe('a share of the training cases', () => {
  it('is rounded to whole cases, at least one, in the order given', () => {
    assert.deepEqual(
      [0.01, 0.1, 0.2, 0.5, 1].map((share) => shareOf(cases, share).length),
      [1, 1, 3, 7, 13],
    );
    assert.deepEqual(shareOf(cases, 0.5), [...shareOf(cases, 0.5)].sort());
    assert.deepEqual(shareOf(cases), cases);
  });

  it('is part of every larger share, and drawn again for every fold', () => {
    const half = new Set(shareOf(cases, 0.5));
    for (const id of shareOf(cases, 0.2)) assert.ok(half.has(id));
    assert.notDeepEqual(shareOf(cases, 0.5, 0), shareOf(cases, 0.5, 1));
  });

  it('is refused outside ]0, 1]', () => {
    for (const share of [0, -0.5, 1.5, Number.NaN]) assert.throws(() => shareOf(cases, share), /above 0, at most 1/);
  });
});
