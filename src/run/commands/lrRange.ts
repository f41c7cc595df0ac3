// `voxelbook lr-range`: the learning-rate range test of an experiment.
import { foldOf, integer, interrupt, need, ofExperiments, print, readExperiments, usage, workProgress } from './command.js';

/** A positive number. */
const rate = (value: unknown, name: string): number | undefined => {
  if (value === undefined) return undefined;
  if (!(Number(value) > 0 && Number.isFinite(Number(value)))) throw usage(`--${name} ${value}`, 'a number above 0');
  return Number(value);
};

export const lrRange = ofExperiments({
  about: 'train some steps with a growing learning rate, to see which the network takes',
  takes: '<experiment.json>',
  options: {
    from: { type: 'string' },
    to: { type: 'string' },
    steps: { type: 'string' },
    fold: { type: 'string' },
    seed: { type: 'string' },
    out: { type: 'string' },
  },
  help: {
    from: 'smallest rate (default 1e-6)',
    to: 'largest rate (default 10)',
    steps: 'steps between them (default 100)',
    fold: 'a number or all (default: the first)',
    seed: 'default: the first',
    out: 'also write rates and losses to this JSON file',
  },
  example: 'npx voxelbook lr-range mednext.json --steps 200',
  async work(positionals, values) {
    const [file] = need(positionals, 'experiment.json');
    const { inspect } = await import('node:util');
    const { atomicWriteJson } = await import('../../base/atomicWrite.js');
    const { foldsOf, lrRange: test } = await import('../../train/index.js');
    const [experiment] = await readExperiments(file, values);
    const [from, to] = [rate(values.from, 'from') ?? 1e-6, rate(values.to, 'to') ?? 10];
    if (from >= to) throw usage(`--from ${from} --to ${to}`, 'a range that grows');
    const found = await test(experiment, {
      from,
      to,
      steps: integer(values.steps, 'steps', 100, 2),
      fold: foldOf(values.fold, foldsOf(experiment)[0]),
      seed: integer(values.seed, 'seed', experiment.seeds[0]),
      signal: interrupt(),
      onProgress: workProgress,
    });
    for (const [i, r] of found.rates.entries())
      if (i % Math.max(1, Math.floor(found.rates.length / 12)) === 0)
        print(`${r.toExponential(1).padStart(8)}  ${found.smoothed[i].toFixed(4)}`);
    print(inspect(found));
    if (values.out !== undefined) atomicWriteJson(String(values.out), found);
  },
});
