// The gate: every fault of every case in one report, before anything long starts. A case is read again only when its files changed.
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { atomicWriteJson } from '../base/atomicWrite.js';
import { sha256 } from '../base/checksum.js';
import { type Fault, FaultList, VoxelbookError } from '../base/errors.js';
import { runJobs } from '../base/pool.js';
import { progressOf, type WorkOptions } from '../base/progress.js';
import { displayed, shownTable } from '../base/show.js';
import { faultShape, storedJson, tableShape } from '../base/storedJson.js';
import { type CaseFindings, type CheckJob, caseFindings } from './caseFindings.js';
import { Contents, memoryFile, statOf } from './content.js';
import type { Dataset } from './dataset.js';
import { likelyPatients, some } from './groups.js';
import { labels } from './labels.js';
import { nameFindings } from './names.js';
import { readerNames } from './reader.js';
import { filesOf } from './sideFile.js';
import type { Split } from './splits.js';
import { knownSplits } from './splitsFile.js';
import { workersForCases } from './workersForCases.js';

/** What a check found; shows itself as a table. */
export interface IntegrityReport {
  cases: number;
  /** What must be corrected before planning. */
  faults: Fault[];
  /** What a person should know; nnU-Net would go on. */
  warnings: Fault[];
}

/** How a data set is checked. */
export interface CheckOptions extends WorkOptions {
  /** Threads; default one per core, as far as the largest case fits into memory so many times. */
  workers?: number;
}

/** Changing what is looked for changes this, and every case is read again. */
const version = 'voxelbook-check-1';

/**
 * Reads every file of a data set and lists what is wrong with it, worst first. What was found of a case is kept and holds while size and
 * times of its files stay, so that a second call costs a look at the folder.
 * Source: nnU-Net v2's `verify_dataset_integrity`, and what people met beyond it.
 * @returns a report that shows itself as a table
 */
export async function check(dataset: Dataset, options: CheckOptions = {}): Promise<IntegrityReport> {
  const all = await findings(dataset, options);
  const [found, test] = [all.slice(0, dataset.cases.length), all.slice(dataset.cases.length)];
  const faults = new FaultList();
  const warnings = new FaultList();
  const names = nameFindings(dataset);
  faults.faults.push(...names.faults, ...all.flatMap((f) => f.faults));
  warnings.faults.push(...names.warnings, ...all.flatMap((f) => f.warnings));
  testFindings(dataset, test, faults);
  const split = splitsOf(dataset, faults, warnings);
  numberOfCases(dataset, warnings);
  reader(dataset, warnings);
  regionOrder(dataset, faults, warnings);
  labelUse(dataset, found, warnings);
  duplicates(dataset, found, split, warnings);
  patients(dataset, split, warnings);
  voxelSizes(dataset, found, warnings);
  return displayReport(dataset, {
    cases: dataset.cases.length,
    faults: worstFirst(faults.faults),
    warnings: worstFirst(warnings.faults),
  });
}

/**
 * The check in front of work: faults stop it, warnings are told once in a process.
 * @param options.splits also refuse for faults of `splits_final.json`, which planning and preprocessing do not need
 * @returns the warnings, for the record of what follows
 * @throws VoxelbookError with all faults
 */
export async function gate(
  dataset: Dataset,
  { splits = false, onWarning = tell, ...options }: CheckOptions & { splits?: boolean; onWarning?: (text: string) => void } = {},
): Promise<Fault[]> {
  const { faults, warnings } = await check(dataset, options);
  const stopping = faults.filter(({ code }) => splits || code !== 'splits');
  if (stopping.length > 0)
    throw new VoxelbookError(
      `${dataset.name} cannot be used: ${stopping.length} ${stopping.length === 1 ? 'fault' : 'faults'}`,
      shortened(stopping),
    );
  for (const w of shortened(warnings, 5)) onWarning(warningText(w));
  return warnings;
}

/** One line: where, found, expected, what to do. */
export const warningText = ({ path: where, given, expected, fix }: Fault) =>
  `warning: ${where}: ${given}; expected ${expected}. ${fix}`;

const told = new Set<string>();
/** Says a warning on the error stream, each once in a process. */
export function tell(text: string): void {
  if (told.has(text)) return;
  told.add(text);
  console.warn(text);
}

