// The planner never writes what cannot exist.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { VoxelbookError } from '../../src/base/errors.js';
import { type Fingerprint, plan, planFaults } from '../../src/plan/index.js';

const statistics = { max: 200, mean: 100, median: 100, min: 0, percentile_00_5: 1, percentile_99_5: 199, std: 20 };
const printOf = (shapes: number[][], spacings: number[][]): Fingerprint => ({
  foreground_intensity_properties_per_channel: { '0': statistics },
  median_relative_size_after_cropping: 1,
  shapes_after_crop: shapes,
  spacings,
});
const dataset = (cases: number, ending = '.nii.gz') => ({
  name: 'Dataset001_X',
  json: { channel_names: { '0': 'MR' }, labels: { background: 0, a: 1 }, numTraining: cases, file_ending: ending },
  cases: Array.from({ length: cases }, (_, i) => ({ id: `case_${i}`, images: [] })),
});

describe('a plan that cannot exist', () => {
  it('a case that would shrink to nothing is named, with its voxels', () => {
    const print = printOf(
      [
        [20, 30, 30],
        [20, 30, 30],
        [20, 30, 30],
      ],
      [
        [1, 1, 1],
        [1, 1, 1],
        [1e-3, 1, 1],
      ],
    );
    assert.throws(() => plan(dataset(3), print), {
      code: 'vanishing-case',
      message:
        'cases would shrink to nothing at the planned spacing\n  case_2: 20×30×30 voxels of 0.001×1×1 mm become 0×30×30 of 1×1×1 mm; expected at least one voxel along every axis. The voxel size in its header is probably wrong; correct it, or leave the case out.',
    });
  });

  it('whatever the fingerprint says, there is a plan without a fault, or a refusal, and an end', () => {
    const size = fc.integer({ min: 1, max: 700 });
    const mm = fc.oneof(fc.double({ min: 1e-6, max: 1e6, noNaN: true }), fc.constantFrom(0.5, 1, 5));
    const triple = <T>(of: fc.Arbitrary<T>) => fc.tuple(of, of, of).map((list) => [...list]);
    let planned = 0;
    const property = fc.property(fc.array(fc.tuple(triple(size), triple(mm)), { minLength: 1, maxLength: 4 }), (cases) => {
      const print = printOf(
        cases.map(([shape]) => shape),
        cases.map(([, spacing]) => spacing),
      );
      try {
        const found = plan(dataset(cases.length), print);
        assert.deepEqual(planFaults(JSON.parse(JSON.stringify(found))), []);
        planned++;
      } catch (error) {
        assert.ok(error instanceof VoxelbookError, String(error));
      }
    });
    fc.assert(property, { numRuns: 150, seed: 1 });
    assert.ok(planned > 20, `${planned} planned`);
  });

  it('the reader of a .tif set is nnU-Net’s: pictures and stacks', () => {
    const reader = (depth: number, ending: string) => {
      const shapes = Array.from({ length: 3 }, () => [depth, 64, 64]);
      return plan(
        dataset(3, ending),
        printOf(
          shapes,
          shapes.map(() => [depth === 1 ? 999 : 1, 1, 1]),
        ),
      ).image_reader_writer;
    };
    assert.deepEqual([reader(1, '.tif'), reader(12, '.tif'), reader(12, '.tiff')], ['NaturalImage2DIO', 'Tiff3DIO', 'Tiff3DIO']);
  });
});
