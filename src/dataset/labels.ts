// What the labels of a data set mean for network, loss and export.
// Source: nnU-Net v2's LabelManager.
import { VoxelbookError } from '../base/errors.js';
import type { DatasetJson } from './dataset.js';

/** The highest label: label maps are kept as int16, in nnU-Net as here. */
export const maxLabel = 32767;

/** A label, or the labels that together make a region. */
export type LabelOrRegion = number | number[];

/** The labels of a data set as network, loss and export need them (nnU-Net v2 `LabelManager`). */
export interface Labels {
  /** True when any entry is a list of more than one label: sigmoid outputs, one per region. */
  hasRegions: boolean;
  ignoreLabel: number | null;
  /** All label values except `ignore`, ascending. */
  all: number[];
  /** The same without 0. */
  foreground: number[];
  /** Regions in the order of `dataset.json`, without background; null without regions. */
  regions: LabelOrRegion[] | null;
  /** Label written for region i, in the order of writing; null without regions. */
  regionsClassOrder: number[] | null;
  /** Channels of the network's output: labels with background, or regions. */
  heads: number;
  /** Names of the foreground entries, in the order of `foreground` or `regions`. */
  names: string[];
}

/**
 * Derives labels, regions and output channels from `dataset.json`.
 * @throws VoxelbookError when regions have no order of writing that fits them
 */
export function labels(json: Pick<DatasetJson, 'labels' | 'label_order' | 'regions_class_order'>): Labels {
  const entries = labelEntries(json);
  const others = entries.filter(([name]) => name !== 'ignore');
  const hasRegions = others.some(([, value]) => Array.isArray(value) && value.length > 1);
  const ignore = json.labels.ignore;
  const all = [...new Set(others.flatMap(([, value]) => value))].sort((a, b) => a - b);
  const foreground = all.filter((label) => label !== 0);
  const regionEntries = others.filter(([, value]) => [value].flat().some((label) => label !== 0));
  const regions = hasRegions ? regionEntries.map(([, value]) => (Array.isArray(value) ? [...value] : value)) : null;
  const order = json.regions_class_order;
  if (regions && order?.length !== regions.length)
    throw new VoxelbookError('these regions cannot be written as labels', {
      code: 'regions-class-order',
      path: 'dataset.json regions_class_order',
      given: order ? `${order.length} entries` : 'missing',
      expected: `${regions.length} labels, one per region in the order of "labels"`,
      fix: 'Large regions come first; later ones overwrite them.',
    });
  const nameOf = (label: number) => others.find(([, value]) => [value].flat().includes(label))?.[0] ?? String(label);
  return {
    hasRegions,
    ignoreLabel: ignore === undefined ? null : [ignore].flat()[0],
    all,
    foreground,
    regions,
    regionsClassOrder: regions ? [...order!] : null,
    heads: regions ? regions.length : all.length,
    names: regions ? regionEntries.map(([name]) => name) : foreground.map(nameOf),
  };
}

/** Names and values of `labels` in the order of the file. */
export function labelEntries({ labels: all, label_order: order }: Pick<DatasetJson, 'labels' | 'label_order'>) {
  const names = Object.keys(all);
  const whole = order && order.length === names.length && names.every((name) => order.includes(name));
  return (whole ? order : names).map((name): [string, LabelOrRegion] => [name, all[name]]);
}
