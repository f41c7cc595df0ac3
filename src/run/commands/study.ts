// `voxelbook study`: run a list of experiments with everything they start from, here or on Slurm.
import { integer, interrupt, need, ofExperiments, print, readExperiments, readSite, usage } from './command.js';

export const study = ofExperiments({
  about: 'run a list of experiments with everything they start from, here or on Slurm',
  takes: '<experiments.json>',
  options: { 'at-once': { type: 'string' }, target: { type: 'string' }, site: { type: 'string' } },
  help: {
    'at-once': 'runs computed at the same time (default 1)',
    target: 'local (default) or slurm',
    site: 'JSON with partition, account, time, memory … of the cluster',
  },
  example: 'npx voxelbook study ablation.json --target slurm --site site.json',
  async work(positionals, values) {
    const [file] = need(positionals, 'experiments.json');
    const { study } = await import('../study.js');
    const { meanText } = await import('../result.js');
    const target = values.target ?? 'local';
    if (target !== 'local' && target !== 'slurm') throw usage(`--target ${target}`, 'local or slurm');
    const site = await readSite(values.site);
    const { runs, failures } = await study(await readExperiments(file, values), {
      atOnce: integer(values['at-once'], 'at-once', 1, 1),
      target,
      slurm: site,
      signal: interrupt(),
      display: null,
      onEvent: print,
    });
    for (const run of runs) print(`${run.name}: ${meanText(run.scores)}`);
    if (failures.length > 0) throw failures[0].error;
  },
});
