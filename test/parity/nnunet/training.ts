// nnunet/: what belongs to training — losses, online evaluation, schedules, oversampling, places of patches.
import path from 'node:path';
import { NumpyRandom } from '../../../src/base/numpy/mt19937.js';
import { readSafetensors } from '../../../src/base/safetensors.js';
import { tf } from '../../../src/tensor/tf.js';
import {
  addCounts,
  dcAndBce,
  dcAndCe,
  deepSupervision,
  deepSupervisionScales,
  deepSupervisionWeights,
  ema,
  hardCounts,
  isForced,
  locationsOf,
  patchPlace,
  poly,
  pseudoDice,
} from '../../../src/train/index.js';
import { close, equal, type GoldenCase, namesIn, type Row, readJson } from '../case.js';
import { channelsLast, valueAndGradients } from '../losses.js';

const checks: Record<string, (file: string) => Row[]> = {
  'ops/poly_lr': polyRows,
  'ops/ema_pseudo_dice': emaRows,
  'ops/deep_supervision': deepSupervisionRows,
  'ops/oversampling': oversamplingRows,
  'ops/bbox_sampling': boxRows,
  'training/losses': lossRows,
  'training/validation_step': validationRows,
};

export const owns = Object.keys(checks);

export const cases = (root: string): GoldenCase[] =>
  owns.flatMap((name) => {
    const [folder, file] = name.split('/');
    if (!namesIn(root, `nnunet/${folder}`, '.json').includes(file)) return [];
    return [{ name: `nnunet/${name}`, run: () => checks[name](path.join(root, 'nnunet', name)) }];
  });

function polyRows(file: string): Row[] {
  return readJson<any[]>(`${file}.json`).map((c, i) => {
    const ours = c.epochs.map((e: number) => poly(c.initial_lr, e, c.num_epochs, c.exponent));
    return close(`${i}`, ours, c.lr, { rel: 1e-12 });
  });
}

function emaRows(file: string): Row[] {
  return readJson<any[]>(`${file}.json`).map((c, i) => {
    let value: number | null = null;
    const ours = c.mean_fg_dice.map((mean: number) => {
      value = ema(value, mean);
      return value;
    });
    return close(`${i}`, ours, c.ema_fg_dice, { rel: 1e-12 });
  });
}

function deepSupervisionRows(file: string): Row[] {
  return readJson<any[]>(`${file}.json`).flatMap((c, i) => {
    const scales = deepSupervisionScales(c.strides);
    return [
      close(`${i} scales`, scales.flat(), c.scales.flat(), { rel: 1e-12 }),
      weightRow(`${i} weights`, deepSupervisionWeights('nnunet', scales.length), c.weights),
    ];
  });
}

/** A network of two stages has one output, whose weight nnU-Net computes as 0/0; ours keeps weight 1. */
function weightRow(what: string, ours: number[], reference: number[]): Row {
  if (reference.length === 1 && Number.isNaN(reference[0])) return equal(`${what} (nnU-Net: 0/0)`, ours, [1]);
  return close(what, ours, reference, { rel: 1e-12 });
}

function oversamplingRows(file: string): Row[] {
  return readJson<any[]>(`${file}.json`).map((c, i) => {
    const ours = c.forced.map((_: boolean, j: number) => isForced(j, c.batch_size, c.oversample_foreground_percent));
    return equal(`${i}`, ours, c.forced);
  });
}

function boxRows(file: string): Row[] {
  return readJson<any[]>(`${file}.json`).map((c, i) => {
    const numpy = new NumpyRandom(c.seed);
    const draws = { int: (low: number, high: number) => numpy.randint(low, high) };
    // 2-D patches act as one slice thick.
    const flat = (patch: number[]) => (patch.length === 2 ? [1, ...patch] : patch);
    const locations = new Map<string, Int32Array>(
      c.locs.map(([key, voxels]: [unknown, number[][]]) => [
        JSON.stringify(key),
        Int32Array.from(voxels.flatMap((v) => v.slice(1))),
      ]),
    );
    const annotatedKey = c.has_ignore ? [...locations.keys()].find((key) => key.startsWith('[-1,')) : undefined;
    const patch = flat(c.initial_patch);
    const ours = c.calls.map((call: any) => {
      const lbs = patchPlace(draws, {
        shape: c.data_shape,
        patch,
        finalPatch: flat(c.patch),
        forced: call.force_fg,
        locations: locationsOf(locations),
        annotatedKey,
      });
      return { force_fg: call.force_fg, lbs, ubs: lbs.map((l, axis) => l + patch[axis]) };
    });
    return equal(`${i} seed ${c.seed}`, ours, c.calls);
  });
}

function lossRows(file: string): Row[] {
  const { tensors } = readSafetensors(`${file}.safetensors`);
  return readJson<any[]>(`${file}.json`).flatMap((c) => {
    const outputs = Object.keys(tensors).filter((k) => k.startsWith(`${c.id}.logits.`)).length;
    const each = (what: string) => Array.from({ length: outputs }, (_, i) => tensors[`${c.id}.${what}.${i}`]);
    const regions = c.loss.includes('DC_and_BCE');
    const options = { batchDice: c.batch_dice, smooth: 1e-5, variant: 'nnunetv2' } as const;
    const single = (logits: tf.Tensor, target: tf.Tensor) =>
      regions
        ? dcAndBce(logits, tf.cast(target, 'float32'), { ...options, background: true, ignore: c.use_ignore_label })
        : dcAndCe(logits, tf.squeeze(target, [target.rank - 1]), {
            ...options,
            background: false,
            ignoreLabel: c.ignore_label ?? undefined,
          });
    const rows = valueAndGradients(
      (logits, targets) => deepSupervision(single, logits, targets, c.weights ?? [1]),
      each('logits').map(channelsLast),
      each('target').map(channelsLast),
      c.value,
      each('grad'),
    );
    return rows.map((row) => ({ ...row, what: `${c.id} ${c.loss} ${row.what}` }));
  });
}

function validationRows(file: string): Row[] {
  const { tensors } = readSafetensors(`${file}.safetensors`);
  return readJson<any[]>(`${file}.json`).flatMap((c) => {
    const regions = c.regions_class_order !== null;
    const logits = channelsLast(tensors[`${c.id}.logits`]);
    const stored = channelsLast(tensors[`${c.id}.target`]);
    const target = regions ? tf.cast(stored, 'float32') : tf.squeeze(stored, [stored.rank - 1]);
    const ignore = regions ? c.labels.ignore !== undefined : c.labels.ignore;
    const counts = hardCounts(logits, target, regions ? 'regions' : 'labels', ignore);
    const dice = pseudoDice(addCounts(counts, counts));
    return [
      equal(`${c.id} tp`, counts.tp, c.tp_hard),
      equal(`${c.id} fp`, counts.fp, c.fp_hard),
      equal(`${c.id} fn`, counts.fn, c.fn_hard),
      close(`${c.id} Dice per class`, dice.perClass, c.dice_per_class_two_equal_batches, { abs: 1e-6 }),
      close(`${c.id} mean Dice`, [dice.mean], [c.mean_fg_dice], { abs: 1e-6 }),
    ];
  });
}
