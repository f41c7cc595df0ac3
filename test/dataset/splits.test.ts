// splits_final.json: ours is made again with the cases, somebody's own is checked and left alone; groups stay together.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Dataset, keepSplits, knownSplits, type Split, split, splits } from '../../src/dataset/index.js';
import { groupedSplits } from '../../src/dataset/splits.js';

const ids = ['case_1', 'case_2', 'case_3', 'case_4', 'case_5'];

describe('splits_final.json', () => {
  let folder: string;
  const dataset = (names = ids): Dataset => ({
    name: 'Dataset001_X',
    folder,
    json: {} as Dataset['json'],
    cases: names.map((id) => ({ id, images: [] })),
    testCases: [],
  });
  const write = (text: string) => fs.writeFileSync(path.join(folder, 'splits_final.json'), text);
  const known = (names?: string[]) => knownSplits(dataset(names), folder);
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-splits-'));
  });
  afterEach(() => fs.rmSync(folder, { recursive: true }));

  const wrong: [string, string, RegExp][] = [
    ['no list', '{"train":["case_1"],"val":["case_3"]}', /splits_final\.json: an object of train, val; expected a list of/],
    ['a comma too many', '[{"train":["case_1"],"val":["case_3"]},]', /splits_final\.json: .*; expected JSON/],
    [
      'endings',
      '[{"train":["case_1.nii.gz"],"val":["case_3"]}]',
      /\[0\]\.train: case_1\.nii\.gz: no such case.*ending out: case_1\./,
    ],
    [
      'an unknown id',
      '[{"train":["case_1","case_77"],"val":["case_3"]}]',
      /\[0\]\.train: case_77: no such case; expected ids of the data set/,
    ],
    ['no validation', '[{"train":["case_1"],"val":[]}]', /\[0\]\.val: no case; expected at least one/],
    ['no training', '[{"train":[],"val":["case_1"]}]', /\[0\]\.train: no case; expected at least one/],
    ['no fold', '[]', /an empty list; expected a list of/],
    ['no ids', '[{"train":"case_1"}]', /\[0\]\.train: "case_1"; expected a list of case ids(.|\n)*\[0\]\.val: missing/],
  ];
  for (const [what, text, message] of wrong)
    it(`${what}: refused with the file and the place`, () => {
      write(text);
      assert.throws(known, message);
    });

  it('overlaps and cases in no fold are named; the file is used as it is, and never written', () => {
    const text = '[{"train":["case_1","case_2","case_3"],"val":["case_3","case_4"]}]';
    write(text);
    const { made, splits: list, warnings } = known();
    assert.equal(made, 'by hand');
    assert.deepEqual(list, JSON.parse(text));
    assert.deepEqual(
      warnings.map((w) => w.given),
      ['case_3 in train and in val', 'case_5 in no fold'],
    );
    keepSplits(dataset([...ids, 'case_6']), folder);
    assert.equal(fs.readFileSync(path.join(folder, 'splits_final.json'), 'utf8'), text);
  });

  it('ours follow the cases, with a record beside them; once edited they are somebody’s own', () => {
    keepSplits(dataset(), folder);
    const file = path.join(folder, 'splits_final.json');
    const first: Split[] = JSON.parse(fs.readFileSync(file, 'utf8'));
    assert.deepEqual(first, splits(ids));
    assert.equal(JSON.parse(fs.readFileSync(path.join(folder, 'splits_final.made.json'), 'utf8')).made, 'generated');
    const names = ['case_1', 'case_3', 'case_4', 'case_5', 'case_9'];
    assert.deepEqual(known(names).splits, splits(names));
    keepSplits(dataset(names), folder);
    assert.deepEqual(JSON.parse(fs.readFileSync(file, 'utf8')), splits(names));
    const edited = splits(names).slice(0, 2);
    write(JSON.stringify(edited));
    assert.equal(known(names).made, 'by hand');
    assert.throws(() => known(ids), /case_9: no such case/);
  });

  it('nnU-Net’s own file, made by the same rule, counts as made by it', () => {
    write(JSON.stringify(splits(ids)));
    assert.equal(known().made, 'generated');
    assert.deepEqual(known([...ids, 'case_6']).splits, splits([...ids, 'case_6']));
  });

  it('one case gives a sentence that works', () => {
    assert.throws(() => known(['case_1']), /1 case cannot be split into 5 folds.*fold "all" \(--fold all/s);
    assert.deepEqual(split(['case_1'], 'all'), { train: ['case_1'], val: ['case_1'] });
    assert.throws(() => split(ids, -1), /-1; expected a whole number from 0 to 4, or "all"/);
  });

  it('groups.json keeps groups together, and names what it lacks', () => {
    const names = Array.from({ length: 12 }, (_, i) => `p${i >> 1}_s${i % 2}`);
    const groups = Object.fromEntries(names.map((id) => [id, id.slice(0, 2)]));
    const put = (value: unknown) => fs.writeFileSync(path.join(folder, 'groups.json'), JSON.stringify(value));
    put(groups);
    const five = known(names).splits;
    assert.deepEqual(five.flatMap((s) => s.val).sort(), names);
    for (const { train, val } of five) for (const id of val) assert.ok(!train.some((t) => groups[t] === groups[id]));
    assert.deepEqual(split(dataset(names), { group: (id) => id.slice(0, 2) }), five);
    // What a cell asks of the data set is what training takes.
    for (const [fold, of] of five.entries()) assert.deepEqual(split(dataset(names), fold), of);
    assert.deepEqual(split(names, 0), splits(names)[0]);
    const { p0_s0: _, ...less } = groups;
    put({ ...less, stranger: 'x' });
    assert.throws(() => known(names), /groups\.json: no group of p0_s0(.|\n)*a group of stranger/);
    put(Object.fromEntries(names.map((id) => [id, 'one site'])));
    assert.throws(() => known(names), /12 cases of 1 groups cannot be split into 5 folds/);
  });

  it('groups are dealt as by sklearn’s GroupKFold: the largest first, each to the fold with the fewest cases', () => {
    // GroupKFold(3).split(X, groups=list('aaaabbbccd')): test sets a · b · c and d.
    const groups = Object.fromEntries([...'aaaabbbccd'].map((g, i) => [`x${i}`, g]));
    const held = groupedSplits(Object.keys(groups), groups, 3).map(({ val }) =>
      [...new Set(val.map((id) => groups[id]))].join(''),
    );
    assert.deepEqual(held, ['a', 'b', 'cd']);
  });
});
