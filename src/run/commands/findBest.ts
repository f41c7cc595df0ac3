// `voxelbook find-best`: choose among trained experiments or configurations and pairs of them, and their post-processing, as nnU-Net does.

import fs from 'node:fs';
import path from 'node:path';
import { foldsOf } from '../../train/index.js';
import { type Command, interrupt, need, print, readExperiments, workProgress } from './command.js';

export const findBest: Command = {
  about: 'choose among finished runs (or nnU-Net’s results), pairs of them, and their post-processing, as nnU-Net does',
  takes: '<experiments.json | run folder> …, or nnU-Net’s <results folder of the data set> <reference folder>',
  options: {
    configuration: { type: 'string', short: 'c', multiple: true },
    plans: { type: 'string' },
    trainer: { type: 'string' },
    'no-ensembles': { type: 'boolean' },
  },
  help: {
    configuration: 'nnU-Net’s results: once per configuration (default 2d and 3d_fullres)',
    plans: 'nnU-Net’s results: default nnUNetPlans',
    trainer: 'nnU-Net’s results: default nnUNetTrainer',
    'no-ensembles': 'do not consider pairs',
  },
  example: 'npx voxelbook find-best mednext.json nnunet.json',
  async work(positionals, values) {
    const [first] = need(positionals, 'experiments.json or run folder');
    const ensembles = values['no-ensembles'] !== true;
    if (first.endsWith('.json') || fs.existsSync(path.join(first, 'experiment.json'))) {
      const { findBest: best } = await import('../findBest.js');
      const { runFolderOf } = await import('../../train/index.js');
      const folders = positionals.flatMap((given) =>
        given.endsWith('.json')
          ? readExperiments(given).flatMap((e) => foldsOf(e).flatMap((fold) => e.seeds.map((seed) => runFolderOf(e, fold, seed))))
          : [given],
      );
      const found = await best(folders, { ensembles, signal: interrupt(), onProgress: workProgress });
      for (const [name, dice] of Object.entries(found.results)) print(`${name}: foreground mean Dice ${dice.toFixed(4)}`);
      print(`best: ${found.best.name}; everything is in ${found.folder}\n\n${found.instructions}`);
      return;
    }
    const [results, references] = need(positionals, 'results folder', 'reference folder');
    const { findBestConfiguration } = await import('../../nnunet/best.js');
    const { plans = 'nnUNetPlans', trainer = 'nnUNetTrainer', configuration = ['2d', '3d_fullres'] } = values;
    const models = [configuration]
      .flat()
      .map((c) => ({ configuration: String(c), plans: String(plans), trainer: String(trainer) }));
    findBestConfiguration(results, references, models, { ensembles, onProgress: workProgress });
    print(fs.readFileSync(path.join(results, 'inference_instructions.txt'), 'utf8'));
  },
};
