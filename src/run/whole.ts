// A whole run: train, predict the fold's validation cases, score them. Each part is kept, so that a restart does none of it twice.
import fs from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { atomicWriteSealedJson, readSealedJson } from '../base/atomicWrite.js';
import { VoxelbookError } from '../base/errors.js';
import { peakResidentBytes } from '../base/memory.js';
import { type LoadedCase, loadCase, readAs, writeAs } from '../dataset/index.js';
import { forwardOf, predictCase } from '../predict/index.js';
import { hasStageLabels, preprocessedShape, saveStageLabels } from '../preprocess/index.js';
import { tf } from '../tensor/tf.js';
import {
  type ClassScore,
  networkInput,
  nextStageFolder,
  type Prepared,
  type RunScores,
  type Trained,
  run as train,
  weightsFile,
} from '../train/index.js';
import type { Volume } from '../volume/index.js';
import { openWeights, toParams } from '../weights/index.js';
import type { RunOrder } from './folder.js';
import { heldOut } from './heldOut.js';
import { caseOf, referenceOf, scorerOf } from './scoring.js';
import { type TestedCase, testedNow } from './tested.js';

export interface WholeOptions {
  signal: AbortSignal;
  lease: { check(): void };
  onStage: (stage: string) => void;
}

/** Computes what is missing of a run; writes scores.json last. */
export async function whole(folder: string, order: RunOrder, { signal, lease, onStage }: WholeOptions): Promise<void> {
  const { experiment, fold, seed } = order;
  const trained = await train(experiment, fold, seed, folder, { ...settings(), signal, onStage, beforeSave: lease.check });
  const { checkpoint } = experiment.prediction;
  try {
    if (checkpoint && checkpoint !== 'final') {
      const { tensors } = openWeights(weightsFile(folder, checkpoint));
      tf.dispose(trained.params);
      trained.params = toParams(trained.network, tensors);
    }
    const { ids, on } = heldOut(trained.prepared.dataset, trained.prepared.split(fold), fold);
    if (on === 'test' && trained.previous) throw noTestCascade(experiment.name);
    const predictions = path.join(folder, 'predictions');
    fs.mkdirSync(predictions, { recursive: true });
    const cases: RunScores['cases'] = [];
    let predictSeconds = 0;
    const { next_stage: nextStage } = trained.prepared.configuration;
    const unscored: string[] = [];
    const handedOn = (id: string) => on === 'test' || !nextStage || hasStageLabels(nextStageFolder(folder, nextStage), id);
    const tested = on === 'test' ? testedNow(trained.prepared.dataset) : undefined;
    for (const id of ids) {
      onStage(`predict ${id}`);
      signal.throwIfAborted();
      const done = path.join(predictions, `${id}.scores.json`);
      const kept = handedOn(id) ? readCase(done) : undefined;
      let known = kept && tested ? asTested(kept, tested[id], trained.prepared, order, folder) : kept;
      if (known && known !== kept) atomicWriteSealedJson(done, known);
      if (!known) {
        const begin = performance.now();
        const classes = await predictAndScore(id, on === 'test', trained, order, folder, signal, onStage);
        lease.check();
        known = { id, classes, seconds: (performance.now() - begin) / 1000, ...(tested && { tested: tested[id] }) };
        atomicWriteSealedJson(done, known);
      }
      const { seconds, classes } = known;
      if (classes) cases.push({ id, classes });
      else unscored.push(id);
      predictSeconds += seconds;
    }
    const scores: RunScores = {
      experiment: experiment.name,
      fold,
      seed,
      nsd: scorerOf(experiment.scoring, trained.prepared.labels).nsd,
      cases,
      ...(on === 'validation' ? {} : { on }),
      ...(unscored.length > 0 ? { unscored } : {}),
      ...(tested && { tested }),
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
  /** Null for a test case without a reference. */
  classes: Record<string, ClassScore> | null;
  seconds: number;
  /** The files of a test case that this was made from. */
  tested?: TestedCase;
}

/**
 * The scores of a test case as its files are now: kept, scored again where only its reference changed, undefined where it has to be predicted
 * again.
 */
function asTested(
  known: ScoredCase,
  now: TestedCase,
  { dataset, labels }: Prepared,
  { experiment }: RunOrder,
  folder: string,
): ScoredCase | undefined {
  const { tested } = known;
  if (!tested || isDeepStrictEqual(tested, now)) return known;
  const { id } = known;
  const prediction = path.join(folder, 'predictions', `${id}${dataset.json.file_ending}`);
  if (tested.images !== now.images || !fs.existsSync(prediction)) return undefined;
  const { label, reader } = caseOf(dataset, id);
  if (!label) return { ...known, classes: null, tested: now };
  const answer = readAs(prediction, reader, { onWarning: () => {} }) as Volume<Uint8Array>;
  return { ...known, classes: scorerOf(experiment.scoring, labels).score(referenceOf(dataset, id), answer), tested: now };
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

const noTestCascade = (name: string) =>
  new VoxelbookError(`"${name}" cannot predict its test cases`, {
    code: 'test-cascade',
    path: 'folds',
    given: "'all', with a previous stage",
    expected: 'folds whose validation cases the previous stage has predicted',
    fix: 'Predict the test cases of a cascade with voxelbook predict, stage by stage.',
  });

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

/** @returns null for a test case without a reference */
async function predictAndScore(
  id: string,
  test: boolean,
  { network, params, prepared, previous }: Trained,
  { experiment }: RunOrder,
  folder: string,
  signal: AbortSignal,
  onStage: (stage: string) => void,
): Promise<Record<string, ClassScore> | null> {
  const { dataset, labels, plan, configuration } = prepared;
  const { prediction, scoring } = experiment;
  const dimensions = configuration.patch_size.length;
  const files = caseOf(dataset, id);
  const stored = test ? undefined : networkInput(prepared, previous, id);
  const source = stored ?? loadCase({ ...files, label: undefined });
  const next = test ? undefined : configuration.next_stage;
  const nextShape = next ? preprocessedShape(stored!.properties, plan, next) : undefined;
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
  const file = path.join(folder, 'predictions', `${id}${dataset.json.file_ending}`);
  const answerOn = (grid: Volume) => ({ ...grid, data: predicted as Uint8Array, channels: 1 });
  if (!files.label) {
    writeAs(file, answerOn((source as LoadedCase).image), files);
    return null;
  }
  const reference = referenceOf(dataset, id);
  writeAs(file, answerOn(reference), files);
  return scorerOf(scoring, labels).score(reference, answerOn(reference));
}
