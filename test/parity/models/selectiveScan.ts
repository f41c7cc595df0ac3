// The selective scan as an operator. The original has the position last: [batch, channel, length].
import { selectiveScan, selectiveScanWithState } from '../../../src/tensor/ops/selectiveScan.js';
import { tf } from '../../../src/tensor/tf.js';
import type { Arch, Checked } from './arch.js';

const positionsSecond = (x: tf.Tensor) => tf.transpose(x, [0, 2, 1]);
/** B or C: `[channel, state]`, `[batch, state, length]` or `[batch, group, state, length]`. */
const states = (x: tf.Tensor) => (x.rank === 2 ? x : x.rank === 3 ? positionsSecond(x) : tf.transpose(x, [0, 3, 1, 2]));

export const arch: Arch = {
  block(cls, c): Checked {
    if (!cls.startsWith('selective_scan')) throw new Error(`unknown: operator ${cls}`);
    return {
      parameters: [],
      channelsFirst: () => false,
      forward: (_, __, inputs) =>
        tf.tidy(() => {
          const { u, delta, A, B, C, D, z, delta_bias } = inputs;
          const args = [positionsSecond(u), positionsSecond(delta), A, states(B), states(C)] as const;
          const options = { D, deltaBias: delta_bias, deltaSoftplus: Boolean(c.delta_softplus), z: z && positionsSecond(z) };
          if (!c.return_last_state) return [positionsSecond(selectiveScan(...args, options))];
          const { y, state } = selectiveScanWithState(...args, options);
          return [positionsSecond(y), state];
        }),
    };
  },
};
