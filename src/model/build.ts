// From a specification, which is data, to a network.
import { FaultList } from '../base/errors.js';
import { Random } from '../base/random.js';
import { lookup, registered } from '../base/registry.js';
import type { Configuration } from '../plan/plan.js';
import type { tf } from '../tensor/tf.js';
import type { Ends } from './define.js';
import { type Context, initialise, type Network, type Params } from './network.js';
import type { ModelSpec } from './registry.js';

/** A network with parameters of its own. */
export interface Model {
  /** As given, with channels and classes filled in: JSON that builds the same network again. */
  spec: ModelSpec;
  network: Network;
  /** Freshly drawn; the caller owns the tensors. */
  params: Params;
  forward(context: Context, x: tf.Tensor): tf.Tensor[];
}

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
  const known = registered('networks');
  if (!known.includes(spec.network))
    faults.add('network', 'network', JSON.stringify(spec.network), known.join(', '), 'Choose one of these networks.');
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
  return { spec: complete, network: lookup('networks', spec.network).build(complete, plan) };
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
