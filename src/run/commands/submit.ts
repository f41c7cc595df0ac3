// `voxelbook submit`: write job arrays for Slurm and hand in what is missing; returns at once.
import { type Command, extensionHelp, extensionOption, need, print, readExperiments, readSite } from './command.js';

export const submit: Command = {
  about: 'write job arrays for Slurm and hand in what is missing; returns at once',
  takes: '<experiments.json>',
  options: { ...extensionOption, site: { type: 'string' }, 'dry-run': { type: 'boolean' } },
  help: {
    ...extensionHelp,
    site: 'JSON with partition, account, time, memory … of the cluster',
    'dry-run': 'write the scripts, hand in nothing',
  },
  example: 'npx voxelbook submit ablation.json --site site.json',
  async work(positionals, values) {
    const [file] = need(positionals, 'experiments.json');
    const { submit } = await import('../slurm.js');
    const { graph } = await import('../study.js');
    const site = await readSite(values.site);
    const { folder, jobs } = await submit(graph(await readExperiments(file, values)), {
      ...site,
      dryRun: values['dry-run'] === true,
    });
    print(`scripts in ${folder}`);
    for (const job of jobs) print(`job ${job.id}: ${job.runs} runs of level ${job.level}`);
  },
};
