// Microscopy is scored by instances: F1 at IoU 0.5 of whole cells, as the challenge's script does (published.json, metrics).
import path from 'node:path';
import type { Dataset } from '../../dataset/index.js';
import type { Variant } from '../../report/index.js';
import { connectedComponents, instanceF1 } from '../../score/index.js';
import type { Experiment, RunScores } from '../../train/index.js';
import { readVolume } from '../../volume/index.js';

/** Where a finished run's predictions are; `run.reproduce` gives these. */
export interface Scored {
  folder: string;
  experiment: Experiment;
  scores: RunScores;
}

/**
 * Rows with one more class, `cells`, whose metric `f1` is the instance F1 at IoU 0.5 of each picture. A cell is a connected part of
 * the label `cell` (its border has a label of its own); cells touching the outer two pixels leave both maps.
 * @param rows as `run.reproduce` gives them; their order and names stay
 * @param runs the finished runs behind them
 * @param dataset the data set they were trained on
 */
export function cellF1(rows: readonly Variant[], runs: readonly Scored[], dataset: Dataset, interior = 1): Variant[] {
  const reference = new Map(
    dataset.cases.filter((c) => c.label).map((c) => [c.id, () => readVolume(c.label!, { onWarning: () => {} })]),
  );
  return rows.map((row) => ({
    ...row,
    scores: runs
      .filter((run) => run.experiment.name === row.name)
      .map(({ folder, scores }) => ({
        ...scores,
        cases: scores.cases.map(({ id, classes }) => {
          const truth = reference.get(id)!();
          const predicted = readVolume(path.join(folder, 'predictions', `${id}${dataset.json.file_ending}`));
          const shape = truth.shape.slice(1);
          const cells = (data: ArrayLike<number>) =>
            connectedComponents(
              Uint8Array.from(data as ArrayLike<number>, (v) => (v === interior ? 1 : 0)),
              shape,
              8,
            ).labels;
          const [found] = instanceF1(cells(truth.data), cells(predicted.data), shape);
          const none = found.reference + found.prediction === 0;
          return {
            id,
            classes: {
              ...classes,
              cells: {
                dsc: Number.NaN,
                nsd: Number.NaN,
                hd95: Number.NaN,
                state: none ? ('both-empty' as const) : ('ok' as const),
                f1: found.f1,
              },
            },
          };
        }),
      })),
  }));
}
