// What a specification of each built-in network may say, as schemas: the types stand with the networks, the compiler compares both.
import { z } from 'zod';
import { above, either, flag, list, optional as may, number, object, one, openObject, whole } from '../base/schema.js';
import type { ModelSpec } from './registry.js';

const width = () => whole(1, 4096);
const count = () => whole(1, 64);
const sides = (low = 1, high = 4096) => list(whole(low, high), 2, 3, 'whole numbers, one an axis');
const perStage = <T extends z.ZodType>(entry: T) => list(entry, 1, 16, 'entries, one a stage');
const strides = () => perStage(sides(1, 16));
const kernels = () => perStage(sides(1, 63));
const rate = () => number(0, 1);
const patch = () =>
  may(sides(), 'Size of the input, which the network’s shape depends on', { unit: 'voxels', defaultText: "the plan's patch" });
const dimensions = () =>
  may(z.union([z.literal(2), z.literal(3)], { error: '2 or 3' }), 'Spatial dimensions', {
    defaultText: "the plan's",
    example: 3,
  });
const monaiNorm = () => may(one('instance', 'instance-affine', 'batch'), 'Normalisation layers', { default: 'instance' });

const ends = {
  inputChannels: may(whole(1, 4096), 'Input channels', { defaultText: "the data set's" }),
  classes: may(whole(1, 65536), 'Output channels: labels with background, or regions', { defaultText: "the data set's" }),
  deepSupervision: may(flag(), 'Heads at lower resolutions too', { defaultText: "as the recipe's loss is deeply supervised" }),
};

const spec = <const N extends string, T extends z.ZodRawShape>(network: N, shape: T) =>
  object({ network: z.literal(network, { error: network }), ...shape, ...ends }, `a specification of ${network}`);

const architecture = () =>
  may(openObject({ n_stages: whole(1, 16) }, "nnU-Net's arch_kwargs"), 'Topology, as `arch_kwargs` of nnU-Net’s plans', {
    defaultText: "the plan's",
  });

const umamba = <const N extends 'umamba-bot' | 'umamba-enc'>(network: N) =>
  spec(network, {
    version: may(one('first', 'current'), 'Release of the official code', { default: 'current' }),
    widths: may(perStage(width()), 'Channels of each stage', { defaultText: "the plan's" }),
    kernels: may(kernels(), 'Edges of the convolutions of each stage', { unit: 'voxels', defaultText: "the plan's" }),
    strides: may(strides(), 'Strides of each stage', { unit: 'voxels', defaultText: "the plan's" }),
    blocks: may(perStage(count()), 'Residual blocks of each encoder stage', { defaultText: "the plan's" }),
    decoderBlocks: may(perStage(count()), 'Residual blocks of each decoder stage, lowest resolution first', {
      defaultText: "the plan's",
    }),
    patchSize: patch(),
    lastNorm: may(one('zero', 'one'), 'Start of the last norm before a sum', {
      defaultText: 'zero in the first release of Enc, else one',
    }),
    mamba: may(flag(), 'false: the same network without any Mamba layer', { default: true }),
  });

