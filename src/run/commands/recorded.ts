// `voxelbook recorded`: the recordings of the desk studies, and which of them no longer hold.
import { VoxelbookError } from '../../base/errors.js';
import { type Command, print } from './command.js';

export const recorded: Command = {
  about: 'list the recordings of desk studies; ends with 1 where one is outdated',
  takes: '',
  options: {},
  help: {},
  example: 'npx voxelbook recorded',
  async work() {
    const { recorded: read, recordedNames } = await import('../recording.js');
    const all = recordedNames().map((name) => read(name));
    for (const one of all) print(`${one.study.study}: ${one}`);
    if (all.length === 0) print('nothing is recorded');
    const outdated = all.filter((one) => one.outdated.length > 0).map((one) => one.study.study);
    if (outdated.length > 0)
      throw new VoxelbookError('recordings no longer hold', {
        code: 'recording-outdated',
        path: 'notebooks/recorded',
        given: outdated.join(', '),
        expected: 'recordings of the experiments, data and metrics as they are',
        fix: `npx voxelbook reproduce ${outdated[0]} --scale desk --record runs what changed and records it.`,
      });
  },
};
