// What does not fit on a disk is refused before it is begun: on a small tmpfs, with the folder and the figure.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { freeDiskBytes, refuseIfDiskTooSmall } from '../../src/base/disk.js';
import type { VoxelbookError } from '../../src/base/errors.js';
import { open } from '../../src/dataset/index.js';
import { fingerprint, plan } from '../../src/plan/index.js';
import { run as predict } from '../../src/predict/index.js';
import { run as preprocess } from '../../src/preprocess/index.js';
import { writeTinySet } from '../run/tiny.js';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'disk-'));
const mount = path.join(root, 'small');

describe('space on the disk before work starts', () => {
  let mounted = false;
  before(() => {
    fs.mkdirSync(mount);
    mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', mount]).status === 0;
  });
  after(() => {
    if (mounted) spawnSync('umount', [mount]);
    fs.rmSync(root, { recursive: true });
  });
  beforeEach(function () {
    if (mounted) return;
    console.log('      skipped: mounting a tmpfs is not allowed here');
    this.skip();
  });

  it('a folder that is not there yet counts as the disk it will lie on', () => {
    assert.equal(freeDiskBytes(path.join(mount, 'not', 'yet')), 65536);
    assert.throws(
      () => refuseIfDiskTooSmall(mount, 1e6, { what: 'things', elsewhere: 'look elsewhere' }),
      (error: VoxelbookError) => {
        assert.deepEqual(error.faults, [
          {
            code: 'too-little-disk',
            path: mount,
            given: 'about 1000 kB to write (things)',
            expected: 'at most the 66 kB that are free',
            fix: 'Free some space, or look elsewhere.',
          },
        ]);
        return true;
      },
    );
    refuseIfDiskTooSmall(mount, 65536, { what: 'things', elsewhere: 'look elsewhere' });
  });

  it('preprocessing and prediction are refused with the folder, and nothing of a case is written', async () => {
    const set = path.join(root, 'Dataset042_Balls');
    writeTinySet(set);
    const dataset = open(set);
    const made = plan(dataset, await fingerprint(dataset, { draws: 6000, workers: 1 }));
    const refused = (folder: string, what: RegExp) => (error: VoxelbookError) =>
      error.code === 'too-little-disk' && error.faults[0].path.startsWith(folder) && what.test(error.faults[0].given);
    await assert.rejects(
      preprocess(dataset, made, '3d_fullres', { folder: mount }),
      refused(mount, /^about 2\d\d kB to write \(6 preprocessed cases\)$/),
    );
    assert.deepEqual(
      (fs.readdirSync(mount, { recursive: true }) as string[]).filter((name) => /ball_/.test(name)),
      [],
    );
    const elsewhere = await preprocess(dataset, made, '3d_fullres', { folder: path.join(root, 'large') });
    const bytes = elsewhere.cases.map((id) => fs.statSync(path.join(elsewhere.folder, `${id}.safetensors`)).size);
    const written = bytes.reduce((a, b) => a + b, 0);
    assert.ok(written > 115e3 && written < 460e3, `${written} bytes for a forecast of 230 kB`);

    const output = path.join(mount, 'predictions');
    const model = {
      ...{ forwards: [], plan: made, configuration: '3d_fullres', dataset: dataset.json },
      settings: { stepSize: 0.5, gaussian: true, mirrorAxes: [], average: 'logits' as const },
    };
    const cases = dataset.cases.map(({ label: _, ...files }) => files);
    await assert.rejects(
      predict(model, cases, output, { keepProbabilities: true }),
      refused(output, /^about 577 kB to write \(labels and probabilities\)$/),
    );
    assert.equal(fs.existsSync(output), false);
  });
});
