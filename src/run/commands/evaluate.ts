// `voxelbook evaluate`: compare a folder of predictions with reference labels, as nnU-Net does (summary.json).
import path from 'node:path';
import { labels, readerOf } from '../../dataset/index.js';
import { type Command, need, print, readDataset, workProgress } from './command.js';

export const evaluate: Command = {
  about: 'compare a folder of predictions with reference labels, as nnU-Net does (summary.json)',
  takes: '<prediction folder> <reference folder>',
  options: { dataset: { type: 'string' }, out: { type: 'string' }, chill: { type: 'boolean' } },
  help: {
    dataset: 'dataset.json with the labels (default: the one in the prediction folder)',
    out: 'where to write the summary',
    chill: 'evaluate the cases that are on both sides although others are missing',
  },
  example: 'npx voxelbook evaluate out labelsTs',
  async work(positionals, values) {
    const [predictions, references] = need(positionals, 'prediction folder', 'reference folder');
    const { evaluateFolder } = await import('../../nnunet/summary.js');
    const json = readDataset(String(values.dataset ?? path.join(predictions, 'dataset.json')));
    const output = String(values.out ?? path.join(predictions, 'summary.json'));
    const { foreground_mean, mean } = evaluateFolder(predictions, references, labels(json), {
      ending: json.file_ending,
      reader: readerOf(json),
      chill: values.chill === true,
      output,
      onProgress: workProgress,
    });
    for (const [key, m] of Object.entries(mean)) print(`${key}: Dice ${m.Dice.toFixed(4)}`);
    print(`foreground mean: Dice ${foreground_mean.Dice.toFixed(4)}; written to ${output}`);
  },
};
