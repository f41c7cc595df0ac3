// The best of several experiments by cross-validation, and of their pairs, with post-processing (nnU-Net v2 `find_best_configuration`),
// from the run folders that `run` leaves.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWrite, atomicWriteJson } from '../base/atomicWrite.js';
import { sha256 } from '../base/checksum.js';
import { type Fault, VoxelbookError } from '../base/errors.js';
import { progressOf, type WorkOptions } from '../base/progress.js';
import { datasetJsonText, readDatasetJson, writeAs } from '../dataset/index.js';
import { type Decision, decide, instructions, type MergedModel } from '../nnunet/best.js';
import { predictCase, writeProbabilities } from '../predict/index.js';
import { tf } from '../tensor/tf.js';
import { canonicalJson, readInputs, runHash } from '../train/index.js';
import { predictor } from './ensemble.js';
import { type RunOrder, readOrder, readScores } from './folder.js';
import { settled } from './fresh.js';
import { madeFolder, noteMembers } from './members.js';
import { caseOf, referenceOf } from './scoring.js';

/** The best experiment or pair, with its post-processing and how to predict with it. */
export interface FoundBest extends Decision {
  /** Where everything was written. */
  folder: string;
  /** Commands that predict with what was chosen; `inference_instructions.txt`. */
  instructions: string;
}

interface Trained extends RunOrder {
  folder: string;
}

/**
 * Chooses among experiments by their finished runs: each experiment's folds together are one model.
 * @param folders run folders; the same folds of every experiment, all of one data set
 * @param options.ensembles also consider pairs (default, where there are several): the held-out cases are predicted again for their probabilities
 * @throws VoxelbookError naming runs that are not finished, no longer hold, or do not belong together
 */
export async function findBest(
  folders: readonly string[],
  { ensembles = true, ...work }: { ensembles?: boolean } & WorkOptions = {},
): Promise<FoundBest> {
  const models = await modelsOf(folders, work);
  const names = [...models.keys()];
  const runs = [...models.values()];
  const json = readDatasetJson(path.join(runs[0][0].folder, 'dataset.json'));
  const made = runs.flat().map(({ folder }) => [path.basename(folder), readInputs(folder)]);
  const hash = sha256(canonicalJson(made)).slice(0, 12);
  const output = madeFolder('find-best', hash);
  const references = path.join(output, 'references');
  fs.mkdirSync(references, { recursive: true });
  noteMembers(output, runs.flat());
  const pairs = ensembles && runs.length > 1;
  const merged: MergedModel[] = [];
  for (const [i, name] of names.entries()) {
    const folder = path.join(output, name, 'crossval');
    await heldOut(runs[i], folder, references, pairs, work);
    merged.push({ name, folder });
  }
  const pair = (a: number, b: number): MergedModel => {
    const name = `ensemble___${names[a]}___${names[b]}`;
    return { name, folder: path.join(output, 'ensembles', name) };
  };
  const decision = decide(merged, references, json, pairs ? pair : undefined, work);
  const commands = decision.best.members.map((i) => (out: string) => {
    const members = runs[i].map(({ folder }) => `--run ${folder}`).join(' ');
    return `npx voxelbook predict INPUT_FOLDER ${out} ${members}${decision.best.members.length > 1 ? ' --probabilities' : ''}`;
  });
  const average = (outputs: readonly string[]) => `npx voxelbook ensemble ${outputs.join(' ')} --out OUTPUT_FOLDER`;
  const { best, postprocessing } = decision;
  const text = instructions(commands, average, path.join(best.folder, 'postprocessing.json'), postprocessing.steps);
  atomicWriteJson(path.join(output, 'results.json'), { results: decision.results, best: decision.best.name });
  atomicWrite(path.join(output, 'inference_instructions.txt'), text);
  return { ...decision, folder: output, instructions: text };
}

