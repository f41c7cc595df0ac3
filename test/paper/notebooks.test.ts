// The papers' notebooks, as text: each shows every table of its paper and runs every list of experiments those tables need.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { deskNames, published, study, studyNames } from '../../src/paper/index.js';

const folder = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../notebooks/papers');

describe('notebooks of the papers', () => {
  for (const name of studyNames) {
    const { cells } = JSON.parse(fs.readFileSync(path.join(folder, `${name}.ipynb`), 'utf8'));
    const code: { source: string; tags: string[] }[] = cells
      .filter((cell: { cell_type: string }) => cell.cell_type === 'code')
      .map((cell: { source: string[]; metadata: { tags?: string[] } }) => ({
        source: [cell.source].flat().join(''),
        tags: cell.metadata.tags ?? [],
      }));
    const all = code.map((cell) => cell.source).join('\n');
    const { paper, tables } = study(name);

    it(`${name} shows every published table, beside this run where it has rows of it, and none of another paper`, () => {
      const shown = [...all.matchAll(/paper\.(?:beside|table)\('(\w+)', '([\w-]+)'/g)].map(([, of, id]) => `${of} ${id}`);
      assert.deepEqual([...new Set(shown)].sort(), published[paper].tables.map((t) => `${paper} ${t.id}`).sort());
    });

    it(`${name} runs the experiments of every table that has some`, () => {
      // A study without tables is all of them; else they are named, in place or handed to a helper of the notebook.
      const whole =
        /run\.reproduce\(\s*models\b/.test(all) && all.includes(`vb.paper.study('${name}', { scale: 'demo', seeds, epochs })`);
      const named = new Set(
        [...all.matchAll(/(?:tables: \[|listOf\()((?:'[\w-]+'(?:, )?)+)/g)].flatMap(([, list]) => list.match(/[\w-]+/g)!),
      );
      const needed = tables.filter((t) => t.experiments.length > 0).map((t) => t.id);
      assert.deepEqual(
        needed.filter((id) => !whole && !named.has(id)),
        [],
      );
      assert.ok(all.includes('run.reproduce('));
    });

    it(`${name} trains two seeds or more, compares with the intensity table, and plans the full size`, () => {
      const [, seeds] = /let seeds = \[([\d, ]+)\]/.exec(code.find((cell) => cell.tags.includes('parameters'))!.source)!;
      assert.ok(seeds.split(',').length >= 2);
      assert.match(all, /run\.baseline\(/);
      assert.match(all, /paper\.findingsTable\(/);
      assert.match(all, new RegExp(`run\\.dryRun\\(vb\\.paper\\.study\\('${name}', \\{ scale: 'paper'`));
    });

    it(`${name} gives a table and a figure to the gallery`, () => {
      const chosen = code.filter((cell) => cell.tags.includes('gallery')).map((cell) => cell.source);
      assert.equal(chosen.length, 2);
      assert.ok(chosen.some((source) => source.includes('paper.beside(')));
      assert.ok(chosen.some((source) => /report\.(scaling|perClass|pairedDifference)\(/.test(source)));
    });
  }

  for (const name of deskNames)
    it(`${name} is shown as recorded: verdicts, power, every seed, and predictions of the best, median and worst case`, () => {
      const paper = studyNames.find((one) => name === one || name.startsWith(`${one}-`));
      const text = fs.readFileSync(path.join(folder, `${paper}.ipynb`), 'utf8');
      const [, desk] = new RegExp(`const (\\w+) = vb\\.run\\.recorded\\('${name}'\\)`).exec(text)!;
      for (const shown of [
        'decisionTable()',
        'planTable()',
        'seedDifferences()',
        ...['best', 'median', 'worst'].map((r) => `view('${r}'`),
      ])
        assert.ok(text.includes(`${desk}.${shown}`), shown);
    });

  it('UpKern is studied with five seeds', () => {
    const text = fs.readFileSync(path.join(folder, 'mednext.ipynb'), 'utf8');
    assert.match(text, /let upkernSeeds = \[0, 1, 2, 3, 4\]/);
  });
});
