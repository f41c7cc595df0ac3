// papers.json: organs and endoscopy pictures as the papers' own scripts scored them.
import { type DefinitionName, quantile, volume } from '../../../src/score/index.js';
import type { GoldenCase, Row } from '../case.js';
import { golden, labelMap, leftOver, numbers, one, unpack } from './common.js';

/** Organs the abdomen script scores between the reference's slices. */
const tubes = ['Aorta', 'IVC', 'Esophagus'];

export function papersCases(content: any, name: string): GoldenCase[] {
  const e = content.expected;
  const maps = (c: any, spacing: number[]) =>
    [labelMap(unpack(c.ref), c.shape, spacing), labelMap(unpack(c.pred), c.shape, spacing)] as const;
  const classes = Object.fromEntries(content.organs.map((organ: string, i: number) => [organ, i + 1]));
  const organs = (c: any, definition: DefinitionName, extra = {}) => {
    const [ref, pred] = maps(c, content.spacing);
    return volume(ref, pred, { classes, definition, ...extra }) as Record<string, any>;
  };
  const cases: GoldenCase[] = [];

  if (e.umamba_abdomen_NSD)
    cases.push(
      golden(`${name}/umamba_abdomen`, () =>
        content.volumes.flatMap((c: any, i: number): Row[] => {
          const s = organs(c, 'umamba-abdomen', {
            nsdToleranceMm: content.umamba_tolerance_mm,
            betweenReferenceSlices: { classes: tubes, axis: 2 },
          });
          return content.organs.flatMap((organ: string) => [
            one(`${c.name} ${organ} NSD`, s[organ].nsd, e.umamba_abdomen_NSD[i][`${organ}_NSD`]),
            one(`${c.name} ${organ} DSC`, s[organ].dsc, e.umamba_abdomen_DSC[i][`${organ}_DSC`]),
          ]);
        }),
      ),
    );
  if (e.mednext) cases.push(golden(`${name}/mednext`, () => mednext(content, organs)));
  if (e.totalsegmentator)
    cases.push(
      golden(`${name}/totalsegmentator`, () =>
        content.volumes.flatMap((c: any, i: number): Row[] => {
          const s = organs(c, 'totalsegmentator');
          return content.organs.flatMap((organ: string) => [
            one(`${c.name} ${organ} Dice`, s[organ].dsc, e.totalsegmentator[i][`dice-${organ}`]),
            one(`${c.name} ${organ} surface Dice`, s[organ].nsd, e.totalsegmentator[i][`surface_dice_3-${organ}`]),
          ]);
        }),
      ),
    );
  if (e.transunet)
    cases.push(
      golden(`${name}/transunet`, () =>
        content.volumes.flatMap((c: any): Row[] => {
          const s = organs(c, 'transunet');
          return content.organs.flatMap((organ: string, k: number) => [
            one(`${c.name} ${organ} Dice`, s[organ].dsc, e.transunet[c.name][k][0]),
            one(`${c.name} ${organ} HD95`, s[organ].hd95, e.transunet[c.name][k][1]),
          ]);
        }),
      ),
    );
  if (e.umamba_endoscopy_NSD) cases.push(golden(`${name}/umamba_endoscopy`, () => endoscopy(content)));
  const known = [
    'umamba_abdomen_NSD',
    'umamba_abdomen_DSC',
    'mednext',
    'totalsegmentator',
    'transunet',
    'umamba_endoscopy_NSD',
    'umamba_endoscopy_DSC',
    'endoscopy_2d_contour_NSD',
  ];
  const rest = leftOver(name, e, known);
  if (rest.length > 0) cases.push(golden(`${name}/unknown`, () => rest));
  return cases;
}

function mednext(content: any, organs: (c: any, d: DefinitionName) => Record<string, any>): Row[] {
  const e = content.expected.mednext;
  const tables: Record<'dsc' | 'nsd', number[][]> = { dsc: [], nsd: [] };
  const rows: Row[] = [];
  for (const c of content.volumes) {
    const s = organs(c, 'mednext');
    for (const [metric, key] of [
      ['dsc', 'dc'],
      ['nsd', 'sdc'],
    ] as const) {
      const ours = content.organs.map((organ: string) => s[organ][metric]);
      tables[metric].push(ours);
      rows.push(numbers(`${c.name} ${key}`, ours, e[c.name][key]));
    }
  }
  const column = (table: number[][], k: number, filled: boolean) =>
    table.map((row) => (filled && Number.isNaN(row[k]) ? 1 : row[k])).filter((v) => !Number.isNaN(v));
  const mean = (v: number[]) => v.reduce((a, b) => a + b, 0) / v.length;
  for (const [metric, key] of [
    ['dsc', 'summary_dc'],
    ['nsd', 'summary_sdc'],
  ] as const) {
    const all = content.organs.map((_: string, k: number) => k) as number[];
    const ours: Record<string, number[]> = {
      mean: all.map((k) => mean(column(tables[metric], k, false))),
      median: all.map((k) => quantile(column(tables[metric], k, false), 0.5)),
      'mean (nan is 1)': all.map((k) => mean(column(tables[metric], k, true))),
      'median (nan is 1)': all.map((k) => quantile(column(tables[metric], k, true), 0.5)),
    };
    for (const [what, values] of Object.entries(ours)) rows.push(numbers(`${key} ${what}`, values, e[key][what]));
  }
  return rows;
}

/** Mean over the labels of either map; the script's value has four digits. */
function endoscopy(content: any): Row[] {
  const e = content.expected;
  const round = (v: number) => Math.round(v * 1e4) / 1e4;
  const mean = (v: number[]) => v.reduce((a, b) => a + b, 0) / v.length;
  return content.images.flatMap((c: any, i: number): Row[] => {
    const [ref, pred] = [labelMap(unpack(c.ref), c.shape, [1, 1]), labelMap(unpack(c.pred), c.shape, [1, 1])];
    const labels = [...new Set([...ref.data, ...pred.data])].filter((v) => v > 0).sort((a, b) => a - b);
    const classes = Object.fromEntries(labels.map((l) => [`label ${l}`, l]));
    const as = (definition: DefinitionName) =>
      Object.values(volume(ref, pred, { classes, definition, nsdToleranceMm: 2 })) as any[];
    const inflated = as('umamba-endoscopy');
    const contour = as('default');
    const rows = [
      one(`${c.name} NSD`, round(mean(inflated.map((s) => s.nsd))), e.umamba_endoscopy_NSD[i].NSD),
      one(`${c.name} DSC`, round(mean(inflated.map((s) => s.dsc))), e.umamba_endoscopy_DSC[i].DSC),
    ];
    const flat = e.endoscopy_2d_contour_NSD?.[i];
    if (flat) {
      rows.push(one(`${c.name} contour NSD`, mean(contour.map((s) => s.nsd)), flat.NSD));
      rows.push(
        numbers(
          `${c.name} contour NSD per label`,
          contour.map((s) => s.nsd),
          flat.per_label,
        ),
      );
    }
    return rows;
  });
}
