// `voxelbook predict`: predict the cases of a folder with trained runs (several are averaged), or with a model of nnU-Net.
import fs from 'node:fs';
import path from 'node:path';
import type { Fold } from '../../dataset/index.js';
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

export const predict = ofExperiments({
  about: 'predict the cases of a folder with trained runs (several are averaged), a model of nnU-Net or a bundle',
  takes: '<image folder> <output folder>',
  options: {
    run: { type: 'string', multiple: true },
    ...weightsOption,
    previous: { type: 'string' },
    probabilities: { type: 'boolean' },
    'disable-tta': { type: 'boolean' },
    'step-size': { type: 'string' },
    overwrite: { type: 'boolean' },
    continue: { type: 'boolean' },
  },
  help: {
    run: 'run folder, folder of runs, or the file of an experiment that was run; may be given again; or nnU-Net’s <trainer>__<plans>__<configuration>, as a path or below $nnUNet_results; or a bundle that export-onnx wrote',
    ...weightsHelp,
    previous: 'cascade: folder of the labels the previous stage predicted for the same cases',
    probabilities: 'write probabilities too',
    'disable-tta': 'do not average over mirrored images: faster, a little less accurate',
    'step-size': 'distance of neighbouring tiles as a share of a tile (default: as the model says, 0.5 of nnU-Net’s)',
    overwrite: 'replace label files that stand in the output folder already',
    continue: 'keep label files that stand there and can be read',
  },
  example: 'npx voxelbook predict imagesTs out --run mednext.json',
  async work(positionals, values) {
    const [input, output] = need(positionals, 'image folder', 'output folder');
    const { predictFolder } = await import('../predictFolder.js');
    const names = (values.run as string[] | undefined) ?? [];
    if (names.length === 0) throw usage('no --run', 'at least one run');
    const bundles = names.filter((name) => fs.existsSync(path.join(name, 'bundle.json')));
    if (bundles.length > 0 && (names.length > 1 || values.fold || values.checkpoint))
      throw usage(names.join(', '), 'a bundle alone, as it is');
    const { modelFolderOf } = await import('../../nnunet/modelFolder.js');
    const isOurs = (name: string) => ['experiment.json', 'bundle.json'].some((file) => fs.existsSync(path.join(name, file)));
    const models = names.map((name) => (isOurs(name) ? undefined : modelFolderOf(name)));
    const ofNnunet = models.filter((m) => m !== undefined);
    if (ofNnunet.length > 0 && names.length > 1)
      throw usage(names.join(', '), 'one model of nnU-Net; npx voxelbook ensemble averages predictions of several');
    if (ofNnunet.length === 0 && values.fold) throw usage('--fold', 'a model of nnU-Net');
    const loaded =
      bundles.length > 0
        ? await (await import('../../onnx/index.js')).loadBundle(bundles[0])
        : ofNnunet.length > 0
          ? await loadModel(ofNnunet[0], values)
          : await folders(names, values);
    const written = await predictFolder(input, output, loaded, {
      probabilities: values.probabilities === true,
      checkpoint: ofNnunet.length > 0 ? undefined : checkpointOf(values.checkpoint),
      previous: values.previous as string | undefined,
      settings: {
        ...(values['disable-tta'] === true && { mirrorAxes: [] }),
        ...(values['step-size'] !== undefined && { stepSize: stepOf(values['step-size']) }),
      },
      overwrite: values.overwrite === true,
      continue: values.continue === true,
      onKept: (ids) => print(`${ids.length} kept as they were: ${ids.join(', ')}`),
      signal: interrupt(),
      onProgress: workProgress,
    });
    print(`${written} cases written to ${output}`);
  },
});

function stepOf(value: unknown): number {
  const step = Number(value);
  if (!(step > 0 && step <= 1)) throw usage(`--step-size ${value}`, 'a number above 0, at most 1');
  return step;
}

async function folders(names: readonly string[], values: Values): Promise<string[]> {
  const runs = await readOneExperiment(names, values);
  return runs.map((run) => run.folder);
}

async function loadModel({ folder, folds }: { folder: string; folds?: Fold[] }, values: Values) {
  const { loadModelFolder } = await import('../../nnunet/modelFolder.js');
  const wanted = (values.fold as string[] | undefined)?.map((fold) => foldOf(fold, 0)) ?? folds;
  const given = values.checkpoint as string | undefined;
  const checkpoint = given && checkpointName(given);
  const loaded = loadModelFolder(folder, { folds: wanted, checkpoint });
  const { about, folds: used } = loaded;
  print(`${about.trainer}, ${about.configuration}, folds ${used.join(', ')} of ${folder}`);
  return loaded;
}
