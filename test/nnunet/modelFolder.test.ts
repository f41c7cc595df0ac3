// Models as nnU-Net's own trainer saved them predict here what nnU-Net's own predictor gave (test/nnunet/roundtrip).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadModelFolder, modelFolderOf, readModelCheckpoint } from '../../src/nnunet/modelFolder.js';
import { importNnunet } from '../../src/run/importNnunet.js';
import { predictFolder } from '../../src/run/index.js';
import { readVolume } from '../../src/volume/index.js';

const golden = fileURLToPath(new URL('./roundtrip', import.meta.url));
const models = fs.readdirSync(golden).filter((name) => fs.existsSync(path.join(golden, name, 'plans.json')));

describe('a model of nnU-Net', function () {
  this.timeout(120_000);
  let work: string;
  before(() => {
    work = fs.mkdtempSync(path.join(os.tmpdir(), 'nnunet-'));
  });
  after(() => fs.rmSync(work, { recursive: true, force: true }));

  for (const name of models)
    it(`predicts what nnU-Net predicts: ${name}`, async () => {
      const folder = path.join(golden, name);
      const output = path.join(work, name);
      await predictFolder(path.join(folder, 'images'), output, loadModelFolder(folder), { onWarning: () => {} });
      const [ours, theirs] = [output, path.join(folder, 'labels')].map((f) => readVolume(path.join(f, 'case.nii.gz')));
      assert.deepEqual(ours.shape, theirs.shape);
      // A zero may have either sign.
      for (const key of ['spacingMm', 'originMm', 'direction'] as const)
        assert.deepEqual(
          ours[key].map((v) => v + 0),
          theirs[key].map((v) => v + 0),
        );
      let different = 0;
      for (let i = 0; i < ours.data.length; i++) if (ours.data[i] !== theirs.data[i]) different++;
      assert.equal(different, 0, `${different} of ${ours.data.length} voxels differ`);
    });

  it('is imported once, without pickles, and predicts the same from there', async () => {
    const kept = importNnunet(path.join(golden, 'old-form'), { out: work });
    assert.equal(kept, path.join(work, 'Dataset043_Round', 'nnUNetTrainer__nnUNetPlans__3d_fullres'));
    assert.deepEqual(fs.readdirSync(kept).sort(), ['dataset.json', 'fold_0', 'plans.json']);
    assert.deepEqual(fs.readdirSync(path.join(kept, 'fold_0')), ['checkpoint_final.safetensors']);
    const output = path.join(work, 'from-import');
    await predictFolder(path.join(golden, 'old-form', 'images'), output, loadModelFolder(kept), { onWarning: () => {} });
    const [ours, theirs] = [output, path.join(golden, 'old-form', 'labels')].map((f) => readVolume(path.join(f, 'case.nii.gz')));
    assert.deepEqual(ours.data, theirs.data);
    assert.throws(() => importNnunet(path.join(golden, 'old-form'), { out: work }), /a model stands there/);
  });

  it('is found by its folder, one of its folds, or as the only one of its results', () => {
    const folder = path.join(golden, 'plain');
    assert.deepEqual(modelFolderOf(folder), { folder });
    assert.deepEqual(modelFolderOf(path.join(folder, 'fold_1')), { folder, folds: [1] });
    assert.equal(modelFolderOf(path.join(golden, 'nowhere')), undefined);
    assert.equal(
      modelFolderOf(path.join(work, 'Dataset043_Round'))?.folder,
      path.join(work, 'Dataset043_Round', 'nnUNetTrainer__nnUNetPlans__3d_fullres'),
    );
  });

  it('says everything that is wrong with it at once', () => {
    const broken = path.join(work, 'broken');
    fs.cpSync(path.join(golden, 'plain'), broken, { recursive: true });
    const plans = JSON.parse(fs.readFileSync(path.join(broken, 'plans.json'), 'utf8'));
    plans.configurations['3d_fullres'].resampling_fn_data = 'resample_with_magic';
    plans.transpose_forward = [0, 0, 1];
    fs.writeFileSync(path.join(broken, 'plans.json'), JSON.stringify(plans));
    fs.writeFileSync(
      path.join(broken, 'dataset.json'),
      '{"labels": 3, "channel_names": {"0": "MR"}, "numTraining": 1, "file_ending": ".nii.gz"}',
    );
    assert.throws(
      () => loadModelFolder(broken, { folds: [0, 4] }),
      /resample_with_magic.*transpose_forward|transpose_forward.*resample_with_magic/s,
    );
    assert.throws(
      () => loadModelFolder(broken, { folds: [0, 4] }),
      /labels.*fold 4: no checkpoint_final.pth; expected one of the folds 0, 1/s,
    );
  });

  it('names a network that is not here, and weights that are of another', () => {
    const other = path.join(work, 'other');
    fs.cpSync(path.join(golden, 'resenc'), other, { recursive: true });
    const file = path.join(other, 'plans.json');
    const plans = JSON.parse(fs.readFileSync(file, 'utf8'));
    const { architecture } = plans.configurations['3d_fullres'];
    architecture.network_class_name = 'somewhere.else.WonderNet';
    fs.writeFileSync(file, JSON.stringify(plans));
    assert.throws(
      () => loadModelFolder(other),
      /network_class_name: "somewhere.else.WonderNet"; expected ….PlainConvUNet or ….ResidualEncoderUNet/,
    );
    architecture.network_class_name = 'dynamic_network_architectures.architectures.unet.PlainConvUNet';
    const { n_blocks_per_stage: _, ...kwargs } = architecture.arch_kwargs;
    architecture.arch_kwargs = { ...kwargs, n_conv_per_stage: [2, 2, 2] };
    fs.writeFileSync(file, JSON.stringify(plans));
    assert.throws(
      () => loadModelFolder(other),
      /the weights of nnUNetTrainer are not those of plain-conv-unet; \d+ more differences/,
    );
  });

  it('reads what the trainer wrote beside the weights', () => {
    const { about } = readModelCheckpoint(path.join(golden, '2d', 'fold_0', 'checkpoint_final.pth'));
    assert.deepEqual(about, { trainer: 'nnUNetTrainer', configuration: '2d', mirrorAxes: [0], average: 'logits' });
    const regions = readModelCheckpoint(path.join(golden, 'regions', 'fold_0', 'checkpoint_final.pth'));
    assert.deepEqual(regions.about.mirrorAxes, []);
  });
});
