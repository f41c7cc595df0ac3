// Compiles the kernels for the machine they will run on, into one shared object that Node loads.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/**
 * @param {{ root: string, run: (command: string, args: string[], options?: object) => Promise<string>, output?: string }} context
 *   the project's folder, and a function that runs a command
 * @returns the compiled file
 */
export async function build({ root, run, output = path.join(root, 'environment/native/voxelbook.node') }) {
  const source = path.join(root, 'src/tensor/native');
  const tensorflow = path.join(root, 'environment/tensorflow/tensorflow');
  const folder = path.dirname(output);
  fs.mkdirSync(folder, { recursive: true });
  const objects = fs.mkdtempSync(path.join(folder, 'objects-'));
  const hint = 'install a C++ compiler (Debian, Ubuntu: apt-get install g++; macOS: xcode-select --install)';
  const flags = [
    ...['-std=c++20', '-O3', '-march=native', '-fopenmp', '-fPIC', '-fvisibility=hidden', '-DNAPI_VERSION=8'],
    ...['-fno-math-errno', '-fno-trapping-math', ...(process.arch === 'x64' ? ['-mprefer-vector-width=512'] : [])],
    // -Wrestrict finds faults in the standard library's strings that are not there.
    ...['-Wall', '-Wno-psabi', '-Wno-ignored-attributes', '-Wno-restrict'],
    ...[`-I${tensorflow}/include`, `-I${path.join(root, 'node_modules/node-api-headers/include')}`],
  ];
  try {
    const waiting = fs
      .readdirSync(source)
      .filter((name) => name.endsWith('.cc'))
      .sort();
    const compiled = waiting.map((name) => path.join(objects, `${name}.o`));
    const compileNext = async () => {
      const name = waiting.shift();
      if (!name) return;
      await run('g++', [...flags, '-c', path.join(source, name), '-o', path.join(objects, `${name}.o`)], { hint });
      await compileNext();
    };
    await Promise.all(os.cpus().map(compileNext));
    const linked = path.join(objects, 'linked.node');
    await run(
      'g++',
      [
        ...['-shared', '-fopenmp', ...compiled, '-o', linked, `-L${tensorflow}`],
        ...['-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2'],
        `-Wl,-rpath,$ORIGIN/${path.relative(folder, tensorflow)}`,
      ],
      { hint },
    );
    fs.renameSync(linked, output);
    return output;
  } finally {
    fs.rmSync(objects, { recursive: true, force: true });
  }
}
