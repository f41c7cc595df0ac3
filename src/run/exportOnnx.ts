// Trained runs as a bundle of ONNX graphs.
import type { WorkOptions } from '../base/progress.js';
import { type Bundle, exportBundle } from '../onnx/index.js';
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
