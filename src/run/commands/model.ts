// `voxelbook model`: show a network stage by stage, or what training an experiment needs.
import fs from 'node:fs';
import { inspect } from 'node:util';
import { integer, need, ofExperiments, print, readExperiments, usage, workProgress } from './command.js';

export const model = ofExperiments({
  about: 'show a network stage by stage, or what training an experiment needs',
  takes: '<spec.json or experiment.json>',
  options: { input: { type: 'string' }, channels: { type: 'string' }, classes: { type: 'string' } },
  help: {
    input: 'spatial shape in voxels, 128,128,128 (specification only)',
    channels: 'input channels, where the specification does not say (default 1)',
    classes: 'output classes, likewise (default 2)',
  },
  example: 'npx voxelbook model mednext.json --input 128,128,128',
  async work(positionals, values) {
    const [file] = need(positionals, 'spec.json');
    const { readJsonFile } = await import('../../base/json.js');
    if (!fs.existsSync(file)) throw usage(file, 'an existing JSON file with a specification or an experiment');
    const [first] = [readJsonFile(file, 'this file')].flat() as Record<string, unknown>[];
    if (typeof first?.network === 'string') {
      const { describe } = await import('../../model/index.js');
      const input = values.input === undefined ? undefined : String(values.input).split(',').map(Number);
      const ends = {
        inputChannels: integer(values.channels, 'channels', 1, 1),
        classes: integer(values.classes, 'classes', 2, 1),
      };
      print(inspect(describe(first as never, input, ends)));
      return;
    }
    const { forecastOf } = await import('../../train/index.js');
    for (const experiment of await readExperiments(file, values)) {
      const f = await forecastOf(experiment, { onProgress: workProgress });
      print(
        [
          experiment.name,
          `${f.parameters} parameters`,
          `${(f.flops / 1e9).toFixed(2)} G multiply-adds a patch`,
          `${(f.bytes.total / 1e9).toFixed(2)} GB to train`,
          `${(f.diskBytes / 1e9).toFixed(2)} GB of checkpoints`,
        ].join(' · '),
      );
    }
  },
});
