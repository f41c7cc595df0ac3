// The perceptron of a transformer block: linear, GELU, linear, with dropout behind both; to be put into a `sequence`.
import { gelu } from '../../tensor/ops/gelu.js';
import type { Declaration, Init } from '../network.js';
import { dropout } from './dropout.js';
import { type Layer, linear } from './layers.js';

/**
 * @param names of the two linear layers
 * @param options.init weights and biases by the widths before and behind; default PyTorch's own
 */
export function perceptron(
  d: Declaration,
  names: readonly [string, string],
  dim: number,
  hidden: number,
  options: { dropout?: number; init?: (from: number, to: number) => { init?: Init; biasInit?: Init } } = {},
): Layer[] {
  const { init = () => ({}) } = options;
  const expand = linear(d, names[0], dim, hidden, init(dim, hidden));
  const compress = linear(d, names[1], hidden, dim, init(hidden, dim));
  const drop = dropout(options.dropout ?? 0);
  return [expand, (_, x) => gelu(x), drop, compress, drop];
}
