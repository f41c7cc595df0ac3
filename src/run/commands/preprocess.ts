// `voxelbook preprocess`: preprocess the cases of a data set for one configuration.
import { type Command, integer, interrupt, loadModules, moduleHelp, moduleOption, need, print, workProgress } from './command.js';

export const preprocess: Command = {
  about: 'preprocess the cases of a data set for one configuration',
  takes: '<data set>',
  options: {
    ...moduleOption,
    configuration: { type: 'string', short: 'c' },
    planner: { type: 'string' },
    workers: { type: 'string' },
  },
  help: {
    ...moduleHelp,
    configuration: '2d, 3d_fullres (default), 3d_lowres',
    planner: 'as in plan',
    workers: 'threads (default: one per core)',
  },
  example: 'npx voxelbook preprocess SimGlioma -c 3d_fullres',
  async work(positionals, values) {
    const [name] = need(positionals, 'data set');
    await loadModules(values);
    const { open } = await import('../../dataset/index.js');
    const { fingerprintOf, ownPlan, plan, readPlan, storePlan } = await import('../../plan/index.js');
    const { preprocessedFolder, run } = await import('../../preprocess/index.js');
    const dataset = open(name, { onProgress: workProgress });
    const signal = interrupt();
    // A plan that a person edited is what counts, as in training.
    const print_ = await fingerprintOf(dataset, { onProgress: workProgress, signal });
    const made = plan(dataset, print_, { planner: values.planner as string | undefined });
    const base = preprocessedFolder(dataset);
    const own = ownPlan(base, made.plans_name);
    if (own) print(`uses the plan ${own.file}`);
    else storePlan(base, made);
    const planned = own ? readPlan(own.file) : made;
    const workers = values.workers === undefined ? undefined : integer(values.workers, 'workers', 1, 1);
    const configuration = String(values.configuration ?? '3d_fullres');
    const result = await run(dataset, planned, configuration, { workers, signal, onProgress: workProgress });
    print(`${result.cases.length} cases in ${result.folder}, ${result.computed.length} made now`);
  },
};
