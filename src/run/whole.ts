// A whole run: train, predict the fold's validation cases, score them. Each part is kept, so that a restart does none of it twice.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteSealedJson, readSealedJson } from '../base/atomicWrite.js';
import { VoxelbookError } from '../base/errors.js';
import { peakResidentBytes } from '../base/memory.js';
import { writeAs } from '../dataset/index.js';
import { forwardOf, predictCase } from '../predict/index.js';
import { hasStageLabels, preprocessedShape, saveStageLabels } from '../preprocess/index.js';
import { tf } from '../tensor/tf.js';
import { type ClassScore, networkInput, nextStageFolder, type RunScores, type Trained, run as train } from '../train/index.js';
import type { RunOrder } from './folder.js';
import { caseOf, referenceOf, scorerOf } from './scoring.js';

export interface WholeOptions {
  signal: AbortSignal;
  lease: { check(): void };
  onStage: (stage: string) => void;
}

/** Computes what is missing of a run; writes scores.json last. */
export async function whole(folder: string, order: RunOrder, { signal, lease, onStage }: WholeOptions): Promise<void> {
  const { experiment, fold, seed } = order;
  const trained = await train(experiment, fold, seed, folder, { ...settings(), signal, onStage, beforeSave: lease.check });
  try {
    const { val } = trained.prepared.split(fold);
    const predictions = path.join(folder, 'predictions');
    fs.mkdirSync(predictions, { recursive: true });
    const cases: RunScores['cases'] = [];
    let predictSeconds = 0;
    const { next_stage: nextStage } = trained.prepared.configuration;
    const handedOn = (id: string) => !nextStage || hasStageLabels(nextStageFolder(folder, nextStage), id);
    for (const id of val) {
      onStage(`predict ${id}`);
      signal.throwIfAborted();
      const done = path.join(predictions, `${id}.scores.json`);
      let known = handedOn(id) ? readCase(done) : undefined;
      if (!known) {
        const begin = performance.now();
        const classes = await predictAndScore(id, trained, order, folder, signal, onStage);
        lease.check();
        known = { id, classes, seconds: (performance.now() - begin) / 1000 };
        atomicWriteSealedJson(done, known);
      }
      const { seconds, ...scored } = known;
      cases.push(scored);
      predictSeconds += seconds;
    }
    const scores: RunScores = {
      experiment: experiment.name,
      fold,
      seed,
      nsd: scorerOf(experiment.scoring, trained.prepared.labels).nsd,
      cases,
      cost: {
        parameters: trained.forecast.parameters,
        flops: trained.forecast.flops,
        trainSeconds: trained.position.seconds,
        predictSeconds,
        peakBytes: peakResidentBytes(),
        forecastBytes: trained.forecast.bytes.total,
      },
    };
    lease.check();
    atomicWriteSealedJson(path.join(folder, 'scores.json'), scores);
  } finally {
    tf.dispose(trained.params);
  }
}

interface ScoredCase {
  id: string;
  classes: Record<string, ClassScore>;
  seconds: number;
}

/** The scores of a case that is done; one whose file is damaged is not. */
function readCase(file: string): ScoredCase | undefined {
  try {
    return readSealedJson<ScoredCase>(file);
  } catch (error) {
    if (!(error instanceof VoxelbookError)) throw error;
    console.error(error.message);
    return undefined;
  }
}

/** Settings of the machine, not of the experiment: they change no number. */
function settings() {
  const number = (name: string) => (process.env[name] ? Number(process.env[name]) : undefined);
  return {
    workers: number('VOXELBOOK_WORKERS'),
    hangSeconds: number('VOXELBOOK_HANG_SECONDS'),
    memoryBytes: number('VOXELBOOK_MEMORY_BYTES'),
    savingShare: number('VOXELBOOK_SAVING_SHARE'),
    checkpointing: process.env.VOXELBOOK_CHECKPOINTING === '1' || undefined,
  };
}

async function predictAndScore(
  id: string,
  { network, params, prepared, previous }: Trained,
  { experiment }: RunOrder,
  folder: string,
  signal: AbortSignal,
  onStage: (stage: string) => void,
): Promise<Record<string, ClassScore>> {
  const { dataset, labels, plan, configuration } = prepared;
  const { prediction, scoring } = experiment;
  const dimensions = configuration.patch_size.length;
  const source = networkInput(prepared, previous, id);
  const { next_stage: next } = configuration;
  const nextShape = next ? preprocessedShape(source.properties, plan, next) : undefined;
  const { labels: predicted, nextStage } = await predictCase(
    {
      forwards: [forwardOf(network, params)],
      plan,
      configuration: experiment.configuration,
      dataset: dataset.json,
      settings: { ...prediction, mirrorAxes: prediction.mirrorAxes.filter((axis) => axis < dimensions) },
    },
    source,
    { signal, nextStage: nextShape },
  );
  if (next) saveStageLabels(nextStageFolder(folder, next), id, nextStage!, nextShape!);
  onStage(`score ${id}`);
  const reference = referenceOf(dataset, id);
  const labelMap = { ...reference, data: predicted as Uint8Array, channels: 1 };
  writeAs(path.join(folder, 'predictions', `${id}${dataset.json.file_ending}`), labelMap, caseOf(dataset, id));
  return scorerOf(scoring, labels).score(reference, labelMap);
}
