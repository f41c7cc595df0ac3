// A desk study of seconds: run, recorded, held against its recording, and found outdated when something it stands on changes.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { type DeskStudy, desk, deskNames } from '../../src/paper/index.js';
import { main } from '../../src/run/cli.js';
import { reproduceDesk } from '../../src/run/commands/reproduceDesk.js';
import { identityChanges, identityOf } from '../../src/run/deskIdentity.js';
import { recorded, recordedNames } from '../../src/run/index.js';
import { deskPlan } from '../paper/deskPlan.js';
import { leaveWorkplace, tinyExperiment, workplace } from './tiny.js';

describe('a desk study', function () {
  this.timeout(120_000);
  let folder: string;
  let study: DeskStudy;
  let said: string;

  const reproduce = async (record: boolean) => {
    const write = process.stdout.write;
    const lines: string[] = [];
    process.stdout.write = ((text: string) => lines.push(text)) as never;
    try {
      await reproduceDesk(study, { atOnce: 2, record, folder });
    } finally {
      process.stdout.write = write;
      said = lines.join('');
    }
  };
  const file = () => path.join(folder, 'tiny.json');
  const changed = (change: (recording: any) => void) => {
    const whole = fs.readFileSync(file(), 'utf8');
    const recording = JSON.parse(whole);
    change(recording);
    fs.writeFileSync(file(), JSON.stringify(recording));
    return () => fs.writeFileSync(file(), whole);
  };

  after(leaveWorkplace);
  before(async () => {
    const root = workplace();
    folder = path.join(root, 'recorded');
    const recipe = { ...tinyExperiment(root).recipe, epochs: 1, augmentation: 'none' as const };
    const of = { recipe, seeds: [1, 2], scoring: { nsdToleranceMm: 1 } };
    study = {
      study: 'tiny',
      experiments: [tinyExperiment(root, of, 3), tinyExperiment(root, of, 5)],
      trial: [tinyExperiment(root, { ...of, name: 'tiny k3 at 0.01', seeds: [1] }, 3)],
      plan: deskPlan([
        { says: 'large beats small', variant: 'tiny k5', base: 'tiny k3', asks: 'better', pilot: { difference: 0.1, sd: 0.1 } },
      ]),
    };
    await reproduce(true);
  });

  it('is recorded: every score, what it was made with, the maps of three cases', () => {
    assert.match(said, /large beats small/);
    const one = recorded(study, { folder });
    assert.deepEqual(
      one.rows.map((row) => [row.name, row.scores.map((run) => run.seed)]),
      [
        ['tiny k3', [1, 2]],
        ['tiny k5', [1, 2]],
      ],
    );
    const { recording } = one;
    assert.equal(recording.runs[0].cases.length, 2);
    assert.equal(recording.trial[0].experiment, 'tiny k3 at 0.01');
    assert.deepEqual(recording.threads, { '1': 4 });
    assert.ok(recording.hours > 0 && recording.machine.cores >= 1 && recording.machine.processor);
    assert.deepEqual(new Set(recording.maps.map((m) => m.rank)), new Set(['best', 'median', 'worst']));
    assert.deepEqual(one.outdated, []);
    assert.match(`${one}`, /^Recorded on \d{4}-\d\d-\d\d\.\n4 runs \(2 systems, 2 seeds\), 2 held-out cases, /);
    assert.match(`${one.decisionTable()}`, /large beats small/);
    assert.match(one.sentences()[0], /: "large beats small" \([+−]0\.\d{3} DSC, of this sign in \d of 2 seeds\)$/);
    assert.match(
      `${one.view('worst', { system: 'tiny k3' })}`,
      /^worst case, ball_\d: tiny k3, seed 1, DSC 0\.\d{3} \(recorded\)/,
    );
    assert.throws(() => one.view('best', { system: 'tiny k7' }), /this label map was not recorded[\s\S]*tiny k3 \| tiny k5/);
  });

  it('comes to the recorded verdicts and scores when it is run again', async () => {
    await reproduce(false);
    assert.match(said, /the same verdicts, every mean within the recorded spread; 4 of 4 runs identical/);
  });

  it('fails where scores leave the recorded spread', async () => {
    const back = changed(({ runs }) => {
      for (const { experiment, cases } of runs)
        for (const { classes } of cases)
          for (const score of Object.values<any>(classes)) if (experiment === 'tiny k5') score.dsc = 0.9;
    });
    await assert.rejects(reproduce(false), /does not come to what was recorded[\s\S]*other verdicts, or means beyond/);
    assert.match(said, /NOT the same; 2 of 4 runs identical[\s\S]*OTHER {2}tiny k5: /);
    back();
  });

  it('is outdated when analysis, experiments, voxels or metrics change, and says which', () => {
    const { identity } = recorded(study, { folder }).recording;
    const [small, large] = study.experiments;
    const changes = (other: Partial<DeskStudy>) => identityChanges(identity, { ...study, ...other });
    assert.deepEqual(changes({}), []);
    assert.deepEqual(changes({ plan: { ...study.plan, margin: 0.03 } }), ['the analysis changed']);
    const longer = { ...large, recipe: { ...large.recipe, epochs: 2 } };
    assert.deepEqual(changes({ experiments: [small, longer] }), ['the experiment "tiny k5" changed']);
    const otherwise = [small, large].map((e) => ({ ...e, scoring: { nsdToleranceMm: 2 } }));
    assert.deepEqual(changes({ experiments: otherwise }), ['the scoring or a metric changed']);
    const mednext = desk('mednext');
    const then = { ...identityOf(mednext), data: { SimGlioma: '0' } };
    assert.deepEqual(identityChanges(then, mednext), ['the voxels of SimGlioma changed']);
    // A set that only the pre-training uses counts as well.
    const swin = desk('swin-umamba');
    const now = identityOf(swin);
    assert.deepEqual(identityChanges({ ...now, data: { ...now.data, SimCellsStained: '0' } }, swin), [
      'the voxels of SimCellsStained changed',
    ]);
    const back = changed((recording) => {
      recording.identity.plan = '0';
    });
    const one = recorded(study, { folder });
    assert.match(`${one}`, /^Recorded on [\d-]+ — OUTDATED: the analysis changed\./);
    assert.match(one.bundle()['text/html'] as string, /OUTDATED/);
    back();
  });

  it('a damaged recording is refused, a missing one says how to make it', () => {
    const back = changed((recording) => {
      recording.maps[0].file = '../tiny.json';
    });
    assert.throws(() => recorded(study, { folder }), /cannot be used[\s\S]*maps\[0\]\.file/);
    back();
    assert.throws(() => recorded('mednext', { folder }), /--scale desk --record makes it/);
    assert.throws(() => desk('nnunet'), /there is no such desk study[\s\S]*mednext/);
  });

  it('a command line that asks for something else is told so', async () => {
    const { error } = console;
    const told: string[] = [];
    console.error = (text) => told.push(text);
    const codes = [];
    for (const args of [
      ['nnunet', '--scale', 'desk'],
      ['mednext', '--record'],
      ['mednext', '--scale', 'desk', '--table', '2'],
    ])
      codes.push(await main(['reproduce', ...args]));
    console.error = error;
    assert.deepEqual(codes, [1, 2, 2]);
    for (const [i, words] of [
      /"nnunet"; expected mednext/,
      /--record; expected with --scale desk/,
      /a desk study has no tables/,
    ].entries())
      assert.match(told[i], words);
  });

  it('the project’s own recordings hold', () => {
    for (const name of recordedNames()) assert.deepEqual(recorded(name).outdated, [], name);
    assert.match(
      `${recorded('swin-umamba').view('worst')}`,
      /^worst case, SimCells120_\d+: Swin-UMamba, pre-trained, seed 0, DSC 0\.\d{3} \(recorded\)/,
    );
  });

  it('every paper’s desk study has eight seeds and twelve held-out cases, and its rates were tried on other folds', () => {
    for (const name of deskNames) {
      const { experiments, trial, plan } = desk(name);
      for (const e of experiments) {
        assert.ok(e.seeds.length >= 8 && e.folds.length >= 3, e.name);
        for (const t of trial!) for (const fold of t.folds) assert.ok(!(e.folds as unknown[]).includes(fold));
      }
      for (const { variant, base } of plan.claims)
        for (const system of [variant, base])
          assert.ok(
            experiments.some((e) => e.name === system),
            system,
          );
    }
  });
});
