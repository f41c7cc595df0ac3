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
    precision: { type: 'string' },
    overwrite: { type: 'boolean' },
  },
  help: {
    out: 'folder of the bundle (default: <experiment>.bundle)',
    ...weightsHelp,
    precision:
      'fp16: weights and values in half precision, norms in single; what that costs of the runs’ validation cases is measured (default: fp32)',
    overwrite: 'replace a bundle that stands there',
  },
  example: 'npx voxelbook export-onnx mednext.json --out mednext.bundle',
  async work(positionals, values) {
    const names = need(positionals, 'run');
    const { modelFolderOf } = await import('../../nnunet/modelFolder.js');
    const model = fs.existsSync(path.join(names[0], 'experiment.json')) ? undefined : modelFolderOf(names[0]);
    if (model && names.length > 1) throw usage(names.join(', '), 'one model of nnU-Net');
    if (!model && values.fold) throw usage('--fold', 'a model of nnU-Net');
    const precision = values.precision ?? 'fp32';
    if (precision !== 'fp32' && precision !== 'fp16') throw usage(`--precision ${precision}`, 'fp32 or fp16');
    const how: HowToExport = { precision, overwrite: values.overwrite === true, signal: interrupt(), onProgress: workProgress };
    const { out, bundle } = model ? await ofNnunet(model, values, how) : await ofRuns(names, values, how);
    const bytes = bundle.graphs.reduce((sum, g) => sum + g.bytes + (g.data?.bytes ?? 0), 0);
    print(`${bundle.network}, ${bundle.graphs.length} graphs of ${(bytes / 1e6).toFixed(1)} MB together, written to ${out}`);
    const lost = bundle.precision?.validation;
    if (lost)
      print(
        `half precision loses ${lost.lost.toFixed(4)} of a mean DSC of ${lost.dsc.toFixed(4)} (${lost.cases} validation cases)`,
      );
    else if (bundle.precision) print('what half precision loses is not measured: there are no scored validation cases');
    print(`python ${out}/predict.py <images> <labels>, or npx voxelbook predict <images> <labels> --run ${out}`);
  },
});

type HowToExport = Omit<ExportOnnxOptions, 'checkpoint'>;

const outOf = (values: Values, name: string) => (values.out as string | undefined) ?? `${name.replace(/[^\w.-]+/g, '_')}.bundle`;

async function ofNnunet({ folder, folds }: { folder: string; folds?: Fold[] }, values: Values, how: HowToExport) {
  const { exportNnunetModel } = await import('../exportOnnx.js');
  const out = outOf(values, path.basename(folder));
  const given = values.checkpoint as string | undefined;
  const wanted = (values.fold as string[] | undefined)?.map((fold) => foldOf(fold, 0)) ?? folds;
  const bundle = exportNnunetModel(folder, out, { ...how, folds: wanted, checkpoint: given && checkpointName(given) });
  return { out, bundle };
}

async function ofRuns(names: readonly string[], values: Values, how: HowToExport) {
  const { exportOnnx: write, measurePrecision } = await import('../exportOnnx.js');
  const runs = await readOneExperiment(names, values);
  const { experiment } = runs[0].order;
  const out = outOf(values, experiment.name);
  const folders = runs.map(({ folder }) => folder);
  const bundle = write(folders, out, { ...how, checkpoint: checkpointOf(values.checkpoint) });
  return { out, bundle: how.precision === 'fp16' ? await measurePrecision(folders, out, how) : bundle };
}
