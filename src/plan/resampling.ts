// How a configuration resamples data, labels and probabilities: which of nnU-Net's functions, with its arguments filled in.
import type { Configuration } from './plan.js';

export const resamplingFunctions = ['resample_data_or_seg_to_shape', 'resample_torch_fornnunet', 'no_resampling_hack'] as const;

/** A resampling function of nnU-Net's with its arguments. */
export interface Resampling {
  function: (typeof resamplingFunctions)[number];
  order: 0 | 1 | 3;
  orderZ: 0 | 1 | 3;
  /** true: the coarsest axis apart; false: all axes together; null: by the spacing. */
  forceSeparateZ: boolean | null;
  /** Labels: `argmax` the label with the most weight (torch), `threshold` any label above one half. */
  labels: 'threshold' | 'argmax';
}

type Entries = {
  [K in `resampling_fn_${'data' | 'seg' | 'probabilities'}`]?: string;
} & { [K in `resampling_fn_${'data' | 'seg' | 'probabilities'}_kwargs`]?: Record<string, unknown> };

/** The resampling of a checked configuration; what it does not say is nnU-Net's default. */
export function resamplingOf(config: Entries | Configuration, kind: 'data' | 'seg' | 'probabilities'): Resampling {
  const name = (config[`resampling_fn_${kind}`] ?? resamplingFunctions[0]) as Resampling['function'];
  const kwargs = config[`resampling_fn_${kind}_kwargs`] ?? {};
  const forceSeparateZ = (kwargs.force_separate_z ?? null) as boolean | null;
  if (name !== 'resample_data_or_seg_to_shape')
    return {
      function: name,
      order: 1,
      orderZ: 0,
      forceSeparateZ,
      labels: kwargs.memefficient_seg_resampling === true ? 'threshold' : 'argmax',
    };
  const { order = kind === 'data' ? 3 : 1, order_z: orderZ = 0 } = kwargs as { order?: 0 | 1 | 3; order_z?: 0 | 1 | 3 };
  return { function: name, order, orderZ, forceSeparateZ, labels: 'threshold' };
}
