// `voxelbook preprocess`: preprocess the cases of a data set for one configuration.
import { type Command, integer, interrupt, need, print, workProgress } from './command.js';

export const preprocess: Command = {
  about: 'preprocess the cases of a data set for one configuration',
  takes: '<data set>',
  options: { configuration: { type: 'string', short: 'c' }, planner: { type: 'string' }, workers: { type: 'string' } },
  help: {
    configuration: '2d, 3d_fullres (default), 3d_lowres',
    planner: 'as in plan',
    workers: 'threads (default: one per core)',
  },
  example: 'npx voxelbook preprocess SimGlioma -c 3d_fullres',
  async work(positionals, values) {
    const [name] = need(positionals, 'data set');
    const { open } = await import('../../dataset/index.js');
    const { fingerprint, plan } = await import('../../plan/index.js');
    const { run } = await import('../../preprocess/index.js');
    const dataset = open(name, { onProgress: workProgress });
    const signal = interrupt();
    const planned = plan(dataset, await fingerprint(dataset, { onProgress: workProgress, signal }), {
      planner: values.planner as 'ExperimentPlanner' | undefined,
    });
    const workers = values.workers === undefined ? undefined : integer(values.workers, 'workers', 1);
    const configuration = String(values.configuration ?? '3d_fullres');
    const result = await run(dataset, planned, configuration, { workers, signal, onProgress: workProgress });
    print(`${result.cases.length} cases in ${result.folder}, ${result.computed.length} made now`);
  },
};
