import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { nodeArguments } from '../../src/base/workers.js';

describe('modules in other processes', () => {
  it('run from a folder with blanks and signs in its name', () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'a b %41 ü#-'));
    fs.writeFileSync(path.join(folder, 'x.ts'), "process.stdout.write('here' as string);");
    const args = nodeArguments(pathToFileURL(path.join(folder, 'x.js')));
    assert.ok(args.includes(path.join(folder, 'x.ts')), args.join(' '));
    assert.equal(spawnSync(process.execPath, args, { encoding: 'utf8', cwd: process.cwd() }).stdout, 'here');
    fs.rmSync(folder, { recursive: true });
  });
});
