// A paper's study has every row of every published table, or one of a few reasons why a row has no experiment.
import assert from 'node:assert/strict';
import { describedNames, descriptor } from '../../src/dataset/index.js';
import {
  demoTable,
  hoursReference,
  type PaperName,
  protocolOf,
  published,
  publishedSplit,
  reasons,
  rowName,
  scoredOn,
  study,
  studyNames,
  type Verdict,
  verdicts,
} from '../../src/paper/index.js';
import type { RunScores } from '../../src/train/index.js';

const tablesOf = (paper: PaperName) => published[paper].tables;
const rowsOf = (paper: PaperName, id: string) => {
  const table = tablesOf(paper).find((t) => t.id === id)!;
  return table.rows.map((row) => rowName(table, row));
};

describe('studies of the papers', () => {
  for (const name of studyNames)
    it(`${name}: every published table is part of it, once`, () => {
      const { paper, tables } = study(name);
      assert.deepEqual(
        tables.map((t) => t.id).sort(),
        tablesOf(paper)
          .map((t) => t.id)
          .sort(),
      );
      assert.equal(new Set(tables.map((t) => t.label)).size, tables.length);
    });

  for (const scale of ['demo', 'paper'] as const)
    for (const name of studyNames) {
      const { paper, tables, experiments } = study(name, { scale });
      const all = new Set(experiments.map((e) => e.name));
      for (const { id, as = {}, joined = {}, absent = {} } of tables)
        it(`${name}, ${scale}: every row of ${id} is an experiment, made of experiments, or has one of the reasons`, () => {
          const rows = rowsOf(paper, id);
          for (const row of rows) {
            const said = [joined, absent].filter((list) => Object.hasOwn(list, row)).length + Number(Object.hasOwn(as, row));
            assert.ok(said <= 1, `${row} is said twice`);
            if (Object.hasOwn(absent, row)) assert.ok(Object.values(reasons).includes(absent[row]), absent[row]);
            else {
              const needed = joined[row] ?? [as[row] ?? row];
              assert.ok(needed.length > 0);
              for (const one of needed) assert.ok(all.has(one), `${row}: no experiment ${one} among ${[...all].join(' | ')}`);
            }
          }
          for (const row of [as, joined, absent].flatMap(Object.keys)) assert.ok(rows.includes(row), `no row ${row}`);
        });
    }

  it('these rows have no experiment in the demos, for these reasons, and there are no others', () => {
    const without = Object.fromEntries(
      studyNames.flatMap((name) =>
        study(name).tables.flatMap(({ id, absent = {} }) => {
          const rows = Object.entries(absent).filter(([, why]) => why !== reasons.noTraining);
          return rows.length > 0 ? [[`${name}/${id}`, Object.fromEntries(rows)]] : [];
        }),
      ),
    );
    const nnFormer = { nnFormer: reasons.noCode };
    const data = (...rows: string[]) => Object.fromEntries(rows.map((row) => [row, reasons.otherData]));
    const elsewhere = ['touchstone', 'touchstone-totalsegmentator', 'rep3d', 'auto-nnunet'].map((name) => `independent-${name}`);
    assert.deepEqual(without, {
      ...Object.fromEntries(elsewhere.map((id) => [`mednext/${id}`, data(...rowsOf('mednext', id))])),
      'mednext/independent-primus': Object.fromEntries(
        ['Primus-M', 'PrimusV2-M', 'PrimusV3-S'].map((row) => [row, reasons.otherNetwork]),
      ),
      'mednext/fig1c-leaderboard': data('AMOS, average Dice', 'BTCV / Synapse multi-organ CT, average DSC', 'KiTS19'),
      'stu-net/table4-direct-inference': data(...rowsOf('stuNet', 'table4-direct-inference').filter((row) => row !== 'Mean')),
      ...Object.fromEntries(tablesOf('swinUmamba').map(({ id }) => [`swin-umamba/${id}`, nnFormer])),
    });
  });

  it('only architecture tables are counted instead of trained', () => {
    const counted = studyNames.flatMap((name) =>
      study(name).tables.filter((t) => Object.values(t.absent ?? {}).includes(reasons.noTraining)),
    );
    assert.deepEqual(
      counted.map((t) => t.id),
      ['table1-left', 'readme-architectures', 'model-sizes'],
    );
    for (const { id, absent } of counted) {
      const { paper } = study(studyNames.find((n) => study(n).tables.some((t) => t.id === id))!);
      assert.deepEqual(Object.keys(absent!), rowsOf(paper, id));
    }
  });

  it('the systems that are columns of the direct inference table are experiments too', () => {
    const table = tablesOf('stuNet').find((t) => t.id === 'table4-direct-inference')!;
    assert.deepEqual(
      demoTable('stuNet', table.id).joined!.Mean,
      table.columns.filter((c) => c !== 'dataset'),
    );
  });

  it('single tables can be asked for by id or label, and unknown ones are named', () => {
    assert.deepEqual(
      study('mednext', { tables: ['table1-right', '2'] }).tables.map((t) => t.label),
      ['2', '1 right'],
    );
    assert.throws(
      () => study('mednext', { tables: ['3'] }),
      /"3"; expected table1-left, readme-architectures, table2, table1-right/,
    );
    assert.throws(() => study('unet' as 'mednext'), /"unet"; expected mednext, kaist-brats21/);
  });

  it('hours are scaled from a training of the same network, or from none', () => {
    const { experiments } = study('mednext', { scale: 'paper' });
    const of = (name: string) => experiments.find((e) => e.name === name)!;
    const row = (name: string, dimensions = 3) => {
      const found = hoursReference(of(name), dimensions);
      return 'none' in found ? found.none : `${found.row}: ${found.hours}`;
    };
    assert.equal(row('MedNeXt-S (kernel 3)'), 'MedNeXt L k3: 68');
    assert.equal(row('MedNeXt-S (kernel 5)'), 'MedNeXt L k5: 233');
    assert.equal(row('ResEnc XL'), 'nnU-Net ResEnc XL: 66');
    assert.equal(row('No-Mamba Base'), 'No-Mamba Base: 24');
    assert.equal(row('SwinUNETRV2'), 'SwinUNETRV2: 15');
    assert.equal(row('CoTr'), 'CoTr: 18');
    assert.equal(row('nnUNet'), 'nnU-Net (org.): 9');
    assert.equal(row('3D-UX-Net'), 'no published hours of this network');
    assert.equal(row('TransUNet', 2), 'hours are published of 3-D networks only');
  });
});

