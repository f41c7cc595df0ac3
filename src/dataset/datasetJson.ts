// `dataset.json` read from outside: every fault at once, then exact types.
import fs from 'node:fs';
import { type Fault, FaultList, VoxelbookError } from '../base/errors.js';
import { readJsonFile } from '../base/json.js';
import { fileEndings } from '../volume/index.js';
import type { DatasetJson } from './dataset.js';
import { labelOrder } from './labelOrder.js';
import { maxLabel } from './labels.js';

/**
 * Reads a `dataset.json`, ours or nnU-Net's.
 * @throws VoxelbookError with every fault
 */
export function readDatasetJson(file: string): DatasetJson {
  const value = readJsonFile(file, 'this dataset.json');
  const faults = datasetJsonFaults(value);
  if (faults.length > 0) throw new VoxelbookError(`${file} cannot be used`, faults);
  return toDatasetJson(value, fs.readFileSync(file, 'utf8'));
}

/**
 * Checks what `dataset.json` holds.
 * @returns every fault found; empty when the file can be used
 */
export function datasetJsonFaults(value: unknown): Fault[] {
  const faults = new FaultList();
  if (!isRecord(value)) {
    faults.add('dataset-json', 'dataset.json', typeName(value), 'an object', 'Write it as nnU-Net v2 documents it.');
    return faults.faults;
  }
  channelFaults(value, faults);
  labelFaults(value, faults);
  const ending = value.file_ending;
  if (!fileEndings().includes(ending as string))
    faults.add(
      'file-ending',
      'dataset.json file_ending',
      JSON.stringify(ending) ?? 'missing',
      `one of ${fileEndings().join(', ')}`,
      'Convert the images, correct the entry, or bring a reader by an extension.',
    );
  if (!(Number.isInteger(value.numTraining) && (value.numTraining as number) >= 0))
    faults.add(
      'num-training',
      'dataset.json numTraining',
      JSON.stringify(value.numTraining) ?? 'missing',
      'a whole number',
      'Set it to the number of training cases.',
    );
  return faults.faults;
}

/**
 * The checked value with `modality` (the older key) as `channel_names`, and labels given as text as numbers (nnU-Net's `int(label)`).
 * Call only without faults.
 * @param text the file, which alone has the order of labels whose names are whole numbers
 */
export function toDatasetJson(value: unknown, text?: string): DatasetJson {
  const { modality, ...rest } = value as DatasetJson & { modality?: Record<string, string> };
  const json = modality && !rest.channel_names ? { ...rest, channel_names: modality } : { ...(value as DatasetJson) };
  const names = Object.keys(json.labels);
  const values = Object.entries(json.labels).map(([name, v]) => [name, Array.isArray(v) ? v.map(asNumber) : asNumber(v)]);
  json.labels = Object.fromEntries(values);
  if (json.regions_class_order) json.regions_class_order = json.regions_class_order.map(asNumber) as number[];
  const order = json.label_order ?? (text === undefined ? undefined : labelOrder(text));
  if (order && order.join('\n') !== names.join('\n')) json.label_order = order;
  return json;
}

/** Python's `int` of a whole number written as text; anything else stays as it is, and is refused as it is. */
const asNumber = (label: unknown): unknown =>
  typeof label === 'string' && /^\s*[+-]?\d+\s*$/.test(label) ? Number(label) : label;

function channelFaults(value: Record<string, unknown>, faults: FaultList): void {
  const key = value.channel_names === undefined && value.modality !== undefined ? 'modality' : 'channel_names';
  const names = value[key];
  if (!isRecord(names) || Object.keys(names).length === 0) {
    const given = names === undefined ? 'missing' : JSON.stringify(names);
    faults.add('channel-names', `dataset.json ${key}`, given, '{"0": "CT", …}', 'Name every input channel.');
    return;
  }
  for (let i = 0; i < Object.keys(names).length; i++)
    if (!(String(i) in names))
      faults.add(
        'channel-names',
        `dataset.json ${key}`,
        `keys ${Object.keys(names).join(', ')}`,
        `keys "0" to "${Object.keys(names).length - 1}"`,
        'Number the channels from 0.',
      );
  for (const [i, name] of Object.entries(names))
    if (typeof name !== 'string')
      faults.add(
        'channel-names',
        `dataset.json ${key}["${i}"]`,
        JSON.stringify(name),
        'a name',
        'CT, zscore, rgb_to_0_1, noNorm or a name of your own.',
      );
}

