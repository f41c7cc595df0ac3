// The trainer variants that FEATURES.md calls one line of a recipe are such lines.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { faultsOf } from '../../src/base/schema.js';
import { labels } from '../../src/dataset/index.js';
import { nnunetv2 } from '../../src/paper/recipes.js';
import { recipeSchema } from '../../src/train/experimentSchema.js';
import { learningRate, objectiveOf } from '../../src/train/index.js';

const text = fs.readFileSync(new URL('../../FEATURES.md', import.meta.url), 'utf8');
const part = text.slice(text.indexOf('## Trainer variants'), text.indexOf('Beyond nnU-Net'));
const rows = part
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) =>
    line
      .split('|')
      .slice(1)
      .map((cell) => cell.trim()),
  );

describe('nnU-Net’s trainer variants', () => {
  it('are each a recipe that the schema and the labels take, or absent', () => {
    assert.ok(rows.length >= 20);
    for (const [trainer, recipe, state] of rows) {
      const lines = [...recipe.matchAll(/`(\{.*?\})`/g)].map(([, json]) => JSON.parse(json));
      assert.equal(lines.length === 0, state.startsWith('absent'), `${trainer}: ${recipe} ${state}`);
      for (const change of lines) {
        const whole = { ...nnunetv2, ...change };
        assert.deepEqual(faultsOf(recipeSchema(), whole), [], trainer);
        objectiveOf(whole, labels({ labels: { background: 0, a: 1 } }));
        assert.ok(learningRate(whole, 0) > 0);
      }
    }
  });
});
