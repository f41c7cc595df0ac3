// multiclass.json: nnU-Net's summaries, MONAI's reductions, confusion matrices and region scores.
import { confusion, monaiReduce, nanMean, volume } from '../../../src/score/index.js';
import { equal, type GoldenCase, type Row } from '../case.js';
import { golden, labelMap, leftOver, numbers, one, unpack } from './common.js';
import { check } from './segmentation.js';

export function multiclassCases(content: any, name: string): GoldenCase[] {
  const cases: GoldenCase[] = content.cases.map((c: any) =>
    golden(`${name}/${c.name}`, () => {
      const [ref, pred] = [unpack(c.ref), unpack(c.pred)] as Uint8Array[];
      const rows: Row[] = [];
      const size = c.confusion_matrix_rows_ref_cols_pred.length;
      const ours = confusion(labelMap(ref, c.shape, c.spacing), labelMap(pred, c.shape, c.spacing), size);
      rows.push(equal('confusion matrix', ours, c.confusion_matrix_rows_ref_cols_pred));
      for (const [region, e] of Object.entries<any>(c.regions)) {
        const labels: number[] = content.regions[region];
        const mask = (map: Uint8Array) => Uint8Array.from(map, (v) => (labels.includes(v) ? 1 : 0));
        rows.push(
          ...check({ ...c, ...e, expected: undefined }, mask(ref), mask(pred)).map((row) => ({
            ...row,
            what: `${region}: ${row.what}`,
          })),
        );
        rows.push(...leftOver(region, e, ['recommended', 'deepmind']));
      }
      return rows;
    }),
  );
  for (const key of Object.keys(content.nnunetv2_summary))
    cases.push(golden(`${name}/nnunetv2-${key}`, () => summary(content, key)));
  if (content.monai_dice_metric) cases.push(golden(`${name}/monai`, () => monai(content)));
  return cases;
}

const keys = ['Dice', 'IoU', 'TP', 'FP', 'FN', 'TN', 'n_pred', 'n_ref'];

/** nnU-Net's summary: metrics by case, mean by class over cases (NaN left out), mean over classes. */
function summary(content: any, key: string): Row[] {
  const e = content.nnunetv2_summary[key];
  const ignore = /ignore_(\d+)/.exec(key);
  const names: string[] = Object.keys(e.mean);
  const rows: Row[] = [];
  const byClass: Record<string, Record<string, number>[]> = Object.fromEntries(names.map((n) => [n, []]));
  e.metric_per_case.forEach((stored: any, i: number) => {
    const c = content.cases.find((x: any) => x.name === stored.case) ?? content.cases[i];
    const ref = unpack(ignore ? c[`ref_with_ignore_${ignore[1]}`] : c.ref);
    const scores = volume(labelMap(ref, c.shape, c.spacing), labelMap(unpack(c.pred), c.shape, c.spacing), {
      regions: Object.fromEntries(names.map((n) => [n, n.match(/\d+/g)!.map(Number)])),
      metrics: ['dsc', 'iou', 'tp', 'fp', 'fn', 'tn'],
      ignoreLabel: ignore ? Number(ignore[1]) : undefined,
    }) as any;
    for (const n of names) {
      const { dsc, iou, tp, fp, fn, tn } = scores[n];
      const ours: Record<string, number> = {
        Dice: dsc,
        IoU: iou,
        TP: tp,
        FP: fp,
        FN: fn,
        TN: tn,
        n_pred: tp + fp,
        n_ref: tp + fn,
      };
      byClass[n].push(ours);
      for (const k of keys) rows.push(one(`${stored.case} ${n} ${k}`, ours[k], stored.metrics[n][k]));
    }
  });
  for (const k of keys) {
    const means = names.map((n) => nanMean(byClass[n].map((m) => m[k])));
    names.forEach((n, i) => {
      rows.push(one(`mean ${n} ${k}`, means[i], e.mean[n][k]));
    });
    rows.push(one(`foreground mean ${k}`, nanMean(means), e.foreground_mean[k]));
  }
  return rows;
}

function monai(content: any): Row[] {
  const rows: Row[] = [];
  const labels: number[] = Object.values(content.labels);
  for (const [key, e] of Object.entries<any>(content.monai_dice_metric)) {
    const background = key.includes('include_background=true');
    const reduction = key.split('reduction=')[1] as never;
    const used = background ? labels : labels.filter((l) => l !== 0);
    // MONAI leaves an empty reference out.
    const table = content.cases.map((c: any) => {
      const scores = volume(labelMap(unpack(c.ref), c.shape, c.spacing), labelMap(unpack(c.pred), c.shape, c.spacing), {
        classes: Object.fromEntries(used.map((l) => [String(l), l])),
        metrics: ['dsc'],
      });
      return used.map((l) => (scores[l].state === 'false-alarm' ? Number.NaN : scores[l].dsc));
    });
    const { value, count } = monaiReduce(table, reduction);
    const flat = (v: any) => (Array.isArray(v) ? v.flat() : [v]);
    rows.push(
      numbers(`${key}: value`, flat(value), flat(e.value), 1e-5),
      numbers(`${key}: not nans`, flat(count), flat(e.not_nans), 0),
    );
  }
  return rows;
}
