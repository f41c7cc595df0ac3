// `voxelbook find-best`: choose among trained configurations and pairs of them, and their post-processing, as nnU-Net does.
import fs from 'node:fs';
import path from 'node:path';
import { type Command, need, print, workProgress } from './command.js';

export const findBest: Command = {
  about: 'choose among trained configurations and pairs of them, and their post-processing, as nnU-Net does',
  takes: '<results folder of the data set> <reference folder>',
  options: {
    configuration: { type: 'string', short: 'c', multiple: true },
    plans: { type: 'string' },
    trainer: { type: 'string' },
  },
  help: {
    configuration: 'once per configuration (default 2d and 3d_fullres)',
    plans: 'default nnUNetPlans',
    trainer: 'default nnUNetTrainer',
  },
  example: 'npx voxelbook find-best nnUNet_results/Dataset042_Balls labelsTr -c 2d -c 3d_fullres',
  async work(positionals, values) {
    const [results, references] = need(positionals, 'results folder', 'reference folder');
    const { findBestConfiguration } = await import('../../nnunet/best.js');
    const { plans = 'nnUNetPlans', trainer = 'nnUNetTrainer', configuration = ['2d', '3d_fullres'] } = values;
    const models = [configuration]
      .flat()
      .map((c) => ({ configuration: String(c), plans: String(plans), trainer: String(trainer) }));
    findBestConfiguration(results, references, models, { onProgress: workProgress });
    print(fs.readFileSync(path.join(results, 'inference_instructions.txt'), 'utf8'));
  },
};
