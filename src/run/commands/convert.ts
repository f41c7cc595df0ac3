// `voxelbook convert`: a public data set as it was downloaded into the nnU-Net raw layout.
import { type Command, integer, interrupt, need, print, workProgress } from './command.js';

export const convert: Command = {
  about: 'bring a public data set as it was downloaded into the nnU-Net raw layout (nnUNetv2_convert_MSD_dataset, and more)',
  takes: '<set> <folder>',
  options: { root: { type: 'string' }, workers: { type: 'string' } },
  help: {
    root: 'where DatasetXXX_… goes (default: nnUNet_raw, else the own data folder)',
    workers: 'threads (default: one per core)',
  },
  example: 'npx voxelbook convert MSD Task04_Hippocampus',
  async work(positionals, values) {
    const [name, source] = need(positionals, 'set', 'folder');
    const { convert: work, open } = await import('../../dataset/index.js');
    const signal = interrupt();
    const workers = values.workers === undefined ? undefined : integer(values.workers, 'workers', 1, 1);
    const folder = await work(name, source, {
      root: values.root as string | undefined,
      workers,
      signal,
      onProgress: workProgress,
    });
    const made = open(folder);
    print(`${made.cases.length} training and ${made.testCases.length} test cases in ${folder}`);
    print(`next: npx voxelbook check ${made.name}`);
  },
};
