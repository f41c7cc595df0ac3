// components.json: components, sizes, boxes, centroids, holes, morphology.
import {
  type Connectivity,
  connectedComponents,
  dilate,
  erode,
  fillHoles,
  largestComponent,
  removeSmaller,
} from '../../../src/score/index.js';
import { equal, type GoldenCase, type Row } from '../case.js';
import { golden, leftOver, numbers, unpack } from './common.js';

const voxels = (mask: Uint8Array) => mask.reduce((a, b) => a + b, 0);

export function componentsCases(content: any, name: string): GoldenCase[] {
  const cases: GoldenCase[] = content.cases.map((c: any) =>
    golden(`${name}/${c.name}`, () => {
      const mask = unpack(c.mask);
      const rows: Row[] = [];
      for (const [key, e] of Object.entries<any>(c.expected)) {
        const connectivity = Number(key) as Connectivity;
        const found = connectedComponents(mask, c.shape, connectivity);
        rows.push(equal(`${key}: count`, found.count, e.count), equal(`${key}: sizes`, [...found.sizes], e.sizes));
        rows.push(numbers(`${key}: label of every voxel`, found.labels, unpack(e.labels), 0));
        if (e.bounding_boxes_start_stop) rows.push(equal(`${key}: boxes`, found.boxes, e.bounding_boxes_start_stop));
        if (e.centroids) rows.push(numbers(`${key}: centroids`, found.centroids.flat(), e.centroids.flat()));
        if (e.largest) {
          const label = largestComponent(found);
          rows.push(equal(`${key}: largest`, label, e.largest.label ?? 0));
          if (label > 0) {
            const ties = found.sizes.filter((s) => s === found.sizes[label - 1]).length;
            rows.push(equal(`${key}: as large as the largest`, ties, e.largest.ties));
          }
        }
        const kept = removeSmaller(mask, c.shape, connectivity, 20);
        rows.push(equal(`${key}: kept voxels`, voxels(kept), e.remove_smaller_than_20.voxels));
        rows.push(
          equal(`${key}: kept components`, found.sizes.filter((s) => s >= 20).length, e.remove_smaller_than_20.components),
        );
        const known = ['count', 'sizes', 'labels', 'bounding_boxes_start_stop', 'centroids', 'largest', 'remove_smaller_than_20'];
        rows.push(...leftOver(key, e, known));
      }
      for (const [key, e] of Object.entries<any>(c.morphology_voxel_counts)) {
        const k = Number(key) as Connectivity;
        const ours = {
          dilate1: voxels(dilate(mask, c.shape, k)),
          dilate3: voxels(dilate(mask, c.shape, k, 3)),
          erode1_border_is_background: voxels(erode(mask, c.shape, k)),
          erode1_border_is_foreground: voxels(erode(mask, c.shape, k, 1, 'foreground')),
          open1: voxels(dilate(erode(mask, c.shape, k), c.shape, k)),
          close1: voxels(erode(dilate(mask, c.shape, k), c.shape, k)),
          fill_holes_with_this_structure: voxels(fillHoles(mask, c.shape, k)),
        } as Record<string, number>;
        for (const [what, value] of Object.entries(e)) rows.push(equal(`${key}: ${what}`, ours[what], value));
      }
      rows.push(numbers('holes filled', fillHoles(mask, c.shape), unpack(c.fill_holes_default), 0));
      for (const k of [18, 8] as const)
        if (c[`dilate3_${k}`])
          rows.push(numbers(`dilated three times, ${k}`, dilate(mask, c.shape, k, 3), unpack(c[`dilate3_${k}`]), 0));
      const known = [
        'name',
        'shape',
        'mask',
        'expected',
        'numbering_equals_canonical',
        'morphology_voxel_counts',
        'fill_holes_default',
        'dilate3_18',
        'dilate3_8',
        'note',
      ];
      return [...rows, ...leftOver(c.name, c, known)];
    }),
  );
  if (content.label_map)
    cases.push(
      golden(`${name}/label_map`, () =>
        Object.entries<any>(content.label_map.expected).flatMap(([key, e]) => {
          const found = connectedComponents(unpack(content.label_map.map), content.label_map.shape, Number(key) as Connectivity);
          return [
            equal(`${key}: count`, found.count, e.count),
            numbers(`${key}: label of every voxel`, found.labels, unpack(e.labels), 0),
          ];
        }),
      ),
    );
  return cases;
}
