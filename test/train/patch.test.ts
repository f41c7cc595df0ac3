// Patches for networks that halve a fixed number of times.
import assert from 'node:assert/strict';
import type { Fault } from '../../src/base/errors.js';
import type { Fingerprint } from '../../src/plan/index.js';
import { type Experiment, planOf } from '../../src/train/index.js';
import { tinyExperiment } from '../run/tiny.js';

/** Five images of one shape, 1 mm. */
function printOf(shape: number[]): Fingerprint {
  const statistics = { max: 200, mean: 100, median: 100, min: 0, percentile_00_5: 1, percentile_99_5: 199, std: 20 };
  return {
    foreground_intensity_properties_per_channel: { '0': statistics },
    median_relative_size_after_cropping: 1,
    shapes_after_crop: Array.from({ length: 5 }, () => [...shape]),
    spacings: Array.from({ length: 5 }, () => [1, 1, 1]),
  };
}
const dataset = {
  name: 'Dataset029_Flat',
  json: { channel_names: { '0': 'MR' }, labels: { background: 0, a: 1 }, numTraining: 5, file_ending: '.nii.gz' },
};
const without = (changes: Partial<Experiment> = {}): Experiment => {
  const { patchSize: _, ...recipe } = tinyExperiment('/x').recipe;
  return tinyExperiment('/x', { recipe, ...changes });
};

describe('the planned patch and the network', () => {
  it('is rounded to what MedNeXt halves, and said; nothing else of the plan changes but what follows the patch', () => {
    const notes: Fault[] = [];
    const plan = planOf(dataset, printOf([10, 44, 40]), without(), (note) => notes.push(note));
    assert.deepEqual(plan.configurations['3d_fullres'].patch_size, [16, 48, 48]);
    assert.equal(notes.length, 1);
    assert.match(notes[0].given, /\[10,\d+,\d+\] as planned/);
    assert.match(notes[0].fix, /\[16,48,48\] is used/);
  });

  it('of every shape fits in the end, and a patch that fits is left alone', () => {
    for (const shape of [
      [9, 300, 280],
      [130, 131, 133],
      [64, 64, 64],
      [17, 33, 250],
    ]) {
      const notes: Fault[] = [];
      const { patch_size: patch } = planOf(dataset, printOf(shape), without(), (n) => notes.push(n)).configurations['3d_fullres'];
      assert.ok(
        patch.every((n) => n % 16 === 0),
        `${patch}`,
      );
      assert.ok(notes.length <= 1);
    }
  });

  it('of a person’s own is refused with the nearest that fits', () => {
    const own = { ...tinyExperiment('/x').recipe, patchSize: [10, 48, 40] };
    assert.throws(() => planOf(dataset, printOf([10, 44, 40]), without({ recipe: own })), {
      code: 'patch',
      message:
        'this patch does not fit the network\n  recipe.patchSize: [10,48,40]; expected 3 edges, multiples of [16,16,16], which mednext halves without rest. Nearest: [16,48,48].',
    });
  });
});
