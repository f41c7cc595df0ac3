// Compiles the kernels for the machine they will run on, into one shared object that Node loads.
import fs from 'node:fs';
import path from 'node:path';

/**
 * @param {{ root: string, run: (command: string, args: string[], options?: object) => Promise<string> }} context
 *   the project's folder, and a function that runs a command
 * @returns the compiled file
 */
export async function build({ root, run, output = path.join(root, 'environment/native/voxelbook.node') }) {
  const source = path.join(root, 'src/tensor/native');
  const tensorflow = path.join(root, 'environment/tensorflow/tensorflow');
  const temporary = `${output}.${process.pid}`;
  fs.mkdirSync(path.dirname(output), { recursive: true });
  await run(
    'g++',
    [
      ...['-std=c++20', '-O3', '-march=native', '-fopenmp', '-fPIC', '-shared', '-fvisibility=hidden', '-DNAPI_VERSION=8'],
      ...[
        '-fno-math-errno',
        '-fno-trapping-math',
        '-mprefer-vector-width=512',
        '-Wall',
        '-Wno-psabi',
        '-Wno-ignored-attributes',
      ].filter((flag) => process.arch === 'x64' || !flag.startsWith('-mprefer')),
      ...[`-I${tensorflow}/include`, `-I${path.join(root, 'node_modules/node-api-headers/include')}`],
      ...fs
        .readdirSync(source)
        .filter((name) => name.endsWith('.cc'))
        .sort()
        .map((name) => path.join(source, name)),
      ...['-o', temporary, `-L${tensorflow}`, '-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2'],
      `-Wl,-rpath,${path.relative(path.dirname(output), tensorflow).replace(/^/, '$ORIGIN/')}`,
    ],
    { hint: 'install a C++ compiler (Debian, Ubuntu: apt-get install g++; macOS: xcode-select --install)' },
  );
  fs.renameSync(temporary, output);
  return output;
}
