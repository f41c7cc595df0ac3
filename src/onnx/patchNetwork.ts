// A graph in ONNX Runtime as tiles see a network. Nothing of TensorFlow and nothing of Node is used: the page runs this as well.
import { product } from '../base/shape.js';
import { probabilities } from '../predict/segmentation.js';
import { checkOutput, type PatchNetwork, subsets } from '../predict/windows.js';

/** Runs a graph: `[1, channel, …patch]` → `[1, head, …patch]`, and what gives the memory back at once, where something does. */
export type RunGraph = (
  image: Float32Array,
  shape: readonly number[],
) => Promise<{ data: ArrayLike<number>; dims: readonly number[]; free?: () => void }>;

/** A graph that takes one patch at a time, channels first, as a network whose mirrored passes are averaged. */
export function patchNetwork(run: RunGraph): PatchNetwork {
  return async ({ data, tiles, channels }, options, add) => {
    const { patchSize, heads, mirrorAxes = [], average = 'logits', activation = 'softmax' } = options;
    const patch = patchSize.length === 2 ? [1, ...patchSize] : patchSize;
    const voxels = product(patchSize);
    const missing = 3 - patchSize.length;
    const passes = [[], ...subsets(mirrorAxes)].map((axes) => axes.map((axis) => axis + missing));
    const output = { heads, hasRegions: activation === 'sigmoid', regionsClassOrder: null };
    const [image, sum] = [channels, heads].map((n) => new Float32Array(n * voxels));
    const one = average === 'probabilities' ? new Float32Array(heads * voxels) : undefined;
    for (let t = 0; t < tiles; t++) {
      sum.fill(0);
      for (const axes of passes) {
        eachVoxel(patch, axes, (from, to) => {
          for (let c = 0; c < channels; c++) image[c * voxels + to] = data[(t * voxels + from) * channels + c];
        });
        const logits = await run(image, [1, channels, ...patchSize]);
        checkOutput(logits.dims, [1, heads, ...patchSize]);
        if (one) {
          for (let c = 0, i = 0; c < heads; c++) for (let v = 0; v < voxels; v++) one[v * heads + c] = logits.data[i++];
          probabilities(one, output, one);
        }
        eachVoxel(patch, axes, (from, to) => {
          for (let c = 0; c < heads; c++) sum[to * heads + c] += one ? one[from * heads + c] : logits.data[c * voxels + from];
        });
        logits.free?.();
      }
      for (let i = 0; i < sum.length; i++) sum[i] /= passes.length;
      add(t, 0, patch[0], sum, 0);
    }
  };
}

/** Every voxel of a patch, and the one it is mirrored to along `axes`. */
function eachVoxel(patch: readonly number[], axes: readonly number[], use: (from: number, to: number) => void): void {
  const [depth, height, width] = patch;
  const [z0, y0, x0] = patch.map((n, axis) => (axes.includes(axis) ? n - 1 : 0));
  const step = axes.includes(2) ? -1 : 1;
  let from = 0;
  for (let z = 0; z < depth; z++)
    for (let y = 0; y < height; y++) {
      let to = (Math.abs(z0 - z) * height + Math.abs(y0 - y)) * width + x0;
      for (let x = 0; x < width; x++, to += step) use(from++, to);
    }
}