function labelFaults(value: Record<string, unknown>, faults: FaultList): void {
  const path = 'dataset.json labels';
  if (!isRecord(value.labels)) {
    faults.add(
      'labels',
      path,
      value.labels === undefined ? 'missing' : JSON.stringify(value.labels),
      '{"background": 0, "name": 1, …}',
      'Name every label.',
    );
    return;
  }
  const found = new Set<number>();
  let valid = true;
  let regions = 0;
  const inverted = value.labels.background === undefined && Object.values(value.labels).includes('background');
  if (inverted) {
    const fix = 'This is the order of nnU-Net v1; version 2 has {"background": 0, "name": 1, …}.';
    faults.add('labels', path, JSON.stringify(value.labels).slice(0, 80), 'names with their numbers', fix);
    return;
  }
  const textual = typeof value.labels.ignore === 'string';
  for (const [name, label] of Object.entries(value.labels)) {
    const list: unknown[] = (Array.isArray(label) ? label : [label]).map((l) => (textual && name === 'ignore' ? l : asNumber(l)));
    const good = list.length > 0 && list.every((l) => Number.isInteger(l) && (l as number) >= 0 && (l as number) <= maxLabel);
    if (!good) {
      valid = false;
      faults.add(
        'labels',
        `${path}["${name}"]`,
        JSON.stringify(label),
        `a whole number from 0 to ${maxLabel}, or a list of them`,
        'Use the numbers that stand in the label files.',
      );
      continue;
    }
    for (const l of list) if (name !== 'ignore') found.add(l as number);
    if (name !== 'ignore' && list.some((l) => l !== 0)) regions++;
  }
  const background = asNumber(value.labels.background);
  if (background !== 0 && !(Array.isArray(background) && background.length === 1 && background[0] === 0))
    faults.add('labels', `${path}["background"]`, JSON.stringify(background) ?? 'missing', '0', 'Label 0 is the background.');
  if (!valid) return;
  const highest = Math.max(...found);
  const missing = Array.from({ length: highest + 1 }, (_, i) => i).filter((i) => !found.has(i));
  if (missing.length > 0)
    faults.add(
      'labels',
      path,
      `no name for label ${missing.slice(0, 10).join(', ')}`,
      `every number from 0 to ${highest}`,
      'Renumber the labels so that none is left out.',
    );
  const ignore = value.labels.ignore;
  if (ignore !== undefined && [ignore].flat()[0] !== highest + 1)
    faults.add(
      'labels',
      `${path}["ignore"]`,
      JSON.stringify(ignore),
      `${highest + 1}, one above the highest label`,
      'Give the ignore label the highest number.',
    );
  regionFaults(value, regions, found, faults);
}

/** One label of its own for each region. Whether the label is one of its region is asked where their order is known. */
function regionFaults(value: Record<string, unknown>, count: number, found: ReadonlySet<number>, faults: FaultList): void {
  const entries = Object.entries(value.labels as Record<string, unknown>).filter(([name]) => name !== 'ignore');
  if (!entries.some(([, label]) => Array.isArray(label) && label.length > 1)) return;
  const path = 'dataset.json regions_class_order';
  const order = Array.isArray(value.regions_class_order) ? value.regions_class_order.map(asNumber) : value.regions_class_order;
  const given = JSON.stringify(order) ?? 'missing';
  if (!(Array.isArray(order) && order.length === count && order.every((l) => found.has(l as number)))) {
    const expected = `${count} labels, one per region in the order of "labels"`;
    faults.add('regions-class-order', path, given, expected, 'Large regions come first; later ones overwrite them.');
    return;
  }
  const twice = order.filter((l, i) => order.indexOf(l) !== i);
  if (twice.length > 0)
    faults.add('regions-class-order', path, given, 'another label for every region', `${twice.join(', ')} stands there twice.`);
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const typeName = (value: unknown) => (value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value);
