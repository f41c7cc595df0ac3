// Every loss a recipe can name against torch, nnU-Net and MONAI: value and gradient, through the same door that training takes.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { definitions } from '../../../src/base/registry.js';
import { faultsOf } from '../../../src/base/schema.js';
import { labels } from '../../../src/dataset/index.js';
import { gradients } from '../../../src/tensor/gradients.js';
import { withPlainOperators } from '../../../src/tensor/native/load.js';
import { symbolic, symbolicOutput } from '../../../src/tensor/symbolic.js';
import { tf } from '../../../src/tensor/tf.js';
import { recipeSchema } from '../../../src/train/experimentSchema.js';
import { objectiveOf, type Recipe } from '../../../src/train/index.js';
import { loop } from '../../../src/train/loop.js';
import { close, leavesNothing } from '../../tensor/ops/check.js';
import { tinyInput, tinyRecipe } from '../tiny.js';

const golden = JSON.parse(fs.readFileSync(new URL('./recipeLosses.json', import.meta.url), 'utf8'));
const [batch, heads, ...space]: number[] = golden.shape;

const names = { background: 0, shell: 1, core: 2 };
const sets = {
  labels: labels({ labels: names }),
  ignore: labels({ labels: { ...names, ignore: golden.ignoreLabel } }),
  regions: labels({ labels: { background: 0, a: [1, 2], b: [2, 3], c: [3] }, regions_class_order: [1, 2, 3] }),
};

const channelsLast = (x: tf.Tensor) => tf.transpose(x, [0, 2, 3, 4, 1]);

/** Targets as a loss gets them: `[batch, …spatial]`, or one channel a region. */
function targetOf(kind: keyof typeof sets): tf.Tensor {
  const values: number[] = golden.targets[kind];
  return kind === 'regions'
    ? tf.tidy(() => channelsLast(tf.tensor(values, [batch, heads, ...space])))
    : tf.tensor(values, [batch, ...space], 'int32');
}

function valueAndGradient(loss: Recipe['loss'], kind: keyof typeof sets) {
  const objective = objectiveOf({ loss }, sets[kind]);
  const x = tf.tidy(() => channelsLast(tf.tensor(golden.logits, golden.shape)));
  const target = targetOf(kind);
  const once = (work: () => tf.Scalar) => {
    const { value, grads } = gradients(work, [x]);
    const first = tf.tidy(() => tf.transpose(grads[0]!, [0, 4, 1, 2, 3]).dataSync());
    const found = { value: value.dataSync()[0], gradient: first };
    tf.dispose([value, grads[0]!]);
    return found;
  };
  const results = [once(() => objective.loss(x, target))];
  // The way training goes where there is one operation for all outputs.
  if (objective.supervised) results.push(once(() => objective.supervised!([x], [target], [1]) ?? objective.loss(x, target)));
  tf.dispose([x, target]);
  return results;
}

describe('the losses of a recipe', () => {
  it('have a case each', () => {
    const covered = new Set(golden.cases.map((c: { loss: Recipe['loss'] }) => c.loss.kind));
    assert.deepEqual(
      definitions('losses')
        .map(({ name }) => name)
        .filter((name) => !name.startsWith('own') && !covered.has(name)),
      [],
    );
  });

  for (const { name, loss, target, value, gradient } of golden.cases)
    it(`${name}: value and gradient are the original’s`, () => {
      const check = () => {
        for (const ours of valueAndGradient(loss, target)) {
          close([ours.value], [value], 2e-6 * Math.max(1, Math.abs(value)), 'value');
          const largest = Math.max(...gradient.map(Math.abs));
          close(ours.gradient, gradient, 5e-6 * largest, 'gradient');
        }
      };
      leavesNothing(check);
      withPlainOperators(() => leavesNothing(check));
      // What a forecast computes with shapes alone.
      const objective = objectiveOf({ loss }, sets[target as keyof typeof sets]);
      symbolic(() => {
        const x = symbolicOutput([batch, ...space, heads]);
        const y = symbolicOutput(
          target === 'regions' ? [batch, ...space, heads] : [batch, ...space],
          target === 'regions' ? 'float32' : 'int32',
        );
        assert.deepEqual(gradients(() => withPlainOperators(() => objective.loss(x, y)), [x]).grads[0]!.shape, x.shape);
      });
    });

  it('train, each of them', async function () {
    this.timeout(60_000);
    const seen = new Set<string>();
    for (const { loss, target } of golden.cases) {
      if (target === 'regions' || seen.has(loss.kind)) continue;
      seen.add(loss.kind);
      const recipe: Recipe = { ...tinyRecipe, loss, epochs: 6, iterationsPerEpoch: 10, validationIterationsPerEpoch: 1 };
      const losses: number[] = [];
      const folder = fs.mkdtempSync('/tmp/losses-');
      const { params } = await loop(tinyInput(folder, recipe), { onLine: (l) => l.pseudoDsc !== null && losses.push(l.loss) });
      assert.ok(losses.at(-1)! < losses[0], `${loss.kind}: ${losses}`);
      tf.dispose(params);
      fs.rmSync(folder, { recursive: true });
    }
  });

  it('refuse by a sentence what is not for training, and what does not fit the labels', () => {
    const [fault] = faultsOf(recipeSchema(), {
      ...tinyRecipe,
      loss: { ...golden.cases.find((c: any) => c.loss.kind === 'tversky').loss, reduction: 'none' },
    });
    assert.deepEqual(
      [fault.path, fault.given, fault.expected],
      ['loss.reduction', '"none"', 'mean or sum: training minimises one number, and "none" leaves one for each class or voxel'],
    );
    const refused = (loss: object, kind: keyof typeof sets, message: RegExp) =>
      assert.throws(() => objectiveOf({ loss: loss as Recipe['loss'] }, sets[kind]), message);
    refused(
      { kind: 'ce' },
      'regions',
      /recipe\.loss\.kind: ce on regions, which overlap; expected dice\+bce with "diceWeight": 0/,
    );
    refused(
      { kind: 'ce', classWeights: [1, 2] },
      'labels',
      /recipe\.loss\.classWeights: 2 weights; expected 3, one for each class with the background/,
    );
    refused({ ...tinyRecipe.loss, classWeights: [1, 2, 3] }, 'regions', /classWeights: weights, on regions/);
    refused({ ...tinyRecipe.loss, labelSmoothing: 0.1 }, 'regions', /labelSmoothing: 0.1, on regions/);
    refused({ kind: 'dice+bce' }, 'labels', /dice\+bce on labels without regions/);
  });
});
