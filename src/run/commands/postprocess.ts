// `voxelbook postprocess`: apply a postprocessing.json to a folder of predictions.
import path from 'node:path';
import { type Command, loadModules, moduleHelp, moduleOption, print, readDataset, usage, workProgress } from './command.js';

export const postprocess: Command = {
  about: 'apply a postprocessing.json to a folder of predictions',
  takes: '',
  options: {
    ...moduleOption,
    input: { type: 'string', short: 'i' },
    output: { type: 'string', short: 'o' },
    steps: { type: 'string' },
  },
  help: { ...moduleHelp, input: 'folder of predictions', output: 'folder to write', steps: 'postprocessing.json' },
  example: 'npx voxelbook postprocess -i out -o out_pp --steps postprocessing.json',
  async work(_positionals, values) {
    const { input, output, steps } = values;
    if (!input || !output || !steps) throw usage('too little', '-i <folder> -o <folder> --steps <postprocessing.json>');
    await loadModules(values);
    const { applyPostprocessing, readPostprocessing } = await import('../../nnunet/postprocessing.js');
    const json = await readDataset(path.join(String(input), 'dataset.json'));
    const work = { ending: json.file_ending, onProgress: workProgress };
    applyPostprocessing(String(input), String(output), readPostprocessing(String(steps)), work);
    print(`written to ${output}`);
  },
};
