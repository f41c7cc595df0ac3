// nnU-Net's own folders where ours are not set, and plans moved between data sets.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { isNnunetsFolder, preprocessedFolder } from '../../src/base/paths.js';
import { nodeArguments } from '../../src/base/workers.js';
import { open } from '../../src/dataset/index.js';
import { readPlan } from '../../src/plan/index.js';
import { prepare } from '../../src/train/index.js';
import { leaveWorkplace, tinyExperiment, workplace, writeTinySet } from './tiny.js';

const cli = nodeArguments(new URL('../../src/run/cli.js', import.meta.url));
const voxelbook = (...args: string[]) => spawnSync(process.execPath, [...cli, ...args], { encoding: 'utf8' });
const names = ['nnUNet_raw', 'nnUNet_preprocessed', 'nnUNet_results'] as const;

describe('nnU-Net’s folders', function () {
  this.timeout(600_000);
  const before = names.map((name) => process.env[name]);
  let root: string;

  after(() => {
    for (const [i, name] of names.entries())
      if (before[i] === undefined) delete process.env[name];
      else process.env[name] = before[i];
    leaveWorkplace();
  });

  it('hold data sets, plans, splits and fingerprint, and nnU-Net’s own files stay as they are', async () => {
    root = workplace();
    for (const name of names) process.env[name] = name === 'nnUNet_raw' ? root : path.join(root, name);
    const dataset = open('42');
    assert.equal(dataset.folder, path.join(root, 'Dataset042_Balls'));
    const folder = preprocessedFolder(dataset);
    assert.equal(folder, path.join(root, 'nnUNet_preprocessed', 'Dataset042_Balls'));
    assert.ok(isNnunetsFolder(folder));
    // As nnU-Net leaves it: a fingerprint, splits, and a folder of cases in its own form.
    fs.mkdirSync(path.join(folder, 'nnUNetPlans_3d_fullres'), { recursive: true });
    fs.writeFileSync(path.join(folder, 'nnUNetPlans_3d_fullres', 'ball_0.b2nd'), '');
    fs.writeFileSync(path.join(folder, 'dataset_fingerprint.json'), '{"theirs": true}');
    const split = { train: ['ball_0', 'ball_1', 'ball_2'], val: ['ball_3', 'ball_4', 'ball_5'] };
    fs.writeFileSync(path.join(folder, 'splits_final.json'), JSON.stringify([split]));
    const prepared = await prepare(tinyExperiment(root));
    assert.deepEqual(prepared.split(0), split);
    assert.equal(prepared.folder, path.join(folder, 'voxelbook', 'nnUNetPlans_3d_fullres'));
    assert.deepEqual(fs.readdirSync(path.join(folder, 'nnUNetPlans_3d_fullres')), ['ball_0.b2nd']);
    assert.equal(fs.readFileSync(path.join(folder, 'dataset_fingerprint.json'), 'utf8'), '{"theirs": true}');
    process.env.VOXELBOOK_DATA = path.join(root, 'own');
    assert.equal(preprocessedFolder(dataset), path.join(root, 'own', 'preprocessed', 'Dataset042_Balls'));
    delete process.env.VOXELBOOK_DATA;
  });

  it('move-plans gives a data set the plan of another, as nnU-Net does', () => {
    writeTinySet(path.join(root, 'Dataset043_More'));
    const json = path.join(root, 'Dataset043_More', 'dataset.json');
    const given = JSON.parse(fs.readFileSync(json, 'utf8'));
    fs.writeFileSync(json, JSON.stringify({ ...given, overwrite_image_reader_writer: 'NibabelIOWithReorient' }));
    const moved = voxelbook('move-plans', '42', '43', '--as', 'nnUNetPlansFrom42');
    assert.equal(moved.status, 0, moved.stderr);
    const [source, target] = [
      ['Dataset042_Balls', 'nnUNetPlans'],
      ['Dataset043_More', 'nnUNetPlansFrom42'],
    ].map(([set, plan]) => readPlan(path.join(root, 'nnUNet_preprocessed', set, `${plan}.json`)));
    assert.deepEqual(target, {
      ...source,
      dataset_name: 'Dataset043_More',
      plans_name: 'nnUNetPlansFrom42',
      image_reader_writer: 'NibabelIOWithReorient',
      configurations: Object.fromEntries(
        Object.entries(source.configurations).map(([name, c]) => [
          name,
          { ...c, data_identifier: c.data_identifier.replace('nnUNetPlans', 'nnUNetPlansFrom42') },
        ]),
      ),
    });
    const again = voxelbook('move-plans', '42', '43', '--as', 'nnUNetPlansFrom42');
    assert.equal(again.status, 1);
    assert.match(again.stderr, /a plan stands there.*\n.*Give --as and another name, or --overwrite/);
    fs.writeFileSync(json, JSON.stringify({ ...given, channel_names: { 0: 'T1', 1: 'T2' } }));
    assert.match(voxelbook('move-plans', '42', '43', '--as', 'two').stderr, /2 channels; expected 1, as Dataset042_Balls has/);
    assert.equal(voxelbook('move-plans', '42').status, 2);
  });

  it('each new command has help with an example', () => {
    for (const name of ['export-nnunet', 'import-nnunet', 'move-plans']) {
      const { status, stdout } = voxelbook(name, '--help');
      assert.equal(status, 0);
      assert.match(stdout, new RegExp(`example: npx voxelbook ${name}`));
      assert.doesNotMatch(stdout, /--[\w-]+(, -\w)?( …)? {2}$/m);
    }
  });
});
