// Compiles the kernels, once for each set of instructions, and the module that says which of them a processor can run.
// Nothing is compiled for the machine at hand: a folder on a shared disk serves every node.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** Compiler flags of each variant; module.cc names them to JavaScript. */
const variants =
  process.arch === 'x64'
    ? {
        avx2: ['-mavx2', '-mfma', '-mbmi2'],
        avx512: ['-mavx2', '-mfma', '-mbmi2', ...['f', 'bw', 'dq', 'vl'].map((x) => `-mavx512${x}`), '-mprefer-vector-width=512'],
      }
    : { generic: [] };

/**
 * @param {{ root: string, run: (command: string, args: string[], options?: object) => Promise<string>, folder?: string, sanitize?: string }} context
 *   the project's folder, a function that runs a command, and where the compiled files go; `sanitize` (`address,undefined`, `thread`) adds
 *   the compiler's own checks, to the narrowest variant alone
 * @returns the compiled files
 */
export async function build({ root, run, folder = path.join(root, 'environment/native'), sanitize }) {
  const source = path.join(root, 'src/tensor/native');
  const tensorflow = path.join(root, 'environment/tensorflow/tensorflow');
  fs.mkdirSync(folder, { recursive: true });
  const objects = fs.mkdtempSync(path.join(folder, 'objects-'));
  const hint = 'install a C++ compiler (Debian, Ubuntu: apt-get install g++; macOS: xcode-select --install)';
  const checks = sanitize ? [`-fsanitize=${sanitize}`, '-fno-sanitize=vptr', '-fno-omit-frame-pointer', '-g1', '-O1'] : [];
  const flags = [
    ...['-std=c++20', '-O3', '-fopenmp', '-fPIC', '-fvisibility=hidden', '-DNAPI_VERSION=8'],
    ...['-fno-math-errno', '-fno-trapping-math'],
    ...checks,
    // -Wrestrict finds faults in the standard library's strings that are not there.
    ...['-Wall', '-Wno-psabi', '-Wno-ignored-attributes', '-Wno-restrict'],
    ...[`-I${tensorflow}/include`, `-I${path.join(root, 'node_modules/node-api-headers/include')}`],
  ];
  const sources = fs
    .readdirSync(source)
    .filter((name) => name.endsWith('.cc') && name !== 'module.cc')
    .sort();
  const modules = [
    { file: 'voxelbook.node', sources: ['module.cc'], own: [] },
    ...Object.entries(variants)
      .slice(0, sanitize ? 1 : undefined)
      .map(([name, own]) => ({ file: `kernels-${name}.node`, sources, own })),
  ];
  try {
    const objectOf = (file, name) => path.join(objects, `${file}.${name}.o`);
    const waiting = modules.flatMap(({ file, sources, own }) => sources.map((name) => ({ file, name, own })));
    const compileNext = async () => {
      const next = waiting.shift();
      if (!next) return;
      const { file, name, own } = next;
      await run('g++', [...flags, ...own, '-c', path.join(source, name), '-o', objectOf(file, name)], { hint });
      await compileNext();
    };
    await Promise.all(Array.from({ length: os.availableParallelism() }, compileNext));
    const linked = modules.map(async ({ file, sources }) => {
      const compiled = sources.map((name) => objectOf(file, name));
      await run(
        'g++',
        [
          ...['-shared', '-fopenmp', ...checks, ...compiled, '-o', path.join(objects, file), `-L${tensorflow}`],
          ...['-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2'],
          `-Wl,-rpath,$ORIGIN/${path.relative(folder, tensorflow)}`,
        ],
        { hint },
      );
    });
    await Promise.all(linked);
    // Kernels of another set of sources or variants are none of ours.
    for (const name of fs.readdirSync(folder)) if (name.endsWith('.node')) fs.rmSync(path.join(folder, name));
    for (const { file } of modules) fs.renameSync(path.join(objects, file), path.join(folder, file));
    return modules.map(({ file }) => path.join(folder, file));
  } finally {
    fs.rmSync(objects, { recursive: true, force: true });
  }
}
