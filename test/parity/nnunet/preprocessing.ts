// nnunet/preprocessing: raw files → fingerprint → plan → arrays, each against what nnU-Net stored.
import fs from 'node:fs';
import path from 'node:path';
import { NumpyRandom } from '../../../src/base/numpy/mt19937.js';
import { readSafetensors } from '../../../src/base/safetensors.js';
import { type CaseFiles, type Dataset, labels, loadCase, open } from '../../../src/dataset/index.js';
import {
  caseFingerprint,
  type Fingerprint,
  joinFingerprints,
  type Plan,
  type PlannerName,
  plan,
  statistics,
} from '../../../src/plan/index.js';
import { locationKey, type PreprocessedCase, preprocessCase } from '../../../src/preprocess/index.js';
import { close, entriesOf, equal, type GoldenCase, namesIn, type Row, readJson, unknownCase } from '../case.js';

export const owns = ['preprocessing'];

export function cases(root: string): GoldenCase[] {
  const base = path.join(root, 'nnunet/preprocessing');
  if (!fs.existsSync(base)) return [];
  return entriesOf(base).flatMap((entry): GoldenCase[] => {
    const name = `nnunet/preprocessing/${entry}`;
    if (fs.statSync(path.join(base, entry)).isDirectory()) return datasetCases(path.join(base, entry), name);
    if (entry === 'collect_foreground_intensities.json')
      return [{ name: name.replace(/\.json$/, ''), run: () => intensityRows(base) }];
    return entry === 'collect_foreground_intensities.safetensors' ? [] : [unknownCase(name, 'no check for this file')];
  });
}

/** `dataset_fingerprint.json` of nnU-Net's 1e8 draws, `dataset_fingerprint_30k.json` of 30 000. */
function drawsOf(file: string): number | undefined {
  const found = /^dataset_fingerprint(?:_(\d+)(k|m|))?\.json$/.exec(file);
  if (!found) return undefined;
  return found[1] ? Number(found[1]) * { k: 1e3, m: 1e6, '': 1 }[found[2] as 'k'] : 1e8;
}

function datasetCases(folder: string, name: string): GoldenCase[] {
  const found: GoldenCase[] = [];
  for (const entry of entriesOf(folder)) {
    const draws = drawsOf(entry);
    const stem = `${name}/${entry.replace(/\.json$/, '')}`;
    if (draws) found.push({ name: stem, run: () => fingerprintRows(folder, entry, draws) });
    else if (entry.endsWith('Plans.json')) found.push({ name: stem, run: () => planRows(folder, entry) });
    else if (entry !== 'raw' && entry !== 'preprocessed') found.push(unknownCase(`${name}/${entry}`, 'no check for this file'));
  }
  const done = path.join(folder, 'preprocessed');
  for (const config of fs.existsSync(done) ? entriesOf(done) : [])
    for (const id of namesIn(done, config, '.json'))
      found.push({ name: `${name}/${config}/${id}`, run: () => caseRows(folder, config, id) });
  return found;
}

const opened = (folder: string): Dataset => ({ ...open(path.join(folder, 'raw')), name: path.basename(folder) });

function fingerprintRows(folder: string, file: string, draws: number): Row[] {
  const dataset = opened(folder);
  const drawsPerCase = Math.floor(draws / dataset.cases.length);
  const parts = dataset.cases.map((files) => caseFingerprint({ id: files.id, files, drawsPerCase }));
  const ours = joinFingerprints(parts, Object.keys(dataset.json.channel_names).length);
  const reference = readJson<Fingerprint>(path.join(folder, file));
  const rows = [
    equal('spacings', ours.spacings, reference.spacings),
    equal('shapes_after_crop', ours.shapes_after_crop, reference.shapes_after_crop),
    equal('median_relative_size', ours.median_relative_size_after_cropping, reference.median_relative_size_after_cropping),
  ];
  for (const [c, stored] of Object.entries(reference.foreground_intensity_properties_per_channel))
    rows.push(...statisticsRows(c, ours.foreground_intensity_properties_per_channel[c], stored));
  return rows;
}

function statisticsRows(channel: string, ours: object, stored: object): Row[] {
  const mine = ours as Record<string, number>;
  return Object.entries(stored as Record<string, number>).map(([key, value]) =>
    key === 'mean' || key === 'std'
      ? close(`channel ${channel} ${key}`, [mine[key]], [value], { rel: 1e-6 })
      : equal(`channel ${channel} ${key}`, mine[key], value),
  );
}

function planRows(folder: string, file: string): Row[] {
  const dataset = opened(folder);
  const reference = readJson<Plan>(path.join(folder, file));
  const [made] = entriesOf(folder).filter(drawsOf);
  const fingerprint = readJson<Fingerprint>(path.join(folder, made));
  const planner = reference.experiment_planner_used as PlannerName;
  return [equal(path.parse(file).name, plan(dataset, fingerprint, { planner, existing: reference }), reference)];
}

