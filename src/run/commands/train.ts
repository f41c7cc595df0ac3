// `voxelbook train`: train one fold of an experiment in this process, without prediction.

import path from 'node:path';
import { foldsOf } from '../../train/experiment.js';
import type { ProgressLine } from '../../train/index.js';
import { bar, foldOf, integer, interrupt, need, ofExperiments, print, readExperiments } from './command.js';

export const train = ofExperiments({
  about: 'train one fold of an experiment in this process, without prediction',
  takes: '<experiment.json>',
  options: { fold: { type: 'string' }, seed: { type: 'string' }, workers: { type: 'string' } },
  help: {
    fold: 'a number or all (default: the first)',
    seed: 'default: the first',
    workers: 'augmentation threads (default 1)',
  },
  example: 'npx voxelbook train mednext.json --fold 0 --seed 1',
  async work(positionals, values) {
    const [file] = need(positionals, 'experiment.json');
    const { run } = await import('../../train/index.js');
    const { prepareFolder } = await import('../folder.js');
    const { takeLease } = await import('../lease.js');
    const { statusLine } = await import('../live.js');
    const [experiment] = await readExperiments(file, values);
    const fold = foldOf(values.fold, foldsOf(experiment)[0]);
    const seed = integer(values.seed, 'seed', experiment.seeds[0]);
    const folder = prepareFolder({ experiment, fold, seed });
    const lease = takeLease(folder);
    const show = bar();
    try {
      const workers = integer(values.workers, 'workers', 1);
      const onLine = (line: ProgressLine) => show(line, statusLine([line]));
      await run(experiment, fold, seed, folder, { signal: interrupt(), workers, onLine, beforeSave: lease.check });
    } finally {
      lease.release();
    }
    print(`trained: ${path.join(folder, 'checkpoints', 'final.safetensors')}`);
  },
});
