// nnunet/ops: the rules from files to arrays, one by one.
import path from 'node:path';
import { NumpyRandom } from '../../../src/base/numpy/mt19937.js';
import { readSafetensors } from '../../../src/base/safetensors.js';
import { labels, split, splits } from '../../../src/dataset/index.js';
import { featureMapEstimate, topology } from '../../../src/plan/index.js';
import { normalize } from '../../../src/preprocess/index.js';
import { resample, separateAxis } from '../../../src/volume/index.js';
import { close, equal, type GoldenCase, namesIn, type Row, readJson } from '../case.js';

const checks: Record<string, (file: string) => Row[]> = {
  topology: topologyRows,
  vram_estimate: estimateRows,
  rng_mt19937: randomRows,
  splits: splitRows,
  label_manager: labelRows,
  normalization: normalizationRows,
  resampling: resamplingRows,
};

export const owns = Object.keys(checks).map((name) => `ops/${name}`);

export const cases = (root: string): GoldenCase[] =>
  namesIn(root, 'nnunet/ops', '.json')
    .filter((name) => name in checks)
    .map((name) => ({ name: `nnunet/ops/${name}`, run: () => checks[name](path.join(root, 'nnunet/ops', name)) }));

function topologyRows(file: string): Row[] {
  return readJson<any[]>(`${file}.json`).map((c, i) => {
    const t = topology(c.spacing, c.patch_size, c.min_feature_map_size, c.max_numpool);
    const reference = [
      c.num_pool_per_axis,
      c.pool_op_kernel_sizes,
      c.conv_kernel_sizes,
      c.padded_patch_size,
      c.shape_must_be_divisible_by,
    ];
    return equal(`${i}`, [t.poolsPerAxis, t.strides, t.kernels, t.patch, t.divisor], reference);
  });
}

function estimateRows(file: string): Row[] {
  return readJson<any[]>(`${file}.json`).map((c, i) =>
    equal(`${i}`, featureMapEstimate(c, c.patch_size, c.output_channels), c.estimate),
  );
}

function randomRows(file: string): Row[] {
  return readJson<any[]>(`${file}.json`).flatMap((c) => {
    const fresh = () => new NumpyRandom(c.seed);
    const times = <T>(n: number, make: () => T) => Array.from({ length: n }, make);
    const streams: Record<string, (n: number) => number[]> = {
      raw_uint32: (n) =>
        times(
          n,
          drawer((r) => r.bits()),
        ),
      tomaxint_like_bytes: (n) =>
        bytesOf(
          times(
            Math.ceil(n / 4),
            drawer((r) => r.bits()),
          ),
        ).slice(0, n),
      random_sample: (n) =>
        times(
          n,
          drawer((r) => r.random()),
        ),
      standard_normal: (n) =>
        times(
          n,
          drawer((r) => r.normal()),
        ),
    };
    function drawer(draw: (r: NumpyRandom) => number) {
      const r = fresh();
      return () => draw(r);
    }
    return Object.entries(c as Record<string, number[]>)
      .filter(([name]) => name !== 'seed')
      .map(([name, reference]) => {
        const ours = streams[name]?.(reference.length) ?? parametrised(name, reference.length, fresh());
        const what = `seed ${c.seed} ${name}`;
        return name === 'standard_normal' ? close(what, ours, reference, { abs: 1e-14 }) : equal(what, ours, reference);
      });
  });
}

/** `randint_0_1000`, `choice_7_replace`, `permutation_33`, …: the arguments stand in the name. */
function parametrised(name: string, n: number, r: NumpyRandom): number[] {
  const numbers = [...name.matchAll(/(?<=_)-?\d+(?:\.\d+)?/g)].map(Number);
  if (name.startsWith('randint')) return Array.from({ length: n }, () => r.randint(numbers[0], numbers[1]));
  if (/^choice_\d+_replace/.test(name)) return Array.from({ length: n }, () => r.choice(numbers[0]));
  if (/^choice_\d+_noreplace/.test(name)) return [...r.permutation(numbers[0]).subarray(0, numbers[1])];
  if (name.startsWith('permutation')) return [...r.permutation(numbers[0])];
  if (name.startsWith('shuffle')) return [...r.permutation(numbers[0])];
  if (name.startsWith('uniform')) return Array.from({ length: n }, () => r.uniform(numbers[0], numbers[1]));
  throw new Error(`no rule for ${name}`);
}

