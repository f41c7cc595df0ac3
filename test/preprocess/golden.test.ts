// nnU-Net's own numbers, by the same checks as `npm run parity`: rules, plans, preprocessing from raw files.
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import * as ops from '../parity/nnunet/ops.js';
import * as plans from '../parity/nnunet/plans.js';
import * as preprocessing from '../parity/nnunet/preprocessing.js';

const root = fileURLToPath(new URL('../golden/', import.meta.url));

describe("nnU-Net's numbers, from files to arrays", () => {
  const cases = [...ops.cases(root), ...plans.cases(root), ...preprocessing.cases(root)];
  it('the golden files are there', () => assert.ok(cases.length >= 60, `${cases.length} cases`));
  for (const golden of cases) {
    // The hundred million draws of the full fingerprint are left to `npm run parity`; the same with 30 000 is here.
    if (golden.name.endsWith('/dataset_fingerprint')) continue;
    it(golden.name, async () => {
      const rows = await golden.run();
      assert.ok(rows.length > 0);
      assert.deepEqual(
        rows.filter((row) => !row.pass),
        [],
      );
    });
  }
});
