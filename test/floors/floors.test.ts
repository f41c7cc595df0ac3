// The floors hold for src/, and the rule sees what breaks them.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { projectRoot } from '../../src/base/paths.js';

/** What `npm run check` says of a folder with a `src/`. */
function floors(cwd: string): { status: number | null; text: string } {
  const cli = path.join(projectRoot, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const config = path.join(projectRoot, '.dependency-cruiser.mjs');
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, '--config', config, 'src'], { cwd, encoding: 'utf8' });
  return { status, text: stdout + stderr };
}

/** A house of these files alone. */
function house(files: Record<string, string>): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'floors-'));
  fs.copyFileSync(path.join(projectRoot, 'tsconfig.json'), path.join(folder, 'tsconfig.json'));
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), text);
  }
  return folder;
}

describe('the library', () => {
  // Loaded once as CommonJS and once as ES modules it would register its backend, gradients and tables twice.
  it('is loaded once in a process that runs any tests together', () => {
    const required = Object.keys(createRequire(import.meta.url).cache);
    assert.deepEqual(
      required.filter((file) => file.startsWith(path.join(projectRoot, 'src'))),
      [],
    );
  });
});

describe('the floors', () => {
  const built: string[] = [];
  const seen = (files: Record<string, string>) => {
    const folder = house(files);
    built.push(folder);
    return floors(folder);
  };
  after(() => {
    for (const folder of built) fs.rmSync(folder, { recursive: true });
  });

  it('hold for src/', () => {
    const { status, text } = floors(projectRoot);
    assert.equal(status, 0, text);
  });

  it('are part of npm run check', () => {
    const { scripts } = JSON.parse(fs.readFileSync(path.join(projectRoot, 'package.json'), 'utf8'));
    assert.match(scripts.check, /&& depcruise --config \.dependency-cruiser\.mjs src( &&|$)/);
  });

  it('see an upward import, of a type too', () => {
    const { status, text } = seen({
      'src/plan/low.ts': "import type { High } from '../run/high.js';\nexport const low = (high: High) => high;\n",
      'src/run/high.ts': 'export type High = number;\n',
    });
    assert.notEqual(status, 0);
    assert.match(text, /error plan-imports-upward: src\/plan\/low\.ts → src\/run\/high\.ts/);
  });

  it('see a circle inside a room', () => {
    const { status, text } = seen({
      'src/model/a.ts': "import type { B } from './b.js';\nexport type A = B[];\n",
      'src/model/b.ts': "import type { A } from './a.js';\nexport type B = A[];\n",
    });
    assert.notEqual(status, 0);
    assert.match(text, /error circle: src\/model\/a\.ts/);
  });

  it('let a door show the one room above it that it names, and no other file or room', () => {
    const above = { 'src/nnunet/x.ts': 'export const x = 1;\n', 'src/report/y.ts': 'export const y = 1;\n' };
    assert.equal(seen({ ...above, 'src/score/index.ts': "export { x } from '../nnunet/x.js';\n" }).status, 0);
    const other = seen({ ...above, 'src/score/index.ts': "export { y } from '../report/y.js';\n" });
    assert.match(other.text, /error score-imports-upward: src\/score\/index\.ts → src\/report\/y\.ts/);
    const inside = seen({ ...above, 'src/score/z.ts': "export { x } from '../nnunet/x.js';\n" });
    assert.match(inside.text, /error score-imports-upward: src\/score\/z\.ts → src\/nnunet\/x\.ts/);
  });

  it('know every room', () => {
    assert.match(
      seen({ 'src/cellar/x.ts': "export { y } from './y.js';\n", 'src/cellar/y.ts': 'export const y = 1;\n' }).text,
      /room-not-listed/,
    );
  });
});
