// Swin-UMamba's block and its four scan orders, taken apart to look at.
import { Random } from '../../base/random.js';
import { gridToSequence, patchEmbed, ss2d, vssBlock } from '../../model/layers/vss.js';
import { Declaration, initialise } from '../../model/network.js';
import { tf } from '../../tensor/tf.js';
import type { Step } from '../mednext/block.js';
import { Maps } from '../shared/maps.js';

/** The four orders in which SS2D walks a grid: each map holds at every place when it is visited, dark first. */
export function scanOrders(height = 8, width = 8): Maps {
  const names = ['1: along rows', '2: along columns', '3: rows backwards', '4: columns backwards'];
  return new Maps(
    'The four scan orders: dark is visited first, bright last',
    names.map((name, k) => {
      const places = tf.tidy(() => {
        const index = tf.reshape(tf.range(0, height * width), [1, height, width, 1]);
        return gridToSequence(index, k).dataSync();
      });
      const visited = new Float32Array(height * width);
      places.forEach((place, step) => {
        visited[place] = step;
      });
      return { name, values: visited, width, height };
    }),
  );
}

/**
 * A picture's way into the network: tokens of 2×2 pixels, the selective scan in four orders, the block's output.
 * @param x `[1, height, width, channel]`, even sides, not disposed
 * @returns each step's value as `[1, 1, height, width, channel]`; the caller owns the tensors
 */
export function blockSteps(x: tf.Tensor4D, { dim = 24, seed = 0 } = {}): Step[] {
  const d = new Declaration();
  const embed = patchEmbed(d, 'embed', { patch: 2, in: x.shape[3], dim });
  const scan = ss2d(d, 'scan', { dim, states: 16 });
  const block = vssBlock(d, 'block', { dim, states: 16 });
  const params = initialise(d, new Random(seed));
  const context = { params, training: false, updates: {} };
  const steps = tf.tidy(() => {
    const tokens = embed(context, x);
    return [tf.clone(x), tokens, scan(context, tokens), block(context, tokens)].map((t) => tf.expandDims(t, 1) as tf.Tensor5D);
  });
  tf.dispose(params);
  const names = [
    'input',
    'tokens of 2×2 pixels, layer norm',
    'SS2D: scanned in four orders, summed',
    'VSS block: tokens + SS2D(norm(tokens))',
  ];
  return names.map((name, i) => ({ name, value: steps[i] }));
}

/**
 * What the middle token of one SS2D layer looks at: the size of its gradient at every input token, on a random picture with fresh
 * weights; on a logarithmic scale. Beside it a 3×3 convolution's.
 */
export function reach(side = 32, { dim = 24, seed = 0 } = {}): Maps {
  const d = new Declaration();
  const scan = ss2d(d, 'scan', { dim, states: 16 });
  const random = new Random(seed);
  const params = initialise(d, random);
  const context = { params, training: false, updates: {} };
  const middle = [0, side / 2, side / 2, 0];
  const values = tf.tidy(() => {
    const x = tf.tensor4d(
      Float32Array.from({ length: side * side * dim }, () => random.normal()),
      [1, side, side, dim],
    );
    const centre = (y: tf.Tensor) => tf.sum(tf.slice(y, middle, [1, 1, 1, dim]));
    const gradient = tf.grad((tokens: tf.Tensor) => centre(scan(context, tokens)))(x);
    return tf.log(tf.add(tf.sum(tf.abs(gradient), [0, 3]), 1e-8)).dataSync();
  });
  tf.dispose(params);
  const convolution = Float32Array.from({ length: side * side }, (_, i) => {
    const [row, column] = [Math.floor(i / side), i % side];
    return Math.abs(row - side / 2) <= 1 && Math.abs(column - side / 2) <= 1 ? 1 : 0;
  });
  return new Maps('What the middle token sees in one layer (bright: much)', [
    { name: 'SS2D, fresh weights', values, width: side, height: side, note: 'log of the gradient' },
    { name: 'a 3×3 convolution', values: convolution, width: side, height: side },
  ]);
}
