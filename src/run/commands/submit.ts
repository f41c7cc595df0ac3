// `voxelbook submit`: write job arrays for Slurm and hand in what is missing; returns at once.
import { need, ofExperiments, print, readExperiments, readSite } from './command.js';

export const submit = ofExperiments({
  about: 'write job arrays for Slurm and hand in what is missing; returns at once',
  takes: '<experiments.json>',
  options: { site: { type: 'string' }, 'dry-run': { type: 'boolean' } },
  help: {
    site: 'JSON with partition, account, time, memory … of the cluster',
    'dry-run': 'write the scripts, hand in nothing',
  },
  example: 'npx voxelbook submit ablation.json --site site.json',
  async work(positionals, values) {
    const [file] = need(positionals, 'experiments.json');
    const { submit } = await import('../slurm.js');
    const { graph } = await import('../graph.js');
    const { needsOf } = await import('../dryRun.js');
    const site = await readSite(values.site);
    const runs = graph(await readExperiments(file, values));
    const { folder, jobs, pending, left } = await submit(
      runs,
      { ...site, dryRun: values['dry-run'] === true },
      await needsOf(runs),
    );
    print(`scripts in ${folder}`);
    for (const job of jobs)
      print(job.runs > 0 ? `job ${job.id}: ${job.runs} runs of level ${job.level}` : `job ${job.id}: summary`);
    if (pending > 0) print(`${pending} runs wait in Slurm's queue already and are not handed in again`);
    if (left.length > 0)
      print(
        `${left.length} runs are not handed in yet: there is no room below the site's limit. The same command hands them in later; voxelbook study --target slurm does so by itself.`,
      );
  },
});
