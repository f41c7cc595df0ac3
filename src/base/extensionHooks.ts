// How Node loads a user's module: `voxelbook` is this library wherever the module lies, TypeScript needs no build step, and a changed
// module is loaded again. Its own files carry `?voxelbook=<checksum>`, so nothing else is touched.
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { blankSourceFile } from 'ts-blank-space';
import ts from 'typescript';

interface Resolved {
  url: string;
  format?: string;
  shortCircuit?: boolean;
}
interface Loaded {
  format: string;
  source: string;
  shortCircuit?: boolean;
}

const mark = /\?voxelbook=[0-9a-f]+$/;
const [here, ending] = /^(.*)\/base\/extensionHooks(\.[jt]s)/.exec(import.meta.url)!.slice(1);

export function resolve<N>(specifier: string, context: { parentURL?: string }, next: (s: string, c: unknown) => N): N | Resolved {
  const [name, ...rest] = specifier.split('/');
  if (name === 'voxelbook') return { url: `${here}/${[...rest, 'index'].join('/')}${ending}`, shortCircuit: true };
  if (mark.test(specifier)) return { url: specifier, format: 'module', shortCircuit: true };
  const own = mark.exec(context.parentURL ?? '');
  if (!own || !/^\.{1,2}\//.test(specifier)) return next(specifier, context);
  return { url: new URL(specifier, context.parentURL).href + own[0], format: 'module', shortCircuit: true };
}

export function load<N>(url: string, context: unknown, next: (u: string, c: unknown) => N): N | Loaded {
  if (!mark.test(url) || !/\.m?[jt]s\?/.test(url)) return next(url, context);
  const file = fileURLToPath(url.replace(mark, ''));
  const source = fs.readFileSync(file, 'utf8');
  return { format: 'module', source: /\.m?ts$/.test(file) ? withoutTypes(source, file) : source, shortCircuit: true };
}

/** JavaScript at the same lines and columns. */
function withoutTypes(source: string, file: string): string {
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.ESNext, false, ts.ScriptKind.TS);
  const refuse = (at: number, what: string): never => {
    throw new SyntaxError(`${file}:${tree.getLineAndCharacterOfPosition(at).line + 1}: ${what}`);
  };
  const [fault] = (tree as unknown as { parseDiagnostics: ts.DiagnosticWithLocation[] }).parseDiagnostics;
  if (fault) refuse(fault.start, ts.flattenDiagnosticMessageText(fault.messageText, ' '));
  return blankSourceFile(tree, (node) => refuse(node.getStart(tree), 'only types that can be left out are possible here'));
}
