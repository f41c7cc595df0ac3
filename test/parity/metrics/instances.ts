// instances.json: NeurIPS cell segmentation F1, panoptic quality, U-Mamba's cells from a three-class map.
import { connectedComponents, type InstanceScore, instanceF1, panopticQuality } from '../../../src/score/index.js';
import { equal, type GoldenCase, type Row } from '../case.js';
import { golden, leftOver, one, unpack } from './common.js';

/** The challenge's script writes 0 for every undefined ratio, and no missed cell when nothing is predicted. */
function asPeer(s: InstanceScore) {
  const zero = (v: number) => (Number.isNaN(v) ? 0 : v);
  return {
    true_num: s.reference,
    pred_num: s.prediction,
    TP: s.tp,
    FP: s.fp,
    FN: s.prediction === 0 ? 0 : s.fn,
    precision: zero(s.precision),
    recall: zero(s.recall),
    F1: zero(s.f1),
  } as Record<string, number>;
}

function compare(what: string, s: InstanceScore, e: any, ref: ArrayLike<number>, pred: ArrayLike<number>): Row[] {
  const ours = { ...asPeer(s), dice_foreground: foregroundDice(ref, pred) };
  return [
    ...Object.entries(ours).map(([key, value]) => one(`${what}: ${key}`, value, e[key])),
    ...leftOver(what, e, Object.keys(ours)),
  ];
}

function foregroundDice(ref: ArrayLike<number>, pred: ArrayLike<number>): number {
  let [both, sum] = [0, 0];
  for (let i = 0; i < ref.length; i++) {
    both += ref[i] && pred[i] ? 1 : 0;
    sum += (ref[i] ? 1 : 0) + (pred[i] ? 1 : 0);
  }
  return sum === 0 ? 1 : (2 * both) / sum;
}

export function instancesCases(content: any, name: string): GoldenCase[] {
  return content.cases.map((c: any) =>
    golden(`${name}/${c.name}`, () => {
      const [ref, pred] = [unpack(c.ref), unpack(c.pred)];
      const rows: Row[] = [];
      for (const [key, border] of [
        ['remove_boundary', 'remove'],
        ['count_boundary', 'count'],
      ] as const) {
        const e = c.expected.neurips_cellseg[key];
        const thresholds = Object.keys(e);
        instanceF1(ref, pred, c.shape, { thresholds: thresholds.map(Number), border }).forEach((s, i) => {
          rows.push(...compare(`${key} ${thresholds[i]}`, s, e[thresholds[i]], ref, pred));
        });
      }
      const quality = panopticQuality(ref, pred);
      const e = c.expected.panoptic_quality_iou_gt_0_5;
      for (const key of ['PQ', 'SQ', 'RQ', 'TP', 'FP', 'FN']) {
        const value = quality[key.toLowerCase() as 'pq'];
        rows.push(one(`panoptic ${key}`, value, e[key]));
      }
      const u = c.expected.umamba_three_class;
      if (u) {
        const interior = Uint8Array.from(unpack(u.prediction_3class) as Uint8Array, (v) => (v === 1 ? 1 : 0));
        const cells = connectedComponents(interior, c.shape, 8);
        rows.push(equal('three classes: cells', cells.count, u.n_components));
        const [score] = instanceF1(ref, cells.labels, c.shape, { thresholds: [0.5] });
        rows.push(...compare('three classes', score, u.remove_boundary_0_5, ref, cells.labels));
      }
      rows.push(...leftOver(c.name, c.expected, ['neurips_cellseg', 'panoptic_quality_iou_gt_0_5', 'umamba_three_class']));
      return rows;
    }),
  );
}
