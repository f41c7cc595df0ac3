// Part of npm run check: links of the pages lead somewhere, their code compiles and their commands exist, and every public name has a
// doc comment.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { root } from './places.mjs';

const read = (file) => fs.readFileSync(path.join(root, file), 'utf8');

/** Pages for readers: every Markdown file of the project but those about test data. */
export function pages() {
  const { stdout } = spawnSync('git', ['ls-files', '-co', '--exclude-standard', '*.md'], { cwd: root, encoding: 'utf8' });
  return stdout.split('\n').filter((file) => file && !/^(test|shared)\//.test(file) && fs.existsSync(path.join(root, file)));
}

/** Blocks of code of a page: `{ language, code, line, name }`; `name` is that of a first line `// loss.ts`. */
export function blocksOf(text) {
  const lines = text.split('\n');
  const blocks = [];
  for (let i = 0; i < lines.length; i++) {
    const open = /^(`{3,}|~{3,})\s*(\w*)/.exec(lines[i]);
    if (!open) continue;
    const end = lines.findIndex((line, j) => j > i && line.startsWith(open[1]));
    const code = lines.slice(i + 1, end < 0 ? undefined : end).join('\n');
    blocks.push({ language: open[2], code, line: i + 2, name: /^\/\/ (\S+\.ts)$/m.exec(code.split('\n')[0])?.[1] });
    i = end < 0 ? lines.length : end;
  }
  return blocks;
}

/** A page without its blocks of code, with as many lines. */
function prose(text) {
  let inside;
  return text
    .split('\n')
    .map((line) => {
      const fence = /^(`{3,}|~{3,})/.exec(line)?.[1];
      const out = inside || fence ? '' : line;
      if (fence) inside = inside ? (line.startsWith(inside) ? undefined : inside) : fence;
      return out;
    })
    .join('\n');
}

