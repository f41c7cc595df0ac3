import assert from 'node:assert/strict';
import { type Colour, colourOfLabel, hex } from '../../src/base/labelColours.js';

describe('colours of labels', () => {
  const colours = Array.from({ length: 104 }, (_, i) => colourOfLabel(i + 1));
  const apart = (a: Colour, b: Colour) => Math.hypot(...a.map((v, i) => v - b[i]));

  it('tell 104 labels apart, and none from white, grey or black', () => {
    for (const [i, a] of colours.entries()) {
      assert.ok(Math.max(...a) - Math.min(...a) > 50, `label ${i + 1} is ${hex(a)}`);
      for (const [j, b] of colours.slice(0, i).entries()) assert.ok(apart(a, b) > 40, `labels ${j + 1} and ${i + 1}`);
    }
  });

  it('are the same every time, the palette of Okabe and Ito first', () => {
    assert.deepEqual(
      [1, 2, 7].map((label) => hex(colourOfLabel(label))),
      ['#e69f00', '#56b4e9', '#0072b2'],
    );
    assert.deepEqual(
      colours,
      colours.map((_, i) => colourOfLabel(i + 1)),
    );
  });
});
