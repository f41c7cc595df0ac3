// Older and other forms of nnU-Net v2's plans, as the present one: nnU-Net itself reads them so (`ConfigurationManager`).
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
  const entries = Object.entries(configurations).map(([name, c]) => [name, presentConfiguration(c)]);
  return { ...value, configurations: Object.fromEntries(entries) };
}

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
    architecture: {
      network_class_name: `dynamic_network_architectures.architectures.unet.${name}`,
      arch_kwargs: {
        n_stages: stages,
        features_per_stage: Array.from({ length: stages }, (_, i) => Math.min((base as number) * 2 ** i, most as number)),
        conv_op: `torch.nn.modules.conv.Conv${dim}d`,
        kernel_sizes: kernels,
        strides,
        [count]: encoder,
        n_conv_per_stage_decoder: decoder,
        conv_bias: true,
        norm_op: `torch.nn.modules.instancenorm.InstanceNorm${dim}d`,
        norm_op_kwargs: { eps: 1e-5, affine: true },
        dropout_op: null,
        dropout_op_kwargs: null,
        nonlin: 'torch.nn.LeakyReLU',
        nonlin_kwargs: { inplace: true },
      },
      _kw_requires_import: ['conv_op', 'norm_op', 'dropout_op', 'nonlin'],
    },
  };
}
