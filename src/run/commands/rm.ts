// `voxelbook rm`: runs taken away, with what was made from them.
import path from 'node:path';
import { createInterface } from 'node:readline/promises';
import { need, ofExperiments, print, readRunFolders, usage } from './command.js';

export const rm = ofExperiments({
  about: 'remove runs, the runs that were started from them, and ensembles and find-best made from any of these',
  takes: '<run> …',
  options: { yes: { type: 'boolean', short: 'y' } },
  help: { yes: 'do not ask' },
  example: 'npx voxelbook rm MedNeXt-S-k3_fold0_seed0-0123456789ab',
  async work(positionals, values) {
    const named = await readRunFolders(need(positionals, 'run'), values);
    if (named.length === 0) throw usage(positionals.join(' '), 'runs; npx voxelbook list names them');
    const { remove, withDependents } = await import('../remove.js');
    const { madeOf } = await import('../members.js');
    const { bytesOf } = await import('../disk.js');
    const { byteText } = await import('../../base/text.js');
    const all = withDependents(named);
    const given = new Set(named.map((folder) => path.resolve(folder)));
    for (const folder of all)
      print(`${path.basename(folder)}, ${byteText(bytesOf(folder))}${given.has(folder) ? '' : ', which needs one of these'}`);
    for (const folder of madeOf(all))
      print(
        `${path.basename(path.dirname(folder))}/${path.basename(folder)}, ${byteText(bytesOf(folder))}, made from one of these`,
      );
    if (values.yes !== true && !(await agreed(all.length))) return;
    print(`${remove(all).length} removed`);
  },
});

async function agreed(count: number): Promise<boolean> {
  if (!process.stdin.isTTY) throw usage('no terminal to ask at', '--yes');
  const asked = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const answer = await asked.question(`Remove ${count === 1 ? 'this run' : `these ${count} runs`} for good? [y/N] `);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    asked.close();
  }
}
