// From a specification, which is data, to a network: the one place that knows all of them.
import { FaultList } from '../base/errors.js';
import { Random } from '../base/random.js';
import type { Configuration } from '../plan/plan.js';
import type { tf } from '../tensor/tf.js';
import { coTr } from './baselines/coTr.js';
import { nnFormer } from './baselines/nnFormer.js';
import { plainConvUnet } from './baselines/plainConvUnet.js';
import { residualEncoderUnet } from './baselines/residualEncoderUnet.js';
import { segResNet } from './baselines/segResNet.js';
import { swinUnetr } from './baselines/swinUnetr.js';
import { transBts } from './baselines/transBts.js';
import { transUnet } from './baselines/transUnet.js';
import { umamba } from './baselines/umamba.js';
import { unetr } from './baselines/unetr.js';
import { uxNet } from './baselines/uxNet.js';
import { type Context, initialise, type Network, type Params } from './network.js';
import { kaistUnet } from './papers/kaistUnet.js';
import { mednext } from './papers/mednext.js';
import { stuNet } from './papers/stuNet.js';
import { swinUmamba } from './papers/swinUmamba.js';
import { swinUmambaD } from './papers/swinUmambaD.js';
import type { Head, ModelSpec } from './spec.js';

export interface Model {
  /** As given, with channels and classes filled in: JSON that builds the same network again. */
  spec: ModelSpec;
  network: Network;
  /** Freshly drawn; the caller owns the tensors. */
  params: Params;
  forward(context: Context, x: tf.Tensor): tf.Tensor[];
}

/** What the data set says; used where the specification is silent. */
export type Ends = Head;

const builders: { [K in ModelSpec['network']]: (spec: any, plan?: Configuration) => Network } = {
  mednext,
  'kaist-unet': kaistUnet,
  'plain-conv-unet': plainConvUnet,
  'residual-encoder-unet': residualEncoderUnet,
  segresnet: segResNet,
  stunet: stuNet,
  'ux-net': uxNet,
  cotr: coTr,
  'swin-umamba': swinUmamba,
  'swin-umamba-d': swinUmambaD,
  'umamba-bot': umamba,
  'umamba-enc': umamba,
  nnformer: nnFormer,
  transbts: transBts,
  transunet: transUnet,
  unetr,
  'swin-unetr': swinUnetr,
};

/** What `spec.network` may be. */
export const networkNames = Object.keys(builders) as ModelSpec['network'][];

/**
 * The network of a specification, without parameters.
 *
 * @param plan a plan's configuration, for networks that take their topology from it
 * @param ends input channels, classes and deep supervision where the specification is silent
 * @throws VoxelbookError naming what is missing or unknown
 */
export function network(spec: ModelSpec, plan?: Configuration, ends: Ends = {}): { spec: ModelSpec; network: Network } {
  const said = Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined));
  const complete = { ...ends, ...said } as ModelSpec;
  const faults = new FaultList();
  if (!Object.hasOwn(builders, spec.network))
    faults.add(
      'network',
      'network',
      JSON.stringify(spec.network),
      Object.keys(builders).join(', '),
      'Choose one of these networks.',
    );
  for (const key of ['inputChannels', 'classes'] as const)
    if (!(Number.isInteger(complete[key]) && complete[key]! > 0))
      faults.add(
        key,
        key,
        String(complete[key]),
        'a whole number above 0',
        'Set it in the specification or hand in the data set’s.',
      );
  faults.throwIfAny('this network cannot be built');
  const built = builders[spec.network](complete, plan);
  const larger = builders[spec.network]({ ...complete, classes: complete.classes! + 1 }, plan);
  return { spec: complete, network: withHeads(built, larger) };
}

/** Heads are the parameters whose shape changes with the number of classes. */
function withHeads(built: Network, larger: Network): Network {
  const shapes = new Map(larger.parameters.map((p) => [p.name, p.shape.join()]));
  const parameters = built.parameters.map((p) => (shapes.get(p.name) === p.shape.join() ? p : { ...p, head: true }));
  return { ...built, parameters };
}

/**
 * A network with freshly drawn parameters, as the official code initialises them.
 *
 * @param options.seed the same seed gives the same parameters
 * @example const { params, forward } = build({ network: 'mednext', size: 'S', kernel: 3, inputChannels: 1, classes: 2 });
 */
export function build(spec: ModelSpec, plan?: Configuration, options: { seed?: number | string } & Ends = {}): Model {
  const { seed = 0, ...ends } = options;
  const built = network(spec, plan, ends);
  const params = initialise(built.network, new Random(seed).split('model'));
  return { ...built, params, forward: (context, x) => built.network.forward(context, x) };
}
