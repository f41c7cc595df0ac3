import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {
  atomicWrite,
  atomicWriteSealedJson,
  readSealedJson,
  sweepTemporaryFiles,
  temporaryName,
} from '../../src/base/atomicWrite.js';
import { failedOn, VoxelbookError } from '../../src/base/errors.js';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atomic-'));
const at = (name: string) => path.join(folder, name);

describe('files that appear whole', () => {
  after(() => fs.rmSync(folder, { recursive: true }));

  it('a sweep removes what dead processes left and leaves what a living one writes, of any process', async () => {
    const file = at('case.safetensors');
    const script = `
      const fs = require('node:fs');
      const name = ${JSON.stringify(file)} + '.' + process.pid + '.tmp';
      fs.writeSync(fs.openSync(name, 'w'), 'half');
      fs.writeFileSync(name.replace('case', 'left'), 'half');
      process.stdout.write(name);
      setInterval(() => {}, 1000);`;
    const writer = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
    const name = await new Promise<string>((resolve) => writer.stdout!.once('data', (text) => resolve(String(text))));
    fs.writeFileSync(at('dead.json.999999999.tmp'), 'half');
    const elsewhere = at('other.json.abcdef-0-3.17.tmp');
    fs.writeFileSync(elsewhere, 'half');
    sweepTemporaryFiles(folder);
    // What the writer has open stays, what it has closed was left behind; another machine's is left alone while it is young.
    assert.deepEqual(fs.readdirSync(folder).sort(), [path.basename(name), path.basename(elsewhere)].sort());
    writer.kill('SIGKILL');
    await new Promise((resolve) => writer.once('exit', resolve));
    fs.utimesSync(elsewhere, new Date(0), new Date(0));
    sweepTemporaryFiles(folder);
    assert.deepEqual(fs.readdirSync(folder), []);
  });

  it('one process sweeps while another writes, and every write arrives', async () => {
    const file = at('busy');
    const script = `
      import { atomicWrite } from ${JSON.stringify(new URL('../../src/base/atomicWrite.ts', import.meta.url).href)};
      process.stdout.write('ready');
      for (let i = 0; i < 150; i++) atomicWrite(${JSON.stringify(file)}, 'x'.repeat(5000));`;
    const writer = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    writer.stderr!.on('data', (text) => (said += text));
    await new Promise((resolve) => writer.stdout!.once('data', resolve));
    let sweeps = 0;
    const code = await new Promise((resolve) => {
      writer.once('exit', resolve);
      const sweep = () => {
        sweepTemporaryFiles(folder);
        sweeps++;
        if (writer.exitCode === null) setImmediate(sweep);
      };
      sweep();
    });
    assert.equal(code, 0, said);
    assert.ok(sweeps > 5);
    fs.rmSync(file);
  });

  it('no two temporary names are the same', () => {
    assert.match(temporaryName('a'), new RegExp(`^a\\.[0-9a-f]{6}-0-\\d+\\.${process.pid}\\.tmp$`));
    assert.notEqual(temporaryName('a'), temporaryName('a'));
  });

  it('files follow the umask', () => {
    const before = process.umask(0o027);
    try {
      atomicWrite(at('private'), 'x');
      process.umask(0o002);
      atomicWrite(at('shared'), 'x');
    } finally {
      process.umask(before);
    }
    assert.equal(fs.statSync(at('private')).mode & 0o777, 0o640);
    assert.equal(fs.statSync(at('shared')).mode & 0o777, 0o664);
    for (const name of ['private', 'shared']) fs.rmSync(at(name));
  });

  it('what the file system says becomes an error that tells what is kept', () => {
    const kept = 'the file that stood there before is unchanged';
    for (const [code, ours, expected] of [
      ['ENOSPC', 'disk-full', /ENOSPC: \d+ bytes free; expected at least 7 bytes\. .* is unchanged/],
      ['EDQUOT', 'quota', /EDQUOT: \d+ bytes free; expected at least 7 bytes and room within the quota .* is unchanged/],
      ['EROFS', 'cannot-write', /EROFS: no; expected a writable file system.* is unchanged/],
      ['EIO', 'disk-error', /EIO: no; expected a disk that reads and writes\. Look at the disk.* is unchanged/],
      ['ESTALE', 'stale-handle', /ESTALE: no; expected a file server that still knows this file\. Mount .* is unchanged/],
      ['EACCES', 'cannot-write', /EACCES: no; expected a writable folder.* is unchanged/],
    ] as const) {
      const error = failedOn(at('x'), Object.assign(new Error('no'), { code }), 'write', { kept, needed: 7 });
      assert.ok(error instanceof VoxelbookError);
      assert.equal(error.code, ours);
      assert.match(error.message, expected);
    }
    const other = new TypeError('a mistake of ours');
    assert.equal(failedOn(at('x'), other, 'write'), other);
  });

  it('a failing write leaves the file before it and no temporary one', () => {
    atomicWrite(at('x'), 'before');
    const write = fs.writeSync;
    for (const code of ['EIO', 'ESTALE', 'EDQUOT']) {
      fs.writeSync = (() => {
        throw Object.assign(new Error('no'), { code });
      }) as typeof fs.writeSync;
      try {
        assert.throws(() => atomicWrite(at('x'), 'after'), new RegExp(code));
      } finally {
        fs.writeSync = write;
      }
      assert.equal(fs.readFileSync(at('x'), 'utf8'), 'before');
      assert.deepEqual(fs.readdirSync(folder), ['x']);
    }
    fs.rmSync(at('x'));
  });

  it('sealed JSON is read back, and any changed number is found', () => {
    const value = { list: [1.5, -2, null], text: 'ü', nested: { '2': 'b', '1': 'a' } };
    atomicWriteSealedJson(at('s.json'), value);
    assert.deepEqual(readSealedJson(at('s.json')), value);
    const text = fs.readFileSync(at('s.json'), 'utf8');
    fs.writeFileSync(at('s.json'), text.replace('1.5', '1.6'));
    assert.throws(() => readSealedJson(at('s.json')), /does not fit the content/);
    // Bits flipped in both names and in a number.
    fs.writeFileSync(at('s.json'), text.replace('1.5', '1.6').replace('sealed', 'qealed').replace('checksum', 'checksul'));
    assert.throws(() => readSealedJson(at('s.json')), /does not fit the content/);
    fs.writeFileSync(at('s.json'), text.slice(0, 40));
    assert.throws(() => readSealedJson(at('s.json')), /is damaged/);
    fs.writeFileSync(at('s.json'), '{"old": 1}');
    assert.deepEqual(readSealedJson(at('s.json')), { old: 1 });
    fs.rmSync(at('s.json'));
    assert.equal(readSealedJson(at('s.json')), undefined);
  });
});
