// The code of a page as files, so that a page is tested as it is read.
import fs from 'node:fs';
import path from 'node:path';
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
