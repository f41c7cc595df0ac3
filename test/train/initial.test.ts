import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { VoxelbookError } from '../../src/base/errors.js';
import { writeSafetensors } from '../../src/base/safetensors.js';
import { type DatasetJson, labels } from '../../src/dataset/index.js';
import { build, type ModelSpec, networkNames, network as networkOf, type Params } from '../../src/model/index.js';
import type { Configuration } from '../../src/plan/index.js';
import { tf } from '../../src/tensor/tf.js';
import {
  type Experiment,
  type Prepared,
  readStart,
  type Start,
  saveStart,
  startingParams,
  startText,
} from '../../src/train/index.js';
import { save } from '../../src/weights/index.js';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'initial-'));
const at = (name: string) => path.join(folder, name);
const mednext = (kernel = 3, width = 2): ModelSpec =>
  ({ network: 'mednext', width, kernel, blocks: [1, 1, 1, 1, 1, 1, 1, 1, 1], expansion: 2 }) as ModelSpec;
const configuration = { patch_size: [32, 32, 32], normalization_schemes: ['ZScoreNormalization'] } as unknown as Configuration;
const json = {
  channel_names: { 0: 'MRI' },
  labels: { background: 0, organ: 1 },
  numTraining: 1,
  file_ending: '.nii.gz',
} as DatasetJson;
const prepared = { dataset: { json }, labels: labels(json), configuration } as unknown as Prepared;

const experiment = (model: ModelSpec, init?: Start, dataset = 'Here') =>
  ({ name: 'x', dataset, model, init, recipe: { deepSupervision: 'nnunet' } }) as unknown as Experiment;
const start = (given: Experiment, file = '') => startingParams(given, 0, 0, prepared, () => path.dirname(path.dirname(file)));

/** A finished run's weights, every value 0.5, of a model. */
function trained(model: ModelSpec, name: string, classes = 2): string {
  const made = build(model, configuration, { inputChannels: 1, classes, deepSupervision: true, seed: 5 });
  const half: Params = {};
  for (const [key, value] of Object.entries(made.params)) half[key] = tf.cast(tf.fill(value.shape, 0.5), value.dtype);
  const run = at(name);
  fs.mkdirSync(path.join(run, 'checkpoints'), { recursive: true });
  const file = path.join(run, 'checkpoints', 'final.safetensors');
  save(file, made.network, half);
  tf.dispose([made.params, half]);
  return file;
}
const isHalf = (params: Params, name: string) => params[name].dataSync().every((v) => v === 0.5);
const count = (record: ReturnType<typeof start>['record'], outcome: string) =>
  record!.rows.filter((row) => row.outcome === outcome).length;

