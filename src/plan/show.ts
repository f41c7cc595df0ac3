// Fingerprints and plans as tables, in a notebook and on a terminal. The objects stay plain JSON.
import { product } from '../base/shape.js';
import { displayed, type Shown, shown, shownTable } from '../base/show.js';
import { configuration } from './configuration.js';
import { normalisationEntry } from './normalisations.js';
import { columns, median } from './numbers.js';
import type { Fingerprint, Plan } from './plan.js';

const short = (x: number) => String(+x.toPrecision(5));
const by = (list: readonly number[]) => list.map(short).join(' × ');

/** A plan as a table that a notebook cell displays. */
export const show = (plan: Plan): Shown => shown(planTable(plan));

/** Gives a plan its display. */
export const displayPlan = (plan: Plan): Plan =>
  displayed(
    plan,
    lazy(() => planTable(plan)),
  );
/** Gives a fingerprint its display. */
export const displayFingerprint = (fingerprint: Fingerprint): Fingerprint =>
  displayed(
    fingerprint,
    lazy(() => fingerprintTable(fingerprint)),
  );

/** Tables are made when somebody looks. */
function lazy(make: () => Shown): Shown {
  let made: Shown | undefined;
  return {
    get text() {
      made ??= make();
      return made.text;
    },
    get html() {
      made ??= make();
      return made.html;
    },
  };
}

function planTable(plan: Plan): Shown {
  const names = Object.keys(plan.configurations);
  const all = names.map((name) => configuration(plan, name));
  const row = (what: string, value: (c: (typeof all)[number], i: number) => unknown) => [what, ...all.map(value)];
  const stages = (c: (typeof all)[number]) => c.architecture.arch_kwargs as { n_stages?: number; strides?: number[][] };
  const rows = [
    row('spacing, mm', (c) => by(c.spacing)),
    row('median size, voxels', (c) => by(c.median_image_size_in_voxels)),
    row('patch, voxels', (c) => by(c.patch_size)),
    row('batch', (c) => c.batch_size),
    row('stages', (c) => stages(c).n_stages ?? ''),
    row('pooling per axis', (c) => (stages(c).strides ? by(columns(stages(c).strides!).map((s) => Math.log2(product(s)))) : '')),
    row('network', (c) => c.architecture.network_class_name.split('.').at(-1)),
    row('normalisation', (c) => [...new Set(c.normalization_schemes.map((entry) => normalisationEntry(entry).kind))].join(', ')),
    row('batch Dice', (c) => (c.batch_dice ? 'yes' : 'no')),
  ];
  const order = plan.transpose_forward.join(' ');
  return shownTable(
    `${plan.dataset_name}: ${plan.plans_name} (${plan.experiment_planner_used}), axes ${order}`,
    ['', ...names],
    rows,
  );
}

function fingerprintTable(fingerprint: Fingerprint): Shown {
  const { spacings, shapes_after_crop: shapes, foreground_intensity_properties_per_channel: channels } = fingerprint;
  const range = (list: number[]) => `${short(Math.min(...list))} – ${short(Math.max(...list))}`;
  const caption = `${spacings.length} cases, cropping keeps ${short(100 * fingerprint.median_relative_size_after_cropping)} % (median)`;
  const axes = shownTable(
    caption,
    ['axis', 'median spacing, mm', 'range, mm', 'median size, voxels', 'range, voxels'],
    columns(spacings).map((s, i) => [
      i,
      short(median(s)),
      range(s),
      short(median(columns(shapes)[i])),
      range(columns(shapes)[i]),
    ]),
  );
  const intensities = shownTable(
    'intensities of foreground voxels',
    ['channel', 'mean', 'sd', 'median', '0.5 %', '99.5 %', 'min', 'max'],
    Object.entries(channels).map(([c, s]) => [
      c,
      ...[s.mean, s.std, s.median, s.percentile_00_5, s.percentile_99_5, s.min, s.max].map(short),
    ]),
  );
  return { text: `${axes.text}\n\n${intensities.text}`, html: axes.html + intensities.html };
}