describe('protocols', () => {
  it('every described data set says how each of its papers used it, with the source', () => {
    for (const name of describedNames()) {
      const { protocols, papers } = descriptor(name);
      for (const { kind, source } of protocols) assert.ok(kind.length > 3 && source.length > 5, name);
      assert.deepEqual(
        papers.filter((paper) => !protocols.some((p) => p.paper === paper)),
        [],
        name,
      );
    }
  });

  it('TransUNet’s 18:12 of BTCV is a split of an experiment', () => {
    const ids = [...Array(10).keys(), ...[...Array(20).keys()].map((i) => i + 20)].map(
      (i) => `img00${String(i + 1).padStart(2, '0')}`,
    );
    const { train, val } = publishedSplit('BTCV', 'TransUNet', ids);
    assert.deepEqual([train.length, val.length], [18, 12]);
    assert.deepEqual(val.slice(0, 5), ['img0001', 'img0002', 'img0003', 'img0004', 'img0008']);
    assert.throws(() => publishedSplit('BTCV', 'UNet', ids), /"UNet"; expected TransUNet/);
    assert.throws(() => publishedSplit('BTCV', 'TransUNet', ids.slice(1)), /without img0001/);
  });

  it('what a row was scored on is said beside what the paper’s was', () => {
    const run = (fold: number | 'all', n: number, on?: 'test'): RunScores =>
      ({ fold, on, cases: Array.from({ length: n }, (_, i) => ({ id: `${fold}/${i}`, classes: {} })) }) as unknown as RunScores;
    const cv = protocolOf('mednext', 'table2');
    assert.deepEqual(scoredOn(cv, 'BTCV', [run(0, 6)]), { text: 'fold 0 of 5, 6 of 30 cases', same: false });
    assert.deepEqual(
      scoredOn(
        cv,
        '/data/Dataset017_BTCV',
        [0, 1, 2, 3, 4].map((fold) => run(fold, 6)),
      ),
      {
        text: '5 folds, 30 of 30 cases',
        same: true,
      },
    );
    const all = protocolOf('swinUmamba', 'v2-table1-abdomenmri');
    assert.deepEqual(scoredOn(all, 'AbdomenMRI', [run('all', 4, 'test')]), { text: 'test cases, 4 of 50 cases', same: false });
    assert.equal(scoredOn(all, 'AbdomenMRI', [run('all', 50, 'test')]).same, true);
    assert.equal(scoredOn(all, 'AbdomenMRI', [run(0, 12)]).same, false);
  });

  it('Swin-UMamba trains on all and tests on the test set at paper scale; others in five folds', () => {
    for (const e of study('swin-umamba', { scale: 'paper' }).experiments) assert.equal(e.folds, 'all');
    for (const e of study('mednext', { scale: 'paper' }).experiments) assert.deepEqual(e.folds, [0, 1, 2, 3, 4]);
    for (const name of studyNames)
      for (const e of study(name, { scale: 'paper' }).experiments) assert.equal(e.scoring, undefined, e.name);
  });

  it('verdicts counts findings and names them', () => {
    const finding = (says: string, verdict: Verdict, metric?: string) => ({
      statement: { says, variant: 'a', base: 'b', metric },
      pairs: 1,
      difference: 0,
      interval: [0, 0] as [number, number],
      p: 1,
      verdict,
    });
    assert.deepEqual(
      verdicts([finding('a helps', 'seen in this run'), finding('b helps', 'seen in this run', 'hd95'), finding('c', 'not run')]),
      [
        'seen in this run: 2 of 3 (a helps; b helps (HD95))',
        'opposite in this run: 0 of 3',
        'not decided by this run: 0 of 3',
        'both below the baseline: 0 of 3',
        'not run: 1 of 3 (c)',
      ],
    );
  });
});
