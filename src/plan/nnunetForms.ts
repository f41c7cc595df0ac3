// Older and other forms of nnU-Net v2's plans, as the present one: nnU-Net itself reads them so (`ConfigurationManager`).
import { unetEntry } from './architecture.js';

type Json = Record<string, unknown>;

const isList = (v: unknown): v is unknown[] => Array.isArray(v);

/**
 * A plan with every configuration of 2.0's form (`UNet_class_name`, …) in the present form (`architecture`); anything that is not of that
 * form stays as it is, for `planFaults` to judge.
 */
export function presentForm(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const { configurations } = value as Json;
  if (typeof configurations !== 'object' || configurations === null || isList(configurations)) return value;
  const entries = Object.keys(configurations).map((name) => [
    name,
    presentConfiguration(inherited(configurations as Json, name)),
  ]);
  return { ...value, configurations: Object.fromEntries(entries) };
}

/** A configuration that says anything in the old form, with what it inherits: the form can only be told from the whole. */
function inherited(all: Json, name: string, seen: readonly string[] = []): unknown {
  const own = all[name];
  if (typeof own !== 'object' || own === null || isList(own) || seen.includes(name)) return own;
  const { inherits_from: parent, ...rest } = own as Json;
  const isOld = Object.keys(rest).some((key) => oldKeys.includes(key));
  if (typeof parent !== 'string' || !Object.hasOwn(all, parent) || !(isOld || seen.length > 0)) return own;
  const before = inherited(all, parent, [...seen, name]);
  return typeof before === 'object' ? { ...before, ...rest } : own;
}

const oldKeys = [
  'UNet_class_name',
  'UNet_base_num_features',
  'unet_max_num_features',
  'n_conv_per_stage_encoder',
  'n_conv_per_stage_decoder',
  'num_pool_per_axis',
  'pool_op_kernel_sizes',
  'conv_kernel_sizes',
];

const networks: Record<string, [name: string, count: string]> = {
  PlainConvUNet: ['PlainConvUNet', 'n_conv_per_stage'],
  ResidualEncoderUNet: ['ResidualEncoderUNet', 'n_blocks_per_stage'],
};

function presentConfiguration(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || isList(value)) return value;
  const c = value as Json;
  const known = typeof c.UNet_class_name === 'string' && Object.hasOwn(networks, c.UNet_class_name);
  const stages = isList(c.n_conv_per_stage_encoder) ? c.n_conv_per_stage_encoder.length : 0;
  if ('architecture' in c || !known || stages === 0 || stages > 16 || !isList(c.patch_size)) return value;
  const {
    UNet_class_name: given,
    UNet_base_num_features: base,
    unet_max_num_features: most,
    n_conv_per_stage_encoder: encoder,
    n_conv_per_stage_decoder: decoder,
    num_pool_per_axis: _pools,
    pool_op_kernel_sizes: strides,
    conv_kernel_sizes: kernels,
    ...rest
  } = c;
  const [name, count] = networks[given as string];
  const dim = c.patch_size.length;
  return {
    ...rest,
    architecture: unetEntry({
      name,
      dim,
      stages,
      base: base as number,
      most: most as number,
      kernels,
      strides,
      blocks: { [count]: encoder, n_conv_per_stage_decoder: decoder },
    }),
  };
}
