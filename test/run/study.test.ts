import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { threads } from '../../src/base/threads.js';
import { graph, reproduce, study } from '../../src/run/index.js';
import { readLease } from '../../src/run/lease.js';
import { type Experiment, runFolderOf } from '../../src/train/index.js';
import { finalWeights, leaveWorkplace, timelessLog, tinyExperiment, workplace } from './tiny.js';

describe('run.study', () => {
  let root: string;
  let small: Experiment;
  let large: Experiment;

  after(leaveWorkplace);
  before(() => {
    root = workplace();
    const recipe = { ...tinyExperiment(root).recipe, epochs: 2 };
    small = tinyExperiment(root, { recipe });
    large = tinyExperiment(root, { recipe, name: 'tiny k5 UpKern', init: { upkernFrom: small } }, 5);
  });

  it('plans every fold and seed once, with what each starts from before it', () => {
    const both = { folds: [0, 1], seeds: [1, 2] };
    const runs = graph([
      { ...large, ...both },
      { ...small, ...both },
    ]);
    assert.equal(runs.length, 8);
    assert.deepEqual(
      runs.map((r) => r.level),
      [0, 1, 0, 1, 0, 1, 0, 1],
    );
    for (const run of runs.filter((r) => r.level === 1)) {
      const needed = runs.find((r) => r.hash === run.needs[0])!;
      assert.deepEqual([needed.fold, needed.seed, needed.level], [run.fold, run.seed, 0]);
    }
  });

  it('runs k3, grows it to k5, and gives rows a report takes; killed at the border, ends with the same bits', async () => {
    const events: string[] = [];
    const shares = new Set<string>();
    const tables: string[][] = [];
    const done = await reproduce([small, large], {
      display(first) {
        const texts = [first['text/plain']];
        tables.push(texts);
        return {
          update(next) {
            texts.push(next['text/plain']);
          },
        };
      },
      atOnce: 2,
      onEvent: (e) => events.push(e),
      onLine: (_, run) => {
        const environment = `/proc/${readLease(run.folder)?.pid}/environ`;
        if (!fs.existsSync(environment)) return;
        for (const entry of fs.readFileSync(environment, 'utf8').split('\0'))
          if (entry.startsWith('VOXELBOOK_THREADS=')) shares.add(entry);
      },
    });
    if (process.platform === 'linux')
      assert.deepEqual([...shares], [`VOXELBOOK_THREADS=${Math.max(1, Math.floor(threads() / 2))}`], 'each run has its share');
    assert.deepEqual(
      done.rows.map((r) => [r.name, r.scores.length, r.missing]),
      [
        ['tiny k3', 1, undefined],
        ['tiny k5 UpKern', 1, undefined],
      ],
    );
    assert.equal(events.filter((e) => e.endsWith('starts')).length, 2);
    // One table for the study, from its first run to its last.
    assert.equal(tables.length, 1);
    assert.equal(tables[0][0], '0 of 2 runs\ntiny k3  seed 1  starts\ntiny k5 UpKern  seed 1  waits');
    assert.ok(
      tables[0].some((text) => /^1 of 2 runs · .* left\ntiny k3 {2}seed 1 {2}finished in .* {2}loss -?\d/.test(text)),
      tables[0].join('\n'),
    );
    assert.match(tables[0].at(-1)!, /^2 of 2 runs · \d.*\n.*finished in .*\n.*finished in .*loss -?\d\.\d{3}/);
    const expected = [small, large].map((e) => finalWeights(runFolderOf(e, 0, 1)));
    const logs = [small, large].map((e) => timelessLog(runFolderOf(e, 0, 1)));

    const other = process.env.VOXELBOOK_RUNS!;
    process.env.VOXELBOOK_DATA = path.join(other, 'data');
    process.env.VOXELBOOK_RUNS = path.join(root, 'killed');
    // Killed as soon as each of the two networks has begun its training.
    let finished = false;
    const kills: string[] = [];
    const killer = (async () => {
      while (!finished) {
        for (const e of [small, large]) {
          const folder = runFolderOf(e, 0, 1);
          const lease = readLease(folder);
          const begun = fs.existsSync(path.join(folder, 'progress.jsonl'));
          if (!lease || !begun || kills.includes(folder)) continue;
          kills.push(folder);
          process.kill(lease.pid, 'SIGKILL');
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    for (let i = 0; i < 3; i++) {
      const again = await study([small, large], { display: null, atOnce: 2 });
      if (again.failures.length === 0) break;
      assert.match(again.failures[0].error.message, /killed by SIGKILL/);
    }
    finished = true;
    await killer;
    assert.equal(kills.length, 2);
    assert.deepEqual(
      [small, large].map((e) => finalWeights(runFolderOf(e, 0, 1))),
      expected,
    );
    assert.deepEqual(
      [small, large].map((e) => timelessLog(runFolderOf(e, 0, 1))),
      logs,
    );
    process.env.VOXELBOOK_RUNS = other;
  });

  it('goes on with the others when one fails, and says why the rest could not start', async () => {
    const bad = {
      ...small,
      name: 'bad',
      recipe: { ...small.recipe, loss: { kind: 'dice+bce', dice: 'nnunetv2', batchDice: false, smooth: 1e-5 } as const },
    };
    const child = { ...large, name: 'child of bad', init: { upkernFrom: bad } };
    const { rows, failures } = await reproduce([bad, child, small], { display: null });
    assert.match(rows[0].missing!, /this loss does not fit the data set/);
    assert.match(rows[1].missing!, /what it starts from failed/);
    assert.equal(rows[2].scores.length, 1);
    assert.equal(failures.length, 2);
  });
});
