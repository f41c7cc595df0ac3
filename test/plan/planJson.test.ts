// F6: plans from outside, mutated: every fault with its place, and what is accepted can be used.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { VoxelbookError } from '../../src/base/errors.js';
import { Random } from '../../src/base/random.js';
import { datasetJsonFaults } from '../../src/dataset/index.js';
import { configuration, planFaults, planFromJson } from '../../src/plan/index.js';
import { mutate } from '../hostile/jsonMutations.js';

const golden = fileURLToPath(new URL('../golden/nnunet/plans/', import.meta.url));
const read = (file: string) => JSON.parse(fs.readFileSync(path.join(golden, file), 'utf8'));
const datasets = fs.readdirSync(golden).filter((name) => name.startsWith('Dataset'));
const plans = datasets.flatMap((d) =>
  fs
    .readdirSync(path.join(golden, d))
    .filter((f) => /Planner/.test(f))
    .map((f) => read(`${d}/${f}`)),
);
const inputs = Number(process.env.VOXELBOOK_F6 ?? 2000);

/** What a network needs of an accepted configuration: halving the patch by the strides always ends on whole numbers. */
function outputShapes(plan: any): void {
  for (const name of Object.keys(plan.configurations)) {
    const { patch_size: patch, architecture, batch_size: batch, spacing } = configuration(plan, name);
    const { strides, kernel_sizes: kernels, features_per_stage: features, n_stages: stages } = architecture.arch_kwargs as any;
    assert.ok(strides.length === stages && kernels.length === stages && features.length === stages);
    let size = patch;
    for (const stride of strides) {
      assert.equal(stride.length, patch.length);
      size = size.map((n: number, i: number) => n / stride[i]);
      assert.ok(
        size.every((n: number) => Number.isInteger(n) && n >= 1),
        `${name} ${patch} ${JSON.stringify(strides)}`,
      );
    }
    assert.ok(batch >= 1 && spacing.every((s: number) => s > 0 && Number.isFinite(s)));
  }
}

describe('plans from outside (F6)', () => {
  it(`every plan nnU-Net wrote is accepted (${plans.length})`, () => {
    assert.ok(plans.length >= 10);
    for (const plan of plans) {
      assert.deepEqual(planFaults(plan), []);
      outputShapes(plan);
    }
  });

  it(`${inputs} mutated plans: accepted and usable, or faults with place and fix`, () => {
    const random = new Random('plans');
    let accepted = 0;
    for (let i = 0; i < inputs; i++) {
      const plan = structuredClone(plans[i % plans.length]);
      const what = Array.from({ length: random.int(1, 4) }, () => mutate(random, plan)).join(', ');
      const faults = planFaults(plan);
      for (const f of faults) assert.ok(f.path && f.expected && f.fix && f.given, `${what}: ${JSON.stringify(f)}`);
      if (faults.length > 0) continue;
      accepted++;
      try {
        outputShapes(plan);
      } catch (error) {
        assert.fail(`${what} was accepted: ${error}`);
      }
    }
    assert.equal(Object.keys(Object.prototype).length, 0);
    console.log(`      ${inputs} mutated plans, ${accepted} accepted`);
    assert.ok(accepted > 0 && accepted < inputs);
  });

  it('2000 mutated dataset.json: accepted, or faults with place and fix', () => {
    const random = new Random('dataset.json');
    let accepted = 0;
    for (let i = 0; i < 2000; i++) {
      const json = structuredClone(read(`${datasets[i % datasets.length]}/dataset.json`));
      mutate(random, json);
      const faults = datasetJsonFaults(json);
      for (const f of faults) assert.ok(f.path && f.expected && f.fix && f.given, JSON.stringify(f));
      if (faults.length === 0) accepted++;
    }
    assert.ok(accepted > 0 && accepted < 2000);
  });

  it('all faults of a plan come at once, with place, and the nearest patch', () => {
    const plan = structuredClone(plans[0]);
    plan.transpose_backward = [0, 1, 1];
    plan.configurations['3d_fullres'].patch_size = [40, 190, 160];
    plan.configurations['3d_fullres'].batch_size = 0;
    plan.configurations['2d'].data_identifier = '../../etc';
    assert.throws(
      () => planFromJson(plan),
      (error) => {
        assert.ok(error instanceof VoxelbookError);
        const paths = error.faults.map((f) => f.path);
        for (const p of [
          'transpose_backward',
          'configurations.3d_fullres.batch_size',
          'configurations.2d.data_identifier',
          'configurations.3d_fullres.patch_size[1]',
        ])
          assert.ok(paths.includes(p), `${p} in ${paths}`);
        assert.match(
          error.message,
          /patch_size\[1\]: 190; expected a multiple of \d+, the product of the strides\. Nearest: \d+ or \d+\./,
        );
        return true;
      },
    );
  });

  it('inheritance in a circle is found', () => {
    const plan = structuredClone(plans[0]);
    plan.configurations.a = { inherits_from: 'b' };
    plan.configurations.b = { inherits_from: 'a' };
    assert.match(planFaults(plan)[0].given, /a → b → a/);
    assert.throws(() => configuration(plan, 'a'), /inherits from itself by a → b → a/);
    assert.throws(() => configuration(plan, 'c'), /configurations\.c: missing; expected one of 2d/);
  });
});
