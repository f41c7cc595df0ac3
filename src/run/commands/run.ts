// `voxelbook run`: train, predict and score experiments, each with what it starts from.
import { foldsOf } from '../../train/experiment.js';
import { bar, foldOf, integer, interrupt, need, ofExperiments, print, readExperiments } from './command.js';

export const run = ofExperiments({
  about: 'train, predict and score experiments, each with what it starts from',
  takes: '<experiment.json>',
  options: {
    fold: { type: 'string' },
    seed: { type: 'string' },
    'at-once': { type: 'string' },
    'in-process': { type: 'boolean' },
  },
  help: {
    fold: 'only this fold, or all: trained on every case, scored on the test set (default: those of the experiment)',
    seed: 'only this seed',
    'at-once': 'runs computed at the same time (default 1)',
    'in-process': 'compute here instead of in a child process; ends with code 85 after USR1, for job scripts',
  },
  example: 'npx voxelbook run mednext.json --fold 0',
  async work(positionals, values) {
    const [file] = need(positionals, 'experiment.json');
    const { study } = await import('../study.js');
    const { meanText } = await import('../result.js');
    const { statusLine } = await import('../live.js');
    const experiments = (await readExperiments(file, values)).map((e) => ({
      ...e,
      folds: values.fold === undefined ? foldsOf(e).slice() : [foldOf(values.fold, 0)],
      seeds: values.seed === undefined ? e.seeds : [integer(values.seed, 'seed', 0)],
    }));
    if (values['in-process']) {
      const { prepareFolder } = await import('../folder.js');
      const { child } = await import('../child.js');
      const [experiment] = experiments;
      process.exit(await child(prepareFolder({ experiment, fold: foldsOf(experiment)[0], seed: experiment.seeds[0] })));
    }
    const show = bar();
    const { runs, failures } = await study(experiments, {
      atOnce: integer(values['at-once'], 'at-once', 1, 1),
      signal: interrupt(),
      display: null,
      onEvent: print,
      onLine: (line) => show(line, statusLine([line])),
    });
    for (const run of runs) print(`${run.name}: ${meanText(run.scores)}`);
    if (failures.length > 0) throw failures[0].error;
  },
});
