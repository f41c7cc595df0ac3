// nnU-Net v2's `dataset_fingerprint.json` and `plans.json`, key for key.

/** Statistics of one channel's foreground intensities. */
export interface IntensityStatistics {
  max: number;
  mean: number;
  median: number;
  min: number;
  percentile_00_5: number;
  percentile_99_5: number;
  std: number;
}

/** nnU-Net v2's `dataset_fingerprint.json`: sizes in voxels, spacings in mm, foreground intensities by channel. */
export interface Fingerprint {
  foreground_intensity_properties_per_channel: Record<string, IntensityStatistics>;
  median_relative_size_after_cropping: number;
  shapes_after_crop: number[][];
  spacings: number[][];
}

/** A normalisation by its name, with settings where it has any; nnU-Net's have none. */
export type NormalisationEntry = string | { kind: string; [setting: string]: unknown };

/** One entry of `plans.configurations`. */
export interface Configuration {
  inherits_from?: string;
  data_identifier: string;
  preprocessor_name: string;
  batch_size: number;
  patch_size: number[];
  median_image_size_in_voxels: number[];
  spacing: number[];
  normalization_schemes: NormalisationEntry[];
  use_mask_for_norm: boolean[];
  resampling_fn_data: string;
  resampling_fn_seg: string;
  resampling_fn_data_kwargs: Record<string, unknown>;
  resampling_fn_seg_kwargs: Record<string, unknown>;
  resampling_fn_probabilities: string;
  resampling_fn_probabilities_kwargs: Record<string, unknown>;
  architecture: {
    network_class_name: string;
    arch_kwargs: Record<string, unknown>;
    _kw_requires_import: string[];
  };
  batch_dice: boolean;
  next_stage?: string | null;
  previous_stage?: string | null;
}

/** nnU-Net v2's `plans.json`: spacings in mm, sizes in voxels, axes in the plan's (transposed) order. */
export interface Plan {
  dataset_name: string;
  plans_name: string;
  original_median_spacing_after_transp: number[];
  original_median_shape_after_transp: number[];
  image_reader_writer: string;
  transpose_forward: number[];
  transpose_backward: number[];
  configurations: Record<string, Configuration>;
  experiment_planner_used: string;
  label_manager: string;
  foreground_intensity_properties_per_channel: Record<string, IntensityStatistics>;
}