/** What a heading is called in a link, as GitHub and Sphinx's MyST say it. */
const anchorOf = (heading) =>
  heading
    .toLowerCase()
    .replace(/<[^>]+>|[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(' ', '-');
const anchorsOf = (text) => [...prose(text).matchAll(/^#+\s+(.+)$/gm)].map(([, heading]) => anchorOf(heading));

/** Links of a page that lead nowhere, each with its line; what lies in the net is not asked. */
export function brokenLinks(file, text, readOther = read) {
  const faults = [];
  for (const [i, line] of prose(text).split('\n').entries())
    for (const [, target] of line.replace(/`[^`]*`/g, '').matchAll(/\]\(([^)\s]+)[^)]*\)/g)) {
      if (/^(https?|mailto):/.test(target)) continue;
      const [at, anchor] = decodeURI(target).split('#');
      const other = at ? path.join(path.dirname(file), at) : file;
      const there = !at || fs.existsSync(path.join(root, other));
      const named = there && (!anchor || (/\.md$/.test(other) && anchorsOf(at ? readOther(other) : text).includes(anchor)));
      if (!named) faults.push(`${file}:${i + 1}: the link ${target} leads nowhere`);
    }
  return faults;
}

/** Commands of a page that there are none of: scripts of package.json, and those of `npx voxelbook`. */
export function unknownCommands(file, text) {
  const { scripts } = JSON.parse(read('package.json'));
  const table = /const commands: Record<string, Command> = \{([\s\S]*?)\n\};/.exec(read('src/run/cli.ts'))[1];
  const commands = new Set([...table.matchAll(/^ {2}'?([\w-]+)'?[:,]/gm)].map(([, name]) => name));
  const faults = [];
  for (const [i, line] of text.split('\n').entries()) {
    for (const [, name] of line.matchAll(/\bnpx voxelbook ([a-z][\w-]*)/g))
      if (!commands.has(name)) faults.push(`${file}:${i + 1}: there is no command npx voxelbook ${name}`);
    for (const [, name] of line.matchAll(/\bnpm run ([a-z][\w-]*)/g))
      if (!(name in scripts)) faults.push(`${file}:${i + 1}: there is no script npm run ${name}`);
  }
  return faults;
}

/** JSON of a page that is none. */
export function badJson(file, text) {
  return blocksOf(text).flatMap(({ language, code, line }) => {
    if (language !== 'json') return [];
    try {
      JSON.parse(code);
      return [];
    } catch (error) {
      return [`${file}:${line}: ${error.message}`];
    }
  });
}

/** The public doors: `voxelbook` and `voxelbook/<room>`. */
const doors = () =>
  ['src/index.ts', ...fs.readdirSync(path.join(root, 'src')).map((room) => `src/${room}/index.ts`)]
    .map((file) => path.join(root, file))
    .filter((file) => fs.existsSync(file));

/**
 * One program of the library and the TypeScript of the pages, under the project's own rules.
 * @param texts page → text
 * @returns what the compiler says of the pages, and public names without a doc comment
 */
export function compile(texts) {
  const { config } = ts.readConfigFile(path.join(root, 'tsconfig.json'), ts.sys.readFile);
  const { options: given } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root);
  const options = {
    ...{ ...given, declaration: false, types: ['node'], allowImportingTsExtensions: true, noUnusedLocals: false },
    paths: { voxelbook: [path.join(root, 'src/index.ts')], 'voxelbook/*': [path.join(root, 'src/*/index.ts')] },
  };
  // Code of a page stands in a folder of its own, as its modules import each other; it is nowhere on the disk.
  const modules = new Map();
  for (const [page, text] of texts)
    for (const [i, { language, code, line, name }] of blocksOf(text).entries())
      if (language === 'ts') {
        const file = path.join(root, 'pages', page.replaceAll('/', '_'), name ?? `block${i}.ts`);
        modules.set(file, { code: `${code}\nexport {};\n`, page, line });
      }
  const host = ts.createCompilerHost(options);
  const { directoryExists, fileExists, readFile, getSourceFile } = host;
  const folders = new Set([...modules.keys()].map((file) => path.dirname(file)));
  host.directoryExists = (folder) => folders.has(folder) || directoryExists(folder);
  host.fileExists = (file) => modules.has(file) || fileExists(file);
  host.readFile = (file) => modules.get(file)?.code ?? readFile(file);
  host.getSourceFile = (file, version, ...rest) =>
    modules.has(file) ? ts.createSourceFile(file, modules.get(file).code, version, true) : getSourceFile(file, version, ...rest);
  const program = ts.createProgram([...doors(), ...modules.keys()], options, host);
  const faults = [];
  for (const [file, { page, line }] of modules) {
    const source = program.getSourceFile(file);
    for (const { start, messageText } of [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)])
      faults.push(
        `${page}:${line + source.getLineAndCharacterOfPosition(start ?? 0).line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
      );
  }
  return { faults, undocumented: undocumented(program) };
}

function undocumented(program) {
  const checker = program.getTypeChecker();
  const seen = new Set();
  const missing = [];
  for (const door of doors())
    for (const name of checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(door)))) {
      const symbol = name.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(name) : name;
      const [declaration] = symbol.declarations ?? [];
      if (seen.has(symbol) || !declaration || ts.isSourceFile(declaration)) continue;
      seen.add(symbol);
      const source = declaration.getSourceFile();
      if (!source.fileName.startsWith(path.join(root, 'src'))) continue;
      if (symbol.getDocumentationComment(checker).length > 0) continue;
      const line = source.getLineAndCharacterOfPosition(declaration.getStart()).line + 1;
      missing.push(`${path.relative(root, source.fileName)}:${line}: ${symbol.name} is public and has no doc comment`);
    }
  return missing;
}

/** Every fault, a line each. */
export function faultsOfDocs() {
  const texts = new Map(pages().map((file) => [file, read(file)]));
  const each = [...texts].flatMap(([file, text]) => [
    ...brokenLinks(file, text),
    ...unknownCommands(file, text),
    ...badJson(file, text),
  ]);
  const { faults, undocumented: missing } = compile(texts);
  return [...each, ...faults, ...missing];
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const faults = faultsOfDocs();
  for (const fault of faults) console.error(fault);
  if (faults.length > 0) process.exit(1);
}
