import assert from 'node:assert/strict';
import { metrics } from '../parity/metrics.js';

describe('metrics agree with the golden values of every peer', () => {
  for (const golden of metrics.cases('test/golden'))
    it(golden.name, async () => {
      const rows = await golden.run();
      assert.ok(rows.length > 0, 'nothing compared');
      assert.deepEqual(
        rows.filter((row) => !row.pass).map((row) => `${row.what}: ${row.note ?? row.maxAbs}`),
        [],
      );
    }).timeout(120000);
});
