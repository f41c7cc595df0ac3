// nnU-Net's prediction: tiles, importance map, sliding window, labels, export, end to end.
import fs from 'node:fs';
import path from 'node:path';
import { readSafetensors, type StoredTensor } from '../../../src/base/safetensors.js';
import { labels } from '../../../src/dataset/labels.js';
import { loadCase } from '../../../src/dataset/loadCase.js';
import { configuration } from '../../../src/plan/configuration.js';
import type { Plan } from '../../../src/plan/plan.js';
import { gaussianMap } from '../../../src/predict/gaussian.js';
import { restore } from '../../../src/predict/restore.js';
import { predictCase } from '../../../src/predict/run.js';
import { probabilities, segmentation } from '../../../src/predict/segmentation.js';
import { type Forward, predictLogits } from '../../../src/predict/slidingWindow.js';
import { padToPatch, tileStarts } from '../../../src/predict/tiles.js';
import { tf } from '../../../src/tensor/tf.js';
import { readVolume } from '../../../src/volume/index.js';
import { keepLargestComponent } from '../../../src/volume/postprocess.js';
import { close, entriesOf, equal, type GoldenCase, type Row, readJson } from '../case.js';
import { channelsFirst, channelsLast } from './layout.js';

export const owns: string[] = [
  'ops/sliding_window_steps',
  'ops/pad_to_patch',
  'ops/gaussian',
  'ops/largest_component',
  'ops/logits_to_segmentation',
  'prediction/sliding_window',
  'prediction/export',
  'prediction/end_to_end',
];

export function cases(root: string): GoldenCase[] {
  const file = (name: string) => path.join(root, 'nnunet', name);
  const tensors = (name: string) => readSafetensors(file(`${name}.safetensors`)).tensors;
  const one = (name: string, run: () => Row[] | Promise<Row[]>): GoldenCase[] =>
    fs.existsSync(file(`${name}.json`)) || fs.existsSync(file(`${name}.safetensors`)) ? [{ name: `nnunet/${name}`, run }] : [];
  return [
    ...one('ops/sliding_window_steps', () =>
      readJson<any[]>(file('ops/sliding_window_steps.json')).map((c, i) =>
        equal(`${i}`, tileStarts(c.image_size, c.tile_size, c.tile_step_size), c.steps),
      ),
    ),
    ...one('ops/pad_to_patch', () =>
      readJson<any[]>(file('ops/pad_to_patch.json')).flatMap((c, i) => {
        const { padded, inside } = padToPatch(c.image_size, c.patch_size);
        return [equal(`${i} padded`, padded, c.padded), equal(`${i} inside`, inside, c.slicer_revert)];
      }),
    ),
    ...one('ops/gaussian', () => Object.entries(tensors('ops/gaussian')).map(([key, stored]) => gaussianRow(key, stored))),
    ...one('ops/largest_component', () => {
      const stored = tensors('ops/largest_component');
      return readJson<any[]>(file('ops/largest_component.json')).flatMap((c) => largestComponent(c, stored));
    }),
    ...one('ops/logits_to_segmentation', () => {
      const stored = tensors('ops/logits_to_segmentation');
      return readJson<any[]>(file('ops/logits_to_segmentation.json')).flatMap((c) => logitsToSegmentation(c, stored));
    }),
    ...one('prediction/export', () => {
      const stored = tensors('prediction/export');
      return readJson<any[]>(file('prediction/export.json')).flatMap((c) => exported(c, stored, file('preprocessing')));
    }),
    ...namesOf(file('prediction/end_to_end')).map((name) => ({
      name: `nnunet/prediction/end_to_end/${name}`,
      run: () => endToEnd(path.join(file('prediction/end_to_end'), name), file('preprocessing')),
    })),
    ...one('prediction/sliding_window', async () => {
      const stored = tensors('prediction/sliding_window');
      const rows: Row[] = [];
      for (const c of readJson<any[]>(file('prediction/sliding_window.json'))) rows.push(...(await slidingWindow(c, stored)));
      return rows;
    }),
  ];
}

