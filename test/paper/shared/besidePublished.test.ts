// A published table with a run beside it, and findings computed from the run.
import assert from 'node:assert';
import {
  beside,
  claims,
  findings,
  findingsTable,
  kaistBrats21,
  mednext,
  published,
  rowName,
  table,
} from '../../../src/paper/index.js';
import type { Variant } from '../../../src/report/index.js';
import type { ClassScore, RunScores } from '../../../src/train/experiment.js';

const score = (dsc: number, hd95 = 2): ClassScore => ({ dsc, nsd: dsc, hd95, state: 'ok' });
const runOf = (name: string, seed: number, values: number[]): RunScores => ({
  experiment: name,
  fold: 0,
  seed,
  nsd: { toleranceMm: 3, definition: 'voxel surfaces' },
  cases: values.map((v, i) => ({ id: `c${i}`, classes: { WT: score(v), ET: score(v / 2, 4) } })),
  cost: { parameters: 1, flops: 1, trainSeconds: 1, predictSeconds: 1, peakBytes: 1, forecastBytes: 1 },
});
const variant = (name: string, perSeed: number[][]): Variant => ({
  name,
  scores: perSeed.map((v, seed) => runOf(name, seed, v)),
});

describe('a published table with a run beside it', () => {
  const rows = [variant('nnUNet', [[0.8, 0.6]]), variant('MedNeXt-S (kernel 3)', [[0.5], [0.7]])];
  const made = beside('mednext', 'table2', {
    rows,
    where: 'made up',
    columns: [
      { label: 'DSC', metric: 'dsc', classes: ['WT'] },
      { label: 'HD95', metric: 'hd95', classes: ['ET'] },
    ],
  });

  it('keeps every row and column of the paper in the paper’s order, ours behind', () => {
    const source = published.mednext.tables.find((t) => t.id === 'table2')!;
    assert.deepStrictEqual(
      made.columns.map((c) => c.key),
      [...source.columns, 'ours.0', 'ours.1'],
    );
    assert.deepStrictEqual(
      made.cells.map((c) => c.network.text),
      source.rows.map((r) => r.network),
    );
    assert.strictEqual(made.columns.at(-1)!.group, 'this run (made up)');
  });

  it('shows fractions in the table’s percent, millimetres as they are', () => {
    assert.strictEqual(made.cells[0]['ours.0'].text, '70.0');
    assert.strictEqual(made.cells[0]['ours.1'].text, '4.00');
  });

  it('averages the seeds of a case first', () => {
    assert.strictEqual(made.cells[7]['ours.0'].text, '60.0');
  });

  it('a published number without a source and a row without a run each say why', () => {
    assert.strictEqual(made.cells[0].BTCV_DSC.why, 'no source for this number');
    assert.strictEqual(made.cells[1]['ours.0'].why, 'no experiment of this run is this row');
    assert.strictEqual(made.cells[1]['ours.0'].text, '—');
  });

  it('puts a column of ours next to the published one it belongs to', () => {
    const kaist = beside('kaistBrats21', 'cv-per-model', {
      rows: [variant('BL', [[0.8]])],
      where: 'made up',
      columns: [{ label: 'ours', beside: 'ET_Dice', metric: 'dsc', classes: ['ET'] }],
    });
    assert.deepStrictEqual(
      kaist.columns.slice(1, 4).map((c) => [c.group, c.label]),
      [
        ['ET Dice', 'published'],
        ['ET Dice', 'ours'],
        ['published', 'TC Dice'],
      ],
    );
    assert.strictEqual(kaist.cells[0]['ours.0'].text, '0.400');
  });

  it('leaves out published columns that are not asked for, says so, and has none of ours without its own', () => {
    const column = { label: 'ours', beside: 'mean_Dice', metric: 'dsc' } as const;
    const of = (published: string[], columns = [column]) =>
      beside('kaistBrats21', 'cv-per-model', { rows: [variant('BL', [[0.8]])], where: 'made up', published, columns });
    const narrow = of(['mean_HD95_mm', 'mean_Dice']);
    assert.deepStrictEqual(
      narrow.columns.map((c) => c.key),
      ['model', 'mean_Dice', 'ours.0', 'mean_HD95_mm'],
    );
    assert.ok(narrow.notes.some((note) => note.startsWith('Not shown here: ET Dice, TC Dice, WT Dice, ET HD95 mm')));
    assert.throws(() => of(['mean_HD95_mm']), /columns: "mean_Dice"; expected mean_HD95_mm/);
    assert.throws(() => of(['mean_Dice', 'ET']), /published[\s\S]*"ET"/);
  });

  it('names every row, column and variant that is not there, all at once', () => {
    const wrong = () =>
      beside('mednext', 'table2', {
        rows,
        where: '',
        as: { nobody: 'no one' },
        columns: [{ label: '', beside: 'no', values: {} }],
      });
    assert.throws(wrong, (e: Error) => /nobody/.test(e.message) && /no one/.test(e.message) && /"no"/.test(e.message));
  });

  it('every row of MedNeXt’s and KAIST’s own tables is an experiment', () => {
    const own = (list: { name: string }[]) => new Set(list.map((e) => e.name));
    const all = (paper: 'mednext' | 'kaistBrats21', id: string) => {
      const t = published[paper].tables.find((x) => x.id === id)!;
      return t.rows.map((row) => rowName(t, row));
    };
    for (const scale of ['demo', 'paper'] as const) {
      const one = own(mednext.table1({ scale }));
      assert.deepStrictEqual(
        all('mednext', 'table1-right').filter((n) => !one.has(n)),
        [],
      );
      const two = own(mednext.comparison({ scale }));
      assert.deepStrictEqual(
        all('mednext', 'table2').filter((n) => !two.has(n)),
        [],
      );
      const models = own(kaistBrats21.crossValidation({ scale }));
      assert.deepStrictEqual(
        all('kaistBrats21', 'cv-per-model').filter((n) => !models.has(n)),
        [],
      );
    }
  });

  it('every table of every paper shows every row, and every cell is a number or null', () => {
    for (const paper of ['mednext', 'kaistBrats21', 'stuNet', 'swinUmamba'] as const)
      for (const t of published[paper].tables) {
        assert.strictEqual(table(paper, t.id).cells.length, t.rows.length);
        assert.ok(claims(paper, t.id).every((c) => c.value !== undefined));
      }
  });
});

