// Compiles the kernels and the functions on typed arrays, once for each set of instructions, and what says which of them a
// processor can run.
// Nothing is compiled for the machine at hand: a folder on a shared disk serves every node.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { packageFolder, places } from '../../../environment/places.mjs';

/** Compiler flags of each variant; base/native/processor.cc names them to JavaScript. */
const variants =
  process.arch === 'x64'
    ? {
        avx2: ['-mavx2', '-mfma', '-mbmi2'],
        avx512: ['-mavx2', '-mfma', '-mbmi2', ...['f', 'bw', 'dq', 'vl'].map((x) => `-mavx512${x}`), '-mprefer-vector-width=512'],
      }
    : { generic: [] };

/** Sources that are modules by themselves. */
const alone = ['tensor/module.cc', 'base/processor.cc'];

/**
 * @param {{ root: string, run: (command: string, args: string[], options?: object) => Promise<string>, folder?: string, sanitize?: string, besides?: string[] }} context
 *   the project's folder, a function that runs a command, and where the compiled files go; `sanitize` (`address,undefined`, `thread`) adds
 *   the compiler's own checks, to the narrowest variant alone; `besides` are objects that are linked into each
 * @returns the compiled files
 */
export async function build({ root, run, folder = places().native, sanitize, besides = [] }) {
  const source = path.join(root, 'src');
  const { tensorflow } = places();
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
    ...[`-I${source}`, `-I${path.join(packageFolder('node-api-headers'), 'include')}`],
  ];
  const inTensorflow = { own: [`-I${tensorflow}/include`], tensorflow: true };
  /** Sources of these rooms, by their names below src/. */
  const sourcesOf = (...rooms) =>
    rooms.flatMap((room) =>
      fs
        .readdirSync(path.join(source, room, 'native'))
        .filter((name) => name.endsWith('.cc') && !alone.includes(`${room}/${name}`))
        .sort()
        .map((name) => `${room}/native/${name}`),
    );
  const kernels = sourcesOf('tensor');
  // Worker threads load these without TensorFlow; sums and products stay as written, so that plain code gives the same bits.
  const functions = sourcesOf('base', 'volume', 'augment');
  const modules = [
    { file: 'processor.node', sources: ['base/native/processor.cc'], own: [] },
    { file: 'voxelbook.node', sources: ['tensor/native/module.cc'], ...inTensorflow },
    ...Object.entries(variants)
      .slice(0, sanitize ? 1 : undefined)
      .flatMap(([name, own]) => [
        { file: `kernels-${name}.node`, sources: kernels, ...inTensorflow, own: [...inTensorflow.own, ...own] },
        { file: `functions-${name}.node`, sources: functions, own: ['-ffp-contract=off', ...own] },
      ]),
  ];
  try {
    const objectOf = (file, name) => path.join(objects, `${file}.${name.replaceAll('/', '.')}.o`);
    const waiting = modules.flatMap(({ file, sources, own }) => sources.map((name) => ({ file, name, own })));
    const compileNext = async () => {
      const next = waiting.shift();
      if (!next) return;
      const { file, name, own } = next;
      await run('g++', [...flags, ...own, '-c', path.join(source, name), '-o', objectOf(file, name)], { hint });
      await compileNext();
    };
    await Promise.all(Array.from({ length: os.availableParallelism() }, compileNext));
    const libraries = [
      ...[`-L${tensorflow}`, '-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2'],
      `-Wl,-rpath,$ORIGIN/${path.relative(folder, tensorflow)}`,
    ];
    const linked = modules.map(async ({ file, sources, tensorflow }) => {
      const compiled = sources.map((name) => objectOf(file, name));
      const output = ['-shared', '-fopenmp', ...checks, ...compiled, ...besides, '-o', path.join(objects, file)];
      await run('g++', [...output, ...(tensorflow ? libraries : [])], { hint });
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
