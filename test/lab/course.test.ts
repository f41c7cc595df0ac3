// The lessons as a class needs them: each made from its solution, every exercise with its check, ready for papermill and nbgrader.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

const { lessonOf, pairs, stub, text } = await import(
  new URL('../../notebooks/course/solutions/lessons.mjs', import.meta.url).href
);

const read = (file: string) => JSON.parse(fs.readFileSync(file, 'utf8'));
const source = (cell: any): string => cell.source.join('');
const tagged = (notebook: any, tag: string) => notebook.cells.filter((c: any) => c.metadata.tags?.includes(tag));

describe('the course', () => {
  it('has twelve lessons, from 0', () => assert.equal(pairs.length, 12));

  for (const [solution, lesson] of pairs)
    describe(path.basename(lesson), () => {
      const solved = read(solution);
      const open = read(lesson);

      it('is its solution with the solutions taken out', () => {
        assert.equal(fs.readFileSync(lesson, 'utf8'), text(lessonOf(solved)));
        for (const cell of tagged(solved, 'exercise')) assert.match(source(cell), /### BEGIN SOLUTION\n[\s\S]+### END SOLUTION/);
        for (const cell of tagged(open, 'exercise')) assert.ok(source(cell).includes(stub));
        assert.doesNotMatch(JSON.stringify(open), /(BEGIN|END) SOLUTION/);
      });

      it('is kept without outputs, each cell with an id of its own', () => {
        const code = open.cells.filter((c: any) => c.cell_type === 'code');
        for (const cell of code) assert.deepEqual([cell.outputs, cell.execution_count], [[], null]);
        assert.equal(new Set(open.cells.map((c: any) => c.id)).size, open.cells.length);
      });

      it('declares its parameters once, by let, for papermill', () => {
        const [parameters, ...more] = tagged(open, 'parameters');
        assert.equal(more.length, 0);
        for (const line of source(parameters).trim().split('\n')) assert.match(line, /^let \w+ = .+; \/\/ \S/);
      });

      it('has a folded, locked check worth a point right after every exercise', () => {
        const exercises = tagged(open, 'exercise');
        assert.ok(exercises.length >= 4);
        exercises.forEach((exercise: any, i: number) => {
          const check = open.cells[open.cells.indexOf(exercise) + 1];
          const number = `${Number(path.basename(lesson).slice(0, 2))}.${i + 1}`;
          assert.match(source(check), new RegExp(`report\\.check\\('${number} `));
          assert.deepEqual(check.metadata.tags, ['check']);
          assert.equal(check.metadata.jupyter.source_hidden, true);
          const common = { schema_version: 3, task: false };
          const { nbgrader } = check.metadata;
          assert.deepEqual(nbgrader, {
            ...common,
            grade: true,
            solution: false,
            locked: true,
            points: 1,
            grade_id: `check-${i + 1}`,
          });
          assert.deepEqual(exercise.metadata.nbgrader, {
            ...common,
            ...{ grade: false, solution: true, locked: false, grade_id: `exercise-${i + 1}` },
          });
        });
      });
    });
});
