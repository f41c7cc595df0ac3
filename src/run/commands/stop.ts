// `voxelbook stop`: runs ended with a checkpoint.
import path from 'node:path';
import { need, ofExperiments, print, readRunFolders, usage } from './command.js';

export const stop = ofExperiments({
  about: 'end runs that are going, each with a checkpoint from which it goes on when it is started again',
  takes: '<run> … | --all',
  options: { all: { type: 'boolean' } },
  help: { all: 'every run that is going' },
  example: 'npx voxelbook stop --all',
  async work(positionals, values) {
    if ((values.all === true) === positionals.length > 0)
      throw usage([...positionals, ...(values.all ? ['--all'] : [])].join(' ') || 'nothing', 'runs, or --all');
    const { runFolders } = await import('../folder.js');
    const { isAlive } = await import('../lease.js');
    const { stop: end } = await import('../start.js');
    const named = values.all ? runFolders() : await readRunFolders(need(positionals, 'run'), values);
    const going = named.filter((folder) => isAlive(folder));
    if (going.length === 0) print(values.all ? 'no run is going' : 'none of these is going');
    const faults: unknown[] = [];
    await Promise.all(
      going.map(async (folder) => {
        try {
          await end(folder);
          print(`${path.basename(folder)}: stopped`);
        } catch (error) {
          faults.push(error);
        }
      }),
    );
    if (faults.length > 0) throw faults[0];
  },
});
