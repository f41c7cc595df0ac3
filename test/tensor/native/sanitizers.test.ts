// The kernels and the functions on typed arrays with the compiler's own checks in them (AddressSanitizer, UBSan; ThreadSanitizer), under
// calls of random shapes, strides, settings and threads that mostly do not fit.
//
//   VOXELBOOK_SANITIZE=address,undefined npx mocha --exit test/tensor/native/sanitizers.test.ts
//   VOXELBOOK_SANITIZE=thread …
//
// Compiling takes two minutes of processor, linking as many, the calls less than one. TensorFlow itself is not compiled with the checks, so
// only what our own code does is seen, and its allocations are. Of races libgomp would hide all: openmp.cc stands in for it.
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

  const races = sanitize === 'thread';
  const environment = path.join(house, 'environment');
  before(async () => {
    for (const part of ['src', 'test/tensor/native', 'package.json', 'tsconfig.json', 'tsconfig.build.json'])
      fs.cpSync(path.join(root, part), path.join(house, part), { recursive: true });
    fs.mkdirSync(environment);
    for (const part of ['places.mjs', 'claim.mjs']) fs.cpSync(path.join(root, 'environment', part), path.join(environment, part));
    for (const part of ['node_modules', 'environment/tensorflow']) fs.symlinkSync(path.join(root, part), path.join(house, part));
    // The house's own: it asks places.mjs beside it where things lie, and leaves the kernels of this checkout alone.
    const { build } = await import(path.join(house, 'src/tensor/native/build.mjs'));
    const run = async (command: string, args: string[]) =>
      (await promisify(execFile)(command, args, { maxBuffer: 1 << 28 })).stdout;
    const openmp = path.join(house, 'openmp.o');
    const source = path.join(house, 'test/tensor/native/openmp.cc');
    if (races) await run('g++', ['-std=c++20', '-O1', '-g1', '-fPIC', '-fsanitize=thread', '-c', source, '-o', openmp]);
    await build({ root: house, run, sanitize, besides: races ? [openmp] : [] });
    assert.ok(fs.existsSync(path.join(environment, 'native/kernels-avx2.node')));
  });

  for (const [script, count] of [
    ['mutations', calls],
    ['functionMutations', `${10 * Number(calls)}`],
  ])
    it(`${script}, ${count} calls: no report`, () => {
      const preload = spawnSync('g++', [`-print-file-name=${races ? 'libtsan.so' : 'libasan.so'}`], {
        encoding: 'utf8',
      }).stdout.trim();
      const log = path.join(house, `report-${script}`);
      // A call that asks for more than there is gets none, as without the checks.
      const options = `halt_on_error=0:allocator_may_return_null=1:log_path=${log}`;
      const suppressions = path.join(house, 'suppressions');
      // A pattern that fits two libraries ends the process without a word.
      fs.writeFileSync(suppressions, 'called_from_lib:libtensorflow_cc\ncalled_from_lib:libtensorflow_framework\n');
      const args = ['--import', 'tsx', path.join(house, `test/tensor/native/${script}.ts`), '1', count];
      // ThreadSanitizer wants to know where memory lies: addresses are not drawn.
      const command = races ? ['setarch', '-R', process.execPath, ...args] : [process.execPath, ...args];
      const { status, signal, stdout, stderr } = spawnSync(command[0], command.slice(1), {
        cwd: house,
        encoding: 'utf8',
        maxBuffer: 1 << 28,
        env: {
          ...process.env,
          LD_PRELOAD: preload,
          VOXELBOOK_NATIVE: 'avx2',
          ASAN_OPTIONS: `${options}:detect_leaks=0:abort_on_error=0:exitcode=99`,
          UBSAN_OPTIONS: `${options}:print_stacktrace=1`,
          TSAN_OPTIONS: `${options}:exitcode=0:ignore_noninstrumented_modules=1:suppressions=${suppressions}`,
        },
      });
      const reports = fs
        .readdirSync(house)
        .filter((name) => name.startsWith(path.basename(log)))
        .map((name) => fs.readFileSync(path.join(house, name), 'utf8').slice(0, 4000));
      assert.deepEqual(reports, []);
      assert.equal(status, 0, `${signal ?? status}: ${stderr.slice(-1500)}`);
      const [returned, refused] = stdout.trim().split(' ').map(Number);
      assert.equal(returned + refused, Number(count), stdout);
      console.log(`      ${returned} returned, ${refused} refused`);
    });
});
