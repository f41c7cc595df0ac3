// Softplus.
import { tf } from '../tf.js';

/** `log(1 + exp(x))`. Any shape. (PyTorch's switch to the identity above 20 is below float32 resolution.) */
export const softplus = (x: tf.Tensor): tf.Tensor => tf.softplus(x);