const bytesOf = (words: number[]) => words.flatMap((w) => [w & 255, (w >>> 8) & 255, (w >>> 16) & 255, w >>> 24]);

function splitRows(file: string): Row[] {
  return readJson<any[]>(`${file}.json`).flatMap((c) => [
    equal(`${c.name} splits_final`, splits(c.identifiers_unsorted), c.splits_final),
    ...Object.entries(c.random_80_20 ?? {}).map(([fold, reference]) =>
      equal(`${c.name} fold ${fold}`, split(c.identifiers_unsorted, Number(fold)), reference),
    ),
  ]);
}

function labelRows(file: string): Row[] {
  return readJson<any[]>(`${file}.json`).map((c, i) => {
    const ours = labels({ labels: c.labels, regions_class_order: c.regions_class_order ?? undefined });
    const mine = [ours.hasRegions, ours.ignoreLabel, ours.all, ours.foreground, ours.regions, ours.heads];
    return equal(`${i}`, mine, [
      c.has_regions,
      c.ignore_label,
      c.all_labels,
      c.foreground_labels,
      c.foreground_regions,
      c.num_segmentation_heads,
    ]);
  });
}

function normalizationRows(file: string): Row[] {
  const { tensors } = readSafetensors(`${file}.safetensors`);
  return readJson<any[]>(`${file}.json`).map((c) => {
    const ours = Float32Array.from(tensors[`${c.key}.in`].data as Float32Array);
    const seg = (tensors[`${c.key}.seg`] ?? tensors.seg)?.data as Float32Array | undefined;
    normalize(ours, c.scheme, { statistics: c.intensityproperties, useMask: c.use_mask_for_norm, seg });
    return close(c.key, ours, tensors[`${c.key}.out`].data as Float32Array, { abs: 1e-6 });
  });
}

function resamplingRows(file: string): Row[] {
  const { tensors } = readSafetensors(`${file}.safetensors`);
  return readJson<any[]>(`${file}.json`).flatMap((c) => {
    const input = tensors[`${c.id}.in`];
    const reference = tensors[`${c.id}.out`];
    const [channels, ...shape] = input.shape;
    const rule = { current: c.current_spacing, wanted: c.new_spacing, forceSeparate: c.force_separate_z };
    const axis = separateAxis(rule.current, rule.wanted, rule.forceSeparate);
    const rows = [equal(`${c.id} axis`, [axis !== null, axis], [c.do_separate_z, c.axis])];
    const voxels = shape[0] * shape[1] * shape[2];
    const kind = c.is_seg ? 'labels' : 'values';
    const ours: number[] = [];
    for (let k = 0; k < channels; k++) {
      const whole = c.is_seg ? Int16Array.from(input.data as Int8Array) : Float32Array.from(input.data as Float32Array);
      const channel = whole.subarray(k * voxels, (k + 1) * voxels) as Float32Array;
      const out = resample({ data: channel, shape: shape as [number, number, number] }, c.new_shape, {
        kind,
        order: c.order,
        orderZ: c.order_z,
        axis,
      });
      for (const v of out) ours.push(v);
    }
    const out = reference.data as Float32Array;
    const largest = out.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
    rows.push(
      c.is_seg
        ? { ...close(`${c.id}`, ours, out, { abs: 0 }), tolerance: 'equal' }
        : close(`${c.id}`, ours, out, { abs: 1e-6 * largest }),
    );
    return rows;
  });
}
