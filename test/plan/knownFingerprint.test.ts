import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { open } from '../../src/dataset/index.js';
import { fingerprint, fingerprintOf, storedFingerprint } from '../../src/plan/index.js';
import { preprocessedFolder } from '../../src/preprocess/index.js';
import { readVolume, writeVolume } from '../../src/volume/index.js';
import { leaveWorkplace, workplace } from '../run/tiny.js';

describe('a fingerprint is measured once', () => {
  let set: string;
  before(() => {
    set = path.join(workplace(), 'Dataset042_Balls');
  });
  after(leaveWorkplace);

  /** The fingerprint as a command gets it, and whether cases were read for it. */
  async function asked(draws = 1e5) {
    const told: string[] = [];
    const print = await fingerprintOf(open(set), { draws, onProgress: ({ what }) => told.push(what) });
    return { print, measured: told.includes('fingerprint') };
  }

  it('and again where a file, the draws or what is stored differ', async () => {
    assert.equal(storedFingerprint(open(set), 1e5), undefined);
    const first = await asked();
    assert.ok(first.measured);
    const again = await asked();
    assert.ok(!again.measured);
    assert.deepEqual(again.print, first.print);
    assert.deepEqual(again.print, JSON.parse(JSON.stringify(await fingerprint(open(set), { draws: 1e5 }))));

    const image = path.join(set, 'imagesTr/ball_3_0000.nii.gz');
    const volume = readVolume(image);
    const { foreground_intensity_properties_per_channel: before } = first.print;
    writeVolume(image, { ...volume, data: Float32Array.from(volume.data, (v) => v + 40) });
    const changed = await asked();
    assert.ok(changed.measured);
    assert.ok(changed.print.foreground_intensity_properties_per_channel['0'].max > before['0'].max + 20);

    assert.ok((await asked(1e4)).measured);
    assert.ok(!(await asked(1e4)).measured);
    assert.ok(!(await asked()).measured);
    const stored = path.join(preprocessedFolder(open(set)), 'dataset_fingerprint_1e5.json');
    fs.writeFileSync(stored, fs.readFileSync(stored, 'utf8').replace(/1/, '2'));
    assert.ok((await asked()).measured);
    assert.deepEqual((await asked()).print, changed.print);
  });
});
