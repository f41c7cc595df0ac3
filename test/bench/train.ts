// One training step (forward, loss, gradients, clip, AdamW) of ours against PyTorch in two layouts and compiled.
//
//   npx tsx test/bench/train.ts [--only TEXT] [--rounds 5] [--repetitions 2] [--growth] [--load 0.3] [--out FOLDER]
//
// With --growth: MedNeXt-S k3 over the patch's edge. How it is measured: compare.ts.
import { growth, training } from './cases.js';
import { asksForGrowth, compare } from './compare.js';

const sides = ['ours', 'default', 'channels_last', 'compile'] as const;
await compare(
  asksForGrowth
    ? { name: 'growth', cases: growth, sides: [...sides], title: 'One training step of MedNeXt-S k3', overEdge: true }
    : { name: 'train', cases: training, sides: [...sides], title: 'One training step, batch of one' },
);
