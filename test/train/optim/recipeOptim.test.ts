// Parameter groups, warm-up, accumulation and running averages against torch, by our kernel and by plain operators.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import type { ParamInfo, Params } from '../../../src/model/index.js';
import { withPlainOperators } from '../../../src/tensor/native/load.js';
import { tf } from '../../../src/tensor/tf.js';
import {
  applyGradients,
  averagedParams,
  groupFaults,
  initialState,
  layerwise,
  learningRate,
  optimiserOf,
  ownSettings,
  type Recipe,
  type TrainState,
} from '../../../src/train/index.js';
import { close } from '../../tensor/ops/check.js';
import { tinyNetwork, tinyRecipe } from '../tiny.js';

const golden = JSON.parse(fs.readFileSync(new URL('./recipeOptim.json', import.meta.url), 'utf8'));

const infos = Object.entries(golden.shapes as Record<string, number[]>).map(([name, shape]) => ({
  name,
  shape,
  layout: shape.length > 1 ? ('kernel' as const) : ('plain' as const),
  dtype: 'float32' as const,
  buffer: false,
  init: { kind: 'zeros' } as const,
})) satisfies ParamInfo[];

const recipe: Pick<Recipe, 'groups' | 'decayNormsAndBiases'> = {
  groups: [...layerwise(['encoder.', 'decoder.'], 0.5), { prefixes: ['head.'], weightDecay: 0.5 }],
  decayNormsAndBiases: false,
};
const optimisers: Record<string, Recipe['optimiser']> = {
  sgd: { kind: 'sgd', learningRate: 0.1, momentum: 0.9, nesterov: true, weightDecay: 0.05 },
  adamw: { kind: 'adamw', learningRate: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1e-5, weightDecay: 0.05 },
};

const paramsOf = (values: Record<string, number[]>): Params =>
  Object.fromEntries(infos.map(({ name, shape }) => [name, tf.tensor(values[name], shape)]));

function walk(kind: 'sgd' | 'adamw'): void {
  const { start, gradients, after, averages, norms } = golden[kind];
  const optimiser = optimiserOf(optimisers[kind], { own: ownSettings(recipe, infos), ema: 0.8 });
  let state: TrainState = { params: paramsOf(start), optimiser: initialState() };
  for (const [t, batches] of gradients.entries()) {
    const mean = (name: string, i: number) => batches.reduce((sum: number, b: any) => sum + b[name][i], 0) / batches.length;
    const all = paramsOf(
      Object.fromEntries(infos.map(({ name }) => [name, start[name].map((_: number, i: number) => mean(name, i))])),
    );
    const given = Object.fromEntries(Object.entries(all).filter(([name]) => !(name.startsWith('head.') && t < 2)));
    const stepped = applyGradients(optimiser, state, given, 0.1, golden.clip);
    assert.ok(Math.abs(stepped.norm - norms[t]) < 1e-5, `norm ${stepped.norm}, torch ${norms[t]}`);
    state = stepped.state!;
    const averaged = averagedParams(state);
    for (const { name } of infos) {
      close(state.params[name].dataSync(), after[t][name], 3e-6, `${name} after step ${t + 1}`);
      close(averaged[name].dataSync(), averages[t][name], 3e-6, `average of ${name} after step ${t + 1}`);
    }
    tf.dispose(all);
  }
  tf.dispose([state.params, state.optimiser.slots]);
}

describe('what a recipe says of the optimiser', () => {
  for (const kind of ['sgd', 'adamw'] as const) {
    it(`${kind}: groups, weight decay, clipping, a late start and averages are torch’s, by our kernel`, () => walk(kind));
    it(`${kind}: and by plain operators`, () => withPlainOperators(() => walk(kind)));
  }

  it('rates of a warm-up are those of nnU-Net and of torch’s LinearLR in a SequentialLR', () => {
    const at = (warmup: Recipe['warmup'], schedule: Recipe['schedule']) =>
      Array.from({ length: 12 }, (_, e) => learningRate({ optimiser: optimisers.sgd, schedule, epochs: 12, warmup }, e));
    const poly = { kind: 'poly', exponent: 0.9 } as const;
    close(at({ epochs: 4 }, poly), golden.rates.nnunet, 1e-12);
    close(at({ epochs: 4, from: 0.2 }, poly), golden.rates['linear, poly'], 1e-12);
    close(at({ epochs: 4, from: 0.2 }, { kind: 'cosine', total: 8, minimum: 0.001 }), golden.rates['linear, cosine'], 1e-12);
  });

  it('norms and biases are found by their shape, MedNeXt’s response norm among them', () => {
    const plain = { layout: 'plain' } as const;
    const own = ownSettings({ decayNormsAndBiases: false }, [
      { ...infos[0], ...plain, name: 'norm.weight', shape: [8] },
      { ...infos[0], ...plain, name: 'grn_beta', shape: [1, 8, 1, 1, 1] },
      { ...infos[0], ...plain, name: 'position', shape: [4, 8] },
      { ...infos[0], name: 'conv.weight', shape: [1, 8, 1, 1, 1] },
    ])!;
    const decays = ['norm.weight', 'grn_beta', 'position', 'conv.weight'].map((name) => own(name).weightDecay);
    assert.deepEqual(decays, [0, 0, undefined, undefined]);
    assert.equal(ownSettings({}, []), undefined);
  });

  it('a beginning that no parameter has is refused, with the nearest', () => {
    const { parameters } = tinyNetwork();
    const wrong = {
      ...tinyRecipe,
      groups: [{ prefixes: ['last', 'frist'], learningRate: 0.1 }],
      freeze: { prefixes: ['half.', 'encoder'] },
    };
    assert.deepEqual(
      groupFaults(wrong, parameters).map(({ path, given, fix }) => [path, given, fix.slice(0, 20)]),
      [
        ['recipe.groups[0].prefixes[1]', '"frist"', 'Did you mean first?'],
        ['recipe.freeze.prefixes[1]', '"encoder"', 'There are first.weig'],
      ],
    );
  });
});
