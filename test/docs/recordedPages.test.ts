import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { deskNames, studyNames } from '../../src/paper/index.js';

const { recordedPages } = await import(new URL('../../environment/recordedPages.mjs', import.meta.url).href);
const root = path.resolve(import.meta.dirname, '../..');

describe('what the recorded studies found, as pages', () => {
  it('says what the recordings say now, for every desk study, and is linked from the README', async () => {
    const pages: Record<string, string> = await recordedPages();
    assert.equal(Object.keys(pages).length, 2 * deskNames.length);
    const readme = fs.readFileSync(path.join(root, 'README.md'), 'utf8');
    for (const [file, text] of Object.entries(pages)) {
      assert.equal(
        fs.readFileSync(path.join(root, file), 'utf8'),
        text,
        `${file}: node environment/recordedPages.mjs makes it again`,
      );
      if (file.endsWith('.md')) assert.ok(readme.includes(`(${file})`), `README.md has no ${file}`);
      else assert.ok(pages[file.replace(/svg$/, 'md')].includes(`(${path.basename(file)})`), `no page shows ${file}`);
    }
    for (const name of studyNames)
      assert.ok(readme.includes(`(notebooks/recorded/${name}.svg)`), `README.md has no picture of ${name}`);
  }).timeout(60_000);
});
