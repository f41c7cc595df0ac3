import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { graph, reproduce, study } from '../../src/run/index.js';
import { readLease } from '../../src/run/lease.js';
import { submit } from '../../src/run/slurm.js';
import { type Experiment, runFolderOf } from '../../src/train/index.js';
import { type Cluster, startCluster, whyNoCluster } from './cluster.js';
import { finalWeights, leaveWorkplace, timelessLog, tinyExperiment, workplace } from './tiny.js';

const seeds = [1, 2];

describe('run on Slurm', () => {
  let root: string;
  let small: Experiment;
  let large: Experiment;

  after(leaveWorkplace);
  before(() => {
    root = workplace();
    const recipe = { ...tinyExperiment(root).recipe, epochs: 8 };
    small = tinyExperiment(root, { recipe, seeds });
    large = tinyExperiment(
      root,
      { recipe: { ...recipe, epochs: 1 }, name: 'tiny k5 UpKern', seeds, init: { upkernFrom: small } },
      5,
    );
  });

  it('writes one array a level, requeueable, with a warning before the time limit', async () => {
    const { folder } = await submit(graph([small, large]), { dryRun: true, partition: 'gpu', gres: 'gpu:1', time: '4:00:00' });
    const script = fs.readFileSync(path.join(folder, 'run.sh'), 'utf8');
    for (const line of [
      '--requeue',
      '--signal=B:USR1@120',
      '--partition=gpu',
      '--gres=gpu:1',
      '--time=4:00:00',
      '--open-mode=append',
    ])
      assert.ok(script.includes(`#SBATCH ${line}\n`), line);
    execFileSync('bash', ['-n', path.join(folder, 'run.sh')]);
    execFileSync('bash', ['-n', path.join(folder, 'summary.sh')]);
    const grid = fs
      .readFileSync(path.join(folder, 'grid.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((l) => JSON.parse(l));
    assert.deepEqual(
      grid.map((g) => [g.level, g.seed]),
      [
        [0, 1],
        [0, 2],
        [1, 1],
        [1, 2],
      ],
    );
  });

  it('says that there is no Slurm where there is none', async () => {
    const PATH = process.env.PATH;
    process.env.PATH = '/nowhere';
    try {
      await assert.rejects(study([small], { target: 'slurm', display: null }), /no sbatch on this machine/);
    } finally {
      process.env.PATH = PATH;
    }
  });

  it('a two-level study with one job killed and one preempted gives the same table as here', async function () {
    const why = whyNoCluster();
    if (why) {
      console.log(`      skipped: ${why}`);
      this.skip();
    }
    this.timeout(600_000);
    const here = await reproduce([small, large], { display: null, atOnce: 2, threads: 1 });
    const expected = [small, large].flatMap((e) => seeds.map((s) => finalWeights(runFolderOf(e, 0, s))));
    const log = timelessLog(runFolderOf(small, 0, 1));

    const other = process.env.VOXELBOOK_RUNS!;
    process.env.VOXELBOOK_DATA = path.join(other, 'data');
    process.env.VOXELBOOK_RUNS = path.join(root, 'cluster');
    let cluster: Cluster | undefined;
    try {
      cluster = startCluster();
      Object.assign(process.env, cluster.env);
      const events: string[] = [];
      let killed = false;
      let preempted = false;
      let done = false;
      const trouble = (async () => {
        while (!done) {
          const [first, second] = seeds.map((s) => runFolderOf(small, 0, s));
          const begun = (folder: string) => fs.existsSync(path.join(folder, 'checkpoints.json')) && readLease(folder);
          if (!killed && begun(first)) {
            killed = true;
            process.kill(readLease(first)!.pid, 'SIGKILL');
          }
          if (!preempted && begun(second)) {
            preempted = true;
            const [job] = readLease(second)!.job!.split('/');
            execFileSync('scontrol', ['requeue', job]);
          }
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      })();
      const there = await reproduce([small, large], {
        display: null,
        target: 'slurm',
        slurm: { cpus: 1, atOnce: 2, pollMs: 500 },
        onEvent: (e) => events.push(e),
      });
      done = true;
      await trouble;
      assert.ok(killed && preempted);
      assert.deepEqual(there.failures, []);
      assert.deepEqual(
        there.rows.map((r) => r.scores.map((s) => s.cases)),
        here.rows.map((r) => r.scores.map((s) => s.cases)),
      );
      assert.deepEqual(
        [small, large].flatMap((e) => seeds.map((s) => finalWeights(runFolderOf(e, 0, s)))),
        expected,
      );
      assert.deepEqual(timelessLog(runFolderOf(small, 0, 1)), log);
      const logs = path.join(process.env.VOXELBOOK_RUNS, 'submit');
      const text = fs
        .readdirSync(logs, { recursive: true, encoding: 'utf8' })
        .filter((f) => f.endsWith('.txt'))
        .map((f) => fs.readFileSync(path.join(logs, f), 'utf8'))
        .join('\n');
      assert.match(text, /leg 0 ended with 137/);
      assert.match(text, /4 of 4 runs finished/);
      // Handing the same study in again computes nothing.
      const { jobs } = await submit(graph([small, large]), {});
      assert.deepEqual(jobs, []);
    } finally {
      process.env.VOXELBOOK_RUNS = other;
      delete process.env.SLURM_CONF;
      cluster?.stop();
    }
  });
});
