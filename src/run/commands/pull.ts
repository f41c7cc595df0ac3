// `voxelbook pull`: bring finished runs home from the machine that computed them.
import { type Command, interrupt, need, print } from './command.js';

export const pull: Command = {
  about: 'bring finished runs home from the machine that computed them',
  takes: '<host:runs folder | folder>',
  options: { weights: { type: 'boolean' } },
  help: { weights: 'the final weights too (without it: predictions, scores, progress and what they were made from)' },
  example: 'npx voxelbook pull cluster:/scratch/me/voxelbook/runs',
  async work(positionals, values) {
    const [source] = need(positionals, 'host:runs folder');
    const { pull } = await import('../pull.js');
    const onTerminal = process.stdout.isTTY;
    const { brought, kept, unfinished } = await pull(source, {
      weights: values.weights === true,
      signal: interrupt(),
      onProgress: (share, what) => onTerminal && process.stdout.write(`\r\x1b[K${Math.round(100 * share)} % ${what}`),
    });
    if (onTerminal) process.stdout.write('\r\x1b[K');
    for (const name of brought) print(name);
    print(
      `${brought.length} runs brought, ${kept.length} were here already, ${unfinished.length} are not finished there${unfinished.length > 0 ? `: ${unfinished.join(', ')}` : ''}`,
    );
  },
};
