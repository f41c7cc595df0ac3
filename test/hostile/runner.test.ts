// The runner of hostile inputs sees what goes wrong: a test that cannot fail proves nothing.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { rows } from './brokenRow.js';
import { faultsIn, line, tryRow } from './main.js';

describe('npm run hostile', () => {
  it('counts refusals and answers, crashes, hangs, memory, what is different and what is lost, and goes on behind each', async function () {
    this.timeout(600_000);
    const left = () => fs.readdirSync(os.tmpdir()).filter((name) => name.startsWith('vb-row-')).length;
    const before = left();
    const t = await tryRow(fileURLToPath(new URL('./brokenRow.ts', import.meta.url)), rows[0], { count: 1, seed: 1 });
    const places = (list: string[]) => list.map((text) => Number(/^input (\d+)/.exec(text)![1]));
    assert.deepEqual(
      {
        ...{ refused: t.refused, sound: t.sound, crashes: places(t.crashes), hangs: places(t.hangs) },
        ...{ different: places(t.different), lost: places(t.lost), overMemory: places(t.overMemory) },
      },
      { refused: 1, sound: 1, crashes: [3, 6, 9, 10], hangs: [7], different: [4], lost: [5], overMemory: [8] },
    );
    assert.equal(t.tried, 12);
    assert.equal(faultsIn(t).length, 8);
    assert.match(line(rows[0], t), /^\| broken \| every fault once \| 12 \| 1 \| 3 \| 1 \| 1 \| 4 \| 1 \| 1 \| 1 \| \d+ \|$/);
    assert.ok(left() <= before + 1);
  });
});
