// Makes the lessons from their solutions, which are what one edits:
//
//   node notebooks/course/solutions/lessons.mjs
//
// nbgrader's `generate_assignment` makes the same with the same stub (but for the empty line left to write on).
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const folder = path.dirname(fileURLToPath(import.meta.url));
export const stub = '// your turn';

/** The lesson of a solution: what stands between BEGIN SOLUTION and END SOLUTION becomes the stub. */
export function lessonOf(notebook) {
  return { ...notebook, cells: notebook.cells.map((cell) => ({ ...cell, source: withoutSolution(cell.source) })) };
}

function withoutSolution(lines) {
  let inside = false;
  return lines.flatMap((line) => {
    if (line.includes('### BEGIN SOLUTION')) {
      inside = true;
      return [`${line.match(/^\s*/)[0]}${stub}\n`];
    }
    if (line.includes('### END SOLUTION')) {
      inside = false;
      return [];
    }
    return inside ? [] : [line];
  });
}

/** `[solution, lesson]` of every lesson, as paths. */
export const pairs = fs
  .readdirSync(folder)
  .filter((name) => name.endsWith('-solved.ipynb'))
  .sort()
  .map((name) => [path.join(folder, name), path.join(folder, '..', name.replace('-solved', ''))]);

export const text = (notebook) => `${JSON.stringify(notebook, null, 1)}\n`;

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href)
  for (const [solution, lesson] of pairs) {
    fs.writeFileSync(lesson, text(lessonOf(JSON.parse(fs.readFileSync(solution, 'utf8')))));
    console.log(path.relative(process.cwd(), lesson));
  }
