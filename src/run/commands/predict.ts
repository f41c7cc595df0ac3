// `voxelbook predict`: predict the cases of a folder with trained runs (several are averaged).
import { type Command, interrupt, need, print, usage, workProgress } from './command.js';

export const predict: Command = {
  about: 'predict the cases of a folder with trained runs (several are averaged)',
  takes: '<image folder> <output folder>',
  options: {
    run: { type: 'string', multiple: true },
    previous: { type: 'string' },
    probabilities: { type: 'boolean' },
    overwrite: { type: 'boolean' },
    continue: { type: 'boolean' },
  },
  help: {
    run: 'run folder; give it once per fold',
    previous: 'cascade: folder of the labels the previous stage predicted for the same cases',
    probabilities: 'write probabilities too',
    overwrite: 'replace label files that stand in the output folder already',
    continue: 'keep label files that stand there and can be read',
  },
  example: 'npx voxelbook predict imagesTs out --run runs/MedNeXt-S-k3_fold0_seed1-0123456789ab',
  async work(positionals, values) {
    const [input, output] = need(positionals, 'image folder', 'output folder');
    const { predictFolder } = await import('../predictFolder.js');
    const runs = (values.run as string[] | undefined) ?? [];
    if (runs.length === 0) throw usage('no --run', 'at least one run folder');
    const written = await predictFolder(input, output, runs, {
      probabilities: values.probabilities === true,
      previous: values.previous as string | undefined,
      overwrite: values.overwrite === true,
      continue: values.continue === true,
      onKept: (ids) => print(`${ids.length} kept as they were: ${ids.join(', ')}`),
      signal: interrupt(),
      onProgress: workProgress,
    });
    print(`${written} cases written to ${output}`);
  },
};
