// npm test: sets up what is missing, type-checks and lints, runs the mocha suite, and closes with the count.
import { spawnSync } from 'node:child_process';
import { root, setup } from './steps.mjs';

try {
  await setup();
} catch (error) {
  console.error(`\n${error.message}`);
  process.exit(1);
}
const node = (...args) => spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status;
const files = process.argv.slice(2);
if (files.length === 0) {
  if (node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.json') !== 0) {
    console.error('The type check failed; the faults stand above.');
    process.exit(1);
  }
  if (node('node_modules/@biomejs/biome/bin/biome', 'check', '.') !== 0) {
    console.error('The linter found faults; `npm run format` mends most of them.');
    process.exit(1);
  }
}
process.exit(
  node(
    'node_modules/mocha/bin/mocha.js',
    '--reporter',
    'test/reporter.cjs',
    ...(files.length > 0 ? files : ['test/**/*.test.ts']),
  ) ?? 1,
);
