// A plan of one data set for another, as pre-training needs it (nnU-Net v2 `move_plans_between_datasets`).
import { VoxelbookError } from '../base/errors.js';
import type { Dataset } from '../dataset/dataset.js';
import { configuration } from './configuration.js';
import type { Configuration, Plan } from './plan.js';

/**
 * The plan under another data set's name. Prepared data of a renamed plan gets an identifier of its own.
 * @param reader nnU-Net's reader for the files of the target
 * @param plansName name there; default as it is
 * @throws VoxelbookError where the target has another number of channels than the plan
 */
export function movedPlan(
  plan: Plan,
  { name, json }: Pick<Dataset, 'name' | 'json'>,
  reader: string,
  plansName = plan.plans_name,
): Plan {
  const channels = Object.keys(json.channel_names).length;
  const planned = configuration(plan, Object.keys(plan.configurations)[0]).normalization_schemes.length;
  if (channels !== planned)
    throw new VoxelbookError(`the plan ${plan.plans_name} does not fit ${name}`, {
      code: 'plan-channels',
      path: name,
      given: `${channels} channels`,
      expected: `${planned}, as ${plan.dataset_name} has, which it was made for`,
      fix: 'Move plans between data sets of the same channels, or plan this data set by itself.',
    });
  const identified = ([key, c]: [string, Configuration]): [string, Configuration] => {
    const { data_identifier: old } = c;
    if (!old || plansName === plan.plans_name) return [key, c];
    const rest = old.startsWith(plan.plans_name) ? old.slice(plan.plans_name.length) : `_${old}`;
    return [key, { ...c, data_identifier: plansName + rest }];
  };
  return {
    ...plan,
    dataset_name: name,
    plans_name: plansName,
    image_reader_writer: reader,
    configurations: Object.fromEntries(Object.entries(plan.configurations).map(identified)),
  };
}
