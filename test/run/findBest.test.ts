// find-best from what `run` writes, to the last line of its advice.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { nodeArguments } from '../../src/base/workers.js';
import { findBest, study } from '../../src/run/index.js';
import { madeOf } from '../../src/run/members.js';
import { readVolume } from '../../src/volume/index.js';
import { leaveWorkplace, tinyExperiment, workplace } from './tiny.js';

describe('find-best', function () {
  this.timeout(600_000);
  after(leaveWorkplace);

  it('chooses among finished runs and their pairs, and each command it prints can be run as printed', async () => {
    const root = workplace();
    const recipe = { ...tinyExperiment(root).recipe, epochs: 1 };
    const experiments = [3, 5].map((kernel) => tinyExperiment(root, { recipe, folds: [0, 1] }, kernel));
    const { runs, failures } = await study(experiments, { display: null });
    assert.deepEqual(failures, []);
    const folders = runs.map(({ folder }) => folder);
    const found = await findBest(folders);
    assert.deepEqual(Object.keys(found.results), ['tiny-k3', 'tiny-k5', 'ensemble___tiny-k3___tiny-k5']);
    assert.deepEqual(madeOf([folders[0]]), [found.folder]);
    const merged = path.join(found.folder, 'tiny-k3', 'crossval');
    // Probabilities are predicted again; the labels of a single model are those of its runs.
    for (const run of runs.filter((r) => r.experiment.name === 'tiny k3'))
      for (const { id } of run.scores.cases)
        assert.deepEqual(
          readVolume(path.join(merged, `${id}.nii.gz`)).data,
          readVolume(path.join(run.folder, 'predictions', `${id}.nii.gz`)).data,
        );
    const alone = await findBest(folders, { ensembles: false });
    assert.deepEqual(alone.results, Object.fromEntries(Object.entries(found.results).slice(0, 2)));

    const images = path.join(root, 'INPUT_FOLDER');
    fs.mkdirSync(images);
    const raw = path.join(root, 'Dataset042_Balls', 'imagesTr');
    fs.copyFileSync(path.join(raw, 'ball_0_0000.nii.gz'), path.join(images, 'ball_0_0000.nii.gz'));
    for (const advice of [found.instructions, alone.instructions]) {
      const commands = advice.split('\n').filter((line) => line.startsWith('npx voxelbook '));
      assert.ok(commands.length >= 2, advice);
      for (const command of commands) {
        // The folders that a reader fills in.
        const args = command
          .split(' ')
          .slice(2)
          .map((word) => (/^(INPUT|OUTPUT)_/.test(word) ? path.join(root, word) : word));
        const cli = nodeArguments(new URL('../../src/run/cli.js', import.meta.url));
        const { status, stderr } = spawnSync(
          process.execPath,
          [...cli, ...args, ...(args[0] === 'predict' ? ['--overwrite'] : [])],
          { encoding: 'utf8' },
        );
        assert.equal(status, 0, `${command}\n${stderr}`);
      }
      assert.ok(fs.existsSync(path.join(root, 'OUTPUT_FOLDER_PP', 'ball_0.nii.gz')));
      for (const name of fs.readdirSync(root).filter((n) => n.startsWith('OUTPUT_')))
        fs.rmSync(path.join(root, name), { recursive: true });
    }

    await assert.rejects(findBest(folders.slice(0, 3)), /folds 0 of "tiny k5"; expected folds 0, 1 as "tiny k3"/);
    await assert.rejects(findBest([root]), /no run folder; expected a finished run/);
    // Weights of different experiments are not averaged in one prediction.
    const cli = nodeArguments(new URL('../../src/run/cli.js', import.meta.url));
    const mixed = spawnSync(
      process.execPath,
      [...cli, 'predict', images, path.join(root, 'out'), '--run', folders[0], '--run', folders[2]],
      { encoding: 'utf8' },
    );
    assert.equal(mixed.status, 1);
    assert.match(mixed.stderr, /these runs belong to different experiments/);
  });
});
