// lesionwise.json: BraTS 2023 lesion-wise scores.
import { connectedComponents, type LesionParameters, lesionwise } from '../../../src/score/index.js';
import { equal, type GoldenCase, type Row } from '../case.js';
import { golden, leftOver, one, unpack } from './common.js';

export function lesionwiseCases(content: any, name: string): GoldenCase[] {
  return content.cases.map((c: any) =>
    golden(`${name}/${c.name}`, () => {
      const [ref, pred] = [unpack(c.ref), unpack(c.pred)] as Uint8Array[];
      const rows: Row[] = [];
      for (const [challenge, regions] of Object.entries<any>(c.expected))
        for (const [region, e] of Object.entries<any>(regions)) {
          const labels: number[] = content.regions[region];
          const given = content.parameters[challenge];
          const parameters: LesionParameters = {
            dilations: given.dilation_iterations,
            volumeThresholdMm3: given.volume_threshold_mm3,
          };
          const mask = (map: Uint8Array) => Uint8Array.from(map, (v) => (labels.includes(v) ? 1 : 0));
          const s = lesionwise(mask(ref), mask(pred), c.shape, c.spacing, parameters);
          const at = `${challenge} ${region}`;
          const ours: Record<string, number> = {
            Num_TP: s.tp,
            Num_FP: s.fp,
            Num_FN: s.fn,
            Sensitivity: s.sensitivity,
            Specificity: s.specificity,
            Legacy_Dice: s.legacyDsc,
            Legacy_HD95: s.legacyHd95,
            GT_Complete_Volume: s.referenceVolumeMm3,
            LesionWise_Score_Dice: s.dsc,
            LesionWise_Score_HD95: s.hd95,
          };
          for (const [key, value] of Object.entries(ours)) rows.push(one(`${at}: ${key}`, value, e[key]));
          rows.push(equal(`${at}: lesions`, s.lesions.length, e.lesions.length));
          const peerOrder = firstAxisFastest(mask(pred), c.shape);
          const named = (list: number[]) => list.map((i) => peerOrder[i]).sort((a, b) => a - b);
          rows.push(equal(`${at}: false positives`, named(s.falsePositives), e.false_positive_components));
          e.lesions.forEach((l: any, i: number) => {
            const mine = s.lesions[i];
            if (!mine) return;
            rows.push(equal(`${at}: lesion ${i} matches`, named(mine.matched), l.matched_predicted_components));
            rows.push(one(`${at}: lesion ${i} volume`, mine.volumeMm3, l.volume));
            rows.push(
              one(`${at}: lesion ${i} Dice`, mine.dsc, l.dice),
              one(`${at}: lesion ${i} HD95`, mine.matched.length === 0 ? Number.POSITIVE_INFINITY : mine.hd95, l.hd95),
            );
          });
          rows.push(...leftOver(at, e, [...Object.keys(ours), 'lesions', 'false_positive_components']));
        }
      return rows;
    }),
  );
}

/** Our component number → the peer's, which numbers predictions with the first axis fastest. */
function firstAxisFastest(mask: Uint8Array, [depth, height, width]: number[]): number[] {
  const { labels } = connectedComponents(mask, [depth, height, width], 26);
  const order: number[] = [];
  for (let x = 0; x < width; x++)
    for (let y = 0; y < height; y++)
      for (let z = 0; z < depth; z++) {
        const label = labels[(z * height + y) * width + x];
        if (label > 0 && order[label] === undefined) order[label] = Object.keys(order).length + 1;
      }
  return order;
}
