// `voxelbook check`: everything that is wrong with a data set, in one table; and what can be repaired for certain.
import { inspect } from 'node:util';
import { VoxelbookError } from '../../base/errors.js';
import { type Command, interrupt, loadModules, moduleHelp, moduleOption, need, print, workProgress } from './command.js';

export const check: Command = {
  about: 'say everything that is wrong with a data set (nnU-Net’s --verify_dataset_integrity, and more)',
  takes: '<data set>',
  options: { ...moduleOption, fix: { type: 'boolean' } },
  help: {
    ...moduleHelp,
    fix: 'first repair what is certain: endings in capitals, masks of 0 and 255 (a copy is kept), numTraining',
  },
  example: 'npx voxelbook check nnUNet_raw/Dataset027_ACDC',
  async work(positionals, values) {
    const [name] = need(positionals, 'data set');
    await loadModules(values);
    const dataset = await import('../../dataset/index.js');
    const signal = interrupt();
    const { folder } = dataset.open(name, { onProgress: workProgress });
    if (values.fix)
      for (const kind of dataset.repairKinds)
        for (const repair of kind(folder)) {
          print(repair.what);
          repair.apply();
        }
    const opened = dataset.open(folder);
    const report = await dataset.check(opened, { signal, onProgress: workProgress });
    print(inspect(report));
    const { length: faults } = report.faults;
    if (faults > 0)
      throw new VoxelbookError(`${opened.name} cannot be used`, {
        code: 'dataset-faults',
        path: folder,
        given: faults === 1 ? '1 fault' : `${faults} faults`,
        expected: 'none',
        fix: 'Correct them as the table above says.',
      });
  },
};
