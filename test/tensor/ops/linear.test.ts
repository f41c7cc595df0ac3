import assert from 'node:assert';
import { withPlainOperators } from '../../../src/tensor/native/load.js';
import { linear } from '../../../src/tensor/ops/linear.js';
import { tf } from '../../../src/tensor/tf.js';
import { close, draw, leavesNothing } from './check.js';

/** Shape of x, outputs: rows that make a picture and rows that do not, few outputs, wide layers. */
const cases: [number[], number][] = [
  [[2, 7, 5], 24],
  [[1, 4, 4, 4, 16], 32],
  [[13, 9], 17],
  [[3, 6], 8],
  [[2, 131, 6], 12],
  [[1, 4, 8, 8, 3], 4],
  [[4, 16, 200], 100],
  [[0, 5], 9],
];

describe('linear', () => {
  for (const plain of [false, true])
    for (const withBias of [true, false])
      for (const [shape, out] of cases)
        it(`[${shape}] to ${out}${withBias ? ' with bias' : ''}${plain ? ', plain operators' : ''}: its definition, with all gradients`, () =>
          leavesNothing(() =>
            tf.tidy(() => {
              const channels = shape.at(-1)!;
              const inputs = [draw(shape), draw([channels, out]), ...(withBias ? [draw([out])] : [])];
              const slope = draw([...shape.slice(0, -1), out]);
              const run = (...[x, w, b]: tf.Tensor[]) => linear(x, w, b);
              const measured = () => {
                const y = run(...inputs);
                return [y, ...tf.grads((...all) => tf.sum(tf.mul(run(...all), slope)))(inputs)];
              };
              const [y, ...gradients] = plain ? withPlainOperators(measured) : measured();
              const [x, w, b] = inputs.map((t) => t.dataSync());
              const dy = slope.dataSync();
              const rows = x.length / channels;
              const wanted = [dy, x, w, b ?? []].map((values) => new Float64Array(values.length));
              for (let r = 0; r < rows; r++)
                for (let o = 0; o < out; o++) {
                  const at = r * out + o;
                  wanted[0][at] = b ? b[o] : 0;
                  for (let c = 0; c < channels; c++) {
                    wanted[0][at] += x[r * channels + c] * w[c * out + o];
                    wanted[1][r * channels + c] += dy[at] * w[c * out + o];
                    wanted[2][c * out + o] += dy[at] * x[r * channels + c];
                  }
                  if (b) wanted[3][o] += dy[at];
                }
              assert.deepEqual(y.shape, slope.shape);
              for (const [i, tensor] of [y, ...gradients].entries()) {
                const largest = wanted[i].reduce((m, v) => Math.max(m, Math.abs(v)), 1);
                close(tensor.dataSync(), wanted[i], 2e-6 * largest, i ? `gradient ${i - 1}` : 'output');
              }
            }),
          ));
});
