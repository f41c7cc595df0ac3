// `voxelbook export-progress`: a run's log for TensorBoard or Weights & Biases, or as a table.
import { need, ofExperiments, print, readRunFolders, usage } from './command.js';

export const exportProgress = ofExperiments({
  about: 'write a run’s progress for TensorBoard, Weights & Biases, or as CSV',
  takes: '<run> …',
  options: { format: { type: 'string' }, out: { type: 'string' } },
  help: {
    format: 'tensorboard (default), wandb (a folder for `wandb sync`) or csv',
    out: 'folder to write into, one below it for each run (default: the run’s own)',
  },
  example: 'npx voxelbook export-progress mednext.json --format tensorboard --out board',
  async work(positionals, values) {
    need(positionals, 'run');
    const path = await import('node:path');
    const { exportProgress: write, progressFormats } = await import('../exportProgress.js');
    const format = progressFormats.find((f) => f === (values.format ?? 'tensorboard'));
    if (!format) throw usage(`--format ${values.format}`, progressFormats.join(' or '));
    for (const folder of await readRunFolders(positionals, values)) {
      const out = values.out === undefined ? folder : path.join(String(values.out), path.basename(folder));
      print(write(folder, format, out));
    }
  },
});
