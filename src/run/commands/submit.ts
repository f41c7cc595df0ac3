// `voxelbook submit`: write job arrays for Slurm and hand in what is missing; returns at once.
import fs from 'node:fs';
import { type Command, need, print, readExperiments } from './command.js';

export const submit: Command = {
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
    const { graph } = await import('../study.js');
    const site = values.site ? JSON.parse(fs.readFileSync(String(values.site), 'utf8')) : {};
    const { folder, jobs } = await submit(graph(readExperiments(file)), { ...site, dryRun: values['dry-run'] === true });
    print(`scripts in ${folder}`);
    for (const job of jobs) print(`job ${job.id}: ${job.runs} runs of level ${job.level}`);
  },
};
