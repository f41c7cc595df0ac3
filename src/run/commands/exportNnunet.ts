// `voxelbook export-nnunet`: finished runs as nnU-Net's results.
import { interrupt, loadOwn, need, ofExperiments, print, readRuns, workProgress } from './command.js';

export const exportNnunet = ofExperiments({
  about: 'write finished runs as nnU-Net’s results, which nnUNetv2_predict and nnUNetv2_evaluate_folder take',
  takes: '<run | folder of runs | experiment.json> …',
  options: {
    out: { type: 'string' },
    trainer: { type: 'string' },
    dataset: { type: 'string' },
    npz: { type: 'boolean' },
    overwrite: { type: 'boolean' },
  },
  help: {
    out: 'folder of results (default: $nnUNet_results)',
    trainer: 'class name of nnU-Net’s trainer in folder and checkpoint (default nnUNetTrainer)',
    dataset: 'name of the data set there, Dataset042_Name (default: its own)',
    npz: 'also probabilities of the validation cases, which nnUNetv2_ensemble and nnUNetv2_find_best_configuration need',
    overwrite: 'replace folds that stand there',
  },
  example: 'npx voxelbook export-nnunet resenc.json --npz',
  async work(positionals, values) {
    const names = need(positionals, 'run');
    const { exportNnunet: write } = await import('../exportNnunet.js');
    const runs = await readRuns(names, values);
    for (const { order } of runs) await loadOwn(order.experiment, values);
    const folders = runs.map(({ folder }) => folder);
    const written = await write(folders, {
      results: values.out as string | undefined,
      trainer: values.trainer as string | undefined,
      dataset: values.dataset as string | undefined,
      probabilities: values.npz === true,
      overwrite: values.overwrite === true,
      onNote: (text) => print(`note: ${text}`),
      signal: interrupt(),
      onProgress: workProgress,
    });
    for (const folder of written) print(`written to ${folder}`);
  },
});
