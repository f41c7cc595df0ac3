import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { Random } from '../../src/base/random.js';
import {
  configuration,
  type Fingerprint,
  type FixedPlanName,
  featureMapEstimate,
  fixed,
  fixedPlans,
  normalizationOf,
  override,
  type PlannerName,
  plan,
  planFaults,
  planners,
  show,
  topology,
} from '../../src/plan/index.js';

const golden = fileURLToPath(new URL('../golden/nnunet/plans/', import.meta.url));
const read = (file: string) => JSON.parse(fs.readFileSync(path.join(golden, file), 'utf8'));
const btcv = { name: 'Dataset701_BTCVlike', json: read('Dataset701_BTCVlike/dataset.json') };
const fingerprint = read('Dataset701_BTCVlike/dataset_fingerprint.json') as Fingerprint;
const planned = () => plan(btcv, fingerprint);

/** A random fingerprint of `n` cases. */
function randomFingerprint(random: Random, n: number): Fingerprint {
  const coarse = random.chance(0.4) ? random.uniform(2, 6) : 1;
  const mm = [random.uniform(0.3, 2) * coarse, random.uniform(0.3, 2), random.uniform(0.3, 2)];
  const size = mm.map((s) => random.uniform(40, 400) / s);
  const flat = random.chance(0.1);
  const statistics = { max: 1, mean: 0.5, median: 0.5, min: 0, percentile_00_5: 0, percentile_99_5: 1, std: 0.2 };
  return {
    foreground_intensity_properties_per_channel: { '0': statistics },
    median_relative_size_after_cropping: random.uniform(0.3, 1),
    shapes_after_crop: Array.from({ length: n }, () =>
      size.map((s, i) => (flat && i === 0 ? 1 : Math.max(4, Math.round(s * random.uniform(0.8, 1.2))))),
    ),
    spacings: Array.from({ length: n }, () => mm.map((s) => s * random.uniform(0.9, 1.1))),
  };
}

describe('planner', () => {
  it('a plan survives JSON, and shows itself', () => {
    const p = planned();
    assert.deepEqual(JSON.parse(JSON.stringify(p)), { ...p });
    const shown = (p as any)[Symbol.for('Jupyter.display')]();
    assert.match(shown['text/html'], /<table>/);
    assert.match(inspect(p), /patch, voxels/);
    assert.equal(show(p).text, shown['text/plain']);
  });

  it('an outside name in a display is text', () => {
    const p = plan({ ...btcv, name: '<script>alert(1)</script>' }, fingerprint);
    assert.ok(!(p as any)[Symbol.for('Jupyter.display')]()['text/html'].includes('<script'));
  });

  it('laws of planned configurations hold for random data sets and every planner', () => {
    const random = new Random('planner');
    for (let i = 0; i < 60; i++) {
      const found = randomFingerprint(random, random.int(5, 30));
      const json = {
        channel_names: { '0': random.choice(['CT', 'MR']) },
        labels: { background: 0, a: 1 },
        numTraining: found.spacings.length,
        file_ending: '.nii.gz',
      };
      const p = plan({ name: 'Dataset999_Random', json }, found, {
        planner: random.choice(Object.keys(planners)) as PlannerName,
      });
      assert.deepEqual(planFaults(p), [], JSON.stringify(found));
      for (const name of Object.keys(p.configurations)) {
        const c = configuration(p, name);
        const { strides } = c.architecture.arch_kwargs as { strides: number[][] };
        assert.ok(c.batch_size >= 2);
        // The patch is what the topology of itself makes of it, so a network built from the plan fits.
        assert.deepEqual(topology(c.spacing, c.patch_size).patch, c.patch_size, name);
        assert.equal(
          strides[0].every((s) => s === 1),
          true,
        );
      }
    }
  });

  it('more memory never plans a smaller patch', () => {
    const voxels = (gb: number) =>
      configuration(plan(btcv, fingerprint, { gpuMemoryGb: gb }), '3d_fullres').patch_size.reduce((a, b) => a * b, 1);
    const found = [4, 8, 16, 32, 64].map(voxels);
    assert.deepEqual(
      found,
      [...found].sort((a, b) => a - b),
    );
  });

  it('input that cannot be planned is refused, all faults at once, and nothing runs for ever', () => {
    assert.throws(
      () => plan(btcv, { ...fingerprint, spacings: [] }, { gpuMemoryGb: -1, targetSpacing: [1, 0, 1], planner: 'Other' as any }),
      /planner: Other; expected one of ExperimentPlanner.*gpuMemoryGb: -1; expected a number above 0.*targetSpacing: \[1,0,1\].*fingerprint/s,
    );
    assert.throws(() => plan(btcv, fingerprint, { gpuMemoryGb: 1e-7 }), /no patch fits.*gpuMemoryGb: 1e-7 GB/s);
  });

  it('configurations of an existing plan are kept', () => {
    const existing = override(planned(), '3d_fullres', { patchSize: [32, 64, 64], as: '3d_small' });
    assert.deepEqual(plan(btcv, fingerprint, { existing }).configurations['3d_small'], existing.configurations['3d_small']);
  });

  it('channel names choose the normalisation, in any case', () => {
    assert.deepEqual(['CT', 'ct', 'noNorm', 'zscore', 'RGB_to_0_1', 'rescale_to_0_1', 'T2', 'constructor'].map(normalizationOf), [
      'CTNormalization',
      'CTNormalization',
      'NoNormalization',
      'ZScoreNormalization',
      'RGBTo01Normalization',
      'RescaleTo01Normalization',
      'ZScoreNormalization',
      'ZScoreNormalization',
    ]);
  });

  it('the estimate counts every feature map of a plain U-Net once', () => {
    const architecture = {
      network_class_name: 'x.PlainConvUNet',
      arch_kwargs: {
        strides: [
          [1, 1],
          [2, 2],
        ],
        features_per_stage: [4, 8],
        n_conv_per_stage: [2, 2],
        n_conv_per_stage_decoder: [2],
      },
    };
    // Encoder 2·4·64 + 2·8·16, decoder (2 + 1)·4·64, output 3·64.
    assert.equal(featureMapEstimate(architecture, [8, 8], 3), 2 * 4 * 64 + 2 * 8 * 16 + 3 * 4 * 64 + 3 * 64);
  });
});