function gaussianRow(key: string, stored: StoredTensor): Row {
  const [size, precision, scale] = /^([\dx]+)\.(f16|f32|f64)\.scale([\d.]+)$/.exec(key)!.slice(1);
  const map = gaussianMap(size.split('x').map(Number), {
    scale: Number(scale),
    precision: ({ f16: 'float16', f32: 'float32', f64: 'float64' } as const)[precision],
  });
  const reference = stored.data as Float64Array;
  if (precision === 'f16') return close(key, map, reference, { abs: 0 });
  const relative = (map as Float64Array).reduce(
    (worst, v, i) => Math.max(worst, Math.abs(v - reference[i]) / Math.abs(reference[i])),
    0,
  );
  return { what: key, maxAbs: 0, relative, tolerance: 'rel 1e-12 each', pass: relative <= 1e-12 };
}

/** The golden network: one convolution with padding 1, from PyTorch's kernel `[out, in, …k]`. */
export function convolution(kernel: StoredTensor, bias: StoredTensor): Forward {
  const axes = [...kernel.shape.keys()].slice(2);
  return (x) =>
    tf.tidy(() => {
      const k = tf.transpose(tf.tensor(kernel.data as Float32Array, kernel.shape), [...axes, 1, 0]);
      const y = axes.length === 3 ? tf.conv3d(x as never, k as never, 1, 'same') : tf.conv2d(x as never, k as never, 1, 'same');
      return tf.add(y as tf.Tensor, tf.tensor1d(bias.data as Float32Array));
    });
}

async function slidingWindow(c: any, stored: Record<string, StoredTensor>): Promise<Row[]> {
  const [channels, ...shape] = c.image_shape as number[];
  const networks = Array.from({ length: c.folds }, (_, f) =>
    convolution(stored[`${c.id}.kernel.${f}`], stored[`${c.id}.bias.${f}`]),
  );
  const image = { data: channelsLast(stored[`${c.id}.input`].data as Float32Array, channels), shape, channels };
  const predict = async (precision: 'float16' | 'float32') =>
    channelsFirst(
      await predictLogits(networks, image, {
        patchSize: c.patch_size,
        heads: c.heads,
        stepSize: c.tile_step_size,
        gaussian: c.use_gaussian,
        mirrorAxes: c.use_mirroring ? (c.mirror_axes ?? []) : [],
        precision,
        batchTiles: 1 + (c.id % 3),
      }),
      c.heads,
    );
  const half = await predict('float16');
  const reference = stored[`${c.id}.logits_f16`].data as Float32Array;
  const same = half.reduce((n, v, i) => n + (v === reference[i] ? 1 : 0), 0) / half.length;
  const row = close(`${c.id} float16`, half, reference, { abs: 1e-3 });
  const single = stored[`${c.id}.logits_f32_accumulators`]?.data as Float32Array | undefined;
  return [
    {
      ...row,
      tolerance: '99.8 % bit-equal, abs 1e-3',
      pass: row.pass && same >= 0.998,
      note: `${(same * 100).toFixed(3)} % bit-equal`,
    },
    ...(single ? [close(`${c.id} float32`, await predict('float32'), single, { abs: 1e-5 })] : []),
  ];
}

function largestComponent(c: any, stored: Record<string, StoredTensor>): Row[] {
  const input = stored[`${c.id}.in`];
  const labels = input.data as Uint8Array;
  const which = c.labels_or_regions;
  const out = keepLargestComponent(labels, input.shape, which.label ?? which.list ?? [which.region]);
  const changed = out.reduce((n, v, i) => n + (v !== labels[i] ? 1 : 0), 0);
  return [
    close(`${c.id} labels`, out, stored[`${c.id}.out`].data as Uint8Array, { abs: 0 }),
    equal(`${c.id} changed`, changed, c.changed_voxels),
  ];
}

