// `voxelbook disk`: what takes how much of the disk.
import { type Command, print } from './command.js';

export const disk: Command = {
  about: 'what the runs and the data made here take of the disk',
  takes: '',
  options: {},
  help: {},
  example: 'npx voxelbook disk',
  async work() {
    const { diskText, diskUse } = await import('../disk.js');
    print(diskText(diskUse()));
  },
};
