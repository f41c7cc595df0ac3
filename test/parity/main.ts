// npm run parity -- <folder> [--only models/mednext]: every golden case below the folder through the public functions.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type GoldenCase, unknownCase } from './case.js';
import { families } from './families.js';

/** All cases below `root`: those the families know, and an unknown case for each folder no family claims. */
export function goldenCases(root: string): GoldenCase[] {
  const known = new Set(families.map((f) => f.folder));
  const folders = fs.readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const strangers = folders
    .filter((entry) => !known.has(entry.name))
    .map((entry) => unknownCase(entry.name, 'no family of this name'));
  const present = families.filter((f) => fs.existsSync(path.join(root, f.folder)));
  return [...present.flatMap((f) => f.cases(root)), ...strangers];
}

const short = (x: number) => (Number.isNaN(x) ? '-' : x === 0 ? '0' : x.toExponential(1));

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { only: { type: 'string' }, quiet: { type: 'boolean' } },
  });
  const root = positionals[0];
  if (!root || !fs.existsSync(root)) {
    console.error(
      `parity: ${root ?? 'no folder'} given; expected a folder laid out like test/golden (models, losses, optim, nnunet, metrics).`,
    );
    process.exit(2);
  }
  const only = values.only?.replace(/\/$/, '');
  const cases = goldenCases(root).filter((c) => !only || c.name === only || c.name.startsWith(`${only}/`));
  let passed = 0;
  let failed = 0;
  for (const golden of cases) {
    let rows: Awaited<ReturnType<GoldenCase['run']>>;
    try {
      rows = await golden.run();
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      rows = [{ what: `threw: ${text}`, maxAbs: Number.NaN, relative: Number.NaN, tolerance: '-', pass: false }];
    }
    const bad = rows.filter((r) => !r.pass);
    const worst = rows.reduce((w, r) => Math.max(r.relative, w), 0);
    const worstAbs = rows.reduce((w, r) => Math.max(r.maxAbs, w), 0);
    if (rows.length === 0 || bad.length > 0) failed++;
    else passed++;
    const verdict = rows.length === 0 ? 'FAIL nothing compared' : bad.length > 0 ? 'FAIL' : 'pass';
    console.log(
      `${verdict.padEnd(4)}  ${golden.name}  ${rows.length} comparisons  max abs ${short(worstAbs)}  rel ${short(worst)}  tolerance ${rows[0]?.tolerance ?? '-'}`,
    );
    for (const r of bad.slice(0, values.quiet ? 2 : 12))
      console.log(
        `      ${r.what}: abs ${short(r.maxAbs)} rel ${short(r.relative)} tolerance ${r.tolerance} FAIL${r.note ? ` ${r.note}` : ''}`,
      );
  }
  if (cases.length === 0) {
    console.error(`parity: no golden case below ${root}${only ? ` matches --only ${only}` : ''}.`);
    failed++;
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed > 0 ? 1 : 0);
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) await main();
