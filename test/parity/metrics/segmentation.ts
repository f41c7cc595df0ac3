// segmentation.json: mask pairs with the values of the recommended definitions and of every peer.
import { boundaryDistances, cutMasks, type MetricName, surfelDistances, volume } from '../../../src/score/index.js';
import { quantile } from '../../../src/score/quantile.js';
import { assd, averageByArea, directedMeanNsd, hausdorff, nsd, overlaps, type Surfaces } from '../../../src/score/surface.js';
import { equal, type GoldenCase, type Row } from '../case.js';
import { golden, isError, labelMap, leftOver, one, unpack } from './common.js';

const metrics: MetricName[] = [
  'dsc',
  'iou',
  'sensitivity',
  'specificity',
  'precision',
  'nsd',
  'hd',
  'hd95',
  'assd',
  'masd',
  'tp',
  'fp',
  'fn',
  'tn',
  'worstDistanceMm',
];
const single = 1e-5;

export function segmentationCases(content: any, name: string): GoldenCase[] {
  return content.cases.map((c: any) => golden(`${name}/${c.name}`, () => check(c, unpack(c.ref), unpack(c.pred))));
}

/** Rows for one pair of masks; also used for the regions of multiclass.json. */
export function check(c: any, ref: Uint8Array, pred: Uint8Array): Row[] {
  const [reference, prediction] = [labelMap(ref, c.shape, c.spacing), labelMap(pred, c.shape, c.spacing)];
  const oneSlice = c.shape.length === 3 ? 'volume' : 'contour';
  const scores = (definition: 'default' | 'deepmind' | 'voxel' | 'medpy' | 'nnunet-v1', tolerance = 1) =>
    volume(reference, prediction, { classes: { mask: 1 }, metrics, definition, nsdToleranceMm: tolerance, oneSlice }).mask as any;
  const ours = scores('default');
  const tolerances = Object.keys(c.recommended.nsd);
  const rows: Row[] = [];
  const all = (what: string, mine: Record<string, number>, e: any, bound?: number, skip: string[] = []) => {
    for (const [key, value] of Object.entries(mine))
      if (e[key] !== undefined && !isError(e[key])) rows.push(one(`${what}: ${key}`, value, e[key], bound));
    const nested = ['nsd', 'nsd_voxel', 'nsd_subvoxel', 'overlap_ref', 'overlap_pred', 'filled'];
    rows.push(...leftOver(what, e, [...Object.keys(mine), ...nested, ...skip]).filter((row) => !errorsIn(e, row.what)));
  };

  // The recommended definitions, raw and filled.
  const { planar, spacing } = { planar: c.shape.length === 2, spacing: reference.spacingMm };
  const pair = cutMasks(ref, pred, reference.shape, planar);
  const empty = { reference: new Float64Array(0), prediction: new Float64Array(0) };
  const byVoxel: Surfaces = pair ? boundaryDistances(pair, spacing) : empty;
  const bySurfel: Surfaces = pair
    ? surfelDistances(pair, spacing)
    : { ...empty, referenceArea: new Float64Array(0), predictionArea: new Float64Array(0) };
  const r = c.recommended;
  all(
    'recommended',
    {
      ...pick(ours),
      hd95_pooled: scores('medpy').hd95,
      n_boundary_ref: byVoxel.reference.length,
      n_boundary_pred: byVoxel.prediction.length,
    },
    r,
  );
  for (const t of tolerances) {
    rows.push(one(`recommended: nsd ${t}`, scores('default', Number(t)).nsd, r.nsd[t]));
    rows.push(one(`recommended: nsd_voxel ${t}`, scores('voxel', Number(t)).nsd, r.nsd_voxel[t]));
  }
  rows.push(...filled(ours, r, tolerances, (t) => [scores('default', t).nsd, scores('voxel', t).nsd]));

  const d = c.deepmind ?? c.expected?.deepmind;
  if (d) rows.push(...deepmind(scores, bySurfel, d));
  const e = c.expected ?? {};
  const state = ours.state as string;
  if (e.medpy) medpy(all, ours, scores('medpy'), byVoxel, state, e.medpy);
  if (e.monai) rows.push(...monai(ours, byVoxel, bySurfel, state, e.monai));
  if (e.nnunetv2)
    all(
      'nnunetv2',
      {
        Dice: ours.dsc,
        IoU: ours.iou,
        TP: ours.tp,
        FP: ours.fp,
        FN: ours.fn,
        TN: ours.tn,
        n_pred: ours.tp + ours.fp,
        n_ref: ours.tp + ours.fn,
      },
      e.nnunetv2,
    );
  if (e.metricsreloaded) rows.push(...metricsReloaded(ours, scores, state, e.metricsreloaded));
  if (e.nnunet_v1_nsd)
    for (const [t, value] of Object.entries<any>(e.nnunet_v1_nsd))
      if (!isError(value)) rows.push(one(`nnunet v1: nsd ${t}`, directedMeanNsd(byVoxel, Number(t)), value));
  if (e.seg_metrics) rows.push(one('seg-metrics: dice', state === 'both-empty' ? 1 : ours.dsc, e.seg_metrics.dice, single));
  rows.push(
    ...leftOver('peers', e, ['deepmind', 'medpy', 'monai', 'nnunetv2', 'metricsreloaded', 'nnunet_v1_nsd', 'seg_metrics']),
  );
  return rows;
}

