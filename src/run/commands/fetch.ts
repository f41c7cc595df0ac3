// `voxelbook fetch`: a public data set from its published address into the nnU-Net raw layout.
import { duration } from '../../base/text.js';
import { type Command, integer, interrupt, print, usage, workProgress } from './command.js';

export const fetch: Command = {
  about: 'download a public data set that needs no agreement, and convert it',
  takes: '<set>',
  options: {
    root: { type: 'string' },
    downloads: { type: 'string' },
    mirror: { type: 'string' },
    keep: { type: 'boolean' },
    workers: { type: 'string' },
  },
  help: {
    root: 'where DatasetXXX_… goes (default: nnUNet_raw, else the own data folder)',
    downloads: 'where the archive and the unpacked folder lie (default: downloads in the own data folder)',
    mirror: 'another server with the same files; checksums stay the published ones',
    keep: 'keep the archive after it was unpacked',
    workers: 'threads that convert (default: one per core)',
  },
  example: 'npx voxelbook fetch MSD04_Hippocampus',
  async work(positionals, values) {
    const dataset = await import('../../dataset/index.js');
    const [name] = positionals;
    if (!name) throw usage('nothing', `one of ${dataset.fetchableNames().join(', ')}`);
    const about = dataset.descriptor(name);
    if (about.download) print(`${about.title}; licence: ${about.licence}`);
    const begin = Date.now();
    const folder = await dataset.fetch(name, {
      root: values.root as string | undefined,
      downloads: values.downloads as string | undefined,
      mirror: values.mirror as string | undefined,
      keep: values.keep === true,
      workers: values.workers === undefined ? undefined : integer(values.workers, 'workers', 1, 1),
      signal: interrupt(),
      onProgress: workProgress,
    });
    const made = dataset.open(folder);
    const seconds = duration((Date.now() - begin) / 1000);
    print(`${made.cases.length} training and ${made.testCases.length} test cases in ${folder}, after ${seconds}`);
    const again = values.root === undefined ? about.name : folder;
    print(`next: npx voxelbook experiment ${again} --network plain-conv-unet, or dataset.open('${again}') in a notebook`);
  },
};
