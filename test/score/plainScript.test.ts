import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';

describe('scores in a plain script', () => {
  it('awaited at the top of a module they come, and then the process ends', function () {
    this.timeout(120_000);
    const script = `
      import { cases } from ${JSON.stringify(new URL('../../src/score/index.ts', import.meta.url).href)};
      const map = (n, s) => {
        const data = Uint8Array.from({ length: n ** 3 }, (_, i) => (((i * 2654435761 + s) >>> 0) % 7 < 3 ? (i >> 3) % 6 : 0));
        return { data, shape: [n, n, n], channels: 1, spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] };
      };
      const classes = Object.fromEntries([1, 2, 3, 4, 5].map((c) => ['c' + c, [c]]));
      const list = Array.from({ length: 6 }, (_, k) => ({ id: 'k' + k, reference: () => map(40, k), prediction: () => map(40, k + 1) }));
      for (let round = 0; round < 3; round++) console.log((await cases(list, { classes }, { threads: 2 })).length);`;
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      encoding: 'utf8',
      timeout: 110_000,
    });
    assert.equal(status, 0, stderr);
    assert.equal(stdout, '6\n6\n6\n');
  });
});
