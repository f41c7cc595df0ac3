// `voxelbook import-nnunet`: a trained model of nnU-Net kept here.
import { type Command, foldOf, interrupt, need, print, workProgress } from './command.js';

export const importNnunet: Command = {
  about: 'keep a trained model of nnU-Net here: plans in their present form, weights as safetensors',
  takes: '<results folder>',
  options: {
    fold: { type: 'string', multiple: true },
    checkpoint: { type: 'string' },
    out: { type: 'string' },
    dataset: { type: 'string' },
    overwrite: { type: 'boolean' },
  },
  help: {
    fold: 'only this fold; may be given again (default: all that are there)',
    checkpoint: 'checkpoint_best instead of checkpoint_final (of nnU-Net v1: model_best)',
    out: 'folder of results (default: imported in the runs folder)',
    dataset: 'name of the data set there, Dataset042_Name (default: the one its plans name)',
    overwrite: 'replace a model that stands there',
  },
  example: 'npx voxelbook import-nnunet nnUNet_results/Dataset027_ACDC/nnUNetTrainer__nnUNetPlans__3d_fullres',
  async work(positionals, values) {
    const [given] = need(positionals, 'results folder');
    const { importNnunet: keep } = await import('../importNnunet.js');
    const folder = keep(given, {
      folds: (values.fold as string[] | undefined)?.map((fold) => foldOf(fold, 0)),
      checkpoint: values.checkpoint as string | undefined,
      out: values.out as string | undefined,
      dataset: values.dataset as string | undefined,
      overwrite: values.overwrite === true,
      signal: interrupt(),
      onProgress: workProgress,
    });
    print(`written to ${folder}\npredict with it: npx voxelbook predict <images> <output> --run ${folder}`);
  },
};
