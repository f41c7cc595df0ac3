import assert from 'node:assert';
import { sampleCubic } from '../../src/augment/cubic.js';

const volume = (n: number) => Float32Array.from({ length: n }, (_, i) => ((i * 7919) % 101) / 10);
const near = (ours: ArrayLike<number>, reference: number[]) =>
  reference.forEach((v, i) => {
    assert.ok(Math.abs(ours[i] - v) < 1e-5, `${i}: ${ours[i]}, scipy ${v}`);
  });

describe('cubic interpolation', () => {
  it('gives what scipy 1.17.1 map_coordinates(order=3, mode=constant) gives', () => {
    const places = [
      [0, 0, 0],
      [1.5, 2.25, 3.75],
      [2.9, 3.99, 4.6],
      [0.1, 0.2, 0.3],
      [3, 4, 5],
      [-0.01, 1, 1],
      [1, 2, 5.01],
      [2, 1.5, 0.5],
    ];
    const [ours] = sampleCubic([volume(120)], [4, 5, 6], Float64Array.from(places.flat()), [0, 1, 2]);
    near(ours, [0, 8.068286895751953, 4.821163177490234, 0.7986558675765991, 3.0999999046325684, 0, 0, 4.697464942932129]);
    const line = [0.3, 10.7, 24.5, 48.9].flatMap((x) => [0, 0, x]);
    near(
      sampleCubic([volume(50)], [1, 1, 50], Float64Array.from(line), [0, 1, 2])[0],
      [0.4507040480633488, 2.467346088490133, 4.8443175249405375, 8.947327993312278],
    );
  });

  it('of slices leaves the depth alone', () => {
    const [ours] = sampleCubic([volume(120)], [4, 5, 6], Float64Array.of(2, 0.5, 0.5, 2, 3.3, 4.9), [1, 2]);
    near(ours, [5.56538724899292, 5.589540004730225]);
  });
});