describe('what a run starts from', function () {
  this.timeout(120_000);
  after(() => fs.rmSync(folder, { recursive: true }));

  it('every network says which of its parameters are heads: those whose shape has the classes in it, and no other', () => {
    const expected: Record<string, RegExp> = {
      mednext: /^out_\d\.conv_out\./,
      'kaist-unet': /^seg_outputs\./,
      'plain-conv-unet': /^decoder\.seg_layers\./,
      'residual-encoder-unet': /^decoder\.seg_layers\./,
      segresnet: /^conv_final\.2\./,
      stunet: /^seg_outputs\./,
      'ux-net': /^out\./,
      cotr: /cls_conv\./,
      'swin-umamba': /^out_layers\./,
      'swin-umamba-d': /^decoder\.seg_layers\./,
      'umamba-bot': /^decoder\.seg_layers\.|^seg_layers\./,
      'umamba-enc': /^decoder\.seg_layers\.|^seg_layers\./,
      nnformer: /^final\.\d\.up\./,
      transbts: /^endconv\./,
      transunet: /^segmentation_head\./,
      unetr: /^out\./,
      'swin-unetr': /^out\./,
    };
    const plan = (dimensions: number) => {
      const arch_kwargs = {
        n_stages: 3,
        features_per_stage: [4, 8, 16],
        kernel_sizes: Array(3).fill(Array(dimensions).fill(3)),
        strides: [Array(dimensions).fill(1), Array(dimensions).fill(2), Array(dimensions).fill(2)],
        n_conv_per_stage: [1, 1, 1],
        n_blocks_per_stage: [1, 1, 1],
        n_conv_per_stage_decoder: [1, 1],
        conv_op: `torch.nn.modules.conv.Conv${dimensions}d`,
        norm_op: `torch.nn.modules.instancenorm.InstanceNorm${dimensions}d`,
        norm_op_kwargs: { eps: 1e-5, affine: true },
        conv_bias: true,
      };
      return { patch_size: Array(dimensions).fill(64), architecture: { arch_kwargs } } as unknown as Configuration;
    };
    const said: Record<string, object> = {
      mednext: { size: 'S', kernel: 3 },
      nnformer: { variant: 'synapse' },
      stunet: { size: 'S' },
    };
    for (const name of networkNames) {
      const build = () => {
        const faults: unknown[] = [];
        for (const dimensions of [3, 2])
          try {
            const spec = { network: name, ...said[name] } as ModelSpec;
            return networkOf(spec, plan(dimensions), { inputChannels: 1, classes: 7, deepSupervision: true }).network.parameters;
          } catch (error) {
            faults.push(error);
          }
        throw faults[0];
      };
      let parameters: ReturnType<typeof build>;
      try {
        parameters = build();
      } catch (error) {
        throw new Error(`${name}: ${(error as Error).message}`);
      }
      assert.ok(
        parameters.some((p) => p.head),
        `${name} has heads`,
      );
      for (const p of parameters)
        assert.equal(
          p.head === true,
          expected[name].test((p.aliasOf ?? p.name).replace(/^(module|U_ResTran3D)\./, '')),
          `${name} ${p.name}`,
        );
    }
  });

  it('from a file: everything but the heads, which stay fresh though their shapes agree', () => {
    const file = trained(mednext(), 'same');
    const { params, record } = start(experiment(mednext(), { weights: file }));
    assert.ok(isHalf(params, 'stem.weight') && !isHalf(params, 'out_0.conv_out.weight'));
    assert.equal(record!.rule, 'everything but the heads');
    assert.equal(count(record, 'fresh'), 0);
    assert.ok(record!.rows.filter((row) => row.outcome === 'skipped').every((row) => /^out_/.test(row.name)));
    assert.match(startText(record!), /\d+ of \d+ tensors taken \(\d+ copied, 0 interpolated\), 10 skipped, 0 left fresh/);
    saveStart(folder, record!);
    assert.deepEqual(readStart(folder), JSON.parse(JSON.stringify(record)));
    tf.dispose(params);
  });

  it('a file that does not fit is refused with every shape, or, when told so, taken as far as it fits', () => {
    const file = trained(mednext(3, 2), 'narrow');
    assert.throws(
      () => start(experiment(mednext(3, 4), { weights: file })),
      (error: VoxelbookError) => {
        assert.match(error.message, /fill 1 of the \d+ tensors[\s\S]*stem\.weight: shape \[2,1,1,1,1\]; expected \[4,1,1,1,1\]/);
        return error.code === 'start-incomplete';
      },
    );
    const { params, record } = start(experiment(mednext(3, 4), { weights: file, partial: true }));
    assert.equal(record!.rule, 'whatever fits but the heads');
    assert.equal(count(record, 'copied'), 1); // dummy_tensor
    assert.ok(count(record, 'fresh') > 100);
    tf.dispose(params);
  });

  it('from a run on the same data set: everything; on another one: the heads stay fresh', () => {
    const file = trained(mednext(), 'before');
    const same = start(experiment(mednext(), { from: experiment(mednext()) }), file);
    assert.ok(isHalf(same.params, 'out_0.conv_out.weight'));
    assert.equal(same.record!.rule, 'everything');
    const other = start(experiment(mednext(), { from: experiment(mednext(), undefined, 'Elsewhere') }), file);
    assert.ok(isHalf(other.params, 'stem.weight') && !isHalf(other.params, 'out_0.conv_out.weight'));
    tf.dispose([same.params, other.params]);
  });

  it('`only` takes all that it names, and nothing else', () => {
    const file = trained(mednext(), 'only');
    const from = experiment(mednext(), undefined, 'Elsewhere');
    const { params, record } = start(experiment(mednext(), { from, only: ['stem.', 'enc_block_0.'] }), file);
    assert.ok(isHalf(params, 'stem.weight') && !isHalf(params, 'bottleneck.0.conv1.weight'));
    assert.equal(record!.rule, 'only');
    tf.dispose(params);
    assert.throws(
      () => start(experiment(mednext(3, 4), { from, only: ['stem.'] }), file),
      /fill 0 of the 2 tensors[\s\S]*stem\.bias/,
    );
  });

  it('UpKern interpolates kernels and copies the rest; heads of another task stay fresh; gaps are refused', () => {
    const file = trained(mednext(3), 'small');
    const own = start(experiment(mednext(5), { upkernFrom: experiment(mednext(3)) }), file);
    assert.equal(own.record!.rule, 'UpKern');
    assert.ok(count(own.record, 'interpolated') > 0 && count(own.record, 'fresh') === 0 && count(own.record, 'skipped') === 0);
    assert.ok(isHalf(own.params, 'out_0.conv_out.weight'));
    const other = start(experiment(mednext(5), { upkernFrom: experiment(mednext(3), undefined, 'Elsewhere') }), file);
    assert.ok(!isHalf(other.params, 'out_0.conv_out.weight') && isHalf(other.params, 'stem.weight'));
    assert.equal(count(other.record, 'skipped'), 10);
    tf.dispose([own.params, other.params]);
    const deeper = { ...mednext(5), blocks: [2, 1, 1, 1, 1, 1, 1, 1, 1] } as ModelSpec;
    assert.throws(
      () => start(experiment(deeper, { upkernFrom: experiment(mednext(3)) }), file),
      /UpKern leaves \d+ tensors[\s\S]*enc_block_0\.1\./,
    );
  });

  it('Swin-UMamba starts from VMamba-Tiny by all its official names, 205 of 212', () => {
    const golden = new URL('../golden/models/swin-umamba/full/vmamba-checkpoint-loading.json', import.meta.url);
    const entries = JSON.parse(fs.readFileSync(golden, 'utf8')).checkpoint_entries as [string, number[]][];
    const file = at('vmamba.safetensors');
    const made = (list: [string, number[]][]) =>
      Object.fromEntries(
        list.map(([name, shape]) => [name, { shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5) }]),
      );
    writeSafetensors(file, made(entries));
    const given = experiment({ network: 'swin-umamba' }, { weights: file });
    const { params, record } = start(given);
    assert.equal(record!.rule, 'VMamba-Tiny');
    assert.equal(count(record, 'copied'), 205);
    assert.equal(count(record, 'unused'), 7);
    assert.ok(
      isHalf(params, 'vssm_encoder.downsamples.0.reduction.weight') && isHalf(params, 'vssm_encoder.patch_embed.norm.bias'),
    );
    assert.ok(!isHalf(params, 'vssm_encoder.patch_embed.norm.weight'));
    tf.dispose(params);
  });

  it('a VMamba file that lacks a block is refused: the whole encoder comes from the file', () => {
    const model: ModelSpec = { network: 'swin-umamba', widths: [8, 12, 24, 48, 96], depths: [1, 1, 2, 1] };
    const { parameters } = networkOf(model, configuration, { inputChannels: 1, classes: 2, deepSupervision: true }).network;
    const entries = parameters
      .filter((p) => p.name.startsWith('vssm_encoder.') && !p.name.includes('layers.2.blocks.1.'))
      .map((p) => [p.name.replace('vssm_encoder.', '').replace(/downsamples\.(\d)/, 'layers.$1.downsample'), p.shape] as const);
    const file = at('short.safetensors');
    const zeros = (shape: readonly number[]) => ({ shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) });
    writeSafetensors(file, Object.fromEntries(entries.map(([name, shape]) => [name, zeros(shape)])));
    assert.throws(
      () => start(experiment(model, { weights: file })),
      /VMamba-Tiny leaves \d+ tensors[\s\S]*vssm_encoder\.layers\.2\.blocks\.1\./,
    );
  });

  it('a start leaves nothing behind but what it returns', () => {
    const file = trained(mednext(), 'leak');
    const before = tf.memory().numTensors;
    const { params } = start(experiment(mednext(5), { upkernFrom: experiment(mednext(3)) }), file);
    tf.dispose(params);
    assert.throws(() => start(experiment(mednext(3, 4), { weights: file })));
    assert.equal(tf.memory().numTensors, before);
  });
});
