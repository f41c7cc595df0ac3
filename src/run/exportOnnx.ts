// Trained runs, or a trained model of nnU-Net, as a bundle of ONNX graphs.
import path from 'node:path';
import { atomicWriteJson } from '../base/atomicWrite.js';
import { progressOf, type WorkOptions } from '../base/progress.js';
import { labels, loadCase, open } from '../dataset/index.js';
import {
  loadModelFolder,
  type ModelFolderOptions,
  networkFor,
  readModelCheckpoint,
  readModelFolder,
} from '../nnunet/modelFolder.js';
import { type Bundle, bundleFile, type ExportOptions, exportBundle, loadBundle, readBundle } from '../onnx/index.js';
import { configuration } from '../plan/index.js';
import { predictCase } from '../predict/index.js';
import type { ClassScore } from '../train/index.js';
import type { Checkpoints } from '../train/weightsFile.js';
import { readOrder, readScores } from './folder.js';
import { trainedRuns } from './predictFolder.js';
import { caseOf, referenceOf, scorerOf } from './scoring.js';

/** What goes into an ONNX bundle. */
export interface ExportOnnxOptions extends ExportOptions {
  /** Which weights; default those that the experiment predicts with. */
  checkpoint?: Checkpoints;
}

/**
 * Writes folds or seeds of one experiment as a bundle, whose graphs are averaged.
 * @returns what stands in its `bundle.json`
 * @throws VoxelbookError with everything that cannot be exported, before anything is written
 */
export function exportOnnx(runs: readonly string[], folder: string, { checkpoint, ...options }: ExportOnnxOptions = {}): Bundle {
  const { experiment, members, ...model } = trainedRuns(runs, { checkpoint });
  const several = new Set(members.map(({ seed }) => seed)).size > 1;
  const named = members.map(({ fold, seed, load }) => ({ fold: several ? `${fold}, seed ${seed}` : String(fold), load }));
  return exportBundle({ ...model, name: experiment.name, kind: experiment.model.network, members: named }, folder, options);
}

/**
 * Writes a model of nnU-Net, `<trainer>__<plans>__<configuration>`, as a bundle; it predicts in float32, nnU-Net in float16.
 * @param options.folds, options.checkpoint as for `loadModelFolder`
 * @throws VoxelbookError with what is wrong with the folder, and what cannot be exported
 */
export function exportNnunetModel(
  model: string,
  folder: string,
  options: ModelFolderOptions & Omit<ExportOnnxOptions, 'checkpoint'> = {},
): Bundle {
  // Everything that can be wrong with a model is found by loading it.
  const { model: loaded, spec, dispose } = loadModelFolder(model, options);
  dispose();
  const config = configuration(loaded.plan, loaded.configuration);
  const members = readModelFolder(model, options).checkpoints.map(({ fold, file }) => ({
    fold: String(fold),
    load: () => ({ network: networkFor(spec, config, loaded.dataset), tensors: readModelCheckpoint(file).tensors }),
  }));
  return exportBundle({ ...loaded, name: path.basename(model), kind: spec.network, members }, folder, options);
}

/**
 * What a bundle in half precision loses: every run's validation cases predicted by its own graph, scored as the run scored them. The
 * figures are written into the bundle.
 * @param runs those that the bundle was made of, in the same order
 * @returns what now stands in `bundle.json`; runs without scores of validation cases change nothing
 * @throws VoxelbookError where no ONNX Runtime is installed
 */
export async function measurePrecision(runs: readonly string[], folder: string, work: WorkOptions = {}): Promise<Bundle> {
  const bundle = readBundle(folder);
  const scored = runs.flatMap((run, graph) => {
    const [order, scores] = [readOrder(run), readScores(run)];
    const on = scores?.on ?? 'validation';
    return order && scores && on === 'validation'
      ? scores.cases.map((one) => ({ ...one, graph, experiment: order.experiment }))
      : [];
  });
  if (!bundle.precision || scored.length === 0) return bundle;
  const { model, dispose } = await loadBundle(folder);
  const report = progressOf(scored.length, work);
  const [before, after]: number[][] = [[], []];
  try {
    for (const [i, { id, classes, graph, experiment }] of scored.entries()) {
      const what = `half precision ${id}`;
      report(i, what);
      const dataset = open(experiment.dataset);
      const image = loadCase({ ...caseOf(dataset, id), label: undefined });
      const one = { ...model, networks: [model.networks[graph]] };
      const { labels: data } = await predictCase(one, image, { ...work, onProgress: (p) => report(i + p.done / p.total, what) });
      const reference = referenceOf(dataset, id);
      const answer = { ...reference, data: Uint8Array.from(data), channels: 1 };
      const found = scorerOf(experiment.scoring, labels(dataset.json)).score(reference, answer);
      for (const [name, { dsc }] of Object.entries(classes))
        if (Number.isFinite(dsc) && Number.isFinite((found[name] as ClassScore).dsc)) {
          before.push(dsc);
          after.push(found[name].dsc);
        }
    }
  } finally {
    dispose();
  }
  report(scored.length, 'half precision');
  if (before.length === 0) return bundle;
  const mean = (list: number[]) => list.reduce((sum, v) => sum + v, 0) / list.length;
  const validation = { cases: scored.length, dsc: mean(before), lost: mean(before) - mean(after) };
  const measured = { ...bundle, precision: { ...bundle.precision, validation } };
  atomicWriteJson(path.join(folder, bundleFile), measured);
  return measured;
}
