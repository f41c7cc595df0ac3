import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { study } from '../../src/run/index.js';
import { pull } from '../../src/run/pull.js';
import { type Experiment, runFolderOf } from '../../src/train/index.js';
import { leaveWorkplace, tinyExperiment, workplace } from './tiny.js';

describe('run pull', function () {
  this.timeout(120_000);
  let root: string;
  let there: string;
  let experiment: Experiment;

  after(leaveWorkplace);
  before(async function () {
    if (spawnSync('rsync', ['--version']).status !== 0) {
      console.log('      skipped: rsync not installed (Debian, Ubuntu: apt-get install rsync)');
      this.skip();
    }
    root = workplace();
    there = process.env.VOXELBOOK_RUNS!;
    const recipe = { ...tinyExperiment(root).recipe, epochs: 1, iterationsPerEpoch: 1 };
    experiment = tinyExperiment(root, { recipe, seeds: [1, 2] });
    const { failures } = await study([experiment], { display: null });
    assert.deepEqual(failures, []);
  });
  /** Another machine's runs folder, for one test. */
  const atHome = (name: string) => {
    process.env.VOXELBOOK_RUNS = path.join(root, name);
    process.env.VOXELBOOK_DATA = path.join(there, 'data');
  };

  it('a study that ran elsewhere is found as one’s own, without its checkpoints, and is not computed again', async () => {
    atHome('home with spaces');
    const names = [1, 2].map((seed) => path.basename(runFolderOf(experiment, 0, seed)));
    const first = await pull(there);
    assert.deepEqual([first.brought.sort(), first.kept, first.unfinished], [names.sort(), [], []]);
    for (const seed of [1, 2]) {
      const folder = runFolderOf(experiment, 0, seed);
      assert.ok(!fs.existsSync(path.join(folder, 'checkpoints')));
      assert.ok(fs.readdirSync(path.join(folder, 'predictions')).some((f) => f.endsWith('.nii.gz')));
    }
    const events: string[] = [];
    const { runs } = await study([experiment], { display: null, onEvent: (e) => events.push(e) });
    assert.deepEqual(events, []);
    assert.equal(runs.length, 2);
    const again = await pull(there);
    assert.deepEqual([again.brought, again.kept.length], [[], 2]);
  });

  it('brings the final weights where they are asked for, and no other checkpoint', async () => {
    atHome('weights');
    await pull(there, { weights: true });
    assert.deepEqual(fs.readdirSync(path.join(runFolderOf(experiment, 0, 1), 'checkpoints')), ['final.safetensors']);
  });

  it('takes no run whose scores are damaged or whose name is another’s, and says which; the others come', async () => {
    atHome('odd');
    const copy = path.join(root, 'copy');
    fs.cpSync(there, copy, { recursive: true });
    const [one, two] = [1, 2].map((seed) => path.basename(runFolderOf(experiment, 0, seed)));
    const scores = path.join(copy, one, 'scores.json');
    fs.writeFileSync(scores, fs.readFileSync(scores, 'utf8').replace(/"fold":\s*0/, '"fold": 1'));
    fs.cpSync(path.join(copy, two), path.join(copy, `${two}x`), { recursive: true });
    fs.cpSync(path.join(copy, two), path.join(copy, 'not yet'), { recursive: true });
    fs.mkdirSync(path.join(copy, 'waiting'));
    fs.copyFileSync(path.join(copy, two, 'experiment.json'), path.join(copy, 'waiting', 'experiment.json'));
    fs.symlinkSync('/etc', path.join(copy, two, 'predictions', 'etc'));
    await assert.rejects(
      pull(copy),
      (error: Error) =>
        error.message.includes(`${one}: scores.json that fails its checksum`) &&
        error.message.includes(`${two}x: the experiment of another run`) &&
        !error.message.includes(`${two}:`),
    );
    assert.deepEqual(
      fs.readdirSync(process.env.VOXELBOOK_RUNS!).filter((n) => !n.startsWith('.')),
      [two],
    );
    assert.ok(!fs.existsSync(path.join(process.env.VOXELBOOK_RUNS!, two, 'predictions', 'etc')));
    await assert.rejects(pull(path.join(root, 'nothing here')), /no runs were brought[\s\S]*No such file/);
    await assert.rejects(pull('--rsh=touch x'), /this is no place/);
  });
});
