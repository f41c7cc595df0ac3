// Every table's rule from label files to the printed cell, with absent classes, false alarms and misses among them. The right values are those
// of the papers' own scripts and of nnU-Net (test/golden/metrics), averaged as each script averages.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { open } from '../../src/dataset/index.js';
import {
  beside,
  findings,
  methodNotes,
  type PaperName,
  protocolOf,
  published,
  ruleFor,
  ruleOf,
  study,
  studyNames,
  stuNet,
  table,
} from '../../src/paper/index.js';
import { ablation, comparison, type Variant } from '../../src/report/index.js';
import { scoreBy, tableRows } from '../../src/run/index.js';
import type { RunScores } from '../../src/train/index.js';
import { type CaseMaps, goldenFile, runOn, unpacked } from './labelFiles.js';

const papers = goldenFile('papers');
const e = papers.expected;
const number = (v: unknown) => (v === 'NaN' ? Number.NaN : Number(v));
const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const nanMean = (values: number[]) => mean(values.filter((v) => !Number.isNaN(v)));
const sd = (values: number[]) => Math.sqrt(values.reduce((s, v) => s + (v - mean(values)) ** 2, 0) / (values.length - 1));

const organVolumes = (): CaseMaps[] =>
  papers.volumes.map((c: any) => ({
    id: c.name,
    reference: { data: unpacked(c.ref), shape: c.shape, spacing: papers.spacing },
    prediction: { data: unpacked(c.pred), shape: c.shape, spacing: papers.spacing },
  }));
const multiclass = goldenFile('multiclass');
const tumours = (): CaseMaps[] =>
  multiclass.cases.map((c: any) => ({
    id: c.name,
    reference: { data: unpacked(c.ref), shape: c.shape, spacing: c.spacing },
    prediction: { data: unpacked(c.pred), shape: c.shape, spacing: c.spacing },
  }));

/** The cell of ours in the row of a variant. */
async function cell(
  paper: PaperName,
  id: string,
  run: ReturnType<typeof runOn>,
  column: { metric: string; classes?: string[] },
  as?: Record<string, string>,
) {
  const rows = await tableRows(paper, id, [run]);
  const made = beside(paper, id, { rows, where: 'label files', as, columns: [{ label: 'ours', ...column }] });
  const found = made.cells.find((c) => c['ours.0'].text !== '—');
  assert.ok(found, `no cell of ours: ${made}`);
  return { ...found['ours.0'], table: made };
}