/** By name; a network from outside brings its own. */
export const networkSettings = {
  mednext: spec('mednext', {
    size: may(one('S', 'B', 'M', 'L'), 'Block counts and expansion ratios of the paper’s Table 1', {
      example: 'S',
      defaultText: 'none: `blocks` and `expansion` say it',
    }),
    kernel: whole(1, 63).meta({ description: 'Edge of the depthwise kernels', unit: 'voxels', example: 3 }),
    decoderKernel: may(whole(1, 63), 'Edge of the decoder’s and bottleneck’s kernels', {
      unit: 'voxels',
      defaultText: '`kernel`',
    }),
    width: may(width(), 'Channels at full resolution', { default: 32 }),
    blocks: may(list(count(), 9, 9), 'Blocks in encoder 0–3, bottleneck, decoder 3–0', { defaultText: 'by `size`' }),
    expansion: may(
      either([whole(1, 64), list(whole(1, 64), 9, 9)], 'a whole number from 1 to 64, or nine of them'),
      'Expansion ratio R, one for all or one for each of the nine stages',
      { defaultText: 'by `size`' },
    ),
    dimensions: dimensions(),
    residual: may(flag(), 'Sum with the input in every block', { default: true }),
    residualUpDown: may(flag(), 'Sum with the input in the up and down blocks', { default: true }),
    grn: may(flag(), 'Global response normalisation after the activation', { default: false }),
    norm: may(one('group', 'layer'), 'Normalisation in the blocks', { default: 'group' }),
  }),
  'kaist-unet': spec('kaist-unet', {
    width: may(width(), 'Channels at full resolution, before `encoderScale`', { default: 32 }),
    maxWidth: may(width(), 'Most channels', { default: 320 }),
    growth: may(above(0, 16), 'Growth of the width from level to level', { default: 2 }),
    encoderScale: may(whole(1, 16), '2: the large encoder', { default: 1 }),
    norm: may(one('batch', 'group', 'instance'), 'Normalisation layers', { default: 'batch' }),
    groups: may(whole(1, 4096), 'Groups of a group norm', { default: 32 }),
    convsPerStage: may(count(), 'Convolutions of each stage', { default: 2 }),
    strides: may(strides(), 'Strides between stages', {
      unit: 'voxels',
      defaultText: "the plan's without the first, or five times 2",
    }),
    kernels: may(kernels(), 'Edges of the convolutions of each stage', { unit: 'voxels', defaultText: "the plan's, or 3" }),
    attention: may(
      object({
        where: one('decoder', 'both').meta({
          description: '`decoder`: after each transposed convolution (BL+AA); `both`: Axial_UNet',
        }),
        heads: count().meta({ description: 'Heads at full resolution, doubled at each level down' }),
        headWidth: whole(1, 1024).meta({ description: 'Channels of a head at full resolution, doubled at each level down' }),
        without: list(whole(0, 16), 0, 16).meta({ description: 'Stages without attention' }),
        volume: may(sides(), 'Patch that the position embedding is for', { unit: 'voxels', defaultText: "the plan's patch" }),
        sum: may(flag(), '`both` only: sum the axes instead of running them in sequence', { default: true }),
        batchNorm: may(flag(), '`both` only: batch norm behind', { default: true }),
        residual: may(flag(), '`both` only: residual', { default: false }),
      }),
      'Axial attention',
      { defaultText: 'none' },
    ),
    headBias: may(flag(), 'A bias in the heads', { default: false }),
  }),
  'plain-conv-unet': spec('plain-conv-unet', { architecture: architecture() }),
  'residual-encoder-unet': spec('residual-encoder-unet', { architecture: architecture() }),
  segresnet: spec('segresnet', {
    dimensions: dimensions(),
    width: may(width(), 'Channels at full resolution, doubled at every level', { default: 8 }),
    norm: may(one('group', 'batch', 'instance'), 'Normalisation layers', { default: 'group' }),
    groups: may(whole(1, 4096), 'Groups of every group norm', { default: 8 }),
    blocksDown: may(perStage(count()), 'Residual blocks of each level down', { default: [1, 2, 2, 4] }),
    blocksUp: may(perStage(count()), 'Residual blocks of each level up, one entry fewer', { default: [1, 1, 1] }),
    upsample: may(one('nontrainable', 'deconv', 'pixelshuffle'), 'Up-sampling', { default: 'nontrainable' }),
    dropout: may(rate(), 'Probability of dropping a channel after the first convolution', { default: 0 }),
  }),
  stunet: spec('stunet', {
    size: may(one('S', 'B', 'L', 'H'), 'Depth and widths of the paper’s Table 1', {
      example: 'S',
      defaultText: 'none: `blocks` and `widths` say it',
    }),
    blocks: may(perStage(count()), 'Blocks of each encoder stage', { defaultText: 'by `size`' }),
    widths: may(perStage(width()), 'Channels of each stage', { defaultText: 'by `size`' }),
    strides: may(strides(), 'Strides between the stages', { unit: 'voxels', defaultText: "the plan's first five, or [2, 2, 2]" }),
    kernels: may(kernels(), 'Edges of the convolutions', { unit: 'voxels', defaultText: '3×3×3 everywhere' }),
    upsampling: may(one('nearest', 'linear'), 'Up-sampling', { default: 'nearest' }),
  }),
  'ux-net': spec('ux-net', {
    depths: may(perStage(count()), 'Blocks of the encoder’s stages', { default: [2, 2, 2, 2] }),
    widths: may(perStage(width()), 'Channels of the stages', { default: [48, 96, 192, 384] }),
    hidden: may(width(), 'Channels below the last stage', { default: 768 }),
    norm: may(one('instance', 'batch'), 'Normalisation layers', { default: 'instance' }),
    residual: may(flag(), 'Residual convolution blocks', { default: true }),
    dropPath: may(rate(), 'Drop-path rate of the last block, from 0 at the first', { default: 0 }),
  }),
  cotr: spec('cotr', {
    widths: may(perStage(width()), 'Channels behind the first convolution and of the three stages', {
      default: [64, 192, 384, 384],
    }),
    blocks: may(perStage(count()), 'Residual convolutions of the three stages', { default: [3, 3, 2] }),
    layers: may(count(), 'Layers of the transformer', { default: 6 }),
    heads: may(count(), 'Heads', { default: 6 }),
    points: may(whole(1, 64), 'Coordinates a head reads in each grid', { default: 4 }),
    mlp: may(whole(1, 65536), 'Hidden channels of the perceptrons', { default: 1536 }),
    dropout: may(rate(), 'Dropout', { default: 0.1 }),
  }),
  'swin-umamba': spec('swin-umamba', {
    version: may(one('v1', 'v2'), 'Version of the paper', { default: 'v2' }),
    widths: may(perStage(width()), 'Channels of the stem and of the VSS stages', { default: [48, 96, 192, 384, 768] }),
    depths: may(perStage(count()), 'VSS blocks of each stage', { default: [2, 2, 9, 2] }),
    states: may(whole(1, 1024), 'State size N of the selective scan', { default: 16 }),
    dropPath: may(rate(), 'Drop-path rate of the last block', { default: 0.2 }),
    norm: monaiNorm(),
    residual: may(flag(), 'Residual convolution blocks', { default: true }),
  }),
  'swin-umamba-d': spec('swin-umamba-d', {
    patch: may(whole(1, 64), 'Edge of a token', { unit: 'pixels', default: 4 }),
    widths: may(perStage(width()), 'Channels of the stages', { default: [96, 192, 384, 768] }),
    depths: may(perStage(count()), 'VSS blocks of the encoder’s stages', { default: [2, 2, 9, 2] }),
    states: may(whole(1, 1024), 'State size N in the encoder', { default: 16 }),
    decoderStates: may(whole(1, 1024), 'State size N in the decoder', { defaultText: '`states`' }),
    dropPath: may(rate(), 'Drop-path rate at the bottom', { default: 0.2 }),
    decoderDropPath: may(rate(), 'The same in the decoder', { defaultText: '`dropPath`' }),
  }),
  'umamba-bot': umamba('umamba-bot'),
  'umamba-enc': umamba('umamba-enc'),
  nnformer: spec('nnformer', {
    variant: one('synapse', 'acdc', 'tumor').meta({
      description: 'The data set whose published version this is',
      example: 'tumor',
    }),
    patchSize: patch(),
    width: may(width(), 'Channels of stage 0', { defaultText: '192 for synapse, else 96' }),
    depths: may(perStage(count()), 'Blocks of each stage', { defaultText: "the variant's" }),
    heads: may(perStage(count()), 'Heads of each stage', { defaultText: "the variant's" }),
    patch: may(sides(1, 64), 'Edges of a token', { unit: 'voxels', defaultText: "the variant's" }),
    windows: may(
      perStage(either([whole(1, 64), sides(1, 64)], 'a whole number, or one an axis')),
      'Edge of a window of each stage',
      { unit: 'tokens', defaultText: "the variant's" },
    ),
    strides: may(strides(), 'acdc: patch over token grid of each stage', { defaultText: "the variant's" }),
    dropPath: may(rate(), 'Drop-path rate of the last block', { default: 0.2 }),
  }),
  transbts: spec('transbts', {
    patchSize: patch(),
    width: may(width(), 'Channels at full resolution', { default: 16 }),
    groups: may(whole(1, 4096), 'Groups of the convolutional part’s norms', { default: 8 }),
    layers: may(count(), 'Layers of the transformer', { default: 4 }),
    heads: may(count(), 'Heads', { default: 8 }),
    mlp: may(whole(1, 65536), 'Hidden channels of the perceptrons', { default: 4096 }),
    dropout: may(rate(), 'Dropout', { default: 0.1 }),
    attentionDropout: may(rate(), 'Dropout of the attention', { default: 0.1 }),
    initialDropout: may(rate(), 'Channel dropout behind the first convolution', { default: 0.2 }),
    softmax: may(flag(), 'Softmax at the end, as the official code has it', { default: false }),
  }),
  transunet: spec('transunet', {
    variant: may(
      one('R50-ViT-B_16', 'R50-ViT-L_16', 'ViT-B_16', 'ViT-B_32', 'ViT-L_16', 'ViT-L_32'),
      'A published configuration',
      { default: 'R50-ViT-B_16' },
    ),
    patchSize: patch(),
    units: may(list(whole(1, 64), 0, 16), 'Residual blocks of the three ResNet stages; empty without a ResNet', {
      defaultText: "the variant's",
    }),
    widthFactor: may(above(0, 64), 'Channels of the ResNet’s root over 64', { defaultText: '1' }),
    groups: may(whole(1, 4096), 'Groups of its norms', { defaultText: '32' }),
    hidden: may(whole(1, 65536), 'Channels of a token', { defaultText: "the variant's" }),
    mlp: may(whole(1, 65536), 'Hidden channels of the perceptrons', { defaultText: "the variant's" }),
    heads: may(count(), 'Heads', { defaultText: "the variant's" }),
    layers: may(count(), 'Layers of the transformer', { defaultText: "the variant's" }),
    token: may(whole(1, 1024), 'Edge of a token', { unit: 'pixels', defaultText: "the variant's" }),
    headWidth: may(width(), 'Channels before the decoder', { defaultText: '512' }),
    decoder: may(perStage(width()), 'Channels in the decoder’s blocks', { defaultText: '256, 128, 64, 16' }),
    skips: may(whole(0, 16), 'How many skips are used', { defaultText: "the variant's" }),
    skipWidths: may(list(whole(0, 4096), 0, 16), 'Channels of the skips', { defaultText: "the variant's" }),
    dropout: may(rate(), 'Dropout', { defaultText: "the variant's" }),
    attentionDropout: may(rate(), 'Dropout of the attention', { defaultText: "the variant's" }),
  }),
  unetr: spec('unetr', {
    patchSize: patch(),
    width: may(width(), 'Channels at full resolution', { default: 16 }),
    hidden: may(whole(1, 65536), 'Channels of a token', { default: 768 }),
    mlp: may(whole(1, 65536), 'Hidden channels of the perceptrons', { default: 3072 }),
    heads: may(count(), 'Heads', { default: 12 }),
    projection: may(one('conv', 'perceptron'), 'Tokens by a strided convolution or by a linear layer', { default: 'conv' }),
    norm: monaiNorm(),
    residual: may(flag(), 'Residual convolution blocks', { default: true }),
    convBlocks: may(flag(), 'Blocks after the up-samplings of encoder2 and encoder3', { default: true }),
    qkvBias: may(flag(), 'A bias in the attention’s projections', { default: false }),
    dropout: may(rate(), 'Dropout', { default: 0 }),
  }),
  'swin-unetr': spec('swin-unetr', {
    dimensions: dimensions(),
    width: may(width(), 'Channels at full resolution', { default: 24 }),
    depths: may(perStage(count()), 'Swin blocks of each stage', { default: [2, 2, 2, 2] }),
    heads: may(perStage(count()), 'Heads of each stage', { default: [3, 6, 12, 24] }),
    window: may(either([whole(1, 64), sides(1, 64)], 'a whole number, or one an axis'), 'Edge of a window', {
      unit: 'tokens',
      default: 7,
    }),
    patch: may(whole(1, 64), 'Edge of a token', { unit: 'voxels', default: 2 }),
    mlpRatio: may(above(0, 64), 'Hidden over outer channels of the perceptrons', { default: 4 }),
    qkvBias: may(flag(), 'A bias in the attention’s projections', { default: true }),
    norm: monaiNorm(),
    normalise: may(flag(), 'Layer norm without weights on every hidden state that leaves the encoder', { default: true }),
    patchNorm: may(flag(), 'Layer norm on the tokens', { default: false }),
    merging: may(one('merging', 'mergingv2'), 'Order in which patches are merged', { default: 'merging' }),
    v2: may(flag(), 'A residual convolution block before every stage (Swin UNETR v2)', { default: false }),
    dropout: may(rate(), 'Dropout', { default: 0 }),
    dropPath: may(rate(), 'Drop-path rate of the last block', { default: 0 }),
  }),
} as const satisfies Record<string, z.ZodObject>;

/** The schema of a built-in network's specification. */
export const settingsOf = (network: string): z.ZodObject | undefined =>
  Object.hasOwn(networkSettings, network) ? (networkSettings as Record<string, z.ZodObject>)[network] : undefined;

type Name = keyof typeof networkSettings;

/** Compiles only while what a schema lets pass is a specification of its network. Topologies from a plan are looser in the schema. */
type Fits<N extends Name> = z.output<(typeof networkSettings)[N]> extends Extract<ModelSpec, { network: N }> ? true : false;
type FromPlan = 'plain-conv-unet' | 'residual-encoder-unet';
true satisfies { [N in Exclude<Name, FromPlan>]: Fits<N> }[Exclude<Name, FromPlan>];
