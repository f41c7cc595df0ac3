// Activations value by value on our own kernels; used by `leakyRelu`, `gelu` and `silu`.
import { customOp } from '../ops/customOp.js';
import type { tf } from '../tf.js';
import { execute } from './load.js';

/**
 * @param slope of the leaky ReLU, above 0
 * Memory: leaky ReLU keeps its output, the others their input.
 */
export function nativeActivation(x: tf.Tensor, kind: 'leakyRelu' | 'gelu' | 'silu', slope = 0): tf.Tensor {
  const settings = [[['leakyRelu', 'gelu', 'silu'].indexOf(kind)], [slope]] as const;
  return customOp(
    [x],
    () => {
      const [value] = execute('VoxelbookActivation', [x], 1, ...settings);
      return { value, keep: [kind === 'leakyRelu' ? value : x] };
    },
    (dy, [kept]) => execute('VoxelbookActivationGradient', [kept, dy], 1, ...settings),
  );
}
