// Every golden network, block, weight transfer and full-size catalog, as `npm run parity` checks them.
import assert from 'node:assert';
import { fileURLToPath } from 'node:url';
import { family } from '../parity/models.js';

describe('golden models', () => {
  for (const golden of family.cases(fileURLToPath(new URL('../golden', import.meta.url))))
    it(golden.name, async () => {
      const rows = await golden.run();
      assert.ok(rows.length > 0, 'nothing compared');
      const bad = rows.filter((row) => !row.pass);
      assert.deepStrictEqual(
        bad.map((row) => `${row.what}: abs ${row.maxAbs} rel ${row.relative} tolerance ${row.tolerance} ${row.note ?? ''}`),
        [],
      );
    });
});
