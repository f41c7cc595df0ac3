// A bundle as a page: everything a browser needs to segment a volume, as files that work from a disk and from any server.
//
// A page from a file may run scripts that lie beside it, and read nothing. So weights, WebAssembly and worker come as scripts too: each
// hands a piece of a file to the page, in base64.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWrite } from '../base/atomicWrite.js';
import { FaultList, VoxelbookError } from '../base/errors.js';
import { commandText, projectRoot } from '../base/paths.js';
import { progressOf, type WorkOptions } from '../base/progress.js';
import { bundleFile, readBundle } from './bundle.js';

/** A file of a page. */
export interface PageFile {
  /** Its place below the page's folder. */
  name: string;
  type: 'text/html' | 'text/javascript' | 'text/plain';
  bytes(): Uint8Array;
}

/** Bytes of a file that one script carries. */
const pieceBytes = 6 * 2 ** 20;

/**
 * The files of the page of a bundle, each made when it is asked for.
 * @throws VoxelbookError for a damaged bundle, and where the page's own scripts were not built
 */
export function pageFiles(bundle: string): PageFile[] {
  const { graphs } = readBundle(bundle);
  const built = path.join(projectRoot, 'dist/onnx/page');
  const own = (name: string) => path.join(built, name);
  if (!fs.existsSync(own('page.js')))
    throw new VoxelbookError('this page cannot be made', {
      code: 'page-scripts',
      path: built,
      given: 'no scripts of the page',
      expected: 'what set-up builds',
      fix: `Run ${commandText('setup')}.`,
    });
  const carried: [name: string, file: string][] = [
    ...['worker.js', 'ort.mjs', 'ort.wasm'].map((name): [string, string] => [name, own(name)]),
    ...[bundleFile, ...graphs.flatMap(({ file, data }) => (data ? [file, data.file] : [file]))].map((name): [string, string] => [
      name,
      path.join(bundle, name),
    ]),
  ];
  const lists = carried.map(([name, file]) => ({
    name,
    file,
    pieces: Math.max(1, Math.ceil(fs.statSync(file).size / pieceBytes)),
  }));
  const scripts = lists.flatMap(({ name, file, pieces }) =>
    Array.from({ length: pieces }, (_, piece): PageFile => {
      const bytes = () => Buffer.from(`voxelbookPart(${JSON.stringify(name)},${piece},"${pieceOf(file, piece)}")\n`);
      return { name: `parts/${name}.${piece}.js`, type: 'text/javascript', bytes };
    }),
  );
  const html = () =>
    fs
      .readFileSync(own('page.html'), 'utf8')
      .replace('>[]<', () => `>${JSON.stringify(lists.map(({ name, pieces }) => ({ name, pieces })))}<`)
      .replace('<!-- parts -->', () => scripts.map(({ name }) => `<script src="${name}"></script>`).join('\n'));
  const copy = (name: string, type: PageFile['type']): PageFile => ({ name, type, bytes: () => fs.readFileSync(own(name)) });
  return [
    { name: 'index.html', type: 'text/html', bytes: () => Buffer.from(html()) },
    copy('niivue.js', 'text/javascript'),
    copy('page.js', 'text/javascript'),
    copy('licences.txt', 'text/plain'),
    ...scripts,
  ];
}

function pieceOf(file: string, piece: number): string {
  const descriptor = fs.openSync(file, 'r');
  try {
    const bytes = Buffer.alloc(pieceBytes);
    const length = fs.readSync(descriptor, bytes, 0, pieceBytes, piece * pieceBytes);
    return bytes.toString('base64', 0, length);
  } finally {
    fs.closeSync(descriptor);
  }
}

/**
 * Writes the page of a bundle.
 * @param folder is created; must be empty or hold an older page
 * @throws VoxelbookError as `pageFiles`, and for a folder with something else in it
 */
export function writePage(bundle: string, folder: string, work: WorkOptions = {}): void {
  const files = pageFiles(bundle);
  const ours = ['index.html', 'niivue.js', 'page.js', 'licences.txt', 'parts'];
  const others = fs.existsSync(folder) ? fs.readdirSync(folder).filter((name) => !ours.includes(name)) : [];
  const faults = new FaultList();
  if (others.length > 0)
    faults.add(
      'page-folder',
      folder,
      `a folder with ${others.slice(0, 3).join(', ')}`,
      'a new or empty folder',
      'Give another --out.',
    );
  faults.throwIfAny('this page cannot be written');
  fs.rmSync(path.join(folder, 'parts'), { recursive: true, force: true });
  fs.mkdirSync(path.join(folder, 'parts'), { recursive: true });
  const report = progressOf(files.length, work);
  for (const [i, { name, bytes }] of files.entries()) {
    report(i, `write ${name}`);
    atomicWrite(path.join(folder, name), bytes());
  }
  report(files.length, 'page');
}
