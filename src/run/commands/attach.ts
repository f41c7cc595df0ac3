// `voxelbook attach`: the progress of a run that is going, until it ends.
import path from 'node:path';
import { bar, need, ofExperiments, print, readRunFolders, usage } from './command.js';

export const attach = ofExperiments({
  about: 'show the progress of a run that is going, until it ends; Ctrl-C leaves it going',
  takes: '<run>',
  options: {},
  help: {},
  example: 'npx voxelbook attach MedNeXt-S-k3_fold0_seed0-0123456789ab',
  async work(positionals, values) {
    const folders = await readRunFolders(need(positionals, 'run'), values);
    const { isAlive } = await import('../lease.js');
    const going = folders.filter((folder) => isAlive(folder));
    if (going.length > 1 || folders.length === 0)
      throw usage(
        folders.length === 0 ? positionals.join(' ') : going.map((folder) => path.basename(folder)).join(' '),
        'one run that is going; npx voxelbook list names the runs',
      );
    const { attach: follow } = await import('../start.js');
    const { stateOf } = await import('../list.js');
    const { statusLine } = await import('../live.js');
    const { readScores } = await import('../folder.js');
    const { meanText } = await import('../result.js');
    const folder = going[0] ?? folders[0];
    const show = bar();
    await follow(folder, { display: null, onProgress: (line) => show(line, statusLine([line])) });
    const scores = readScores(folder);
    print(`${path.basename(folder)}: ${stateOf(folder)}${scores ? `, ${meanText(scores)}` : ''}`);
  },
});
