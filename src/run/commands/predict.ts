// `voxelbook predict`: predict the cases of a folder with trained runs (several are averaged).
import {
  type Command,
  extensionHelp,
  extensionOption,
  interrupt,
  loadOwn,
  need,
  print,
  readRuns,
  usage,
  workProgress,
} from './command.js';

export const predict: Command = {
  about: 'predict the cases of a folder with trained runs (several are averaged)',
  takes: '<image folder> <output folder>',
  options: {
    ...extensionOption,
    run: { type: 'string', multiple: true },
    checkpoint: { type: 'string' },
    previous: { type: 'string' },
    probabilities: { type: 'boolean' },
    overwrite: { type: 'boolean' },
    continue: { type: 'boolean' },
  },
  help: {
    ...extensionHelp,
    run: 'run folder, folder of runs, or the file of an experiment that was run; may be given again',
    checkpoint: 'final or best weights (default: those the experiment predicts with)',
    previous: 'cascade: folder of the labels the previous stage predicted for the same cases',
    probabilities: 'write probabilities too',
    overwrite: 'replace label files that stand in the output folder already',
    continue: 'keep label files that stand there and can be read',
  },
  example: 'npx voxelbook predict imagesTs out --run mednext.json',
  async work(positionals, values) {
    const [input, output] = need(positionals, 'image folder', 'output folder');
    const { predictFolder } = await import('../predictFolder.js');
    const { ofOneExperiment } = await import('../named.js');
    const names = (values.run as string[] | undefined) ?? [];
    if (names.length === 0) throw usage('no --run', 'at least one run');
    const { checkpoint } = values;
    if (checkpoint !== undefined && checkpoint !== 'final' && checkpoint !== 'best')
      throw usage(`--checkpoint ${checkpoint}`, 'final or best');
    const runs = ofOneExperiment(await readRuns(names, values));
    await loadOwn(runs[0].order.experiment, values);
    const folders = runs.map((run) => run.folder);
    const written = await predictFolder(input, output, folders, {
      probabilities: values.probabilities === true,
      checkpoint,
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