/** At most twenty findings of one kind; the others are counted. */
function shortened(faults: readonly Fault[], most = 20): Fault[] {
  const codes = [...new Set(faults.map((f) => f.code))];
  return codes.flatMap((code) => {
    const own = faults.filter((f) => f.code === code);
    if (own.length <= most) return own;
    const last = own[most - 1];
    return [...own.slice(0, most - 1), { ...last, given: `${last.given}; and ${own.length - most} more of this kind` }];
  });
}

/** What reading each case told: kept from before, or found now in workers. */
async function findings(dataset: Dataset, options: CheckOptions): Promise<CaseFindings[]> {
  const { folder, json } = dataset;
  const { channel_names, labels: names, label_order, regions_class_order, file_ending } = json;
  const shared = {
    folder,
    json: { channel_names, labels: names, label_order, regions_class_order, file_ending },
    numbered: !(json.dataset && typeof json.dataset === 'object'),
  };
  const jobs = dataset.cases.map((files): CheckJob => ({ id: files.id, files, ...shared, labelled: true }));
  // A test case may be without a reference; one that has it is checked like the rest.
  for (const files of dataset.testCases) jobs.push({ id: files.id, files, ...shared, labelled: Boolean(files.label) });
  return rememberedFindings(jobs, folder, options);
}

const rememberedShape = tableShape(
  z.looseObject({
    key: z.string(),
    findings: z.looseObject({
      faults: z.array(faultShape),
      warnings: z.array(faultShape),
      labels: z.array(z.number()),
      values: z.array(z.looseObject({ low: z.number(), high: z.number() })),
    }),
  }),
);

/** Findings of jobs of one folder, each kept by its settings and the sizes and times of its files. */
export async function rememberedFindings(
  jobs: readonly CheckJob[],
  folder: string,
  options: CheckOptions,
): Promise<CaseFindings[]> {
  const file = memoryFile('findings', folder);
  const before = storedJson<Record<string, { key: string; findings: CaseFindings }>>(file, rememberedShape) ?? {};
  const keys = jobs.map(keyOf);
  const known = jobs.map((job, i) => (before[job.id]?.key === keys[i] ? before[job.id].findings : undefined));
  const places = [...jobs.keys()].filter((i) => !known[i]);
  const missing = places.map((i) => jobs[i]);
  if (missing.length === 0) {
    options.signal?.throwIfAborted();
    return known as CaseFindings[];
  }
  const made = await readCases(missing, options);
  const contents = new Contents(folder);
  for (const [i, place] of places.entries()) {
    known[place] = made[i];
    for (const [name, content] of Object.entries(made[i].contents)) contents.learn(name, content);
  }
  contents.save();
  const all = known as CaseFindings[];
  const kept = jobs.map((job, i) => [job.id, { key: keys[i], findings: { ...all[i], contents: {} } }]);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  atomicWriteJson(file, Object.fromEntries(kept));
  return all;
}

function keyOf(job: CheckJob): string {
  const { id: _id, ...settings } = job;
  const stats = filesOf(job.files).map((file) => [file, statOf(file) ?? null]);
  return sha256(JSON.stringify([version, settings, stats])).slice(0, 24);
}

/** A few small cases are read here: that takes less than starting threads. */
async function readCases(jobs: readonly CheckJob[], options: CheckOptions): Promise<CaseFindings[]> {
  const bytes = jobs.reduce((sum, job) => sum + filesOf(job.files).reduce((n, file) => n + (statOf(file)?.size ?? 0), 0), 0);
  if (bytes > 8e6) {
    const images = jobs.flatMap(({ files }) => files.images.slice(0, 1));
    const channels = Math.max(...jobs.map(({ files }) => files.images.length));
    // Every channel as its file has it, and the labels, with what they are unpacked from.
    const workers = options.workers ?? workersForCases(images, 6 * channels + 8);
    const url = new URL('./checkWorker.js', import.meta.url);
    return runJobs<CheckJob, CaseFindings>(url, jobs, { ...options, workers, what: 'check' });
  }
  const report = progressOf(jobs.length, options);
  const found: CaseFindings[] = [];
  for (const [i, job] of jobs.entries()) {
    report(i, `check ${job.id}`);
    found.push(caseFindings(job));
    await new Promise(setImmediate);
  }
  report(jobs.length, 'checked');
  return found;
}

