// How many channels a network of a configuration takes.
import type { DatasetJson } from '../dataset/dataset.js';
import { labels } from '../dataset/labels.js';
import type { Configuration } from './plan.js';

/** The image's channels; after another stage of a cascade one more for each foreground label (nnU-Net v2 `determine_num_input_channels`). */
export function inputChannels(dataset: DatasetJson, { previous_stage }: Pick<Configuration, 'previous_stage'>): number {
  const channels = Object.keys(dataset.channel_names).length;
  return previous_stage ? channels + labels(dataset).foreground.length : channels;
}