describe('override', () => {
  it('pooling follows the patch, down to tiny volumes', () => {
    const c = configuration(
      override(planned(), '3d_fullres', { patchSize: [32, 32, 32], batchSize: 2, spacing: [3, 3, 3] }),
      '3d_fullres',
    );
    assert.deepEqual([c.patch_size, c.batch_size, c.spacing], [[32, 32, 32], 2, [3, 3, 3]]);
    assert.deepEqual((c.architecture.arch_kwargs as any).strides, [
      [1, 1, 1],
      [2, 2, 2],
      [2, 2, 2],
      [2, 2, 2],
    ]);
    assert.equal(c.data_identifier, 'nnUNetPlans_3d_fullres_3x3x3');
  });

  it('an illegal patch is refused with the nearest legal sizes, which are legal', () => {
    const p = planned();
    assert.throws(
      () => override(p, '3d_fullres', { patchSize: [33, 100, 128] }),
      (error: any) => {
        assert.match(error.message, /patchSize\[1\]: 100; expected a multiple of 16 \(4 poolings\)\. Nearest: 96 or 112\./);
        assert.match(error.message, /patchSize\[0\]: 33; expected a multiple of 8 \(3 poolings\)\. Nearest: 32 or 40\./);
        return true;
      },
    );
    for (const size of [
      [32, 96, 128],
      [40, 112, 128],
    ])
      assert.deepEqual(configuration(override(p, '3d_fullres', { patchSize: size }), '3d_fullres').patch_size, size);
  });

  it('all faults at once', () => {
    assert.throws(
      () => override(planned(), '3d_fullres', { patchSize: [1.5, 2] as any, batchSize: 0, spacing: [1, 0, 1] }),
      /spacing.*\n.*patchSize.*\n.*batchSize/,
    );
  });

  it('the plan that was given is not changed', () => {
    const p = planned();
    const before = JSON.stringify(p);
    override(p, '3d_fullres', { patchSize: [32, 32, 32] });
    assert.equal(JSON.stringify(p), before);
  });
});

describe("the papers' fixed plans", () => {
  for (const name of Object.keys(fixedPlans) as FixedPlanName[])
    it(`${name}: patch ${fixedPlans[name].patchSize.join('×')}`, () => {
      const p = fixed(name, btcv, fingerprint);
      assert.deepEqual(planFaults(p), []);
      const c = configuration(p, fixedPlans[name].configuration);
      assert.deepEqual(c.patch_size, fixedPlans[name].patchSize);
      if (fixedPlans[name].spacing) assert.deepEqual(c.spacing, fixedPlans[name].spacing.slice(-c.spacing.length));
      if (fixedPlans[name].batchSize) assert.equal(c.batch_size, fixedPlans[name].batchSize);
    });
  it('a batch that no paper names is the largest that fits the planner’s memory with the paper’s patch', () => {
    const batch = (name: FixedPlanName) => configuration(fixed(name, btcv, fingerprint), '2d').batch_size;
    const names = ['swinUmambaAbdomenMr', 'swinUmambaEndoscopy', 'swinUmambaMicroscopy'] as const;
    const voxels = (name: FixedPlanName) => batch(name) * fixedPlans[name].patchSize.reduce((a, b) => a * b, 1);
    for (const name of names) assert.ok(Math.abs(voxels(name) / (12 * 512 * 512) - 1) < 0.04, `${name}: ${batch(name)}`);
  });
  it('STU-Net normalises CT by each image, as its released plans do', () => {
    assert.deepEqual(configuration(fixed('stuNet', btcv, fingerprint), '3d_fullres').normalization_schemes, [
      'ZScoreNormalization',
    ]);
  });
  it('a 3-D plan does not fit pictures', () => {
    assert.throws(
      () =>
        fixed('mednext', btcv, { ...fingerprint, shapes_after_crop: fingerprint.shapes_after_crop.map(([, h, w]) => [1, h, w]) }),
      /pictures of one slice; expected volumes/,
    );
  });
});
