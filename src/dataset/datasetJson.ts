// `dataset.json` read from outside: every fault at once, then exact types.
import { type Fault, FaultList } from '../base/errors.js';
import { fileEndings } from '../volume/index.js';
import type { DatasetJson } from './dataset.js';

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
  if (!(fileEndings as readonly unknown[]).includes(ending))
    faults.add(
      'file-ending',
      'dataset.json file_ending',
      JSON.stringify(ending) ?? 'missing',
      `one of ${fileEndings.join(', ')}`,
      'Convert the images, or mend the entry.',
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

/** The checked value with `modality` (the older key) as `channel_names`. Call only without faults. */
export function toDatasetJson(value: unknown): DatasetJson {
  const { modality, ...rest } = value as DatasetJson & { modality?: Record<string, string> };
  return modality && !rest.channel_names ? { ...rest, channel_names: modality } : { ...(value as DatasetJson) };
}

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
  let sound = true;
  let regions = 0;
  for (const [name, label] of Object.entries(value.labels)) {
    const list: unknown[] = Array.isArray(label) ? label : [label];
    const good = list.length > 0 && list.every((l) => Number.isInteger(l) && (l as number) >= 0 && (l as number) <= 65535);
    if (!good) {
      sound = false;
      faults.add(
        'labels',
        `${path}["${name}"]`,
        JSON.stringify(label),
        'a whole number from 0, or a list of them',
        'Use the numbers that stand in the label files.',
      );
      continue;
    }
    for (const l of list) if (name !== 'ignore') found.add(l as number);
    if (name !== 'ignore' && list.some((l) => l !== 0)) regions++;
  }
  const background = value.labels.background;
  if (background !== 0 && !(Array.isArray(background) && background.length === 1 && background[0] === 0))
    faults.add('labels', `${path}["background"]`, JSON.stringify(background) ?? 'missing', '0', 'Label 0 is the background.');
  if (!sound) return;
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
  const hasRegions = Object.entries(value.labels).some(([n, l]) => n !== 'ignore' && Array.isArray(l) && l.length > 1);
  const order = value.regions_class_order;
  if (hasRegions && !(Array.isArray(order) && order.length === regions && order.every((l) => found.has(l))))
    faults.add(
      'regions-class-order',
      'dataset.json regions_class_order',
      JSON.stringify(order) ?? 'missing',
      `${regions} labels, one per region in the order of "labels"`,
      'Large regions come first; later ones overwrite them.',
    );
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const typeName = (value: unknown) => (value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value);