/** What keeps everything from being read comes first, what concerns single voxels last; the empty one stands for all that are not named. */
const order = [
  ...[
    'dataset-number',
    'no-cases',
    'file-name',
    'file-ending',
    'file-missing',
    'regions-class-order',
    'channels',
    'label-missing',
    '',
  ],
  ...['shape', 'spacing', 'label-channels', 'label-values', 'label-range', 'label-unknown', 'not-finite', 'splits', 'groups'],
  ...[
    'same-image',
    'splits-overlap',
    'groups-split',
    'patient-split',
    'splits-unused',
    'num-training',
    'reader',
    'regions-order',
    'voxel-size',
  ],
  ...['stack-spacing', 'geometry', 'origin', 'direction', 'label-surplus', 'constant', 'label-unused', 'mac-files'],
];
function worstFirst(faults: readonly Fault[]): Fault[] {
  // Files that cannot be read have the codes of their formats.
  const rank = ({ code }: Fault) => order.indexOf(order.includes(code) ? code : '');
  return faults
    .map((f, i) => [f, i] as const)
    .sort(([a, i], [b, k]) => rank(a) - rank(b) || i - k)
    .map(([f]) => f);
}

function displayReport(dataset: Dataset, report: IntegrityReport): IntegrityReport {
  const { cases, faults, warnings } = report;
  const rows = [...faults.map((f) => ['fault', f]), ...warnings.map((f) => ['warning', f])] as [string, Fault][];
  const table = shownTable(
    `${dataset.name}: ${cases} cases, ${faults.length} faults, ${warnings.length} warnings`,
    ['', 'where', 'found', 'expected', 'do'],
    rows.map(([kind, f]) => [kind, f.path, f.given, f.expected, f.fix]),
  );
  return displayed(report, table);
}

/** The splits in use; faults of a file written by hand join the report. */
function splitsOf(dataset: Dataset, faults: FaultList, warnings: FaultList): Split[] {
  if (dataset.cases.length === 0) return [];
  try {
    const known = knownSplits(dataset);
    warnings.faults.push(...known.warnings);
    return known.splits;
  } catch (error) {
    if (!(error instanceof VoxelbookError)) throw error;
    // Fewer cases than folds are no fault of the data: fold "all" trains on them.
    if (error.code !== 'too-few-cases') faults.faults.push(...error.faults);
    return [];
  }
}

/** Test cases are none that training sees. */
function testFindings({ cases, testCases }: Dataset, test: readonly CaseFindings[], faults: FaultList): void {
  const known = new Set(cases.map((c) => c.id));
  for (const [i] of test.entries()) {
    const { id } = testCases[i];
    if (known.has(id))
      faults.add(
        'test-case',
        `imagesTs/${id}`,
        'also a training case',
        'test cases that training does not see',
        'Rename it, or take it out of one of the two folders.',
      );
  }
}

function numberOfCases({ cases, json }: Dataset, warnings: FaultList): void {
  if (cases.length === json.numTraining || cases.length === 0) return;
  warnings.add(
    'num-training',
    'dataset.json numTraining',
    String(json.numTraining),
    `${cases.length}, the cases in imagesTr`,
    'Add the missing cases, or set it: npx voxelbook check --fix does that.',
  );
}

/** As nnU-Net, a reader of another name is passed over, and said. */
function reader({ json }: Dataset, warnings: FaultList): void {
  const name = json.overwrite_image_reader_writer;
  if (name === undefined || name === 'None' || readerNames.includes(name)) return;
  const expected = `one of ${readerNames.join(', ')}`;
  warnings.add(
    'reader',
    'dataset.json overwrite_image_reader_writer',
    String(name),
    expected,
    'The file ending decides now; remove the entry.',
  );
}

function labelUse({ json, cases }: Dataset, found: readonly CaseFindings[], warnings: FaultList): void {
  const seen = new Set(found.flatMap((f) => f.labels));
  if (cases.length > 0)
    for (const label of labels(json).all.filter((l) => l !== 0 && !seen.has(l)))
      warnings.add(
        'label-unused',
        `dataset.json label ${label}`,
        'no voxel in any case',
        'voxels of every label',
        'Remove the label if it is not part of the task.',
      );
}