describe('every table’s rule, from label files to the printed cell', () => {
  it('the given cases hold classes absent from both masks, false alarms and misses', () => {
    const states = papers.volumes.flatMap((c: any) => {
      const [r, p] = [new Set(unpacked(c.ref)), new Set(unpacked(c.pred))];
      return papers.organs.map((_: string, i: number) => `${r.has(i + 1)}/${p.has(i + 1)}`);
    });
    assert.deepEqual([...new Set(states)].sort(), ['false/false', 'false/true', 'true/false', 'true/true']);
  });

  for (const id of ['table2', 'table1-right'])
    it(`MedNeXt ${id}: DSC and area-weighted SDC, nanmean over cases, then over classes`, async () => {
      const variant = id === 'table2' ? 'nnUNet' : 'nnUNet reference';
      const run = runOn('BTCV', variant, organVolumes());
      const row = (key: string) => nanMean(e.mednext[key].mean.map(number));
      assert.equal((await cell('mednext', id, run, { metric: 'dsc' })).text, (100 * row('summary_dc')).toFixed(1));
      const sdc = await cell('mednext', id, run, { metric: 'nsd' });
      assert.equal(sdc.text, (100 * row('summary_sdc')).toFixed(1));
      assert.equal(sdc.why, 'scored on fold 0 of 5, 3 of 30 cases');
      assert.match(String(sdc.table), /which of the two|the paper does not say which it used/);
    });

  it('MedNeXt’s SDC by its other definition is another number, from the same predictions and without training', async () => {
    const run = runOn('BTCV', 'nnUNet', organVolumes());
    const [area] = await tableRows('mednext', 'table2', [run]);
    const [directed] = await tableRows('mednext', 'table2', [run], { rule: 'sdc-directed' });
    const text = (row: Variant) =>
      beside('mednext', 'table2', { rows: [row], where: '', columns: [{ label: '', metric: 'nsd' }] }).cells[0]['ours.0'].text;
    assert.notEqual(text(area), text(directed));
    const shown = beside('mednext', 'table2', { rows: [directed], where: '', columns: [{ label: '', metric: 'nsd' }] });
    assert.match(String(shown), /This run is scored by another rule than the table/);
    // The directed mean of the original, for masks of one class: nnU-Net 1's own function at one voxel.
    const pairs = goldenFile('segmentation').cases.filter((c: any) => c.shape.length === 3 && c.expected.nnunet_v1_nsd?.['1']);
    for (const c of pairs.filter((p: any) => p.spacing.every((s: number) => s === 1)).slice(0, 4)) {
      const map = (stored: any) => ({ data: unpacked(stored), shape: c.shape, spacing: c.spacing });
      const one = runOn('BTCV', 'nnUNet', [{ id: 'a', reference: map(c.ref), prediction: map(c.pred) }]);
      const [found] = (await scoreBy(one, ruleOf('mednext', 'table2', 'sdc-directed')!)).cases;
      assert.ok(Math.abs(found.classes.spleen.nsd - c.expected.nnunet_v1_nsd['1']) < 1e-9, c.name);
    }
    assert.ok(pairs.length > 0);
  });

  for (const [paper, id, variant] of [
    ['mednext', 'independent-nnunet-revisited', 'nnUNet'],
    ['mednext', 'independent-primus', 'nnUNet'],
    ['stuNet', 'independent-nnunet-revisited', 'nnU-Net'],
    ['stuNet', 'totalsegmentator-mean', 'STU-Net-B'],
    ['stuNet', 'totalsegmentator-groups', 'nnU-Net'],
    ['stuNet', 'experts-vs-universal', 'STU-Net-B'],
    ['stuNet', 'data-efficiency', 'STU-Net-B, 100 %'],
    ['stuNet', 'table5-finetuning', 'STU-Net-B'],
    ['stuNet', 'scaling-ablation', 'depth only'],
    ['stuNet', 'upsampling-ablation', 'nearest'],
  ] as const)
    it(`${paper} ${id}: nnU-Net’s own foreground mean of the same files`, async () => {
      const labels = multiclass.labels as Record<string, number>;
      const run = runOn('BTCV', variant, tumours(), { labels });
      const { text } = await cell(paper, id, run, { metric: 'dsc' });
      const right = multiclass.nnunetv2_summary.labels.foreground_mean.Dice;
      const percent = published[paper].tables.find((t) => t.id === id)!.percent;
      assert.equal(text, percent ? (100 * right).toFixed(1) : right.toFixed(3));
      assert.ok(multiclass.nnunetv2_summary.labels.metric_per_case.some((c: any) => JSON.stringify(c).includes('NaN')));
    });

  it('STU-Net’s table of direct inference is made by the same rule', async () => {
    const [row] = await tableRows('stuNet', 'table4-direct-inference', [
      runOn('BTCV', 'STU-Net-B', tumours(), { labels: multiclass.labels }),
    ]);
    assert.equal(stuNet.percentDsc(row), (100 * multiclass.nnunetv2_summary.labels.foreground_mean.Dice).toFixed(1));
  });

  for (const id of ['cv-per-model', 'validation-leaderboard', 'test'])
    it(`KAIST ${id}: Dice 1 and 0 voxels for both empty, 0 and 373.13 for one, medpy’s HD95 otherwise`, async () => {
      const names = ['blob_iso', 'multi_blobs', 'ellipsoid_dilated', 'empty_prediction', 'empty_reference', 'both_empty'];
      const list = goldenFile('segmentation').cases.filter((c: any) => names.includes(c.name));
      const three = (stored: any) => Uint8Array.from(unpacked(stored), (v) => (v ? 3 : 0));
      const maps = list.map((c: any): CaseMaps => {
        const map = (stored: any) => ({ data: three(stored), shape: c.shape, spacing: c.spacing });
        return { id: c.name, reference: map(c.ref), prediction: map(c.pred) };
      });
      const hd95 = list.map((c: any) =>
        c.name === 'both_empty' ? 0 : c.name.startsWith('empty') ? 373.13 : number(c.expected.medpy.hd95),
      );
      const dice = list.map((c: any) => (c.name === 'both_empty' ? 1 : number(c.expected.nnunetv2.Dice)));
      const run = runOn('BraTS21', 'BL', maps);
      const as = id === 'test' ? { 'submitted ensemble (BL + BL+L+GN, ET<200 voxels to necrosis)': 'BL' } : undefined;
      for (const classes of [['ET'], ['TC'], ['WT'], ['ET', 'TC', 'WT']]) {
        assert.equal((await cell('kaistBrats21', id, run, { metric: 'hd95', classes }, as)).text, mean(hd95).toFixed(2));
        assert.equal((await cell('kaistBrats21', id, run, { metric: 'dsc', classes }, as)).text, mean(dice).toFixed(3));
      }
    });

  for (const version of ['v2', 'v1'])
    it(`Swin-UMamba ${version} AbdomenMRI: the authors’ averages, tolerances per organ, tubes between the reference’s slices`, async () => {
      const id = `${version}-table1-abdomenmri`;
      const run = runOn('AbdomenMRI', 'nnU-Net', organVolumes(), { on: 'test' });
      for (const [metric, key] of [
        ['dsc', 'DSC'],
        ['nsd', 'NSD'],
      ] as const) {
        const table: Record<string, number>[] = e[`umamba_abdomen_${key}`];
        const organs = papers.organs.map((organ: string) => mean(table.map((c) => number(c[`${organ}_${key}`]))));
        const found = await cell('swinUmamba', id, run, { metric });
        const perCase = table.map((c) => mean(papers.organs.map((organ: string) => number(c[`${organ}_${key}`]))));
        assert.equal(found.text, `${mean(organs).toFixed(3)} ± ${sd(perCase).toFixed(3)}`);
        assert.equal(found.why, 'scored on test cases, 3 of 50 cases');
      }
    });

  for (const version of ['v2', 'v1'])
    it(`Swin-UMamba ${version} Endoscopy: labels of either picture within each picture, then pictures`, async () => {
      const pictures = papers.images.map((c: any): CaseMaps => {
        const map = (stored: any) => ({ data: unpacked(stored), shape: c.shape, spacing: [1, 1] });
        return { id: c.name.replace('.png', ''), reference: map(c.ref), prediction: map(c.pred) };
      });
      const run = runOn('EndoVis17', 'nnU-Net', pictures, { on: 'test' });
      for (const [metric, key] of [
        ['dsc', 'DSC'],
        ['nsd', 'NSD'],
      ] as const) {
        const values: number[] = e[`umamba_endoscopy_${key}`].map((c: any) => number(c[key]));
        const { text } = await cell('swinUmamba', `${version}-table2-endoscopy`, run, { metric });
        assert.equal(text, `${mean(values).toFixed(3)} ± ${sd(values).toFixed(3)}`);
      }
    });

  for (const version of ['v2', 'v1'])
    it(`Swin-UMamba ${version} Microscopy: F1 of cells made of the interior, a picture without a match counts 0`, async () => {
      // Cases whose reference cells do not touch, so that a three-class map tells them apart as numbers do.
      const names = ['boundary_rule', 'iou_exactly_half', 'empty_prediction', 'empty_reference', 'both_empty'];
      const list = goldenFile('instances').cases.filter((c: any) => names.includes(c.name));
      const maps = list.map((c: any): CaseMaps => {
        const map = (data: ArrayLike<number>) => ({ data, shape: c.shape, spacing: [1, 1] });
        const reference = Uint8Array.from(unpacked(c.ref), (v) => (v ? 1 : 0));
        return {
          id: c.name,
          reference: map(reference),
          prediction: map(unpacked(c.expected.umamba_three_class.prediction_3class)),
        };
      });
      const values: number[] = list.map((c: any) => Math.round(c.expected.umamba_three_class.remove_boundary_0_5.F1 * 1e4) / 1e4);
      const run = runOn('NeurIPS22Cells', 'nnU-Net', maps, { on: 'test' });
      const { text } = await cell('swinUmamba', `${version}-table3-microscopy`, run, { metric: 'f1' });
      assert.equal(text, `${mean(values).toFixed(3)} ± ${sd(values).toFixed(3)}`);
    });

  it('FEATURES.md has every table with its protocol, rule and source', () => {
    const lines = fs.readFileSync('FEATURES.md', 'utf8').split('\n');
    for (const paper of Object.keys(published) as PaperName[])
      for (const { id, rule, ruleNote } of published[paper].tables) {
        const { kind, source } = protocolOf(paper, id);
        const own = lines.filter((line) => line.includes(`| \`${id}\` | ${kind}`));
        assert.ok(
          own.some(
            (line) => line.includes(rule ? `\`${rule}\`` : ruleNote!) && line.includes(rule ? ruleOf(paper, id)!.source : source),
          ),
          `${paper} ${id}`,
        );
      }
  });

  it('every table says its protocol and its rule, or why it has none, with the source', () => {
    for (const paper of Object.keys(published) as PaperName[])
      for (const { id } of published[paper].tables) {
        const notes = methodNotes(paper, id);
        assert.match(notes[0], /^Protocol: .+ Source: .+\.$/, `${paper} ${id}`);
        assert.ok(notes.some((n) => /^Rule: .{3,}/.test(n)));
        assert.ok(ruleOf(paper, id) === undefined || notes.some((n) => /^Source of the rule: ./.test(n)));
        for (const note of notes) assert.ok(String(table(paper, id)).includes(note), note);
      }
  });
});

