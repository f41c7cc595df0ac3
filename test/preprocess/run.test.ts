import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { VoxelbookError } from '../../src/base/errors.js';
import { hashed } from '../../src/dataset/content.js';
import { open } from '../../src/dataset/index.js';
import { fingerprint, type Plan, plan } from '../../src/plan/index.js';
import { forecastBytes, listCases, loadStored, normalize, run, saveCase } from '../../src/preprocess/index.js';
import { writeVolume } from '../../src/volume/index.js';
import { image, label, rawFolder, remove, shape, volumeOf } from '../dataset/folder.js';

const out = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-pre-'));
let folder: string;
let planned: Plan;
const fresh = (() => {
  let n = 0;
  return () => path.join(out, String(n++));
})();
const stamps = (where: string) =>
  Object.fromEntries(fs.readdirSync(where).map((name) => [name, fs.statSync(path.join(where, name)).mtimeMs]));

before(async function () {
  this.timeout(60_000);
  folder = rawFolder(6);
  const dataset = open(folder);
  const found = await fingerprint(dataset, { draws: 6000, workers: 2 });
  assert.equal(found.spacings.length, 6);
  planned = plan(dataset, found, { targetSpacing: [1.5, 0.9, 1.1] });
});
after(() => {
  remove(folder);
  fs.rmSync(out, { recursive: true });
});

describe('preprocessing a data set', function () {
  this.timeout(60_000);

  it('makes every case, its labels, its places, and what belongs beside them', async () => {
    const base = fresh();
    const seen: string[] = [];
    const done = await run(open(folder), planned, '3d_fullres', {
      folder: base,
      workers: 2,
      onProgress: (p) => seen.push(`${p.done}/${p.total}`),
    });
    assert.equal(done.folder, path.join(base, 'nnUNetPlans_3d_fullres'));
    assert.deepEqual(done.computed, ['a0', 'a1', 'a2', 'a3', 'a4', 'a5']);
    assert.deepEqual(listCases(done.folder), done.cases);
    assert.deepEqual([seen[0], seen.at(-1)], ['0/6', '6/6']);
    for (const name of ['dataset.json', 'nnUNetPlans.json', 'splits_final.json'])
      assert.ok(fs.existsSync(path.join(base, name)), name);
    const one = loadStored(done.folder, 'a3');
    assert.deepEqual(one.shape, [8, 9, 6]);
    assert.equal(one.data.length, 8 * 9 * 6 * 2);
    assert.deepEqual(one.properties.shape_before_cropping, shape);
    for (const [key, places] of one.classLocations)
      for (let i = 0; i < places.length; i += 3)
        assert.equal(one.seg[(places[i] * 9 + places[i + 1]) * 6 + places[i + 2]], Number(key));
    assert.deepEqual([...one.classLocations.keys()], ['1', '2']);
  });

  it('a second run computes nothing; a changed file or setting only what it touches', async () => {
    const base = fresh();
    const first = await run(open(folder), planned, '3d_fullres', { folder: base });
    const before = stamps(first.folder);
    assert.deepEqual((await run(open(folder), planned, '3d_fullres', { folder: base })).computed, []);
    assert.deepEqual(stamps(first.folder), before);
    const kept = fs.readFileSync(image(folder, 2, 1));
    writeVolume(image(folder, 2, 1), volumeOf(new Float32Array(336).fill(3)));
    assert.deepEqual((await run(open(folder), planned, '3d_fullres', { folder: base })).computed, ['a2']);
    fs.writeFileSync(image(folder, 2, 1), kept);
    const other = structuredClone(planned);
    other.configurations['3d_fullres'].normalization_schemes = ['NoNormalization', 'NoNormalization'];
    assert.equal((await run(open(folder), other, '3d_fullres', { folder: base })).computed.length, 6);
  });

  it('a case that cannot be read is named with its fault before anything is made', async () => {
    const kept = fs.readFileSync(image(folder, 1, 0));
    fs.writeFileSync(image(folder, 1, 0), kept.subarray(0, 200));
    const base = fresh();
    try {
      await assert.rejects(run(open(folder), planned, '3d_fullres', { folder: base }), (error) => {
        assert.ok(error instanceof VoxelbookError);
        assert.match(error.message, /Dataset007_Small cannot be used: 1 fault/);
        assert.match(error.faults[0].path, /a1_0000\.nii\.gz/);
        return true;
      });
      assert.ok(!fs.existsSync(base));
    } finally {
      fs.writeFileSync(image(folder, 1, 0), kept);
    }
  });

  it('files that were touched and hold the same are not made again; what left the data set is removed', async () => {
    const base = fresh();
    const { folder: where } = await run(open(folder), planned, '3d_fullres', { folder: base });
    const later = new Date(Date.now() + 5000);
    for (let k = 0; k < 6; k++) fs.utimesSync(image(folder, k, 0), later, later);
    assert.deepEqual((await run(open(folder), planned, '3d_fullres', { folder: base })).computed, []);
    // Nothing is read to find that out a second time.
    const before = hashed.files;
    assert.deepEqual((await run(open(folder), planned, '3d_fullres', { folder: base })).computed, []);
    assert.equal(hashed.files, before);
    const gone = [image(folder, 5, 0), image(folder, 5, 1), label(folder, 5)];
    const kept = gone.map((file) => fs.readFileSync(file));
    for (const file of gone) fs.rmSync(file);
    try {
      await run(open(folder), planned, '3d_fullres', { folder: base });
      assert.deepEqual(listCases(where), ['a0', 'a1', 'a2', 'a3', 'a4']);
      const held = JSON.parse(fs.readFileSync(path.join(base, 'splits_final.json'), 'utf8')).flatMap((s: any) => s.val);
      assert.deepEqual(held.sort(), ['a0', 'a1', 'a2', 'a3', 'a4']);
    } finally {
      for (const [i, file] of gone.entries()) fs.writeFileSync(file, kept[i]);
    }
  });

  it('interrupted, it stops at once; started again, it makes none of the finished cases again', async () => {
    const base = fresh();
    const stop = new AbortController();
    await assert.rejects(
      run(open(folder), planned, '3d_fullres', {
        folder: base,
        workers: 1,
        signal: stop.signal,
        onProgress: ({ done }) => done === 3 && stop.abort(),
      }),
      { name: 'AbortError' },
    );
    const where = path.join(base, 'nnUNetPlans_3d_fullres');
    const finished = listCases(where);
    assert.ok(finished.length >= 2 && finished.length < 6, `${finished.length} finished`);
    const before = stamps(where);
    const { computed } = await run(open(folder), planned, '3d_fullres', { folder: base });
    assert.deepEqual([...computed, ...finished].sort(), ['a0', 'a1', 'a2', 'a3', 'a4', 'a5']);
    const now = stamps(where);
    for (const id of finished) assert.equal(now[`${id}.safetensors`], before[`${id}.safetensors`]);
  });

  it('killed at random times (C1), every case on disk is whole and the next run finishes the rest', async () => {
    const base = fresh();
    const where = path.join(base, 'nnUNetPlans_3d_fullres');
    const planFile = path.join(out, 'plan.json');
    fs.writeFileSync(planFile, JSON.stringify(planned));
    const child = fileURLToPath(new URL('./killed.ts', import.meta.url));
    let kills = 0;
    for (let i = 0; i < 4; i++) {
      const worker = spawn(process.execPath, ['--import', 'tsx', child, folder, planFile, base], { stdio: 'ignore' });
      const wanted = Math.min(i + 1, 5);
      await new Promise<void>((resolve) => {
        const watch = setInterval(() => {
          if (listCases(where).length < wanted && worker.exitCode === null) return;
          clearInterval(watch);
          if (worker.exitCode === null) kills++;
          worker.kill('SIGKILL');
          resolve();
        }, 2);
      });
      for (const id of listCases(where)) assert.equal(loadStored(where, id).seg.length, 8 * 9 * 6);
    }
    const finished = listCases(where);
    const { computed } = await run(open(folder), planned, '3d_fullres', { folder: base });
    assert.deepEqual([...computed, ...finished].sort(), ['a0', 'a1', 'a2', 'a3', 'a4', 'a5']);
    assert.deepEqual(
      fs.readdirSync(where).filter((name) => name.endsWith('.tmp')),
      [],
    );
    console.log(`      ${kills} kills, ${finished.length} cases kept`);
  });

  it('arrays and JSON of different runs are not taken for one case', async () => {
    const base = fresh();
    const { folder: where } = await run(open(folder), planned, '3d_fullres', { folder: base });
    const arrays = fs.readFileSync(path.join(where, 'a0.safetensors'));
    saveCase(where, 'a0', 'another run', loadStored(where, 'a0'));
    fs.writeFileSync(path.join(where, 'a0.safetensors'), arrays);
    assert.throws(() => loadStored(where, 'a0'), /arrays and JSON of different runs.*Run preprocess\.run again/s);
    assert.throws(() => loadStored(where, 'b'), /no such case/);
  });
});

