// The parity cases as mocha tests, on the golden files of this repository.
import assert from 'node:assert';
import { fileURLToPath } from 'node:url';
import type { GoldenCase } from '../case.js';

const root = fileURLToPath(new URL('../../golden', import.meta.url));

/** One test for each case; a part without any fails. */
export function goldenTests(cases: (root: string) => GoldenCase[]): void {
  const all = cases(root);
  assert.ok(all.length > 0, `no golden case below ${root}`);
  for (const golden of all)
    it(golden.name, async () => {
      const rows = await golden.run();
      assert.ok(rows.length > 0);
      for (const row of rows) assert.ok(row.pass, `${row.what}: ${row.maxAbs} (${row.tolerance}) ${row.note ?? ''}`);
    });
}