/** The scores of a run without cases. */
const runOf = (experiment: string): RunScores => ({
  experiment,
  fold: 0,
  seed: 0,
  nsd: { toleranceMm: 1, definition: '' },
  cases: [],
  cost: { parameters: 1, flops: 1, trainSeconds: 1, predictSeconds: 1, peakBytes: 1, forecastBytes: 1 },
});

describe('averaging by a rule', () => {
  const row = (
    name: string,
    cases: Record<string, number | null>[],
    rule = ruleOf('stuNet', 'totalsegmentator-mean'),
  ): Variant => ({
    name,
    rule,
    scores: [
      {
        ...runOf(name),
        cases: cases.map((classes, i) => ({
          id: `c${i}`,
          classes: Object.fromEntries(
            Object.entries(classes).map(([key, v]) => [
              key,
              { dsc: v ?? Number.NaN, nsd: Number.NaN, hd95: Number.NaN, state: v === null ? 'both-empty' : 'ok' } as const,
            ]),
          ),
        })),
      },
    ],
  });
  const absent = [{ a: 0.6, b: null, c: null, d: null }];

  it('a class absent from both masks is no score in nnU-Net’s tables: 0.6 and three absent ones are 0.6', () => {
    const unruled = { ...row('STU-Net-B', absent), rule: undefined };
    for (const rows of [[row('STU-Net-B', absent)], [unruled]]) {
      const made = beside('stuNet', 'totalsegmentator-mean', { rows, where: '', columns: [{ label: '', metric: 'dsc' }] });
      assert.equal(made.cells[2]['ours.0'].text, '60.0');
      assert.equal(stuNet.percentDsc(rows[0]), '60.0');
    }
    const [found] = findings(
      [row('x', absent), row('y', [{ a: 0.5, b: null, c: null, d: null }])],
      [{ says: '', variant: 'x', base: 'y' }],
    );
    assert.ok(Math.abs(found.difference - 0.1) < 1e-12);
  });

  it('nnU-Net averages cases within each class first', () => {
    // By hand: class a (1 + 0.5) / 2, class b 0.5 → 0.625; within cases first it is (1 + 0.5) / 2.
    const two = [
      { a: 1, b: null },
      { a: 0.5, b: 0.5 },
    ];
    const value = (empty?: 'nnunet' | 'metrics-reloaded' | 'undefined') => {
      const rows = [{ ...row('x', two), rule: empty ? undefined : row('x', two).rule }];
      return ablation(rows, { metrics: ['dsc'], empty, cost: false }).cells[0]['dsc.mean'].value;
    };
    assert.equal(value('nnunet'), 0.625);
    assert.equal(value(), 0.625);
    assert.equal(value('undefined'), 0.75);
    assert.equal(value('metrics-reloaded'), 0.75);
    const shown = comparison([{ ...row('x', two), rule: undefined }], { metrics: ['dsc'], empty: 'nnunet' });
    assert.equal(shown.cells.at(-1)!.v0.value, 0.625);
  });

  it('pooled scores are one mean, and of absent classes only present ones count', () => {
    const rule = { ...ruleOf('stuNet', 'totalsegmentator-mean')!, order: 'pooled' as const };
    const two = [
      { a: 1, b: null },
      { a: 0.4, b: 0.1 },
    ];
    assert.equal(ablation([row('x', two, rule)], { cost: false }).cells[0]['dsc.mean'].value, 0.5);
  });

  it('a ± is of the kind the table prints, or there is none', () => {
    const rule = ruleOf('swinUmamba', 'v2-table1-abdomenmri')!;
    const one = row('nnU-Net', [{ a: 0.2 }, { a: 0.6 }], rule);
    const text = (variant: Variant) =>
      beside('swinUmamba', 'v2-table1-abdomenmri', { rows: [variant], where: '', columns: [{ label: '', metric: 'dsc' }] })
        .cells[0]['ours.0'].text;
    assert.equal(text(one), '0.400 ± 0.283');
    const seeds = { ...one, scores: [one.scores[0], { ...one.scores[0], seed: 1 }] };
    assert.equal(text(seeds), '0.400');
  });

  it('an embedded set keeps its own classes and, for tolerances per organ, its own tolerance', () => {
    const rule = ruleOf('swinUmamba', 'v2-table1-abdomenmri')!;
    const demo = ruleFor(rule, { scale: 'demo', dataset: 'IcbmTissue' });
    assert.equal(demo.nsdToleranceMm, 1);
    assert.equal(demo.betweenReferenceSlices, undefined);
    assert.equal(demo.definition, 'umamba-abdomen');
    assert.equal(ruleFor(rule, { scale: 'paper', dataset: 'AbdomenMRI' }), rule);
  });

  it('the VRAM column of nnU-Net Revisited says who measured otherwise', () => {
    const shown = table('mednext', 'independent-nnunet-revisited');
    const l3 = shown.cells.find((c) => c.network.text === 'MedNeXt L k3')!;
    assert.equal(l3.VRAM_GB.text, '17.3 (disputed)');
    assert.match(
      String(shown),
      /Disputed: VRAM GB of MedNeXt L k3, 17\.3 printed: about 24\.9 GB allocated \(MIC-DKFZ\/nnUNet issue 2996/,
    );
  });

  it('numbers of others keep their source and directness, and a missing one stays missing', () => {
    const jhh = table('mednext', 'independent-touchstone');
    const cells = Object.fromEntries(jhh.cells.map((c) => [c.network.text, c]));
    assert.equal(cells.MedNeXt.average.text, '89.2');
    assert.equal(cells['STU-Net-B'].Gallbladder.text, '85.5');
    assert.equal(cells.MedFormer.Aorta.text, '—');
    assert.equal(table('mednext', 'independent-rep3d').cells[0]['AMOS-CT'].text, '0.887');
    assert.equal(table('mednext', 'independent-auto-nnunet').cells[0].Task01_BrainTumour.text, '61.34');
    assert.match(String(table('mednext', 'independent-auto-nnunet')), /\(computed\)/);
    assert.equal(table('mednext', 'independent-primus').cells.length, 7);
  });
});

describe('rules on the embedded sets of the demos', () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'demo-rules-'));
  after(() => fs.rmSync(root, { recursive: true, force: true }));
  const seen = new Set<string>();
  for (const name of studyNames)
    for (const { id, experiments } of study(name).tables)
      for (const experiment of experiments) {
        const { paper } = study(name);
        const rule = ruleOf(paper, id);
        const key = `${paper} ${rule?.label} ${experiment.dataset}`;
        if (!rule || seen.has(key)) continue;
        seen.add(key);
        it(`${paper} ${id} on ${experiment.dataset}: the reference as answer scores best`, async function () {
          this.timeout(120_000);
          const data = open(experiment.dataset);
          const folder = path.join(root, String(seen.size), id, experiment.dataset);
          fs.mkdirSync(path.join(folder, 'predictions'), { recursive: true });
          const cases = data.cases.slice(0, 2);
          for (const c of cases) fs.copyFileSync(c.label!, path.join(folder, 'predictions', `${c.id}${data.json.file_ending}`));
          const scores = { ...runOf(experiment.name), cases: cases.map((c) => ({ id: c.id, classes: {} })) };
          const [row] = await tableRows(paper, id, [{ folder, experiment, scores }]);
          const values = ablation([row], { cost: false, perClass: false }).cells[0];
          assert.deepEqual(
            rule.metrics.map((metric) => [metric, values[`${metric}.mean`].value]),
            rule.metrics.map((metric) => [metric, metric === 'hd95' ? 0 : 1]),
          );
        });
      }
});
