// Opt-in (VOXELBOOK_FRESH_TESTS=1; root, Linux; five minutes, 2 GB of temporary space): what `--download` collects is enough for a
// set-up of a fresh clone in a network namespace without a route.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');

describe('set-up without a network', function () {
  this.timeout(1_800_000);
  const run = (command: string, args: string[], cwd: string) => {
    const done = spawnSync(command, args, { cwd, encoding: 'utf8' });
    assert.equal(done.status, 0, `${command} ${args.join(' ')}\n${done.stdout}\n${done.stderr}`);
    return done.stdout;
  };

  it('a fresh clone is set up from the folder alone, and doctor finds everything', function () {
    if (!process.env.VOXELBOOK_FRESH_TESTS) this.skip();
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-offline-'));
    try {
      run('npm', ['run', 'setup', '--', '--download', path.join(folder, 'all')], root);
      run('git', ['clone', '-q', root, path.join(folder, 'clone')], root);
      const clone = path.join(folder, 'clone');
      assert.notEqual(spawnSync('unshare', ['-n', 'npm', 'ping'], { cwd: clone }).status, 0, 'the namespace has a network');
      assert.match(
        run('unshare', ['-n', 'npm', 'run', 'setup', '--', '--from', path.join(folder, 'all')], clone),
        /set-up complete/,
      );
      assert.match(run('unshare', ['-n', 'npm', 'run', 'doctor'], clone), /Everything needed is here/);
    } finally {
      fs.rmSync(folder, { recursive: true, force: true });
    }
  });

  it('a folder that was made for something else is refused by what differs', () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-offline-'));
    fs.writeFileSync(path.join(folder, 'manifest.json'), JSON.stringify({ system: 'toaster-x1' }));
    const done = spawnSync(process.execPath, ['environment/setup.mjs', '--from', folder], { cwd: root, encoding: 'utf8' });
    fs.rmSync(folder, { recursive: true });
    assert.equal(done.status, 1);
    assert.match(
      done.stderr,
      /does not serve this set-up:\n {2}system: toaster-x1; expected \w+-\w+\n {2}python: nothing; expected 3\./,
    );
  });
});
