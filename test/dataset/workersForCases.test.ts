// As many threads as fit into half of the free memory with the largest case each.
import assert from 'node:assert';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { availableBytes } from '../../src/base/memory.js';
import { threadBytes } from '../../src/base/threads.js';
import { workersForCases } from '../../src/dataset/workersForCases.js';
import { identityDirection, writeVolume } from '../../src/volume/index.js';

describe('threads that read whole cases', () => {
  const threads = process.env.VOXELBOOK_THREADS;
  let folder: string;
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'workers-'));
    process.env.VOXELBOOK_THREADS = '8';
  });
  afterEach(() => {
    if (threads === undefined) delete process.env.VOXELBOOK_THREADS;
    else process.env.VOXELBOOK_THREADS = threads;
    fs.rmSync(folder, { recursive: true });
  });

  const image = (name: string, n: number, ending = '.nii.gz') => {
    const file = path.join(folder, name + ending);
    const shape: [number, number, number] = ending === '.png' ? [1, n, n] : [n, n, n];
    const data = new Uint8Array(shape[0] * n * n);
    writeVolume(file, { data, shape, channels: 1, spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: identityDirection });
    return file;
  };
  /** Bytes a voxel with which so many threads fit, the largest case having 1000 voxels. */
  const perVoxel = (workers: number) => (availableBytes() / 2 / workers - threadBytes) / 1000;

  it('the largest case says how many, wherever it stands', () => {
    const [small, large] = [image('small', 4), image('large', 10)];
    for (const files of [
      [small, large],
      [large, small],
    ])
      assert.equal(workersForCases(files, perVoxel(2.5)), 2);
    assert.ok(workersForCases([small], perVoxel(2.5)) > 2);
  });

  it('is one where not even one fits, and no more than this process may use', () => {
    const file = image('case', 10);
    assert.equal(workersForCases([file], perVoxel(0.5)), 1);
    process.env.VOXELBOOK_THREADS = '3';
    assert.equal(workersForCases([file], 1), 3);
  });

  it('pictures and damaged files count as nothing but their thread', () => {
    const damaged = path.join(folder, 'damaged.nii.gz');
    fs.writeFileSync(damaged, 'no image');
    const files = [damaged, image('picture', 10, '.png')];
    process.env.VOXELBOOK_THREADS = '2';
    assert.equal(workersForCases(files, 1e12), 2);
  });
});
