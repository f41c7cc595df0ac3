import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Plan, storePlan } from '../../src/plan/index.js';

const golden = fileURLToPath(new URL('../golden/nnunet/preprocessing/Dataset721_CTaniso/nnUNetPlans.json', import.meta.url));

describe('a plan that is stored', () => {
  let folder: string;
  before(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'stored-'));
  });
  after(() => fs.rmSync(folder, { recursive: true }));
  const plan = JSON.parse(fs.readFileSync(golden, 'utf8')) as Plan;
  const times = () =>
    fs.readdirSync(folder).map((name) => [name, fs.statSync(path.join(folder, name), { bigint: true }).mtimeNs]);

  it('is written once: the same plan again touches no file', () => {
    assert.equal(storePlan(folder, plan), true);
    const before = times();
    assert.equal(before.length, 2);
    assert.equal(storePlan(folder, plan), true);
    assert.deepEqual(times(), before);
  });

  it('replaces a damaged file where it may overwrite', () => {
    const whole = fs.readdirSync(folder).map((name) => [name, fs.readFileSync(path.join(folder, name), 'utf8')] as const);
    for (const [name, text] of whole) {
      fs.writeFileSync(path.join(folder, name), text.slice(0, 100));
      assert.equal(storePlan(folder, plan, { overwrite: true }), true);
      assert.equal(fs.readFileSync(path.join(folder, name), 'utf8'), text, name);
    }
  });
});
