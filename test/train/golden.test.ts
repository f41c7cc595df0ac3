// The golden losses, optimiser steps and training rules, as `npm run parity` checks them.
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { losses } from '../parity/losses.js';
import { cases } from '../parity/nnunet/training.js';
import { optim } from '../parity/optim.js';

const root = fileURLToPath(new URL('../golden', import.meta.url));

describe('golden training', () => {
  for (const golden of [...losses.cases(root), ...optim.cases(root), ...cases(root)])
    it(golden.name, async () => {
      const rows = await golden.run();
      assert.ok(rows.length > 0, 'nothing compared');
      const bad = rows.filter((row) => !row.pass);
      assert.deepEqual(
        bad.map((row) => `${row.what}: abs ${row.maxAbs} rel ${row.relative} tolerance ${row.tolerance} ${row.note ?? ''}`),
        [],
      );
    });
});
