// `voxelbook ensemble`: average predictions made with --probabilities.
import path from 'node:path';
import { type Command, need, print, readDataset, usage, workProgress } from './command.js';

export const ensemble: Command = {
  about: 'average predictions made with --probabilities',
  takes: '<folder> <folder> …',
  options: { out: { type: 'string' }, probabilities: { type: 'boolean' } },
  help: { out: 'output folder', probabilities: 'write the mean probabilities too' },
  example: 'npx voxelbook ensemble fold0 fold1 --out averaged',
  async work(positionals, values) {
    need(positionals, 'folder', 'folder');
    if (!values.out) throw usage('no --out', 'an output folder');
    const { ensembleFolders } = await import('../../predict/index.js');
    const json = readDataset(path.join(positionals[0], 'dataset.json'));
    const keepProbabilities = values.probabilities === true;
    ensembleFolders(positionals, String(values.out), json, { keepProbabilities, onProgress: workProgress });
    print(`written to ${values.out}`);
  },
};
