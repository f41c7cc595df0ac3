// A generated set in the Decathlon's form against nnunetv2's own converter and planner (test/dataset/msd/make_msd.py).
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { check, convert, open } from '../../src/dataset/index.js';
import { fingerprint, plan } from '../../src/plan/index.js';
import { readVolume } from '../../src/volume/index.js';

const golden = fileURLToPath(new URL('./msd/', import.meta.url));
const theirs = (task: string, file: string) => JSON.parse(fs.readFileSync(path.join(golden, task, 'nnunet', file), 'utf8'));

/** World coordinates of SimpleITK are LPS, ours RAS. */
const flip = [-1, -1, 1];

function assertNear(found: readonly number[], wanted: readonly number[], what: string, tolerance = 1e-5): void {
  assert.equal(found.length, wanted.length, what);
  for (const [i, v] of wanted.entries())
    assert.ok(Math.abs(found[i] - v) <= tolerance * Math.max(1, Math.abs(v)), `${what}: ${found}, not ${wanted}`);
}

/** Numbers of two pieces of JSON may differ by 1e-6, nothing else. */
function assertAlike(found: unknown, wanted: unknown, at: string): void {
  if (typeof wanted === 'number' && typeof found === 'number') assertNear([found], [wanted], at, 1e-6);
  else if (typeof wanted === 'object' && wanted !== null) {
    assert.deepEqual(Object.keys(found as object).sort(), Object.keys(wanted).sort(), at);
    for (const [key, v] of Object.entries(wanted)) assertAlike((found as Record<string, unknown>)[key], v, `${at}.${key}`);
  } else assert.deepEqual(found, wanted, at);
}

describe('the Decathlon’s form', () => {
  let root: string;
  before(() => {
    root = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-msd-'));
  });
  after(() => fs.rmSync(root, { recursive: true }));

  for (const task of ['Task05_Prostate', 'Task04_Hippocampus'])
    it(`${task} is converted and planned as nnU-Net does`, async () => {
      const folder = await convert('MSD', path.join(golden, task), { root, workers: 1 });
      assert.equal(path.basename(folder), task.replace('Task', 'Dataset0'));
      assert.deepEqual(JSON.parse(fs.readFileSync(path.join(folder, 'dataset.json'), 'utf8')), theirs(task, 'dataset.json'));
      const converted = theirs(task, 'converted.json');
      const files = ['imagesTr', 'imagesTs', 'labelsTr'].flatMap((part) =>
        fs.readdirSync(path.join(folder, part)).map((f) => `${part}/${f}`),
      );
      assert.deepEqual(files.sort(), Object.keys(converted).sort());
      for (const [name, about] of Object.entries<any>(converted)) {
        const volume = readVolume(path.join(folder, name));
        assert.deepEqual(volume.shape, about.shape, name);
        assertNear([...volume.spacingMm].reverse(), about.spacing, `${name} spacing`);
        assertNear(
          volume.originMm,
          about.origin.map((v: number, i: number) => v * flip[i]),
          `${name} origin`,
        );
        assertNear(
          volume.direction,
          about.direction.map((v: number, i: number) => v * flip[Math.floor(i / 3)]),
          `${name} direction`,
        );
        const values = Float32Array.from(volume.data as ArrayLike<number>);
        assert.equal(createHash('sha256').update(new Uint8Array(values.buffer)).digest('hex'), about.sha256, name);
      }
      const data = open(folder);
      assert.deepEqual((await check(data)).faults, []);
      const found = plan(data, await fingerprint(data, { draws: 1e6 }));
      const wanted = theirs(task, 'plans.json');
      // Statistics over other draws of the same voxels are held by test/golden/nnunet; here those of nnU-Net's fingerprint are planned.
      const own = plan(data, theirs(task, 'fingerprint.json'));
      assertAlike(JSON.parse(JSON.stringify(own)), wanted, task);
      assert.deepEqual(found.configurations, own.configurations);
    });

  it('a folder of another name is refused, and so is another task’s', async () => {
    const elsewhere = path.join(root, 'hippocampus');
    fs.cpSync(path.join(golden, 'Task04_Hippocampus'), elsewhere, { recursive: true });
    await assert.rejects(
      convert('MSD', elsewhere, { root: path.join(root, 'a'), workers: 1 }),
      /hippocampus: hippocampus; expected a folder named as published: Task04_Hippocampus/,
    );
    await assert.rejects(
      convert('MSD09_Spleen', path.join(golden, 'Task04_Hippocampus'), { root: path.join(root, 'b'), workers: 1 }),
      /Task04_Hippocampus; expected Task09_Spleen\/dataset\.json.*Give the folder of this task/,
    );
    assert.equal(
      path.basename(await convert('MSD04_Hippocampus', elsewhere, { root: path.join(root, 'c'), workers: 1 })),
      'Dataset004_Hippocampus',
    );
    assert.ok(!fs.existsSync(path.join(root, 'a')) && !fs.existsSync(path.join(root, 'b')));
  });

  it('channels that dataset.json does not name, and a dataset.json of another kind, are refused by name', async () => {
    const source = path.join(root, 'Task05_Prostate');
    fs.cpSync(path.join(golden, 'Task05_Prostate'), source, { recursive: true });
    const file = path.join(source, 'dataset.json');
    const json = JSON.parse(fs.readFileSync(file, 'utf8'));
    fs.writeFileSync(file, JSON.stringify({ ...json, modality: { '0': 'T2', '1': 'ADC', '2': 'DWI' } }));
    await assert.rejects(
      convert('MSD', source, { root: path.join(root, 'd'), workers: 1 }),
      /prostate_00\.nii\.gz: 2 channels; expected 3, as dataset\.json names/,
    );
    assert.ok(!fs.existsSync(path.join(root, 'd/Dataset005_Prostate/dataset.json')), 'nothing that looks whole');
    fs.writeFileSync(file, JSON.stringify({ ...json, labels: { background: 0, PZ: 1 }, modality: undefined }));
    await assert.rejects(
      convert('MSD', source, { root: path.join(root, 'e'), workers: 1 }),
      /no dataset\.json of the Decathlon.*modality.*labels/s,
    );
    fs.writeFileSync(file, JSON.stringify({ ...json, labels: { 0: 'background', 1: 'zone', 2: 'zone' } }));
    await assert.rejects(
      convert('MSD', source, { root: path.join(root, 'e'), workers: 1 }),
      /one name twice; expected a name for every label/,
    );
  });
});