function logitsToSegmentation(c: any, stored: Record<string, StoredTensor>): Row[] {
  const heads = labels({ labels: c.labels, regions_class_order: c.regions_class_order ?? undefined });
  const reference = (name: string) => stored[`${c.id}.${name}`].data as Float32Array;
  const shape = stored[`${c.id}.logits`].shape.slice(1);
  const logits = channelsLast(reference('logits'), heads.heads);
  const p = probabilities(logits, heads);
  const unit = [1, 1, 1];
  const restored = restore(
    logits,
    shape,
    {
      spacing: unit,
      shape_before_cropping: c.original_shape,
      bbox_used_for_cropping: c.bbox,
      shape_after_cropping_and_before_resampling: shape,
    },
    {
      plan: { transpose_forward: [0, 1, 2], transpose_backward: [0, 1, 2] },
      configuration: { spacing: unit },
      heads,
      keepProbabilities: true,
    },
  );
  return [
    close(`${c.id} probabilities`, channelsFirst(p, heads.heads), reference('probabilities'), { abs: 1e-6 }),
    close(`${c.id} labels`, segmentation(logits, heads), reference('seg_from_logits'), { abs: 0 }),
    close(`${c.id} labels of probabilities`, segmentation(p, heads, 'probabilities'), reference('seg_from_probabilities'), {
      abs: 0,
    }),
    close(`${c.id} uncropped`, channelsFirst(restored.probabilities!, heads.heads), reference('probabilities_uncropped'), {
      abs: 1e-6,
    }),
  ];
}

function exported(c: any, stored: Record<string, StoredTensor>, preprocessing: string): Row[] {
  const folder = path.join(preprocessing, c.dataset);
  const plan = readJson<Plan>(path.join(folder, 'nnUNetPlans.json'));
  const heads = labels(readJson(path.join(folder, 'raw', 'dataset.json')));
  const geometry = readJson(path.join(folder, 'preprocessed', c.configuration, `${c.case}.json`));
  const logits = stored[`${c.id}.logits`];
  const [channels, ...shape] = logits.shape;
  const values = channelsLast(logits.data as Float32Array, channels);
  const settings = {
    plan,
    configuration: configuration(plan, c.configuration),
    heads,
    precision: c.logits_dtype === 'float16' ? ('float16' as const) : ('float32' as const),
  };
  const plain = restore(values, shape, geometry, settings);
  const full = restore(values, shape, geometry, { ...settings, keepProbabilities: true });
  const reference = (name: string) => stored[`${c.id}.${name}`].data as Float32Array;
  return [
    close(`${c.id} labels`, plain.labels, reference('segmentation'), { abs: 0 }),
    equal(`${c.id} shape`, plain.shape, stored[`${c.id}.segmentation`].shape),
    close(`${c.id} labels of probabilities`, full.labels, reference('segmentation_via_probabilities'), { abs: 0 }),
    close(`${c.id} probabilities`, channelsFirst(full.probabilities!, channels), reference('probabilities'), { abs: 1e-3 }),
    equal(`${c.id} type`, plain.labels instanceof Uint8Array ? 'uint8' : 'uint16', c.out_dtype),
  ];
}

const namesOf = (folder: string) => (fs.existsSync(folder) ? entriesOf(folder) : []);

async function endToEnd(folder: string, preprocessing: string): Promise<Row[]> {
  const c = readJson(path.join(folder, 'config.json'));
  const data = path.join(preprocessing, c.dataset);
  const {
    kernel,
    bias,
    probabilities: reference,
  } = readSafetensors(path.join(folder, 'net_and_probabilities.safetensors')).tensors;
  const dataset = readJson(path.join(data, 'raw', 'dataset.json'));
  const images = c.images.map((name: string) => path.join(data, 'raw', 'imagesTr', name));
  const restored = await predictCase(
    {
      forwards: [convolution(kernel, bias)],
      plan: readJson(path.join(data, 'nnUNetPlans.json')),
      configuration: c.configuration,
      dataset,
      settings: { stepSize: c.tile_step_size, gaussian: c.use_gaussian, mirrorAxes: c.mirror_axes ?? [], average: 'logits' },
      patchSize: c.patch_size,
      precision: 'float16',
    },
    loadCase({ id: c.case, images }),
    { keepProbabilities: true },
  );
  const stored = readVolume(path.join(folder, c.case + dataset.file_ending));
  const different =
    (restored.labels as Uint8Array).reduce((n, v, i) => n + (v !== stored.data[i] ? 1 : 0), 0) / stored.data.length;
  return [
    { what: 'labels that differ', maxAbs: different, relative: different, tolerance: '0.1 %', pass: different <= 1e-3 },
    equal('shape', restored.shape, stored.shape),
    close('probabilities', channelsFirst(restored.probabilities!, reference.shape[0]), reference.data as Float32Array, {
      abs: 1e-3,
    }),
  ];
}
