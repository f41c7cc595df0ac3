// The Mamba block on sequences [batch, length, channel].
import { mamba } from '../../../src/model/layers/mamba.js';
import type { Arch } from './arch.js';
import { tokenBlock } from './swinUmamba.js';

export const arch: Arch = {
  block(cls, c) {
    if (!cls.startsWith('Mamba')) throw new Error(`unknown: block ${cls}`);
    const rank = typeof c.dt_rank === 'number' ? c.dt_rank : undefined;
    return tokenBlock((d) => mamba(d, '', { dim: c.d_model, states: c.d_state, window: c.d_conv, expand: c.expand, rank }));
  },
};
