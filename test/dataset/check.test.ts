import assert from 'node:assert/strict';
import fs from 'node:fs';
import { inspect } from 'node:util';
import { check, open } from '../../src/dataset/index.js';
import { writeVolume } from '../../src/volume/index.js';
import { image, label, rawFolder, remove, shape, volumeOf } from './folder.js';

const n = shape[0] * shape[1] * shape[2];
const ramp = () => Float32Array.from({ length: n }, (_, i) => i);
const zeros = () => new Uint8Array(n);

describe('integrity of a data set', () => {
  let folder: string;
  afterEach(() => remove(folder));

  it('a valid data set has no fault and no warning', async () => {
    folder = rawFolder();
    const { cases, faults, warnings } = await check(open(folder));
    assert.deepEqual({ cases, faults, warnings }, { cases: 5, faults: [], warnings: [] });
  });

  it('nine planted faults and a wrong number of cases are found in one report', async () => {
    folder = rawFolder(10, { numTraining: 11 });
    fs.rmSync(image(folder, 0, 1));
    fs.rmSync(label(folder, 1));
    writeVolume(label(folder, 2), volumeOf(zeros().subarray(0, 6 * 8 * 6), { shape: [6, 8, 6] }));
    writeVolume(image(folder, 3, 1), volumeOf(ramp(), { spacingMm: [2, 1.5, 1] }));
    writeVolume(label(folder, 4), volumeOf(zeros().fill(9, 0, 5)));
    writeVolume(label(folder, 5), volumeOf(ramp().map((v) => (v === 3 ? 0.5 : 0))));
    writeVolume(image(folder, 6, 0), volumeOf(ramp().map((v) => (v < 4 ? Number.NaN : v))));
    fs.writeFileSync(image(folder, 7, 0), fs.readFileSync(image(folder, 7, 0)).subarray(0, 100));
    writeVolume(image(folder, 8, 0), volumeOf(new Float32Array(2 * n).fill(1), { channels: 2 }));
    const { faults, warnings } = await check(open(folder));
    assert.equal(warnings[0].code, 'num-training');
    assert.deepEqual(
      faults.map((f) => `${f.code} ${f.path}`),
      [
        'channels a0',
        'channels a8',
        'label-missing labelsTr/a1.nii.gz',
        'gzip-damaged imagesTr/a7_0000.nii.gz',
        'shape labelsTr/a2.nii.gz',
        'spacing imagesTr/a3_0001.nii.gz',
        'label-values labelsTr/a5.nii.gz',
        'label-unknown labelsTr/a4.nii.gz',
        'not-finite imagesTr/a6_0000.nii.gz',
      ],
    );
    assert.match(faults[4].given, /6×8×6/);
    assert.match(faults[7].given, /9 \(5 voxels\)/);
    assert.match(faults[8].given, /4 voxels are NaN or infinite/);
    for (const f of faults) assert.ok(f.fix.length > 10, f.code);
  });

  it('what nnU-Net would go on with is a warning: constant image, origin, direction, label without voxels', async () => {
    folder = rawFolder(5, { labels: { background: 0, organ: 1, lesion: 2, ghost: 3 } });
    writeVolume(image(folder, 0, 1), volumeOf(ramp().fill(4)));
    writeVolume(label(folder, 1), volumeOf(zeros(), { originMm: [5, 0, 0] }));
    writeVolume(label(folder, 2), volumeOf(zeros(), { direction: [-1, 0, 0, 0, -1, 0, 0, 0, 1] }));
    const { faults, warnings } = await check(open(folder));
    assert.deepEqual(faults, []);
    assert.deepEqual(
      warnings.map((w) => w.code),
      ['origin', 'direction', 'constant', 'label-unused'],
    );
  });

  it('the report shows itself, outside strings escaped, and stays plain JSON', async () => {
    folder = rawFolder(1, { labels: { background: 0, organ: 1, lesion: 2 }, numTraining: 3 });
    const evil = '<img src=x onerror=alert(1)>';
    fs.renameSync(label(folder, 0), label(folder, 0).replace('a0', `a${evil.replaceAll('/', '')}`));
    const report = await check(open(folder));
    const shown = (report as any)[Symbol.for('Jupyter.display')]();
    assert.match(shown['text/plain'], /1 cases, 1 faults/);
    assert.ok(!shown['text/html'].includes('<img'));
    assert.equal(inspect(report), shown['text/plain']);
    assert.deepEqual(Object.keys(JSON.parse(JSON.stringify(report))), ['cases', 'faults', 'warnings']);
  });

  it('reports at once, and stops when told', async () => {
    folder = rawFolder();
    const seen: number[] = [];
    const stop = new AbortController();
    const work = check(open(folder), {
      signal: stop.signal,
      onProgress: ({ done }) => {
        seen.push(done);
        if (done === 2) stop.abort();
      },
    });
    await assert.rejects(work, { name: 'AbortError' });
    assert.deepEqual(seen, [0, 1, 2]);
  });
});
