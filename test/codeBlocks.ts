// The code of a page as files, so that a page is tested as it is read.
import fs from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { projectRoot } from '../src/base/paths.js';

/** TypeScript blocks by the file name in their first line (`// loss.ts`). */
export function modulesOf(page: string): Map<string, string> {
  const text = fs.readFileSync(path.join(projectRoot, page), 'utf8');
  return new Map([...text.matchAll(/^```ts\n(\/\/ (\S+\.ts)\n[\s\S]*?)^```/gm)].map(([, code, file]) => [file, code]));
}

/** Writes modules into a folder. @returns their files */
export function writeModules(folder: string, modules: ReadonlyMap<string, string>): string[] {
  fs.mkdirSync(folder, { recursive: true });
  return [...modules].map(([name, code]) => {
    const file = path.join(folder, name);
    fs.writeFileSync(file, code);
    return file;
  });
}

/** What the compiler says of modules outside the project, under the project's own rules. */
export function compilerFaults(files: readonly string[]): string[] {
  const { config } = ts.readConfigFile(path.join(projectRoot, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, projectRoot);
  const program = ts.createProgram(files, {
    ...options,
    declaration: false,
    types: ['node'],
    typeRoots: [path.join(projectRoot, 'node_modules/@types')],
    paths: {
      voxelbook: [path.join(projectRoot, 'src/index.ts')],
      'voxelbook/*': [path.join(projectRoot, 'src/*/index.ts')],
      zod: [path.join(projectRoot, 'node_modules/zod')],
    },
  });
  const own = new Set(files);
  return files
    .flatMap((file) => [
      ...program.getSyntacticDiagnostics(program.getSourceFile(file)),
      ...program.getSemanticDiagnostics(program.getSourceFile(file)),
    ])
    .filter(({ file }) => file && own.has(file.fileName))
    .map(({ file, start, messageText }) => {
      const line = file!.getLineAndCharacterOfPosition(start!).line + 1;
      return `${path.basename(file!.fileName)}:${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
    });
}