const errorsIn = (e: any, what: string) => isError(e[what.split('about ')[1]]);
const pick = ({ dsc, iou, sensitivity, specificity, precision, hd, hd95, assd: a, masd: m }: any) => ({
  dsc,
  iou,
  sensitivity,
  specificity,
  precision,
  hd,
  hd95,
  assd: a,
  masd: m,
});

/** Metrics Reloaded's filling: both empty is best, one empty worst. */
function filled(ours: any, r: any, tolerances: string[], nsdAt: (t: number) => [number, number]): Row[] {
  if (!r.filled) return [];
  const state: string = ours.state;
  const worst = ours.worstDistanceMm;
  const ratio = (v: number) => (state === 'both-empty' ? 1 : state === 'ok' ? v : 0);
  const length = (v: number) => (state === 'both-empty' ? 0 : state === 'ok' ? v : worst);
  return [
    one('filled: worst distance', worst, r.filled.worst_distance),
    ...(['dsc', 'iou'] as const).map((m) => one(`filled: ${m}`, ratio(ours[m]), r.filled[m])),
    ...(['hd', 'hd95', 'assd', 'masd'] as const).map((m) => one(`filled: ${m}`, length(ours[m]), r.filled[m])),
    ...tolerances.flatMap((t) => {
      const [area, voxel] = nsdAt(Number(t));
      return [
        one(`filled: nsd ${t}`, ratio(area), r.filled.nsd[t]),
        one(`filled: nsd_voxel ${t}`, ratio(voxel), r.filled.nsd_voxel[t]),
      ];
    }),
    ...leftOver('filled', r.filled, ['dsc', 'iou', 'nsd', 'nsd_voxel', 'hd', 'hd95', 'assd', 'masd', 'worst_distance']),
  ];
}

function deepmind(scores: (d: 'deepmind', t?: number) => any, s: Surfaces, e: any): Row[] {
  const ours = scores('deepmind');
  const area = (list: Float64Array) => list.reduce((a, b) => a + b, 0);
  const average = averageByArea(s);
  const rows = [
    one('deepmind: dice', ours.dsc, e.dice),
    equal('deepmind: n_surfels_ref', s.reference.length, e.n_surfels_ref),
    equal('deepmind: n_surfels_pred', s.prediction.length, e.n_surfels_pred),
    one('deepmind: area_ref', area(s.referenceArea!), e.area_ref),
    one('deepmind: area_pred', area(s.predictionArea!), e.area_pred),
    one('deepmind: avg_ref_to_pred', average.reference, e.avg_ref_to_pred),
    one('deepmind: avg_pred_to_ref', average.prediction, e.avg_pred_to_ref),
    one('deepmind: hd95', ours.hd95, e.hd95),
    one('deepmind: hd100', ours.hd, e.hd100),
  ];
  for (const t of Object.keys(e.nsd)) {
    const covered = overlaps(s, Number(t));
    rows.push(one(`deepmind: nsd ${t}`, scores('deepmind', Number(t)).nsd, e.nsd[t]));
    if (e.overlap_ref) rows.push(one(`deepmind: overlap_ref ${t}`, covered.reference, e.overlap_ref[t]));
    if (e.overlap_pred) rows.push(one(`deepmind: overlap_pred ${t}`, covered.prediction, e.overlap_pred[t]));
  }
  const known = [
    'dice',
    'n_surfels_ref',
    'n_surfels_pred',
    'area_ref',
    'area_pred',
    'avg_ref_to_pred',
    'avg_pred_to_ref',
    'hd95',
    'hd100',
    'nsd',
    'overlap_ref',
    'overlap_pred',
  ];
  return [...rows, ...leftOver('deepmind', e, known)];
}

const mean = (list: Float64Array) => list.reduce((a, b) => a + b, 0) / list.length;

