// `voxelbook evaluate`: compare predictions with reference labels, as nnU-Net does (summary.json).
import fs from 'node:fs';
import path from 'node:path';
import { type Fault, VoxelbookError } from '../../base/errors.js';
import type { NamedRun } from '../named.js';
import {
  loadModules,
  loadOwn,
  moduleHelp,
  moduleOption,
  need,
  ofExperiments,
  print,
  readDataset,
  readRuns,
  type Values,
  workProgress,
} from './command.js';

export const evaluate = ofExperiments({
  about: 'compare predictions with reference labels, as nnU-Net does (summary.json)',
  takes: '<prediction folder | run | experiment.json> [<reference folder>]',
  options: {
    ...moduleOption,
    dataset: { type: 'string' },
    out: { type: 'string' },
    chill: { type: 'boolean' },
  },
  help: {
    ...moduleHelp,
    dataset: 'dataset.json with the labels (default: the one in the prediction folder)',
    out: 'where to write the summary',
    chill: 'evaluate the cases that are on both sides although others are missing',
  },
  example: 'npx voxelbook evaluate out labelsTs',
  async work(positionals, values) {
    const [given, references] = need(positionals, 'predictions');
    await loadModules(values);
    const { labels, open, readerOf } = await import('../../dataset/index.js');
    const { evaluateFolder } = await import('../../nnunet/summary.js');
    const isFolder =
      fs.existsSync(given) && fs.statSync(given).isDirectory() && !fs.existsSync(path.join(given, 'experiment.json'));
    if (isFolder) need(positionals, 'prediction folder', 'reference folder');
    // A run's held-out cases against the labels they were held out of.
    const runs = isFolder ? [] : await readRuns([given], values);
    await stillHold(runs, values);
    const parts = isFolder
      ? [{ name: '', predictions: given, references, json: path.join(given, 'dataset.json') }]
      : runs.map(({ folder, order }) => ({
          name: `${path.basename(folder)}\n`,
          predictions: path.join(folder, 'predictions'),
          references: references ?? path.join(open(order.experiment.dataset).folder, 'labelsTr'),
          json: path.join(folder, 'dataset.json'),
        }));
    for (const part of parts) {
      const json = await readDataset(String(values.dataset ?? part.json));
      const heads = labels(json);
      const output = String(values.out ?? path.join(part.predictions, 'summary.json'));
      const work = {
        ending: json.file_ending,
        reader: readerOf(json),
        // A run holds out some cases of the set, which has labels of all.
        chill: values.chill === true || !isFolder,
        output,
        onProgress: workProgress,
      };
      const { foreground_mean, mean } = evaluateFolder(part.predictions, part.references, heads, work);
      const rows = Object.values(mean).map((m, i) => `${heads.names[i]}: Dice ${m.Dice.toFixed(4)}`);
      print(
        [
          `${part.name}${rows[0]}`,
          ...rows.slice(1),
          `foreground mean: Dice ${foreground_mean.Dice.toFixed(4)}; written to ${output}`,
        ].join('\n'),
      );
    }
  },
});

/** Scores of a run count for the data set as it is now: it is checked, and must be what the run was made from. */
async function stillHold(runs: readonly NamedRun[], values: Values): Promise<void> {
  const { settled } = await import('../fresh.js');
  const { readScores } = await import('../folder.js');
  const faults: Fault[] = [];
  for (const { folder, order } of runs) {
    await loadOwn(order.experiment, values);
    if (!readScores(folder) || (await settled(order, folder, { onProgress: workProgress }))) continue;
    faults.push({
      code: 'run-outdated',
      path: folder,
      given: 'a result of inputs that changed since',
      expected: 'a run of the data set as it is',
      fix: 'Run it again: npx voxelbook run.',
    });
  }
  if (faults.length > 0) throw new VoxelbookError('these runs cannot be evaluated', faults);
}
