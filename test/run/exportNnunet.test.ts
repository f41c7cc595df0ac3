// A run as nnU-Net's results. Whether nnU-Net takes them is asked of the real package where NNUNET_PYTHON names a Python that has it
// (nnunetv2 2.8.1); what it read is held here by name, type and structure.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { nodeArguments } from '../../src/base/workers.js';
import { readNnunetJson } from '../../src/nnunet/json.js';
import { loadModelFolder } from '../../src/nnunet/modelFolder.js';
import { readProbabilities } from '../../src/predict/index.js';
import { exportNnunet } from '../../src/run/exportNnunet.js';
import { predictFolder, study } from '../../src/run/index.js';
import type { Experiment } from '../../src/train/index.js';
import { readVolume } from '../../src/volume/index.js';
import { readTorch } from '../../src/weights/index.js';
import { leaveWorkplace, tinyExperiment, workplace } from './tiny.js';

/** Few features: what nnU-Net would plan has a thousand times as many weights. */
const architecture = (count: 'n_conv_per_stage' | 'n_blocks_per_stage') => ({
  n_stages: 2,
  features_per_stage: [4, 6],
  conv_op: 'torch.nn.modules.conv.Conv3d',
  kernel_sizes: Array(2).fill([3, 3, 3]),
  strides: [
    [1, 1, 1],
    [2, 2, 2],
  ],
  [count]: [1, 2],
  n_conv_per_stage_decoder: [1],
  conv_bias: true,
  norm_op: 'torch.nn.modules.instancenorm.InstanceNorm3d',
  norm_op_kwargs: { eps: 1e-5, affine: true },
});

const python = process.env.NNUNET_PYTHON;
const cli = nodeArguments(new URL('../../src/run/cli.js', import.meta.url));

