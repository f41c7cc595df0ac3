// The network of an experiment on a prepared data set.
import type { DatasetJson } from '../dataset/index.js';
import { build, type Model } from '../model/index.js';
import { inputChannels } from '../plan/index.js';
import type { Experiment } from './experiment.js';
import type { Prepared } from './prepared.js';

/** What a network and its forecast take from a data set: its `dataset.json`, labels and planned configuration. */
export type Planned = Pick<Prepared, 'labels' | 'configuration'> & { dataset: { json: DatasetJson } };

/** A model of an experiment for a prepared data set: channels, classes and heads filled in. */
export function modelOf(experiment: Experiment, prepared: Prepared, seed: number | string): Model {
  return build(experiment.model, prepared.configuration, { seed, ...endsOf(experiment, prepared) });
}

/** Channels, classes and heads that the data set gives an experiment's network. */
export const endsOf = (experiment: Experiment, prepared: Planned) => ({
  inputChannels: inputChannels(prepared.dataset.json, prepared.configuration),
  classes: prepared.labels.heads,
  deepSupervision: experiment.recipe.deepSupervision !== 'none',
});
