// An ensemble of finished runs: probabilities of the same held-out cases averaged, then labels, then a rule for tiny findings, then
// scores. Nothing is trained; the result has a folder of its own, so that it is computed once.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteSealedJson } from '../base/atomicWrite.js';
import { sha256 } from '../base/checksum.js';
import { VoxelbookError } from '../base/errors.js';
import { loadCase, readAs, writeAs } from '../dataset/index.js';
import { network as networkOf } from '../model/index.js';
import { inputChannels } from '../plan/index.js';
import { ensembleLabels, forwardOf, postprocess, predictCase } from '../predict/index.js';
import type { Rule } from '../score/index.js';
import { tf } from '../tensor/tf.js';
import {
  canonicalJson,
  networkInput,
  prepare,
  previousStageOf,
  type RunScores,
  readInputs,
  runFolderOf,
  weightsFile,
} from '../train/index.js';
import type { Volume } from '../volume/index.js';
import { openWeights, toParams } from '../weights/index.js';
import { readScores } from './folder.js';
import { heldOut } from './heldOut.js';
import { madeFolder, noteMembers } from './members.js';
import type { FinishedRun } from './result.js';
import { caseOf, referenceOf, scoreBy, scorerOf } from './scoring.js';

/** What is done with the ensemble's labels, and how they are scored. */
export interface EnsembleOptions {
  /** Below this volume a label becomes another one (KAIST: enhancing tumour becomes necrosis). */
  replaceSmall?: { label: number; by: number; belowMm3: number };
  /** Score by the rule of a table instead of the members' own scoring. */
  rule?: Rule;
  signal?: AbortSignal;
}

/**
 * Scores the ensemble of runs of the same data set, fold and scoring on the fold's held-out cases.
 * @param name what its row is called
 * @param members finished runs; each predicts with its own settings
 * @returns scores as a run's; cost: parameters, FLOPs and seconds of all members together
 * @throws VoxelbookError when the members do not belong together
 */
export async function ensemble(name: string, members: readonly FinishedRun[], options: EnsembleOptions = {}): Promise<RunScores> {
  const { rule, ...rest } = options;
  const scores = await joined(name, members, rest);
  if (!rule) return scores;
  return scoreBy({ folder: folderOf(members, options.replaceSmall), experiment: members[0].experiment, scores }, rule, options);
}

async function joined(name: string, members: readonly FinishedRun[], options: Omit<EnsembleOptions, 'rule'>): Promise<RunScores> {
  const [first] = members;
  const stranger = members.find((m) => m.experiment.dataset !== first.experiment.dataset || m.fold !== first.fold);
  if (!first || stranger)
    throw new VoxelbookError('these runs make no ensemble', {
      code: 'ensemble-members',
      path: stranger?.name ?? 'members',
      given: stranger ? `${stranger.experiment.dataset}, fold ${stranger.fold}` : 'no run',
      expected: first ? `${first.experiment.dataset}, fold ${first.fold}` : 'at least one finished run',
      fix: 'Take runs of the same data set and fold.',
    });
  const folder = folderOf(members, options.replaceSmall);
  const known = readScores(folder);
  if (known) return { ...known, experiment: name };

  const { experiment, fold } = first;
  const prepared = await prepare(experiment, { signal: options.signal });
  const { dataset, labels } = prepared;
  const { ids, on } = heldOut(dataset, prepared.split(fold), fold);
  const scorer = scorerOf(experiment.scoring, labels);
  fs.mkdirSync(folder, { recursive: true });
  noteMembers(folder, members);
  const begin = performance.now();
  // The rule works on the label maps of the plain ensemble, which is computed once.
  if (options.replaceSmall) await joined(name, members, { signal: options.signal });
  const plain = folderOf(members);
  const cases: RunScores['cases'] = [];
  const predictors: Awaited<ReturnType<typeof predictor>>[] = [];
  try {
    if (!options.replaceSmall) for (const member of members) predictors.push(await predictor(member, options.signal));
    for (const id of ids.filter((one) => caseOf(dataset, one).label)) {
      options.signal?.throwIfAborted();
      const file = `${id}${dataset.json.file_ending}`;
      const reference = referenceOf(dataset, id);
      let found: Uint8Array | Uint16Array;
      if (options.replaceSmall) {
        const { reader } = caseOf(dataset, id);
        const before = readAs(path.join(plain, file), reader) as Volume<Uint8Array>;
        found = postprocess(before.data, before, [{ kind: 'replace_if_small', ...options.replaceSmall }]);
      } else {
        const parts: Float32Array[] = [];
        for (const { model, input } of predictors) {
          const predicted = await predictCase(model, input(id, on === 'test'), {
            keepProbabilities: true,
            signal: options.signal,
          });
          parts.push(predicted.probabilities!);
        }
        found = ensembleLabels(parts, labels).labels;
      }
      const answer = { ...reference, data: found as Uint8Array, channels: 1 };
      writeAs(path.join(folder, file), answer, caseOf(dataset, id));
      cases.push({ id, classes: scorer.score(reference, answer) });
    }
  } finally {
    for (const { params } of predictors) tf.dispose(params);
  }
  const sum = (key: 'parameters' | 'flops' | 'trainSeconds') => members.reduce((total, m) => total + m.scores.cost[key], 0);
  const most = (key: 'peakBytes' | 'forecastBytes') => Math.max(...members.map((m) => m.scores.cost[key]));
  const scores: RunScores = {
    experiment: name,
    fold,
    seed: first.seed,
    nsd: scorer.nsd,
    cases,
    ...(on === 'validation' ? {} : { on }),
    cost: {
      parameters: sum('parameters'),
      flops: sum('flops'),
      trainSeconds: sum('trainSeconds'),
      predictSeconds: (performance.now() - begin) / 1000,
      peakBytes: most('peakBytes'),
      forecastBytes: most('forecastBytes'),
    },
  };
  atomicWriteSealedJson(path.join(folder, 'scores.json'), scores);
  return scores;
}

/** The members, what they were made from, and the rule decide where an ensemble lies. */
function folderOf(members: readonly FinishedRun[], rule?: EnsembleOptions['replaceSmall']): string {
  const inputs = members.map((m) => [path.basename(m.folder).slice(-12), readInputs(m.folder)]);
  const identity = canonicalJson([inputs, rule ?? null]);
  return madeFolder('ensembles', sha256(identity).slice(0, 12));
}

/** A member's trained network and what it takes of a case; the caller owns the parameters. */
export async function predictor(
  { experiment, fold, seed, folder }: Pick<FinishedRun, 'experiment' | 'fold' | 'seed' | 'folder'>,
  signal?: AbortSignal,
) {
  const prepared = await prepare(experiment, { signal });
  const { dataset, labels, plan, configuration } = prepared;
  const previous = previousStageOf(experiment, prepared, fold, seed, runFolderOf);
  const { network } = networkOf(experiment.model, configuration, {
    inputChannels: inputChannels(dataset.json, configuration),
    classes: labels.heads,
    deepSupervision: experiment.recipe.deepSupervision !== 'none',
  });
  const params = toParams(network, openWeights(weightsFile(folder, experiment.prediction.checkpoint)).tensors);
  const model = {
    forwards: [forwardOf(network, params)],
    plan,
    configuration: experiment.configuration,
    dataset: dataset.json,
    patchSize: configuration.patch_size,
    settings: experiment.prediction,
  };
  const input = (id: string, test = false) =>
    test ? loadCase({ ...caseOf(dataset, id), label: undefined }) : networkInput(prepared, previous, id);
  return { params, model, prepared, input };
}
