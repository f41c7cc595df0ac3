// A network, batches and a recipe small enough to train in a test: two convolutions with a group norm and dropout between.
import { Random } from '../../src/base/random.js';
import { labels } from '../../src/dataset/index.js';
import { type Context, Declaration, initialise, type Network, scope } from '../../src/model/network.js';
import { averagePool, convolve, tf } from '../../src/tensor/tf.js';
import type { Batch } from '../../src/train/feed/batchMemory.js';
import type { BatchSource } from '../../src/train/feed/feed.js';
import type { Phase, Recipe } from '../../src/train/index.js';
import type { LoopInput } from '../../src/train/loop.js';
import { objectiveOf } from '../../src/train/objective.js';

export const side = 8;

/** Two outputs: full resolution and half. */
export function tinyNetwork(channels = 1, heads = 3, width = 4): Network {
  const d = new Declaration();
  const uniform = (bound: number) => ({ kind: 'uniform', bound }) as const;
  const first = d.add('first.weight', [width, channels, 3, 3, 3], { init: uniform(0.3), layout: 'kernel' });
  const bias = d.add('first.bias', [width], { init: uniform(0.1) });
  const last = d.add('last.weight', [heads, width, 1, 1, 1], { init: uniform(0.5), layout: 'kernel' });
  const half = d.add('half.weight', [heads, width, 1, 1, 1], { init: uniform(0.5), layout: 'kernel' });
  const mean = d.add('seen.mean', [width], { init: { kind: 'zeros' }, buffer: true });
  const convolution = (name: string, weight: string) =>
    scope(d, name, ({ params }: Context, x: tf.Tensor) => convolve(x, params[weight], [1, 1, 1], 'same'));
  const [firstConv, lastConv, halfConv] = [convolution('first', first), convolution('last', last), convolution('half', half)];
  return d.network([2, 2, 2], (c, x) => {
    const { params, training, updates, random } = c;
    let h: tf.Tensor = tf.add(firstConv(c, x), params[bias]);
    if (training) {
      const now = tf.mean(h, [0, 1, 2, 3]);
      updates[mean] = tf.keep(tf.add(tf.mul(params[mean], 0.9), tf.mul(now, 0.1)));
    }
    h = tf.relu(h);
    if (training && random) {
      const keep = Float32Array.from({ length: width }, () => (random.chance(0.9) ? 1 / 0.9 : 0));
      h = tf.mul(h, tf.tensor1d(keep));
    }
    return [lastConv(c, h), halfConv(c, averagePool(h, [2, 2, 2]))];
  });
}

/** Noisy balls of two classes, drawn from the batch's name. */
export class TinyFeed implements BatchSource {
  asked: string[] = [];
  constructor(
    private readonly seed: number,
    private readonly batchSize = 2,
    private readonly n = side,
  ) {}

  async next(phase: Phase, index: number): Promise<Batch> {
    this.asked.push(`${phase} ${index}`);
    const { n, batchSize } = this;
    const image = new Float32Array(batchSize * n ** 3);
    const full = new Int32Array(batchSize * n ** 3);
    const half = new Int32Array(batchSize * (n / 2) ** 3);
    for (let b = 0; b < batchSize; b++) {
      const random = new Random(this.seed).split(phase).split(index).split(b);
      const centre = [0, 1, 2].map(() => random.uniform(2, n - 2));
      for (let z = 0, i = b * n ** 3; z < n; z++)
        for (let y = 0; y < n; y++)
          for (let x = 0; x < n; x++, i++) {
            const r = Math.hypot(z - centre[0], y - centre[1], x - centre[2]);
            full[i] = r < 1.5 ? 2 : r < 3 ? 1 : 0;
            image[i] = full[i] + random.normal(0, 0.3);
          }
      for (let z = 0, i = b * (n / 2) ** 3; z < n / 2; z++)
        for (let y = 0; y < n / 2; y++)
          for (let x = 0; x < n / 2; x++, i++) half[i] = full[b * n ** 3 + ((2 * z + 1) * n + 2 * y + 1) * n + 2 * x + 1];
    }
    return {
      caseIds: Array.from({ length: batchSize }, (_, b) => `case_${index}_${b}`),
      image,
      channels: 1,
      labels: [full, half],
    };
  }

  async close(): Promise<void> {}
}

export const tinyRecipe: Recipe = {
  optimiser: { kind: 'adamw', learningRate: 0.02, beta1: 0.9, beta2: 0.999, epsilon: 1e-4, weightDecay: 3e-5 },
  schedule: { kind: 'poly', exponent: 0.9 },
  epochs: 3,
  iterationsPerEpoch: 4,
  validationIterationsPerEpoch: 2,
  batchSize: 2,
  loss: { kind: 'dice+ce', dice: 'nnunetv2', batchDice: false, smooth: 1e-5 },
  deepSupervision: 'all',
  gradientClip: 12,
  oversampleForeground: 0.33,
  augmentation: 'none',
  mirrorAxes: [],
};

export function tinyInput(folder: string, recipe: Recipe = tinyRecipe, seed = 5): LoopInput {
  const network = tinyNetwork();
  return {
    run: 'tiny',
    folder,
    recipe,
    network,
    initial: () => initialise(network, new Random(seed).split('weights')),
    objective: objectiveOf(recipe, labels({ labels: { background: 0, shell: 1, core: 2 } })),
    feed: new TinyFeed(seed),
    outputShapes: [
      [side, side, side],
      [side / 2, side / 2, side / 2],
    ],
    dimensions: 3,
    seed,
  };
}
