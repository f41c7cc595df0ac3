// `voxelbook ensemble`: average runs or predictions made with --probabilities.
import fs from 'node:fs';
import path from 'node:path';
import { interrupt, need, ofExperiments, print, readDataset, readRuns, usage, workProgress } from './command.js';

export const ensemble = ofExperiments({
  about: 'average predictions made with --probabilities (or nnU-Net’s --save_probabilities), or held-out cases of finished runs',
  takes: '<folder | run | experiment.json | model of nnU-Net> …',
  options: { out: { type: 'string' }, probabilities: { type: 'boolean' }, name: { type: 'string' } },
  help: {
    out: 'output folder of averaged predictions',
    probabilities: 'write the mean probabilities too',
    name: 'what an ensemble of runs is called (default: its members)',
  },
  example: 'npx voxelbook ensemble fold0 fold1 --out averaged',
  async work(positionals, values) {
    need(positionals, 'folder or run');
    const isPredictions = (name: string) =>
      fs.existsSync(path.join(name, 'dataset.json')) && !fs.existsSync(path.join(name, 'experiment.json'));
    // Of models of nnU-Net the predictions of their validation cases.
    const { validationOf } = await import('../../nnunet/best.js');
    const folders = positionals.map((name) => validationOf(name) ?? name);
    if (folders.every(isPredictions)) {
      need(positionals, 'folder', 'folder');
      if (!values.out) throw usage('no --out', 'an output folder');
      const { ensembleFolders } = await import('../../predict/index.js');
      const json = await readDataset(path.join(folders[0], 'dataset.json'));
      const keepProbabilities = values.probabilities === true;
      ensembleFolders(folders, String(values.out), json, { keepProbabilities, onProgress: workProgress });
      print(`written to ${values.out}`);
      return;
    }
    const { ensemble: average } = await import('../ensemble.js');
    const { finishedRun, meanText } = await import('../result.js');
    const runs = (await readRuns(positionals, values)).map(({ folder }) => finishedRun(folder));
    const name = String(values.name ?? runs.map((r) => r.experiment.name).join(' + '));
    print(`${name}: ${meanText(await average(name, runs, { signal: interrupt() }))}`);
  },
});
