// Trained runs, or a trained model of nnU-Net, as a bundle of ONNX graphs.
import path from 'node:path';
import type { WorkOptions } from '../base/progress.js';
import {
  loadModelFolder,
  type ModelFolderOptions,
  networkFor,
  readModelCheckpoint,
  readModelFolder,
} from '../nnunet/modelFolder.js';
import { type Bundle, exportBundle } from '../onnx/index.js';
import { configuration } from '../plan/index.js';
import type { Checkpoints } from '../train/weightsFile.js';
import { trainedRuns } from './predictFolder.js';

/** What goes into an ONNX bundle. */
export interface ExportOnnxOptions extends WorkOptions {
  /** Which weights; default those that the experiment predicts with. */
  checkpoint?: Checkpoints;
  /** Replace a bundle that stands there. */
  overwrite?: boolean;
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
