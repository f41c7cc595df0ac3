// A paper's study has every row of the tables it reproduces, or says why one is missing.
import assert from 'node:assert/strict';
import { hoursReference, published, rowName, study, studyNames } from '../../src/paper/index.js';

describe('studies of the papers', () => {
  for (const scale of ['demo', 'paper'] as const)
    for (const name of studyNames) {
      const { paper, tables, experiments } = study(name, { scale });
      const all = new Set(experiments.map((e) => e.name));
      for (const { id, as = {}, absent = {} } of tables)
        it(`${name}, ${scale}: every row of ${id} is an experiment or has a reason`, () => {
          const table = published[paper].tables.find((t) => t.id === id)!;
          const rows = table.rows.map((row) => rowName(table, row));
          for (const row of rows) {
            if (row in absent) assert.ok(!all.has(row) || row === 'nnFormer', `${row} has an experiment`);
            else assert.ok(all.has(as[row] ?? row), `${row} has no experiment among ${[...all].join(' | ')}`);
          }
          // The Swin-UMamba tables share their lists; a name that is in none of the paper's tables is a slip.
          const known = new Set(published[paper].tables.flatMap((t) => t.rows.map((row) => rowName(t, row))));
          for (const row of [...Object.keys(as), ...Object.keys(absent)]) assert.ok(known.has(row), row);
        });
    }

  it('every table of results that a network of the paper stands in is part of it', () => {
    const ids = (name: (typeof studyNames)[number]) => study(name).tables.map((t) => t.id);
    // Left out: architecture tables, other papers' quotations, and STU-Net's direct inference and groups, which train nothing more.
    const rest = (name: (typeof studyNames)[number]) =>
      published[study(name).paper].tables.map((t) => t.id).filter((id) => !ids(name).includes(id));
    assert.deepEqual(rest('mednext'), [
      'table1-left',
      'readme-architectures',
      'fig1c-leaderboard',
      'independent-primus',
      'secondary-pdc-net',
    ]);
    assert.deepEqual(rest('kaist-brats21'), []);
    assert.deepEqual(rest('stu-net'), [
      'model-sizes',
      'totalsegmentator-groups',
      'table4-direct-inference',
      'independent-nnunet-revisited',
    ]);
    assert.deepEqual(rest('swin-umamba'), []);
  });

  it('single tables can be asked for by id or label, and unknown ones are named', () => {
    assert.deepEqual(
      study('mednext', { tables: ['table1-right', '2'] }).tables.map((t) => t.label),
      ['2', '1 right'],
    );
    assert.throws(() => study('mednext', { tables: ['3'] }), /"3"; expected table2, table1-right/);
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
    assert.equal(row('nnUNet'), 'nnU-Net (org.): 9');
    assert.equal(row('3D-UX-Net'), 'no published hours of this network');
    assert.equal(row('TransUNet', 2), 'hours are published of 3-D networks only');
  });
});
