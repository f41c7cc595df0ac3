// The declarations every cell is checked against, the language's and Node's, joined into two files: the compiler goes through
// all files of its program again for each cell, and these are 160 of them.
import fs from 'node:fs';
import path from 'node:path';

const references = /^\s*\/\/\/\s*<reference\s+(lib|path)="([^"]+)".*$/gm;
/** A file that imports or exports is a module of its own and cannot stand inside another. */
const isModule = (text) => /^(?:import|export)\b/m.test(text);

/** Every file reached by references from `files`, each behind those it names. */
function reached(files, targetOf) {
  const texts = new Map();
  const visit = (file) => {
    if (texts.has(file)) return;
    texts.set(file, '');
    const text = fs.readFileSync(file, 'utf8');
    for (const [, kind, name] of text.matchAll(references)) visit(targetOf(kind, name, file));
    texts.delete(file);
    texts.set(file, text);
  };
  for (const file of files) visit(file);
  return texts;
}

/**
 * Returns `{ lib, texts }`: the compiler's option `lib`, and what the files of this program hold, by path: the joined ones all of
 * it, those that were joined nothing. Files that are not in it hold what is on disk.
 */
export function joinedDeclarations(ts, libraries, nodeIndex) {
  const texts = new Map();
  const folder = path.dirname(ts.getDefaultLibFilePath({}));
  const inFolder = (name) => path.join(folder, ts.libMap.get(name) ?? name);
  const join = (found, into) => {
    const parts = [...found].filter(([, text]) => !isModule(text));
    for (const [file] of parts) texts.set(file, '');
    texts.set(into, parts.map(([, text]) => text.replace(references, '')).join('\n'));
  };

  const language = reached(libraries.map(inFolder), (_, name) => inFolder(name));
  // Where interfaces grow over several files, the compiler's own order says which overload comes first.
  const order = (file) => ts.libs.indexOf(path.basename(file).replace(/^lib\.|\.d\.ts$/g, ''));
  const ordered = [...language].sort(([a], [b]) => order(a) - order(b));
  join(ordered, inFolder('lib.kernel.d.ts'));
  const alone = ordered.filter(([, text]) => isModule(text)).map(([file]) => path.basename(file));

  const node = reached([nodeIndex], (kind, name, file) =>
    kind === 'lib' ? inFolder(name) : path.resolve(path.dirname(file), name),
  );
  for (const file of language.keys()) node.delete(file);
  const modules = [...node].filter(([, text]) => isModule(text)).map(([file]) => file);
  join(node, nodeIndex);
  const named = modules.map((file) => `/// <reference path="${path.relative(path.dirname(nodeIndex), file)}" />\n`);
  texts.set(nodeIndex, named.join('') + texts.get(nodeIndex));
  return { lib: ['lib.kernel.d.ts', ...alone], texts };
}