function caseRows(folder: string, config: string, id: string): Row[] {
  const dataset = opened(folder);
  const plans = readJson<Plan>(path.join(folder, 'nnUNetPlans.json'));
  const files = dataset.cases.find((c) => c.id === id)!;
  const stored = path.join(folder, 'preprocessed', config, id);
  const properties = readJson(`${stored}.json`);
  const { tensors } = readSafetensors(`${stored}.safetensors`);
  const ours = preprocessCase(loadCase(files), plans, config, labels(dataset.json));
  const seg = (which: string) => Int16Array.from(tensors[which].data as Int8Array);
  const planar = channelsFirst(ours);
  const bound = Object.values(dataset.json.channel_names).every((channel) => channel.toLowerCase() === 'ct') ? 0 : 2e-6;
  const rows = [
    equal('shape', [ours.channels, ...ours.shape], tensors.data.shape),
    close('data', planar, tensors.data.data as Float32Array, { abs: bound }),
    close('seg', ours.seg, seg('seg'), { abs: 0 }),
    ...propertyRows(ours, properties),
    ...locationRows(ours, properties, tensors),
  ];
  if (tensors.seg_without_label) {
    const alone: CaseFiles = { id, images: files.images };
    rows.push(
      close('seg without label', preprocessCase(loadCase(alone), plans, config).seg, seg('seg_without_label'), { abs: 0 }),
    );
  }
  return rows;
}

function channelsFirst({ data, channels }: PreprocessedCase): Float32Array {
  const voxels = data.length / channels;
  return Float32Array.from(data, (_, i) => data[(i % voxels) * channels + Math.floor(i / voxels)]);
}

function propertyRows({ properties }: PreprocessedCase, stored: any): Row[] {
  const keys = [
    'spacing',
    'shape_before_cropping',
    'bbox_used_for_cropping',
    'shape_after_cropping_and_before_resampling',
  ] as const;
  const rows = keys.filter((key) => key in stored).map((key) => equal(key, properties[key], stored[key]));
  // SimpleITK speaks LPS: the first two world axes point the other way.
  const sitk = stored.sitk_stuff;
  if (sitk?.direction?.length === 9) {
    const lps = (list: readonly number[], perRow: number) => list.map((v, i) => (i < 2 * perRow ? -v : v));
    rows.push(close('origin', lps(properties.originMm, 1), sitk.origin, { abs: 1e-5 }));
    rows.push(close('direction', lps(properties.direction, 3), sitk.direction, { abs: 1e-6 }));
  }
  return rows;
}

function locationRows(
  { classLocations }: PreprocessedCase,
  stored: any,
  tensors: Record<string, { data: ArrayLike<unknown> }>,
): Row[] {
  const index: { key: string; class_or_region: number | number[]; n: number }[] = stored.class_locations_index;
  const mine = [...classLocations].map(([key, places]) => [key, places.length / 3]);
  const rows = [
    equal(
      'class locations',
      mine,
      index.map((e) => [locationKey(e.class_or_region), e.n]),
    ),
  ];
  for (const { key, class_or_region, n } of index.filter((e) => e.n > 0)) {
    const ours = classLocations.get(locationKey(class_or_region))!;
    const reference = tensors[key].data as Int16Array;
    // Stored with a leading channel index, always 0.
    const places = Int32Array.from({ length: 3 * n }, (_, i) => reference[4 * Math.floor(i / 3) + 1 + (i % 3)]);
    rows.push(close(key, ours, places, { abs: 0 }));
  }
  return rows;
}

function intensityRows(base: string): Row[] {
  const { seed, num_samples: draws, stats } = readJson(path.join(base, 'collect_foreground_intensities.json'));
  const { tensors } = readSafetensors(path.join(base, 'collect_foreground_intensities.safetensors'));
  const images = tensors.images.data as Float32Array;
  const seg = tensors.seg.data as Float32Array;
  const random = new NumpyRandom(seed);
  return stats.flatMap((stored: Record<string, number>, c: number) => {
    const values = images.subarray(c * seg.length, (c + 1) * seg.length).filter((_, i) => seg[i] > 0);
    const drawn = Float32Array.from({ length: draws }, () => values[random.choice(values.length)]);
    // The statistics of one case are over all its foreground, not over the draws.
    const ours = statistics([{ values }]);
    return [
      close(`channel ${c} intensities`, drawn, tensors[`intensities.${c}`].data as Float32Array, { abs: 0 }),
      ...statisticsRows(String(c), ours, stored),
    ];
  });
}
