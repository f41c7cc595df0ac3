// peers-timing.json: the scores of the large volume the timings were taken on.
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { readSafetensors } from '../../../src/base/safetensors.js';
import { volume } from '../../../src/score/index.js';
import type { GoldenCase, Row } from '../case.js';
import { golden, labelMap, leftOver, one } from './common.js';

export function timingCases(content: any, name: string, folder: string): GoldenCase[] {
  const file = path.join(folder, 'peers-timing-input.safetensors.gz');
  return [
    golden(name, () => {
      const { tensors } = readSafetensors(zlib.gunzipSync(fs.readFileSync(file)));
      const spacing = /spacing \[([\d., ]+)\]/.exec(content.task)![1].split(',').map(Number);
      const map = (key: string) => labelMap(tensors[key].data, tensors[key].shape, spacing);
      const classes = Object.fromEntries(content.expected_per_class.map((c: any) => [c.name, c.label]));
      const score = (definition: 'deepmind' | 'voxel' | 'medpy', nsdToleranceMm: number) =>
        volume(map('ref'), map('pred'), {
          classes,
          definition,
          nsdToleranceMm,
          metrics: ['dsc', 'nsd', 'hd95', 'tp', 'fp', 'fn'],
        }) as any;
      const area = [1, 2, 3].map((t) => score('deepmind', t));
      const [voxel, pooled] = [score('voxel', 2), score('medpy', 2)];
      return content.expected_per_class.flatMap((c: any): Row[] => {
        const s = area[1][c.name];
        const known = [
          'label',
          'name',
          'voxels_ref',
          'voxels_pred',
          'dice',
          'nsd',
          'hd95_surfel_weighted',
          'avg_ref_to_pred',
          'avg_pred_to_ref',
          'monai_hd95_voxel',
          'monai_nsd_voxel_2mm',
          'medpy_hd95_pooled',
        ];
        return [
          one(`${c.name}: voxels of the reference`, s.tp + s.fn, c.voxels_ref, 0),
          one(`${c.name}: voxels of the prediction`, s.tp + s.fp, c.voxels_pred, 0),
          one(`${c.name}: Dice`, s.dsc, c.dice),
          ...[1, 2, 3].map((t, i) => one(`${c.name}: NSD ${t} mm`, area[i][c.name].nsd, c.nsd[t])),
          one(`${c.name}: HD95 by area`, s.hd95, c.hd95_surfel_weighted),
          one(`${c.name}: MONAI HD95`, voxel[c.name].hd95, c.monai_hd95_voxel, 1e-5),
          one(`${c.name}: MONAI NSD`, voxel[c.name].nsd, c.monai_nsd_voxel_2mm, 1e-5),
          one(`${c.name}: medpy HD95`, pooled[c.name].hd95, c.medpy_hd95_pooled, 1e-5),
          ...leftOver(c.name, c, known),
        ];
      });
    }),
  ];
}
