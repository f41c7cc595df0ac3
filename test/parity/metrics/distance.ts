// distance.json and surfels.json.
import { contourLengths, distanceTransform, surfelAreas } from '../../../src/score/index.js';
import type { GoldenCase, Row } from '../case.js';
import { golden, numbers, one, unpack } from './common.js';

export function surfelCases(content: any, name: string): GoldenCase[] {
  return [
    ...content.surface_area_by_code_3d.map((c: any) =>
      golden(`${name}/3d-${c.spacing.join('x')}`, () => [numbers('area of 256 codes', surfelAreas(c.spacing), c.area, 1e-12)]),
    ),
    ...content.contour_length_by_code_2d.map((c: any) =>
      golden(`${name}/2d-${c.spacing.join('x')}`, () => [
        numbers('length of 16 codes', contourLengths(c.spacing), c.length, 1e-12),
      ]),
    ),
  ];
}

const sum = (list: Float64Array) => list.reduce((a, b) => a + b, 0);
const most = (list: Float64Array) => list.reduce((a, b) => Math.max(a, b), 0);

export function distanceCases(content: any, name: string): GoldenCase[] {
  const cases: GoldenCase[] = content.cases.map((c: any) =>
    golden(`${name}/${c.name}`, () =>
      c.expected.flatMap((e: any): Row[] => {
        const mask = unpack(c.mask);
        const at = `spacing ${e.spacing}`;
        const inside = distanceTransform(mask, c.shape, e.spacing);
        const rows: Row[] = [];
        if (e.edt) {
          rows.push(numbers(`${at}: distance of every voxel`, inside, unpack(e.edt)));
          rows.push(one(`${at}: max`, most(inside), e.max), one(`${at}: sum`, sum(inside), e.sum));
        } else rows.push(one(`${at}: nothing but foreground`, Math.min(...inside), Number.POSITIVE_INFINITY));
        const bordered = distanceTransform(mask, c.shape, e.spacing, { outside: 'background' });
        rows.push(one(`${at}: outside is background, sum`, sum(bordered), e.edt_outside_is_background_sum));
        rows.push(one(`${at}: outside is background, max`, most(bordered), e.edt_outside_is_background_max));
        if (e.signed_sum_inside_minus_outside !== undefined) {
          const turned = Uint8Array.from(mask as Uint8Array, (v) => (v ? 0 : 1));
          rows.push(
            one(
              `${at}: signed sum`,
              sum(inside) - sum(distanceTransform(turned, c.shape, e.spacing)),
              e.signed_sum_inside_minus_outside,
            ),
          );
        }
        return rows;
      }),
    ),
  );
  if (content.multi_label) {
    const { map, shape, spacing, edt } = content.multi_label;
    cases.push(
      golden(`${name}/multi_label`, () => {
        const labels = unpack(map) as Uint8Array;
        const ours = new Float64Array(labels.length);
        for (const label of new Set(labels)) {
          if (label === 0) continue;
          const own = distanceTransform(
            Uint8Array.from(labels, (v) => (v === label ? 1 : 0)),
            shape,
            spacing,
          );
          for (let i = 0; i < ours.length; i++) ours[i] += own[i];
        }
        return [numbers('distance of every voxel to another label', ours, unpack(edt))];
      }),
    );
  }
  return cases;
}
