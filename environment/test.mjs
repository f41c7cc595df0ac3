// npm test: sets up what is missing, type-checks and lints, runs the mocha suite, and closes with the count.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { root, setup } from './steps.mjs';
import { testFolder } from './testFolder.mjs';

try {
  await setup();
} catch (error) {
  console.error(`\n${error.message}`);
  process.exit(1);
}
const files = process.argv.slice(2);
if (files.length === 0) {
  const node = (...args) => spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status;
  if (node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.json') !== 0) {
    console.error('The type check failed; the faults stand above.');
    process.exit(1);
  }
  if (node('node_modules/@biomejs/biome/bin/biome', 'check', '.') !== 0) {
    console.error('The linter found faults; `npm run format` corrects most of them.');
    process.exit(1);
  }
}

// Each folder of tests runs in a process of its own: what one leaves in memory cannot change another's numbers.
const groups = files.length > 0 ? [files] : folders().map((name) => [`test/${name}/**/*.test.ts`]);
const total = [0, 0, 0];
const faults = [];
let broken = 0;
for (const group of groups) {
  const { count, failures, fault } = await testFolder(group);
  for (const i of total.keys()) total[i] += count?.[i] ?? 0;
  if (failures) faults.push(`${group.join(' ')}:\n${failures}`);
  if (!fault) continue;
  faults.push(`${group.join(' ')}: ${fault}.`);
  broken++;
}
// Once more at the end: a suite of half an hour is read from below.
if (groups.length > 1 || broken > 0) for (const fault of faults) console.error(fault);
const [passed, failed, skipped] = [total[0], total[1] + broken, total[2]];
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);

function folders() {
  const hasTests = (folder) => fs.readdirSync(folder, { recursive: true }).some((name) => String(name).endsWith('.test.ts'));
  const all = fs.readdirSync(path.join(root, 'test'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return all.map((entry) => entry.name).filter((name) => name !== 'golden' && hasTests(path.join(root, 'test', name)));
}
