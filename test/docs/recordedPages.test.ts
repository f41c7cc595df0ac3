import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

const { recordedPages } = await import(new URL('../../environment/recordedPages.mjs', import.meta.url).href);
const root = path.resolve(import.meta.dirname, '../..');

describe('what the recorded studies found, as pages', () => {
  it('says what the recordings say now, for four papers, and stands in the README', async () => {
    const pages: Record<string, string> = await recordedPages();
    assert.equal(Object.keys(pages).length, 8);
    const readme = fs.readFileSync(path.join(root, 'README.md'), 'utf8');
    for (const [file, text] of Object.entries(pages)) {
      assert.equal(
        fs.readFileSync(path.join(root, file), 'utf8'),
        text,
        `${file}: node environment/recordedPages.mjs makes it again`,
      );
      assert.ok(readme.includes(`(${file})`), `README.md has no ${file}`);
    }
  }).timeout(60_000);
});