describe('findings', () => {
  const base = variant('base', [[0.5], [0.6], [0.4], [0.55], [0.45]]);
  const better = variant('better', [[0.6], [0.71], [0.5], [0.66], [0.54]]);
  const noisy = variant('noisy', [[0.7], [0.5], [0.5], [0.45], [0.5]]);
  const statement = (variant: string, base: string, metric?: string) => ({ says: 'x', variant, base, metric, classes: ['WT'] });

  it('a difference that all seeds share is seen, its reverse is opposite, a mixed one is not decided', () => {
    const found = findings(
      [base, better, noisy],
      [statement('better', 'base'), statement('base', 'better'), statement('noisy', 'base')],
    );
    assert.deepStrictEqual(
      found.map((f) => f.verdict),
      ['seen in this run', 'opposite in this run', 'not decided by this run'],
    );
  });

  it('has the interval and p of a paired t-test over seeds', () => {
    const [f] = findings([base, better], [statement('better', 'base')]);
    const d = [0.1, 0.11, 0.1, 0.11, 0.09];
    const center = d.reduce((a, b) => a + b) / 5;
    const sd = Math.sqrt(d.reduce((sum, v) => sum + (v - center) ** 2, 0) / 4);
    // Student's t for 4 degrees of freedom and 95 %, from a table.
    const half = (2.7764451 * sd) / Math.sqrt(5);
    assert.ok(Math.abs(f.difference - center) < 1e-12);
    assert.ok(Math.abs(f.interval[0] - (center - half)) < 1e-7);
    assert.ok(Math.abs(f.interval[1] - (center + half)) < 1e-7);
    assert.ok(f.p < 0.001 && f.pairs === 5);
  });

  it('two systems worse than the baseline have nothing to say', () => {
    const floor = variant('floor', [[0.9]]);
    assert.strictEqual(findings([base, better], [statement('better', 'base')], floor)[0].verdict, 'both below the baseline');
    assert.strictEqual(
      findings([base, better], [statement('better', 'base')], variant('low', [[0.55]]))[0].verdict,
      'seen in this run',
    );
  });

  it('of a distance the smaller is better', () => {
    const far: Variant = {
      name: 'far',
      scores: base.scores.map((s) => ({ ...s, cases: [{ id: 'c0', classes: { WT: score(0.5, 9 + s.seed) } }] })),
    };
    assert.strictEqual(findings([base, far], [statement('base', 'far', 'hd95')])[0].verdict, 'seen in this run');
  });

  it('one seed decides nothing and no seed is not run', () => {
    const one = variant('one', [[0.9]]);
    const none: Variant = { name: 'none', scores: [] };
    const found = findings([base, one, none], [statement('one', 'base'), statement('none', 'base')]);
    assert.deepStrictEqual(
      found.map((f) => f.verdict),
      ['not decided by this run', 'not run'],
    );
    const shown = findingsTable([base, one, none], [statement('one', 'base'), statement('none', 'base')]);
    assert.strictEqual(shown.cells[1].difference.why, 'no seed was run for both');
  });
});