describe('normalisation', () => {
  it('z-score has mean 0 and deviation 1 over what counts, and leaves the rest', () => {
    const data = Float32Array.from([5, 1, 2, 3, 4, 9]);
    normalize(data, 'ZScoreNormalization', { useMask: true, seg: [-1, 0, 1, 0, 2, -1] });
    assert.deepEqual([data[0], data[5]], [5, 9]);
    const inside = data.subarray(1, 5);
    assert.ok(Math.abs(inside.reduce((a, b) => a + b)) < 1e-6);
    assert.ok(Math.abs(inside.reduce((a, b) => a + b * b, 0) / 4 - 1) < 1e-6);
  });
  it('a constant image gives zeros, not NaN', () => {
    for (const scheme of ['ZScoreNormalization', 'RescaleTo01Normalization'] as const) {
      const data = new Float32Array(4).fill(7);
      normalize(data, scheme);
      assert.deepEqual([...data], [0, 0, 0, 0]);
    }
  });
  it('pictures outside 0…255 are refused by the RGB scheme', () => {
    assert.throws(
      () => normalize(Float32Array.from([0, 256]), 'RGBTo01Normalization'),
      /values from 0 to 256; expected values from 0 to 255/,
    );
  });
  it('an unknown scheme names the known ones', () => {
    assert.throws(() => normalize(new Float32Array(1), 'Other' as any), /"Other"; expected one of CTNormalization/);
  });
});

describe('memory forecast', () => {
  it('counts image and result of the largest case, and the thread', () => {
    const bytes = forecastBytes(open(folder), planned, '3d_fullres');
    assert.ok(bytes > 150 * 2 ** 20 && bytes < 151 * 2 ** 20, String(bytes));
    const finer = structuredClone(planned);
    finer.configurations['3d_fullres'].spacing = planned.configurations['3d_fullres'].spacing.map((s) => s / 10);
    assert.ok(forecastBytes(open(folder), finer, '3d_fullres') > bytes);
  });
});
