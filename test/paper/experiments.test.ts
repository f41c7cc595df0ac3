// Every experiment of every paper builds, at both scales, and means the network its paper counts.
import assert from 'node:assert';
import type { ModelSpec } from '../../src/model/index.js';
import { describe as describeModel, network } from '../../src/model/index.js';
import { kaistBrats21, mednext, published, stuNet, swinUmamba } from '../../src/paper/index.js';
import type { Configuration } from '../../src/plan/plan.js';
import type { Experiment, Scale } from '../../src/train/experiment.js';

type Lists = Record<string, Experiment[]>;
const lists = (scale: Scale): Lists => ({
  'mednext ablation': mednext.ablation({ scale }),
  'mednext table 1': mednext.table1({ scale }),
  'mednext table 2': mednext.comparison({ scale }),
  'mednext, independent comparison': mednext.independent({ scale }),
  'kaist cross-validation': kaistBrats21.crossValidation({ scale }),
  'stu-net scaling': stuNet.scaling({ scale }),
  'stu-net fine-tuning': stuNet.finetuning({ scale }),
  'swin-umamba endoscopy': swinUmamba.comparison({ scale, task: 'Endoscopy' }),
  'swin-umamba microscopy': swinUmamba.comparison({ scale, task: 'Microscopy' }),
  'swin-umamba abdomen': swinUmamba.comparison({ scale, task: 'AbdomenMRI' }),
});

/** What a data set fills in. */
const classes: Record<string, number> = {
  BTCV: 14,
  BraTS21: 3,
  TotalSegmentator: 105,
  FLARE22: 14,
  EndoVis17: 8,
  AbdomenMRI: 14,
};
const ends = (e: Experiment) => ({
  inputChannels: 4,
  classes: classes[e.dataset] ?? 4,
  deepSupervision: e.recipe.deepSupervision !== 'none',
});

/** What a plan fills in: the patch and, for networks that leave it to the plan, a topology as nnU-Net plans it. */
function planOf(e: Experiment): Configuration {
  const patch = e.recipe.patchSize ?? [128, 128, 128];
  const dimensions = patch.length;
  const stages = dimensions === 3 ? 6 : 7;
  const each = <T>(value: T) => Array.from({ length: stages }, () => value);
  const arch_kwargs = {
    n_stages: stages,
    features_per_stage: each(0).map((_, i) => Math.min(32 * 2 ** i, dimensions === 3 ? 320 : 512)),
    kernel_sizes: each(patch.map(() => 3)),
    strides: each(0).map((_, i) => patch.map(() => (i === 0 ? 1 : 2))),
    n_conv_per_stage: each(2),
    n_blocks_per_stage: each(2),
    n_conv_per_stage_decoder: each(2).slice(1),
    conv_op: `torch.nn.modules.conv.Conv${dimensions}d`,
    norm_op: `torch.nn.modules.instancenorm.InstanceNorm${dimensions}d`,
    conv_bias: true,
    norm_op_kwargs: { eps: 1e-5, affine: true },
    dropout_op: null,
    dropout_op_kwargs: null,
    nonlin: 'torch.nn.LeakyReLU',
  };
  return { patch_size: patch, architecture: { arch_kwargs } } as unknown as Configuration;
}

describe('experiments of the papers', () => {
  for (const scale of ['demo', 'paper'] as const)
    for (const [title, list] of Object.entries(lists(scale))) {
      it(`${title}, ${scale}: names are unique, JSON out and in changes nothing`, () => {
        assert.strictEqual(new Set(list.map((e) => e.name)).size, list.length);
        assert.deepStrictEqual(JSON.parse(JSON.stringify(list)), list);
        for (const e of list) assert.strictEqual(e.scale, scale);
      });
      it(`${title}, ${scale}: every network builds`, () => {
        for (const e of list) {
          const built = network(e.model, planOf(e), ends(e)).network;
          assert.ok(built.parameters.length > 0, e.name);
        }
      });
      it(`${title}, ${scale}: every network takes the recipe's patch, on shapes alone`, function () {
        this.timeout(300_000);
        for (const e of list) {
          const plan = planOf(e);
          const found = describeModel(e.model, plan, ends(e));
          assert.deepStrictEqual(found.outputs[0].slice(0, -1), plan.patch_size, e.name);
          assert.ok(found.parameters > 0 && found.flops > 0, e.name);
        }
      });
    }

  it('MedNeXt at full size has the parameters and FLOPs of its README, as far as that prints digits', function () {
    this.timeout(300_000);
    const table = published.mednext.tables.find((t) => t.id === 'readme-architectures')!;
    const all = mednext.comparison({ scale: 'paper' });
    for (const row of table.rows) {
      const e = all.find((x) => x.name === `MedNeXt-${row.name} (kernel ${row.kernel})`)!;
      const found = describeModel(
        { ...e.model, inputChannels: 1, classes: 3, deepSupervision: false } as ModelSpec,
        [128, 128, 128],
      );
      // The README prints one digit, cut or rounded, and does not say for how many classes.
      assert.ok(Math.abs(found.parameters / 1e6 - (row.params_M as number)) < 0.1, `${e.name}: ${found.parameters}`);
      assert.ok(Math.abs(found.flops / 1e9 - (row.GFlops as number)) < 2, `${e.name}: ${found.flops}`);
    }
  });

  it('KAIST’s large encoder has 87.4 M parameters against 31.2 M', () => {
    const count = (name: string) => {
      const e = kaistBrats21.crossValidation({ scale: 'paper' }).find((x) => x.name === name)!;
      return describeModel({ ...e.model, inputChannels: 4, classes: 3 } as ModelSpec, [128, 128, 128]).parameters / 1e6;
    };
    assert.strictEqual(count('BL').toFixed(1), '31.2');
    assert.strictEqual(count('BL+L').toFixed(1), '87.4');
  });
});