describe('a run exported to nnU-Net', function () {
  this.timeout(600_000);
  let root: string;
  let results: string;
  let folders: string[];
  const folderOf = (plans: string) => path.join(results, 'Dataset042_Balls', `nnUNetTrainer__${plans}__3d_fullres`);

  after(leaveWorkplace);
  before(async () => {
    root = workplace();
    results = path.join(root, 'results');
    const { recipe, prediction } = tinyExperiment(root);
    const changes = {
      recipe: { ...recipe, epochs: 2, deepSupervision: 'nnunet' as const },
      prediction: { ...prediction, mirrorAxes: [0, 1] },
    };
    const of = (network: string, count: Parameters<typeof architecture>[0], more: Partial<Experiment>) =>
      tinyExperiment(root, {
        name: network,
        model: { network, architecture: architecture(count) } as never,
        ...changes,
        ...more,
      });
    const { runs, failures } = await study(
      [
        of('plain-conv-unet', 'n_conv_per_stage', {}),
        of('residual-encoder-unet', 'n_blocks_per_stage', { planner: 'nnUNetPlannerResEncM' }),
      ],
      { display: null },
    );
    assert.deepEqual(failures, []);
    folders = runs.map(({ folder }) => folder);
    await exportNnunet(folders, { results, probabilities: true });
  });

  it('lies where nnU-Net looks for it, and predicts here from there', async () => {
    const model = folderOf('nnUNetPlans');
    const fold = path.join(model, 'fold_0');
    assert.deepEqual(fs.readdirSync(model).sort(), ['dataset.json', 'dataset_fingerprint.json', 'fold_0', 'plans.json']);
    assert.deepEqual(fs.readdirSync(fold).sort(), ['checkpoint_final.pth', 'validation']);
    const [id] = fs.readdirSync(path.join(fold, 'validation')).filter((n) => n.endsWith('.npz'));
    const case_ = id.slice(0, -4);
    for (const ending of ['.nii.gz', '.pkl']) assert.ok(fs.existsSync(path.join(fold, 'validation', case_ + ending)));
    const summary = readNnunetJson<{ metric_per_case: unknown[]; mean: object }>(path.join(fold, 'validation', 'summary.json'));
    assert.deepEqual(Object.keys(summary.mean), ['1', '2']);
    // Probabilities decide the labels that lie beside them.
    const { data, shape } = readProbabilities(path.join(fold, 'validation'), case_);
    const stored = readVolume(path.join(fold, 'validation', `${case_}.nii.gz`));
    assert.deepEqual(shape, [...stored.shape, 3]);
    for (let i = 0; i < stored.data.length; i++) {
      const own = [...data.subarray(3 * i, 3 * i + 3)];
      assert.equal(own.indexOf(Math.max(...own)), stored.data[i]);
    }
    const images = path.join(root, 'images');
    fs.mkdirSync(images);
    fs.copyFileSync(
      path.join(root, 'Dataset042_Balls', 'imagesTr', `${case_}_0000.nii.gz`),
      path.join(images, `${case_}_0000.nii.gz`),
    );
    await predictFolder(images, path.join(root, 'again'), loadModelFolder(model));
    assert.deepEqual(readVolume(path.join(root, 'again', `${case_}.nii.gz`)).data, stored.data);
  });

  it('has a checkpoint of plain types, with the keys, names and shapes of the trainer’s', () => {
    const file = path.join(folderOf('nnUNetResEncUNetMPlans'), 'fold_0', 'checkpoint_final.pth');
    const value = readTorch(file) as Map<string, unknown>;
    assert.deepEqual(
      [...value.keys()],
      [
        'network_weights',
        'optimizer_state',
        'grad_scaler_state',
        'logging',
        '_best_ema',
        'current_epoch',
        'init_args',
        'trainer_name',
        'inference_allowed_mirroring_axes',
      ],
    );
    assert.deepEqual(value.get('inference_allowed_mirroring_axes'), [0, 1]);
    assert.equal(value.get('current_epoch'), 2);
    const weights = value.get('network_weights') as Map<string, { dtype: string; shape: number[] }>;
    // The encoder stands once more below the decoder, every convolution once more in all_modules.
    assert.deepEqual(weights.get('encoder.stem.convs.0.conv.weight')?.shape, [4, 1, 3, 3, 3]);
    assert.ok(weights.has('decoder.encoder.stem.convs.0.all_modules.0.weight'));
    assert.ok([...weights.values()].every(({ dtype }) => dtype === 'F32'));
    const logging = value.get('logging') as Map<string, unknown[]>;
    assert.deepEqual(
      [...logging.values()].map((list) => list.length),
      Array(8).fill(2),
    );
    // Nothing but what torch.load(weights_only=True) knows is named in the pickle.
    const bytes = fs.readFileSync(file).toString('latin1');
    const names = new Set(
      [...bytes.slice(0, bytes.indexOf('archive/byteorder')).matchAll(/c([a-z._]+)\n(\w+)\n/g)].map((m) => `${m[1]}.${m[2]}`),
    );
    // Text may stand right before a name, hence the ends.
    const known = ['collections.OrderedDict', 'torch.FloatStorage', 'torch._utils._rebuild_tensor_v2'];
    for (const name of known) assert.ok(names.has(name), name);
    for (const name of names)
      assert.ok(
        known.some((k) => name.endsWith(k)),
        name,
      );
    // Names of one array share one storage, as in PyTorch.
    const storages = [...bytes.matchAll(/archive\/data\/\d+/g)].length / 2;
    const own = [...weights.keys()].filter((n) => !n.startsWith('decoder.encoder.') && !n.includes('all_modules')).length;
    assert.equal(storages, own);
  });

  it('says everything that stands against it before anything is written', async () => {
    await assert.rejects(
      exportNnunet([...folders, root, folders[0]], { results, trainer: 'no class', dataset: 'Balls' }),
      /no class[\s\S]*dataset: Balls[\s\S]*no run folder/,
    );
    await assert.rejects(exportNnunet(folders, { results }), /a fold that stands there[\s\S]*a fold that stands there/);
    await exportNnunet(folders, { results, trainer: 'nnUNetTrainer_250epochs' });
    const before = process.env.nnUNet_results;
    delete process.env.nnUNet_results;
    await assert.rejects(exportNnunet(folders), /nnUNet_results: not set/);
    if (before) process.env.nnUNet_results = before;
    const mednext = await study([tinyExperiment(root, { recipe: { ...tinyExperiment(root).recipe, epochs: 1 } })], {
      display: null,
    });
    await assert.rejects(
      exportNnunet([mednext.runs[0].folder], { results }),
      /mednext; expected a network of nnU-Net's own packages: plain-conv-unet, residual-encoder-unet. Predict with voxelbook/,
    );
  });

  it('find-best and ensemble work straight from the results, with the probabilities as nnU-Net keeps them', () => {
    const set = path.join(results, 'Dataset042_Balls');
    const env = { ...process.env, nnUNet_raw: root, nnUNet_results: results };
    const voxelbook = (...args: string[]) => spawnSync(process.execPath, [...cli, ...args], { env, encoding: 'utf8' });
    const best = voxelbook('find-best', 'Dataset042_Balls', '--trainer', 'nnUNetTrainer', '-c', '3d_fullres');
    assert.equal(best.status, 0, best.stderr);
    for (const name of fs.readdirSync(set).filter((n) => n.includes('250epochs')))
      fs.rmSync(path.join(set, name), { recursive: true });
    const all = voxelbook('find-best', 'Dataset042_Balls');
    assert.equal(all.status, 0, all.stderr);
    const { all_results, folds } = JSON.parse(fs.readFileSync(path.join(set, 'inference_information.json'), 'utf8'));
    assert.deepEqual(Object.keys(all_results), [
      'ensemble___nnUNetTrainer__nnUNetPlans__3d_fullres___nnUNetTrainer__nnUNetResEncUNetMPlans__3d_fullres___0',
      'nnUNetTrainer__nnUNetPlans__3d_fullres',
      'nnUNetTrainer__nnUNetResEncUNetMPlans__3d_fullres',
    ]);
    assert.deepEqual(folds, [0]);
    const out = path.join(root, 'averaged');
    const models = ['nnUNetPlans', 'nnUNetResEncUNetMPlans'].map(folderOf);
    const averaged = voxelbook('ensemble', ...models, '--out', out);
    assert.equal(averaged.status, 0, averaged.stderr);
    const pair = path.join(set, 'ensembles', Object.keys(all_results)[0]);
    const written = fs.readdirSync(out).filter((n) => n.endsWith('.nii.gz'));
    assert.ok(written.length > 0);
    for (const name of written) assert.deepEqual(readVolume(path.join(out, name)).data, readVolume(path.join(pair, name)).data);
    const two = voxelbook('predict', root, path.join(root, 'none'), '--run', 'Dataset042_Balls');
    assert.match(two.stderr, /these results hold several models/);
  });

  it('is taken by nnUNetv2_predict and nnUNetv2_evaluate_folder as their own', async function () {
    if (!python) return this.skip();
    this.timeout(1_800_000);
    const raw = path.join(root, 'Dataset042_Balls');
    const images = path.join(root, 'two');
    fs.mkdirSync(images);
    for (const id of ['ball_0', 'ball_1'])
      fs.copyFileSync(path.join(raw, 'imagesTr', `${id}_0000.nii.gz`), path.join(images, `${id}_0000.nii.gz`));
    const env = { ...process.env, nnUNet_raw: root, nnUNet_preprocessed: root, nnUNet_results: results, OMP_NUM_THREADS: '1' };
    const done = (file: string, ...args: string[]) => {
      const { status, stderr } = spawnSync(file, args, { env, encoding: 'utf8' });
      assert.equal(status, 0, stderr);
    };
    const command = (name: string, ...args: string[]) => done(path.join(path.dirname(python), name), ...args);
    for (const [i, plans] of ['nnUNetPlans', 'nnUNetResEncUNetMPlans'].entries()) {
      const check = 'import sys, torch; torch.load(sys.argv[1], weights_only=True)';
      done(python, '-c', check, path.join(folderOf(plans), 'fold_0', 'checkpoint_final.pth'));
      const theirs = path.join(root, `theirs-${plans}`);
      command(
        'nnUNetv2_predict',
        ...`-d 42 -i ${images} -o ${theirs} -c 3d_fullres -p ${plans} -f 0 -device cpu -npp 0 -nps 0`.split(' '),
      );
      const ours = path.join(root, `ours-${plans}`);
      await predictFolder(images, ours, [folders[i]], { onWarning: () => {} });
      for (const id of ['ball_0', 'ball_1']) {
        const [a, b] = [ours, theirs].map((folder) => readVolume(path.join(folder, `${id}.nii.gz`)).data);
        const different = [...a].filter((v, k) => v !== b[k]).length;
        assert.ok(different <= 1e-4 * a.length, `${plans} ${id}: ${different} of ${a.length} voxels differ`);
      }
      const validation = path.join(folderOf(plans), 'fold_0', 'validation');
      const summary = path.join(root, `${plans}.json`);
      command(
        'nnUNetv2_evaluate_folder',
        ...[path.join(raw, 'labelsTr'), validation, '-djfile', path.join(folderOf(plans), 'dataset.json')],
        ...['-pfile', path.join(folderOf(plans), 'plans.json'), '-o', summary, '--chill'],
      );
      const { mean } = readNnunetJson<{ mean: object }>(summary);
      assert.deepEqual(mean, readNnunetJson<{ mean: object }>(path.join(validation, 'summary.json')).mean);
    }
  });
});
