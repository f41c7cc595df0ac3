// The kernels are compiled for several sets of instructions, none for the machine at hand; the widest that runs is taken.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { nodeArguments } from '../../../src/base/workers.js';
import { native, nativeVariant } from '../../../src/tensor/native/load.js';

const run = promisify(execFile);
const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, '../../..');
const compiled = (name: string) => path.join(root, 'environment/native', `${name}.node`);

/** What a process says that loads the kernels under this setting: the variant, or what went wrong. */
async function variantUnder(setting: string | undefined): Promise<string> {
  const { VOXELBOOK_NATIVE: _, ...env } = process.env;
  const file = nodeArguments(new URL('./variant.js', import.meta.url));
  const { stdout } = await run(process.execPath, file, {
    env: setting === undefined ? env : { ...env, VOXELBOOK_NATIVE: setting },
  });
  return stdout;
}

describe('variants of the native kernels', function () {
  this.timeout(1_200_000);
  before(function () {
    if (!native() || process.arch !== 'x64') this.skip();
  });
  // Told by the system, not by the function under test.
  const flags = fs.existsSync('/proc/cpuinfo')
    ? (/^flags\s*:(.*)$/m.exec(fs.readFileSync('/proc/cpuinfo', 'utf8'))?.[1].split(' ') ?? [])
    : [];
  const wide = ['avx512f', 'avx512bw', 'avx512dq', 'avx512vl'].every((flag) => flags.includes(flag));
  const variants = wide ? ['avx512', 'avx2'] : ['avx2'];

  it('the widest the processor has is loaded, or the one that is asked for, or none', async () => {
    assert.equal(await variantUnder(undefined), variants[0]);
    assert.equal(await variantUnder(''), variants[0]);
    for (const name of variants) assert.equal(await variantUnder(name), name);
    assert.equal(await variantUnder('0'), 'undefined');
  });

  it('one the processor does not have is refused with those it has', async () => {
    assert.equal(
      await variantUnder('avx4096'),
      `these native kernels cannot be used\n  VOXELBOOK_NATIVE: avx4096; expected 0 or ${variants.join(' or ')}. Unset it to take the widest this processor has.`,
    );
  });

  it('a variant holds no instruction wider than its name; the module that picks none beyond the base', function () {
    if (spawnSync('objdump', ['--version']).error) this.skip();
    const registers = (name: string) => {
      const list = `objdump -d '${compiled(name)}' | grep -Eo '%[xyz]mm|%k[1-7]' | sort -u`;
      return spawnSync('sh', ['-c', list], { encoding: 'utf8' })
        .stdout.split('\n')
        .filter((line) => line !== '');
    };
    for (const what of ['kernels', 'functions']) {
      assert.ok(registers(`${what}-avx512`).includes('%zmm'));
      assert.deepEqual(registers(`${what}-avx2`), ['%xmm', '%ymm']);
    }
    for (const what of ['voxelbook', 'processor'])
      assert.deepEqual(
        registers(what).filter((name) => name !== '%xmm'),
        [],
      );
  });

  for (const name of variants)
    it(`${name}: all tests of the kernels pass`, async function () {
      if (nativeVariant() === name) this.skip(); // that is this process
      const tests = fs.readdirSync(here).filter((file) => file.endsWith('.test.ts') && !file.startsWith('variants'));
      const files = [...tests.map((file) => path.join(here, file)), 'test/augment/native.test.ts'];
      const mocha = ['node_modules/mocha/bin/mocha.js', '--reporter', 'json', ...files];
      const env = { ...process.env, VOXELBOOK_NATIVE: name };
      const { stdout } = await run(process.execPath, mocha, { cwd: root, env, maxBuffer: 1 << 28 }).catch((error) => error);
      const { stats, failures } = JSON.parse(stdout.slice(stdout.indexOf('{\n  "stats"')));
      assert.deepEqual(
        failures.map((f: { fullTitle: string; err: { message: string } }) => `${f.fullTitle}: ${f.err.message}`),
        [],
      );
      assert.ok(stats.passes > 140, `${stats.passes} tests`);
    });
});
