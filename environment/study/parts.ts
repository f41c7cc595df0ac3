// Parts of your own for experiment.json: what is registered here, an experiment that lists this file under `extensions` may name.
// Other kinds of parts (networks, losses, transforms, samplers, …): environment/docs/own-parts.md of the package.
import * as vb from 'voxelbook';

/** Volume of a mask of voxels `mm` on each side, in ml. */
const volumeMl = (mask: Uint8Array, mm: readonly number[]) => mask.reduce((sum, v) => sum + v, 0) * mm[0] * mm[1] * mm[2] * 1e-3;

vb.extend({
  metrics: [
    {
      name: 'volumeDifferenceMl',
      score: ({ prediction, reference, spacingMm }) => volumeMl(prediction, spacingMm) - volumeMl(reference, spacingMm),
    },
  ],
});