function medpy(all: any, ours: any, own: any, s: Surfaces, state: string, e: any): void {
  const zero = (v: number) => (Number.isNaN(v) ? 0 : v);
  const [n, m] = [ours.tp + ours.fn, ours.tp + ours.fp];
  all(
    'medpy',
    {
      dc: state === 'both-empty' ? (isError(e.dc) ? Number.NaN : e.dc === 0 ? 0 : 1) : ours.dsc,
      jc: state === 'both-empty' ? (e.jc === 0 ? 0 : 1) : ours.iou,
      precision: zero(ours.precision),
      recall: zero(ours.sensitivity),
      sensitivity: zero(ours.sensitivity),
      specificity: zero(ours.specificity),
      ravd: (m - n) / n,
      hd: own.hd,
      hd95: own.hd95,
      assd: ours.assd,
      asd_pred_to_ref: mean(s.prediction),
      asd_ref_to_pred: mean(s.reference),
    },
    e,
  );
}

/** MONAI works in single precision and leaves an empty reference out. */
function monai(ours: any, s: Surfaces, area: Surfaces, state: string, e: any): Row[] {
  const noReference = state === 'both-empty' || state === 'false-alarm';
  const empty = state !== 'ok';
  const orNaN = (v: number) => (noReference ? Number.NaN : v);
  const mine: Record<string, number> = {
    dice_ignore_empty: orNaN(ours.dsc),
    dice_keep_empty: state === 'both-empty' ? 1 : ours.dsc,
    iou_ignore_empty: orNaN(ours.iou),
    hd: state === 'both-empty' ? Number.NaN : empty ? Number.POSITIVE_INFINITY : hausdorff(s, 100),
    hd95: empty ? Number.NaN : hausdorff(s, 95),
    hd95_directed_pred_to_ref: empty ? Number.NaN : quantile(s.prediction, 0.95),
    asd_pred_to_ref: state === 'both-empty' ? Number.NaN : empty ? Number.POSITIVE_INFINITY : mean(s.prediction),
    assd: state === 'both-empty' ? Number.NaN : empty ? Number.POSITIVE_INFINITY : assd(s),
    sensitivity: ours.sensitivity,
    specificity: ours.specificity,
    precision: ours.precision,
  };
  const rows = Object.entries(mine)
    .filter(([key]) => !isError(e[key]))
    .map(([key, value]) => one(`monai: ${key}`, value, e[key], single));
  // Single precision says 3 · 0.8 ≤ 2.4; the tolerance is compared as MONAI stores both.
  const floatNsd = (t: number, surfaces: Surfaces) => {
    const rounded: Surfaces = {
      ...surfaces,
      reference: surfaces.reference.map(Math.fround),
      prediction: surfaces.prediction.map(Math.fround),
    };
    return nsd(rounded, Math.fround(t));
  };
  for (const t of Object.keys(e.nsd_voxel ?? {}))
    rows.push(one(`monai: nsd_voxel ${t}`, floatNsd(Number(t), s), e.nsd_voxel[t], single));
  for (const t of Object.keys(e.nsd_subvoxel ?? {}))
    rows.push(one(`monai: nsd_subvoxel ${t}`, floatNsd(Number(t), area), e.nsd_subvoxel[t], single));
  return [...rows, ...leftOver('monai', e, [...Object.keys(mine), 'nsd_voxel', 'nsd_subvoxel'])];
}

/** The package of June 2025: 1/1/0 mm for both empty, NaN distances for one empty, precision 0 when nothing is predicted. */
function metricsReloaded(ours: any, scores: (d: 'voxel', t?: number) => any, state: string, e: any): Row[] {
  const far = (v: number) => (state === 'both-empty' ? 0 : state === 'ok' ? v : Number.NaN);
  const mine: Record<string, number> = {
    dsc: state === 'both-empty' ? 1 : ours.dsc,
    iou: ours.iou,
    sensitivity: ours.sensitivity,
    specificity: ours.specificity,
    ppv: state === 'missed' ? 0 : Math.fround(ours.precision),
    hd: far(ours.hd),
    assd: far(ours.assd),
    hd95: far(ours.hd95),
    masd: far(ours.masd),
  };
  const rows = Object.entries(mine).map(([key, value]) => one(`metrics reloaded: ${key}`, value, e[key]));
  for (const t of Object.keys(e.nsd)) {
    const value = state === 'both-empty' ? 1 : state === 'ok' ? scores('voxel', Number(t)).nsd : 0;
    rows.push(one(`metrics reloaded: nsd ${t}`, value, e.nsd[t]));
  }
  return [...rows, ...leftOver('metrics reloaded', e, [...Object.keys(mine), 'nsd', 'boundary_iou'])];
}
