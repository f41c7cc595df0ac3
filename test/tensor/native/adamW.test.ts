import { native } from '../../../src/tensor/native/load.js';
import { tf } from '../../../src/tensor/tf.js';
import { adamW, initialState } from '../../../src/train/optim/optimiser.js';
import { assertClose, plain, smooth } from './helpers.js';

describe('native AdamW', () => {
  before(function () {
    if (!native()) this.skip();
  });

  it('three steps give the parameters and slots of the plain ones', () =>
    tf.tidy(() => {
      const run = () => {
        let params = { a: smooth([70, 33], 1, 1), b: smooth([5], 2, 1) } as Record<string, tf.Tensor>;
        let state = initialState();
        for (let step = 0; step < 3; step++) {
          const gradients = { a: smooth([70, 33], 3 + step, 0.1), b: smooth([5], 6 + step, 10) };
          const settings = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 };
          ({ params, state } = adamW(params, gradients, state, 1e-2, settings));
        }
        return [...Object.values(params), ...Object.values(state.slots)].map((t) => t.dataSync());
      };
      const [ours, reference] = [run(), plain(run)];
      for (const [i, r] of reference.entries()) assertClose(ours[i], r, 3e-7, `tensor ${i}`);
    }));
});
