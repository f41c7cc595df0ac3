// `voxelbook export-onnx`: trained runs as a bundle that ONNX Runtime runs.
import fs from 'node:fs';
import path from 'node:path';
import type { Fold } from '../../dataset/index.js';
import type { ExportOnnxOptions } from '../exportOnnx.js';
import {
  checkpointName,
  checkpointOf,
  foldOf,
  interrupt,
  need,
  ofExperiments,
  print,
  readOneExperiment,
  usage,
  type Values,
  weightsHelp,
  weightsOption,
  workProgress,
} from './command.js';

export const exportOnnx = ofExperiments({
  about:
    'write trained runs (several are averaged), or a model of nnU-Net, as a bundle of ONNX graphs with all that a prediction needs',
  takes: '<run | folder of runs | experiment.json> … | <model of nnU-Net>',
  options: {
    out: { type: 'string' },
    ...weightsOption,
    overwrite: { type: 'boolean' },
  },
  help: {
    out: 'folder of the bundle (default: <experiment>.bundle)',
    ...weightsHelp,
    overwrite: 'replace a bundle that stands there',
  },
  example: 'npx voxelbook export-onnx mednext.json --out mednext.bundle',
  async work(positionals, values) {
    const names = need(positionals, 'run');
    const { modelFolderOf } = await import('../../nnunet/modelFolder.js');
    const model = fs.existsSync(path.join(names[0], 'experiment.json')) ? undefined : modelFolderOf(names[0]);
    if (model && names.length > 1) throw usage(names.join(', '), 'one model of nnU-Net');
    if (!model && values.fold) throw usage('--fold', 'a model of nnU-Net');
    const how = { overwrite: values.overwrite === true, signal: interrupt(), onProgress: workProgress };
    const { out, bundle } = model ? await ofNnunet(model, values, how) : await ofRuns(names, values, how);
    const bytes = bundle.graphs.reduce((sum, g) => sum + g.bytes + (g.data?.bytes ?? 0), 0);
    print(`${bundle.network}, ${bundle.graphs.length} graphs of ${(bytes / 1e6).toFixed(1)} MB together, written to ${out}`);
    print(`python ${out}/predict.py <images> <labels>, or npx voxelbook predict <images> <labels> --run ${out}`);
  },
});

const outOf = (values: Values, name: string) => (values.out as string | undefined) ?? `${name.replace(/[^\w.-]+/g, '_')}.bundle`;

async function ofNnunet(
  { folder, folds }: { folder: string; folds?: Fold[] },
  values: Values,
  how: Omit<ExportOnnxOptions, 'checkpoint'>,
) {
  const { exportNnunetModel } = await import('../exportOnnx.js');
  const out = outOf(values, path.basename(folder));
  const given = values.checkpoint as string | undefined;
  const wanted = (values.fold as string[] | undefined)?.map((fold) => foldOf(fold, 0)) ?? folds;
  const bundle = exportNnunetModel(folder, out, { ...how, folds: wanted, checkpoint: given && checkpointName(given) });
  return { out, bundle };
}

async function ofRuns(names: readonly string[], values: Values, how: Omit<ExportOnnxOptions, 'checkpoint'>) {
  const { exportOnnx: write } = await import('../exportOnnx.js');
  const runs = await readOneExperiment(names, values);
  const { experiment } = runs[0].order;
  const out = outOf(values, experiment.name);
  const folders = runs.map(({ folder }) => folder);
  return { out, bundle: write(folders, out, { ...how, checkpoint: checkpointOf(values.checkpoint) }) };
}