/** Every region is written with a label of its own voxels, and none is covered wholly by a later one. */
function regionOrder({ json }: Dataset, faults: FaultList, warnings: FaultList): void {
  const { regions, regionsClassOrder, names } = labels(json);
  const where = 'dataset.json regions_class_order';
  for (const [i, region] of (regions ?? []).entries()) {
    const own = [region].flat();
    const label = regionsClassOrder![i];
    if (!own.includes(label))
      faults.add(
        'regions-class-order',
        where,
        `label ${label} for region ${names[i]} [${own}]`,
        `one of ${own.join(', ')}, in the order of "labels"`,
        'The voxels of a region are written with this label, so it must belong to the region.',
      );
    const over = regions!.slice(i + 1).findIndex((later) => own.every((l) => [later].flat().includes(l)));
    if (over >= 0)
      warnings.add(
        'regions-order',
        where,
        `region ${names[i]} is written first and covered wholly by ${names[i + 1 + over]}`,
        'large regions first',
        'Name the regions from the largest to the smallest.',
      );
  }
}

/** The fold that has some of these cases on one side and some on the other. */
const dividing = (split: readonly Split[], ids: readonly string[]) =>
  split.findIndex(({ train, val }) => ids.some((id) => train.includes(id)) && ids.some((id) => val.includes(id)));

function duplicates({ cases }: Dataset, found: readonly CaseFindings[], split: readonly Split[], warnings: FaultList): void {
  const byImage = new Map<string, string[]>();
  for (const [i, { image }] of found.entries()) if (image) byImage.set(image, [...(byImage.get(image) ?? []), cases[i].id]);
  for (const ids of byImage.values()) {
    if (ids.length < 2) continue;
    const fold = dividing(split, ids);
    warnings.add(
      'same-image',
      some(ids),
      `one image under ${ids.length} names${fold >= 0 ? `, in training and validation of fold ${fold}` : ''}`,
      'an image once',
      'Remove the copies: scores on them say nothing of new cases.',
    );
  }
}

function patients(dataset: Dataset, split: readonly Split[], warnings: FaultList): void {
  if (fs.existsSync(path.join(dataset.folder, 'groups.json'))) return;
  const torn = [...likelyPatients(dataset.cases.map(({ id }) => id))].filter(([, ids]) => dividing(split, ids) >= 0);
  if (torn.length === 0) return;
  const [, ids] = torn[0];
  warnings.add(
    'patient-split',
    'splits_final.json',
    `ids look like several scans of one patient (${some(ids)}), in training and validation of fold ${dividing(split, ids)}; ${torn.length} such patients`,
    'all scans of a patient on one side',
    'Write groups.json beside dataset.json ({"case": "patient", …}), and folds keep them together.',
  );
}

/** Channel names of scanners for people and animals, whose voxels are of the order of a millimetre. */
const clinical =
  /^(ct|cbct|cta|mri?|mra|t1|t2|t1\w{0,4}|t2\w{0,4}|flair|pd|dwi|adc|pet|spect|suv|us|ultrasound|cine\w*|bold|asl)(\W.*|_.*)?$/i;

function voxelSizes({ cases, json }: Dataset, found: readonly CaseFindings[], warnings: FaultList): void {
  const scanner = Object.values(json.channel_names).some((name) => clinical.test(name));
  const sizes = found.map(({ grid }) => (grid && !grid.picture ? grid.spacingMm : undefined));
  const known = sizes
    .filter((s) => s !== undefined)
    .map((s) => Math.min(...s))
    .sort((a, b) => a - b);
  const middle = known[known.length >> 1];
  const mm = (size: readonly number[]) => `${size.map((v) => +v.toPrecision(4)).join('×')} mm`;
  for (const [i, size] of sizes.entries()) {
    if (!size) continue;
    const [least, most] = [Math.min(...size), Math.max(...size)];
    if (scanner && (most < 0.02 || least > 50))
      warnings.add(
        'voxel-size',
        cases[i].id,
        mm(size),
        `voxels between 0.02 and 50 mm, as ${Object.values(json.channel_names).join(', ')} has`,
        'The unit is probably not mm (metres or micrometres): write mm into the header.',
      );
    else if (least / middle > 300 || middle / least > 300)
      warnings.add(
        'voxel-size',
        cases[i].id,
        mm(size),
        `about ${+middle.toPrecision(3)} mm, as the other cases have`,
        'The unit in this header is probably another one: write it as in the others.',
      );
  }
}
