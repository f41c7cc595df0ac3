// `voxelbook list`: all runs and their state.
import { type Command, print } from './command.js';

export const list: Command = {
  about: 'all runs and their state',
  takes: '',
  options: {},
  help: {},
  example: 'npx voxelbook list',
  async work() {
    const { list, listText } = await import('../list.js');
    print(listText(list()));
  },
};
