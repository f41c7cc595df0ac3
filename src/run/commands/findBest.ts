// `voxelbook find-best`: choose among trained experiments or configurations and pairs of them, and their post-processing, as nnU-Net does.

import fs from 'node:fs';
import path from 'node:path';
import {
  integer,
  interrupt,
  loadModules,
  loadOwn,
  moduleHelp,
  moduleOption,
  need,
  ofExperiments,
  print,
  readRuns,
  usage,
  type Values,
  workProgress,
} from './command.js';

export const findBest = ofExperiments({
  about: 'choose among finished runs (or nnU-Net’s results), pairs of them, and their post-processing, as nnU-Net does',
  takes: '<runs | experiments.json> …, or nnU-Net’s <results folder of the data set> [<reference folder>]',
  options: {
    ...moduleOption,
    configuration: { type: 'string', short: 'c', multiple: true },
    plans: { type: 'string' },
    trainer: { type: 'string' },
    fold: { type: 'string', multiple: true },
    'no-ensembles': { type: 'boolean' },
  },
  help: {
    ...moduleHelp,
    configuration:
      'only these configurations; once for each (default: of runs all, of nnU-Net’s results 2d and 3d_fullres, or all where these are not there)',
    plans: 'nnU-Net’s results: default nnUNetPlans',
    trainer: 'nnU-Net’s results: default nnUNetTrainer',
    fold: 'nnU-Net’s results: only this fold; may be given again (default: those that every model has validated)',
    'no-ensembles': 'do not consider pairs',
  },
  example: 'npx voxelbook find-best mednext.json nnunet.json',
  async work(positionals, values) {
    const [first] = need(positionals, 'runs or experiments.json');
    await loadModules(values);
    if (!resultsOf(first)) return ofRuns(positionals, values);
    await ofResults(resultsOf(first)!, positionals[1], values);
  },
});

/** Models in nnU-Net's results: those named, else the usual two, else all that lie there. */
async function ofResults(results: string, given: string | undefined, values: Values): Promise<void> {
  const { findBestConfiguration, modelIdentifier, trainedModelsIn, validatedFolds } = await import('../../nnunet/best.js');
  const { plans = 'nnUNetPlans', trainer = 'nnUNetTrainer', configuration = ['2d', '3d_fullres'] } = values;
  const named = [configuration].flat().map((c) => ({ configuration: String(c), plans: String(plans), trainer: String(trainer) }));
  const isSaid = ['configuration', 'plans', 'trainer'].some((key) => values[key] !== undefined);
  const there = trainedModelsIn(results);
  const usual = named.every((m) => there.some((t) => modelIdentifier(t) === modelIdentifier(m)));
  const models = isSaid || usual || there.length === 0 ? named : there;
  const folds = (values.fold as string[] | undefined)?.map((fold) => integer(fold, 'fold', 0)) ?? validatedFolds(results, models);
  const references = given ?? referencesOf(path.basename(path.resolve(results)));
  const work = { folds, ensembles: values['no-ensembles'] !== true, onProgress: workProgress };
  findBestConfiguration(results, references, models, work);
  print(fs.readFileSync(path.join(results, 'inference_instructions.txt'), 'utf8'));
}

/** Where nnU-Net keeps the reference labels of a data set. */
function referencesOf(dataset: string): string {
  const { nnUNet_preprocessed: prepared, nnUNet_raw: raw } = process.env;
  const places = [prepared && path.join(prepared, dataset, 'gt_segmentations'), raw && path.join(raw, dataset, 'labelsTr')];
  const found = places.find((place) => place && isFolder(place));
  if (!found) throw usage('no reference folder', '<results folder of the data set> <reference folder>');
  return found;
}

const isFolder = (name: string) => fs.existsSync(name) && fs.statSync(name).isDirectory();

/** nnU-Net's results of a data set, as a path or below `nnUNet_results`: folders `<trainer>__<plans>__<configuration>`. */
function resultsOf(name: string): string | undefined {
  const places = [name, path.join(process.env.nnUNet_results ?? '.', name)];
  return places.find((place) => isFolder(place) && fs.readdirSync(place).some((n) => n.split('__').length === 3));
}

/** A run folder, or a folder of them. */
const holdsRuns = (name: string) =>
  ['.', ...fs.readdirSync(name)].some((n) => fs.existsSync(path.join(name, n, 'experiment.json')));

async function ofRuns(positionals: string[], values: Values): Promise<void> {
  const { open } = await import('../../dataset/index.js');
  const { findBest: best } = await import('../findBest.js');
  // Runs are compared with the labels they were held out of; whoever names these besides means the same.
  const last = positionals.at(-1)!;
  const references = positionals.length > 1 && isFolder(last) && !holdsRuns(last) ? last : undefined;
  const wanted = values.configuration as string[] | undefined;
  const named = await readRuns(references ? positionals.slice(0, -1) : positionals, values);
  const chosen = named.filter(({ order }) => !wanted || wanted.includes(order.experiment.configuration));
  if (chosen.length === 0) throw usage(`-c ${wanted?.join(' -c ')}`, 'a configuration of these runs');
  for (const { order } of chosen) await loadOwn(order.experiment, values);
  // A folder of runs may hold those of several data sets: the labels say of which.
  const labelsOf = ({ order }: (typeof named)[number]) => path.join(open(order.experiment.dataset).folder, 'labelsTr');
  const runs = references ? chosen.filter((run) => fs.realpathSync(labelsOf(run)) === fs.realpathSync(references)) : chosen;
  if (runs.length === 0) throw usage(references!, `the labels of these runs: ${[...new Set(chosen.map(labelsOf))].join(', ')}`);
  const folders = runs.map(({ folder }) => folder);
  const work = { ensembles: values['no-ensembles'] !== true, signal: interrupt(), onProgress: workProgress };
  const found = await best(folders, work);
  for (const [name, dice] of Object.entries(found.results)) print(`${name}: foreground mean Dice ${dice.toFixed(4)}`);
  print(`best: ${found.best.name}; everything is in ${found.folder}\n\n${found.instructions}`);
}
