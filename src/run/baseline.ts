// The baseline row of every table: what intensity alone tells, scored as the networks are (train/voxelTable.ts).
import { loadCase } from '../dataset/index.js';
import { predictCase } from '../predict/index.js';
import { loadStored } from '../preprocess/index.js';
import type { Variant } from '../report/index.js';
import type { Rule } from '../score/index.js';
import { tf } from '../tensor/tf.js';
import {
  applyVoxelTable,
  type Experiment,
  fitVoxelTable,
  foldsOf,
  prepare,
  type RunScores,
  type VoxelTable,
} from '../train/index.js';
import { complete, type ShortExperiment } from './complete.js';
import { heldOut } from './heldOut.js';
import { caseOf, referenceOf, scorerOf } from './scoring.js';

/**
 * Counts the training cases of an experiment's folds into a table of intensities and scores its answer for the held-out ones.
 * Takes the experiment's data set, plan, folds and scoring; its network and recipe play no part.
 * @param rule of a table, instead of the experiment's scoring
 * @returns a row for `report.ablation`, named `intensity table (no network)`
 */
export async function baseline(short: ShortExperiment | Experiment, rule?: Rule): Promise<Variant> {
  const experiment = await complete(short);
  const prepared = await prepare(experiment);
  const { dataset, labels, plan, configuration } = prepared;
  const scorer = scorerOf(rule ?? experiment.scoring, labels);
  const entries = labels.regions ?? labels.foreground;
  const scores: RunScores[] = [];
  for (const fold of foldsOf(experiment)) {
    const split = prepared.split(fold);
    const { train } = split;
    const { ids, on } = heldOut(dataset, split, fold);
    const begin = performance.now();
    const channels = loadStored(prepared.folder, train[0]).channels;
    const table = fitVoxelTable(samples(prepared.folder, train), { channels, labels: Math.max(...labels.foreground) + 1 });
    const trainSeconds = (performance.now() - begin) / 1000;
    const cases: RunScores['cases'] = [];
    for (const id of ids.filter((one) => caseOf(dataset, one).label)) {
      const { labels: predicted } = await predictCase(
        {
          forwards: [(x) => oneHot(table, x, labels.heads, entries, labels.hasRegions)],
          plan,
          configuration: experiment.configuration,
          dataset: dataset.json,
          settings: { ...experiment.prediction, stepSize: 1, mirrorAxes: [] },
          patchSize: configuration.patch_size,
        },
        on === 'test' ? loadCase({ id, images: caseOf(dataset, id).images }) : loadStored(prepared.folder, id),
      );
      const reference = referenceOf(dataset, id);
      cases.push({ id, classes: scorer.score(reference, { ...reference, data: predicted as Uint8Array, channels: 1 }) });
    }
    const seconds = (performance.now() - begin) / 1000 - trainSeconds;
    scores.push({
      experiment: name,
      fold,
      seed: 0,
      nsd: scorer.nsd,
      cases,
      ...(on === 'validation' ? {} : { on }),
      cost: { parameters: 0, flops: 0, trainSeconds, predictSeconds: seconds, peakBytes: Number.NaN, forecastBytes: Number.NaN },
    });
  }
  return { name, scores, ...(rule ? { rule } : {}) };
}

const name = 'intensity table (no network)';

function* samples(folder: string, ids: readonly string[]) {
  for (const id of ids) {
    const { data, seg, channels } = loadStored(folder, id);
    yield { data, seg, channels };
  }
}

/** The table's answer as logits: 1 for the chosen label (or for every region that holds it), 0 elsewhere. The caller owns it. */
function oneHot(
  table: VoxelTable,
  x: tf.Tensor,
  heads: number,
  entries: readonly (number | readonly number[])[],
  regions: boolean,
): tf.Tensor {
  const data = x.dataSync() as Float32Array;
  const voxels = data.length / table.channels;
  const chosen = applyVoxelTable(table, { data, seg: new Int16Array(voxels) });
  const logits = new Float32Array(voxels * heads).fill(-1);
  for (let i = 0; i < voxels; i++)
    if (!regions) logits[i * heads + chosen[i]] = 1;
    else
      entries.forEach((labels, r) => {
        if ([labels].flat().includes(chosen[i])) logits[i * heads + r] = 1;
      });
  return tf.tensor(logits, [...x.shape.slice(0, -1), heads]);
}