/** Finished runs by experiment and seed, with every reason why they cannot be compared. */
async function modelsOf(folders: readonly string[], work: WorkOptions): Promise<Map<string, Trained[]>> {
  const faults: Fault[] = [];
  const refuse = (where: string, given: string, expected: string, fix: string) =>
    faults.push({ code: 'find-best', path: where, given, expected, fix });
  const trained: Trained[] = [];
  for (const given of folders) {
    const folder = path.resolve(given);
    const order = readOrder(folder);
    if (!order || !readScores(folder))
      refuse(folder, order ? 'a run that is not finished' : 'no run folder', 'a finished run', 'Finish it: npx voxelbook run.');
    else if (!(await settled(order, folder, work)))
      refuse(folder, 'a result of inputs that changed since', 'a finished run', 'Run it again: npx voxelbook run.');
    else trained.push({ ...order, folder });
  }
  const seeds = new Set(trained.map(({ seed }) => seed));
  const groups = new Map<string, Trained[]>();
  for (const run of trained) {
    const key = `${runHash(run.experiment, 0, run.seed)}`;
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  const found = new Map<string, Trained[]>();
  const foldsOf = (runs: readonly Trained[]) =>
    runs
      .map(({ fold }) => fold)
      .sort()
      .join(', ');
  const [first] = groups.values();
  for (const runs of groups.values()) {
    const [{ experiment, seed, folder }] = runs;
    if (experiment.dataset !== first[0].experiment.dataset)
      refuse(folder, `data set ${experiment.dataset}`, first[0].experiment.dataset, 'Compare experiments on one data set.');
    if (foldsOf(runs) !== foldsOf(first))
      refuse(
        folder,
        `folds ${foldsOf(runs)} of "${experiment.name}"`,
        `folds ${foldsOf(first)} as "${first[0].experiment.name}"`,
        'Run the same folds of every experiment.',
      );
    const readable = experiment.name.replace(/[^A-Za-z0-9.]+/g, '-');
    const name = seeds.size > 1 ? `${readable}_seed${seed}` : readable;
    found.set(found.has(name) ? `${name}-${runHash(experiment, 0, seed)}` : name, runs);
  }
  if (trained.length === 0 && faults.length === 0)
    refuse('runs', 'none', 'at least one finished run', 'Give run folders, or the experiments they are of.');
  if (faults.length > 0) throw new VoxelbookError('the best of these runs cannot be chosen', faults);
  return found;
}

/** The held-out cases of all folds of one experiment in one folder, as they were predicted, or predicted again with probabilities. */
async function heldOut(runs: readonly Trained[], folder: string, references: string, probabilities: boolean, work: WorkOptions) {
  fs.mkdirSync(folder, { recursive: true });
  for (const run of runs) {
    const { params, model, prepared, input } = await predictor(run, work.signal);
    const { dataset } = prepared;
    try {
      atomicWrite(path.join(folder, 'dataset.json'), datasetJsonText(dataset.json));
      atomicWriteJson(path.join(folder, 'plans.json'), prepared.plan);
      const { val } = prepared.split(run.fold);
      const report = progressOf(val.length, work);
      for (const [i, id] of val.entries()) {
        report(i, `held out ${id}`);
        const name = id + dataset.json.file_ending;
        const { label } = caseOf(dataset, id);
        if (!fs.existsSync(path.join(references, name))) fs.copyFileSync(label!, path.join(references, name));
        if (!probabilities) {
          fs.copyFileSync(path.join(run.folder, 'predictions', name), path.join(folder, name));
          continue;
        }
        if (fs.existsSync(path.join(folder, name)) && fs.existsSync(path.join(folder, `${id}.safetensors`))) continue;
        const found = await predictCase(model, input(id), { keepProbabilities: true, signal: work.signal });
        const heads = found.probabilities!.length / found.labels.length;
        writeProbabilities(folder, id, found.probabilities!, [...found.shape, heads]);
        const like = { ...referenceOf(dataset, id), data: found.labels as Uint8Array, channels: 1 };
        writeAs(path.join(folder, name), like, caseOf(dataset, id));
      }
    } finally {
      tf.dispose(params);
    }
  }
}
