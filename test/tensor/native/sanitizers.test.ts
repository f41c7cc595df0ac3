// The kernels with the compiler's own checks in them (AddressSanitizer, UBSan; ThreadSanitizer), under calls that mostly do not fit.
// VOXELBOOK_SANITIZE=address,undefined or =thread: compiling takes minutes. TensorFlow itself is not compiled with the checks, so only what
// our own code does is seen, and its allocations are.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const sanitize = process.env.VOXELBOOK_SANITIZE;
const calls = process.env.VOXELBOOK_SANITIZE_CALLS ?? '2000';
const root = fileURLToPath(new URL('../../../', import.meta.url));

(sanitize ? describe : describe.skip)(`native kernels under ${sanitize}`, function () {
  this.timeout(7_200_000);
  const house = fs.mkdtempSync(path.join(os.tmpdir(), 'sanitized-'));
  after(() => fs.rmSync(house, { recursive: true }));

  it(`${calls} mutated calls: no report`, async () => {
    for (const part of ['src', 'test/tensor/native', 'package.json', 'tsconfig.json', 'tsconfig.build.json'])
      fs.cpSync(path.join(root, part), path.join(house, part), { recursive: true });
    const environment = path.join(house, 'environment');
    fs.mkdirSync(environment);
    for (const part of ['places.mjs', 'claim.mjs']) fs.cpSync(path.join(root, 'environment', part), path.join(environment, part));
    for (const part of ['node_modules', 'environment/tensorflow']) fs.symlinkSync(path.join(root, part), path.join(house, part));
    // The house's own: it asks places.mjs beside it where things lie, and leaves the kernels of this checkout alone.
    const { build } = await import(path.join(house, 'src/tensor/native/build.mjs'));
    const run = async (command: string, args: string[]) =>
      (await promisify(execFile)(command, args, { maxBuffer: 1 << 28 })).stdout;
    await build({ root: house, run, sanitize });
    assert.ok(fs.existsSync(path.join(environment, 'native/kernels-avx2.node')));
    const library = sanitize!.includes('thread') ? 'libtsan.so' : 'libasan.so';
    const preload = spawnSync('g++', [`-print-file-name=${library}`], { encoding: 'utf8' }).stdout.trim();
    // A call that asks for more than there is gets none, as without the checks.
    const options = 'detect_leaks=0:halt_on_error=0:abort_on_error=0:exitcode=99:print_stacktrace=1:allocator_may_return_null=1';
    // OpenMP's own barriers are not known to ThreadSanitizer: what it says of libgomp alone is none of ours.
    const log = path.join(house, 'report');
    const suppressions = path.join(house, 'suppressions');
    fs.writeFileSync(suppressions, 'race:libgomp\ncalled_from_lib:libgomp\ncalled_from_lib:libtensorflow\nrace:node\n');
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      ['--import', 'tsx', path.join(house, 'test/tensor/native/mutations.ts'), '1', calls],
      {
        cwd: house,
        encoding: 'utf8',
        maxBuffer: 1 << 28,
        env: {
          ...process.env,
          LD_PRELOAD: preload,
          VOXELBOOK_NATIVE: 'avx2',
          ASAN_OPTIONS: `${options}:log_path=${log}`,
          UBSAN_OPTIONS: `${options}:log_path=${log}`,
          TSAN_OPTIONS: `halt_on_error=0:exitcode=0:allocator_may_return_null=1:log_path=${log}:suppressions=${suppressions}`,
        },
      },
    );
    const said = fs
      .readdirSync(house)
      .filter((name) => name.startsWith('report.'))
      .map((name) => fs.readFileSync(path.join(house, name), 'utf8'));
    const reports = said.filter((text) => /src\/tensor\/native/.test(text));
    assert.deepEqual(
      reports.map((text) => text.slice(0, 4000)),
      [],
    );
    assert.equal(status, 0, `${signal ?? status}: ${stderr.slice(-1500)}`);
    const [returned, refused] = stdout.trim().split(' ').map(Number);
    assert.equal(returned + refused, Number(calls));
  });
});
