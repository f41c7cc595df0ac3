// MedNeXt: constructor arguments of MedNeXt, create_mednext_v1 and its blocks as our specification.
import type { StoredTensor } from '../../../src/base/safetensors.js';
import { network } from '../../../src/model/build.js';
import { convTranspose, cube } from '../../../src/model/layers/layers.js';
import { Declaration, type ParamInfo, type Params } from '../../../src/model/network.js';
import { type MedNextSpec, medNextBlock, medNextDownBlock, medNextUpBlock } from '../../../src/model/papers/mednext.js';
import { tf } from '../../../src/tensor/tf.js';
import { upkern } from '../../../src/weights/upkern.js';
import { close, equal, type Row } from '../case.js';
import type { Arch, Fixture } from './arch.js';
import { compareFixture, toMemory, toOfficial } from './compare.js';
import { layerNormBlock } from './layerNorm.js';

export function mednextSpec(c: any): MedNextSpec {
  if (c.model_id)
    return {
      network: 'mednext',
      size: c.model_id,
      kernel: c.kernel_size,
      inputChannels: c.num_input_channels,
      classes: c.num_classes,
      deepSupervision: c.deep_supervision,
    };
  return {
    network: 'mednext',
    inputChannels: c.in_channels,
    classes: c.n_classes,
    width: c.n_channels,
    expansion: c.exp_r ?? 4,
    kernel: c.kernel_size ?? c.enc_kernel_size,
    decoderKernel: c.kernel_size ?? c.dec_kernel_size,
    blocks: c.block_counts ?? [2, 2, 2, 2, 2, 2, 2, 2, 2],
    deepSupervision: c.deep_supervision ?? false,
    residual: c.do_res ?? false,
    residualUpDown: c.do_res_up_down ?? false,
    dimensions: c.dim === '2d' ? 2 : 3,
    norm: c.norm_type ?? 'group',
    grn: c.grn ?? false,
  };
}

const blocks = { MedNeXtBlock: medNextBlock, MedNeXtDownBlock: medNextDownBlock, MedNeXtUpBlock: medNextUpBlock };

export const mednext: Arch = {
  network(c) {
    const net = network(mednextSpec(c)).network;
    const checkpoint = c.checkpoint_style === 'outside_block';
    return { parameters: net.parameters, forward: (context, x) => net.forward({ ...context, checkpoint }, x) };
  },
  block(cls, c) {
    if (cls === 'OutBlock') {
      const d = new Declaration();
      const head = convTranspose(d, 'conv_out', c.in_channels, c.n_classes, cube(1, c.dim === '2d' ? 2 : 3));
      return { parameters: d.parameters, forward: (context, x) => [head(context, x)] };
    }
    if (cls === 'LayerNorm') return layerNormBlock(c, 1e-5);
    const declare = blocks[cls as keyof typeof blocks];
    if (!declare) throw new Error(`unknown: block ${cls}`);
    const d = new Declaration();
    const layer = declare(d, '', {
      channels: c.in_channels,
      out: c.out_channels,
      ratio: c.exp_r ?? 4,
      kernel: c.kernel_size ?? 7,
      dimensions: c.dim === '2d' ? 2 : 3,
      residual: Boolean(c.do_res ?? cls === 'MedNeXtBlock'),
      norm: c.norm_type ?? 'group',
      grn: c.grn ?? false,
      groups: c.n_groups ?? undefined,
    });
    return { parameters: d.parameters, forward: (context, x) => [layer(context, x)] };
  },
  kinds: { 'weight-transfer': transfer },
};

/** UpKern: which parameters went which way, their values, and the forward pass of the merged network. */
function transfer(json: Fixture, tensors: Record<string, StoredTensor>): Row[] {
  const build = (change: object) => network(mednextSpec({ ...json.constructor, ...change })).network;
  const [smallNet, largeNet] = [build(json.small), build(json.large)];
  const read = (prefix: string, infos: readonly ParamInfo[]) => {
    const params: Params = {};
    for (const info of infos) if (tensors[prefix + info.name]) params[info.name] = toMemory(info, tensors[prefix + info.name]);
    return params;
  };
  const small = read('small.', smallNet.parameters);
  const before = read('before.', largeNet.parameters);
  const { params, transferred } = upkern(small, before, largeNet.parameters);
  const names = (how: string) => transferred.filter((t) => t.how === how).map((t) => t.name);
  const rows = [
    equal('interpolated', names('interpolated'), json.interpolated),
    equal('copied', names('copied'), json.copied_unchanged),
    equal('kept', names('kept'), json.kept_from_large),
  ];
  for (const info of largeNet.parameters)
    rows.push(
      close(`w.${info.name}`, toOfficial(info, params[info.name]), tensors[`w.${info.name}`].data as Float32Array, {
        abs: 1e-7,
        rel: 1e-6,
      }),
    );
  tf.dispose([small, before, params]);
  return [...rows, ...compareFixture(largeNet, { ...json, state_dict_order: [] } as Fixture, tensors)];
}
