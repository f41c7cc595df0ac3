import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { needsOf } from '../../src/run/dryRun.js';
import { graph, reproduce, study } from '../../src/run/index.js';
import { isAlive, readLease } from '../../src/run/lease.js';
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
      await assert.rejects(study([small], { target: 'slurm', display: null }), /no squeue on this machine/);
    } finally {
      process.env.PATH = PATH;
    }
  });

  it('asks for what the forecast says, where the site says nothing', async () => {
    const runs = graph([small]);
    const needs = () => ({ gres: 'gpu:1', memory: '3G', time: '2:00:00' });
    const { folder } = await submit(runs, { dryRun: true, memory: '8G' }, needs);
    const lines = fs.readFileSync(path.join(folder, 'submit.sh'), 'utf8');
    assert.match(lines, /--gres=gpu:1 --time=2:00:00 --array=0-1/);
    assert.doesNotMatch(lines, /--mem=3G/);
    const summary = fs.readFileSync(path.join(folder, 'summary.sh'), 'utf8');
    assert.match(summary, /--mem=512M\n/);
    assert.match(summary, /--time=10:00\n/);
    const forecast = (await needsOf(runs))(runs[0]);
    assert.match(forecast.memory!, /^\d+G$/);
    assert.equal(forecast.gres, undefined);
  });

  it('a site that cannot be is refused with all that is wrong', async () => {
    await assert.rejects(
      submit(graph([small]), { dryRun: true, qos: 'a b', extra: ['exclusive'], scratch: '/tmp; rm -rf /', submitLimit: 1 }),
      (error: Error) => ['qos', 'extra[0]', 'scratch', 'submitLimit'].every((name) => error.message.includes(name)),
    );
  });

  describe('on a cluster of one machine', () => {
    let cluster: Cluster;
    let other: string;
    const site = { account: 'lab', pollMs: 300 };

    before(function () {
      const why = whyNoCluster();
      if (why) {
        console.log(`      skipped: ${why}`);
        this.skip();
      }
      this.timeout(60_000);
      cluster = startCluster({ strict: true });
      Object.assign(process.env, cluster.env);
      other = process.env.VOXELBOOK_RUNS!;
      process.env.VOXELBOOK_DATA = path.join(other, 'data');
    });
    after(() => {
      if (!cluster) return;
      process.env.VOXELBOOK_RUNS = other;
      delete process.env.SLURM_CONF;
      cluster.stop();
    });
    afterEach(() => {
      execFileSync('scancel', ['--user=root']);
    });
    const inFolder = (name: string) => {
      process.env.VOXELBOOK_RUNS = path.join(root, name);
    };
    const queued = () =>
      execFileSync('squeue', ['--noheader', '--array', '--format=%i %j'], { encoding: 'utf8' })
        .split('\n')
        .filter((line) => line.trim());

    it('fits arrays and the number of jobs to the site, and hands nothing in twice', async function () {
      this.timeout(60_000);
      inFolder('held');
      const many = graph([{ ...small, seeds: [1, 2, 3, 4, 5, 6, 7, 8] }]);
      await assert.rejects(submit(many, { extra: ['--hold'] }), /this partition insists on an account/);
      const held = { ...site, extra: ['--hold'] };
      // The site says nothing of a limit: the controller does. The largest array here holds five.
      const first = await submit(many, held, () => ({ gres: 'gpu:1', memory: '1G' }));
      const asked = execFileSync('squeue', ['--noheader', '--format=%b %m'], { encoding: 'utf8' });
      assert.match(asked.split('\n')[0], /gpu:1 +1G/);
      assert.deepEqual(
        first.jobs.map((j) => j.runs),
        [5],
      );
      assert.equal(first.left.length, 3);
      assert.equal(queued().length, 5);
      const second = await submit(many, held);
      assert.deepEqual([second.jobs, second.pending, second.left.length], [[], 5, 3]);
      // Another study of the same runs knows them too, and a limit that the site tells is kept to.
      const third = await submit(graph([{ ...small, seeds: [4, 5, 6] }]), { ...held, submitLimit: 7 });
      assert.deepEqual([third.jobs.map((j) => j.runs), third.pending, third.left.length], [[1, 0], 2, 0]);
      const both = await Promise.all([submit(many, held), submit(many, held)]);
      assert.deepEqual(
        both.map((b) => b.jobs),
        [[], []],
      );
      const ids = queued().map((line) => line.split(' ')[0]);
      assert.equal(new Set(ids).size, ids.length);
    });

    it('a failure names what never ran for it, and the wait outlives the controller', async function () {
      this.timeout(120_000);
      inFolder('failing');
      const events: string[] = [];
      let away = false;
      const { failures } = await study(
        [
          { ...small, seeds: [1] },
          { ...large, seeds: [1], init: { upkernFrom: { ...small, seeds: [1] } } },
        ],
        {
          display: null,
          target: 'slurm',
          slurm: { ...site, cpus: 1, memory: '2G', env: { VOXELBOOK_MEMORY_BYTES: '1000' } },
          onEvent: (e) => {
            events.push(e);
            if (e.includes('asked again')) cluster.startController();
            if (away || !e.startsWith('job')) return;
            away = true;
            cluster.stopController();
          },
        },
      );
      const said = failures.map((f) => f.error.message);
      assert.match(said[0], /memory/);
      assert.match(said[1], /never ran: what it starts from has no result \(.*memory/s);
      assert.ok(
        events.some((e) => e.includes('asked again')),
        events.join('\n'),
      );
    });

    it('Stop leaves the jobs alone unless asked', async function () {
      this.timeout(60_000);
      inFolder('stopped');
      for (const cancelJobs of [false, true]) {
        const stop = new AbortController();
        const events: string[] = [];
        const waiting = study([{ ...small, seeds: [1] }], {
          display: null,
          target: 'slurm',
          slurm: { ...site, extra: ['--hold'] },
          signal: stop.signal,
          cancelJobs,
          onEvent: (e) => events.push(e),
          onProgress: () => stop.abort(new Error('enough')),
        });
        await assert.rejects(waiting, /enough/);
        assert.equal(queued().filter((line) => line.endsWith(' voxelbook')).length, cancelJobs ? 0 : 1);
        assert.equal(
          events.some((e) => /the jobs go on.*scancel \d+/.test(e)),
          !cancelJobs,
        );
      }
    });

    it('with one job killed, one preempted and the node lost, a two-level study gives the same table as here', async function () {
      this.timeout(600_000);
      process.env.VOXELBOOK_RUNS = other;
      const here = await reproduce([small, large], { display: null, atOnce: 2, threads: 1 });
      const expected = [small, large].flatMap((e) => seeds.map((s) => finalWeights(runFolderOf(e, 0, s))));
      const log = timelessLog(runFolderOf(small, 0, 1));
      inFolder('a folder with spaces');
      {
        const events: string[] = [];
        let killed = false;
        let preempted = false;
        let lost = false;
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
            // After both, while somebody trains: the node goes, and comes back when Slurm has noticed.
            const restarted = [first, second].every((f) => readLease(f)?.job?.endsWith('/1'));
            if (killed && preempted && !lost && restarted && [first, second].some((f) => isAlive(f))) {
              lost = true;
              cluster.killNode();
              await new Promise((resolve) => setTimeout(resolve, 15_000));
              cluster.startNode();
            }
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
        })();
        const there = await reproduce([small, large], {
          display: null,
          target: 'slurm',
          slurm: { ...site, cpus: 1, memory: '2G', gres: 'gpu:1', atOnce: 2 },
          onEvent: (e) => events.push(e),
        });
        done = true;
        await trouble;
        assert.ok(killed && preempted && lost);
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
        const logs = path.join(process.env.VOXELBOOK_RUNS!, 'submit');
        // The summary is a job of its own, which nobody waits for.
        while (queued().length > 0) await new Promise((resolve) => setTimeout(resolve, 200));
        const text = fs
          .readdirSync(logs, { recursive: true, encoding: 'utf8' })
          .filter((f) => f.endsWith('.txt'))
          .map((f) => fs.readFileSync(path.join(logs, f), 'utf8'))
          .join('\n');
        assert.match(text, /leg 0 ended with 137/);
        assert.match(text, /4 of 4 runs finished/);
        // Handing the same study in again computes nothing.
        const { jobs } = await submit(graph([small, large]), site);
        assert.deepEqual(jobs, []);
      }
    });
  });
});
