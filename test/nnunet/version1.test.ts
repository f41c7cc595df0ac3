// Models of nnU-Net v1 with pickled plans: read as data, given on in the form of version 2.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type ModelSpec } from '../../src/model/index.js';
import { loadModelFolder } from '../../src/nnunet/modelFolder.js';
import { importNnunet } from '../../src/run/importNnunet.js';
import { predictFolder } from '../../src/run/index.js';
import { tf } from '../../src/tensor/tf.js';
import { identityDirection, readVolume, writeVolume } from '../../src/volume/index.js';
import { fromParams, readWeights } from '../../src/weights/index.js';
import { pickle } from '../../src/weights/pickleWriter.js';
import { writeTorch } from '../../src/weights/torchWriter.js';

const golden = fileURLToPath(new URL('./version1', import.meta.url));

describe('a model of nnU-Net v1', function () {
  this.timeout(600_000);
  let work: string;
  before(() => {
    work = fs.mkdtempSync(path.join(os.tmpdir(), 'version1-'));
  });
  after(() => fs.rmSync(work, { recursive: true, force: true }));

  /** Of what is refused by its plans, the weights play no part. */
  const small = { network: 'stunet', widths: [2, 2], blocks: [1, 1], strides: [[2, 2, 2]] };

  /** A folder as the trainer leaves it: weights freshly drawn, plans as Python pickled them. */
  function trained(trainer: string, spec: Record<string, unknown> = small): string {
    const folder = path.join(work, 'Task017_BTCV', `${trainer}__nnUNetPlansv2.1`);
    const fold = path.join(folder, 'fold_0');
    fs.mkdirSync(fold, { recursive: true });
    const ends = { inputChannels: 1, classes: 3, deepSupervision: true };
    const { network, params } = build(spec as unknown as ModelSpec, undefined, { seed: 3, ...ends });
    const file = path.join(fold, 'model_final_checkpoint.model');
    writeTorch(file, { epoch: 1000, state_dict: new Map(Object.entries(fromParams(network, params))), plot_stuff: [[], []] });
    tf.dispose(params);
    fs.copyFileSync(path.join(golden, `${trainer}.pkl`), `${file}.pkl`);
    return folder;
  }

  for (const [trainer, spec] of [
    ['nnUNetTrainerV2_MedNeXt_S_kernel3', { network: 'mednext', size: 'S', kernel: 3 }],
    ['STUNetTrainer_small', { network: 'stunet', size: 'S', strides: [...Array(4).fill([2, 2, 2]), [1, 1, 1]] }],
  ] as const)
    it(`is imported and predicts: ${trainer}`, async () => {
      const kept = importNnunet(trained(trainer, spec), { out: path.join(work, 'out') });
      assert.equal(kept, path.join(work, 'out', 'Dataset017_BTCV', `${trainer}__nnUNetPlansV1__3d_fullres`));
      const given = readWeights(
        path.join(work, 'Task017_BTCV', `${trainer}__nnUNetPlansv2.1`, 'fold_0', 'model_final_checkpoint.model'),
      );
      assert.deepEqual(readWeights(path.join(kept, 'fold_0', 'checkpoint_final.safetensors')).tensors, given.tensors);
      const loaded = loadModelFolder(kept);
      const { plan, settings } = loaded.model;
      assert.deepEqual(plan.configurations['3d_fullres'].spacing, [1.5, 1.5, 1.5]);
      assert.deepEqual(plan.configurations['3d_fullres'].patch_size, [32, 32, 32]);
      assert.deepEqual(plan.foreground_intensity_properties_per_channel['0'], {
        max: 40,
        mean: 13.5,
        median: 12,
        min: 1,
        percentile_00_5: 3,
        percentile_99_5: 26,
        std: 4.25,
      });
      assert.deepEqual([settings.average, settings.mirrorAxes], ['probabilities', [0, 1, 2]]);
      const images = path.join(work, 'images');
      fs.mkdirSync(images, { recursive: true });
      const shape: [number, number, number] = [30, 28, 26];
      const data = Float32Array.from({ length: 30 * 28 * 26 }, (_, i) => 10 + ((i * 7) % 13));
      const geometry = { spacingMm: [1.5, 1.5, 1.5], originMm: [0, 0, 0], direction: identityDirection } as const;
      writeVolume(path.join(images, 'a_0000.nii.gz'), { data, shape, channels: 1, ...structuredClone(geometry) } as never);
      settings.mirrorAxes = [];
      await predictFolder(images, path.join(work, trainer), loaded, { onWarning: () => {} });
      const found = readVolume(path.join(work, trainer, 'a.nii.gz'));
      assert.deepEqual(found.shape, shape);
      assert.ok(new Set(found.data as Uint8Array).size > 1);
    });

  it('of its own Generic_UNet is refused by name', () => {
    const folder = trained('nnUNetTrainerV2');
    assert.throws(() => importNnunet(folder, { out: work }), /the network of nnUNetTrainerV2; expected a trainer of MedNeXt/);
  });

  it('with code in its pickle, or plans that lack something, is refused and nothing is run', () => {
    const folder = trained('nnUNetTrainerV2');
    const file = path.join(folder, 'fold_0', 'model_final_checkpoint.model.pkl');
    fs.writeFileSync(file, Buffer.from(`\x80\x02cos\nsystem\nX\x05\x00\x00\x00false\x85R.`, 'latin1'));
    assert.throws(() => importNnunet(folder, { out: work }), /objects that are not data; nothing was run[\s\S]*os\.system/);
    const plans = { plans_per_stage: { 0: { patch_size: 'large' } }, num_classes: 2, all_classes: [1, 2, 3], modalities: {} };
    fs.writeFileSync(file, pickle({ name: 'STUNetTrainer_small', plans, init: [] }));
    assert.throws(
      () => importNnunet(folder, { out: work }),
      /patch_size: "large"[\s\S]*current_spacing: missing[\s\S]*modalities: \{\}[\s\S]*all_classes: 3 labels; expected num_classes 2/,
    );
    // A list of ten lists of ten lists …: small in the file, and too large for any memory once it is written out.
    const get = (i: number) => `h${String.fromCharCode(i)}`;
    const lists = [']q\0', ...Array.from({ length: 14 }, (_, i) => `](${get(i).repeat(10)}eq${String.fromCharCode(i + 1)}`)].join(
      '',
    );
    fs.writeFileSync(file, Buffer.from(`\x80\x02${lists}}(X\x05\0\0\0plans${get(14)}u.`, 'latin1'));
    assert.throws(() => importNnunet(folder, { out: work }), /more than 200000 values/);
    assert.throws(() => importNnunet(work, { out: work }), /a folder without plans.json, dataset.json and fold_\*/);
  });
});
