// A new study as `voxelbook new` makes it: its experiment is complete, its parts load, its files say their own name.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { lookup } from '../../src/base/registry.js';
import { main } from '../../src/run/cli.js';
import { readExperiments } from '../../src/run/index.js';

describe('voxelbook new', () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'new-'));
  const folder = path.join(root, 'a "study" of $& mine');
  const read = (name: string) => fs.readFileSync(path.join(folder, name), 'utf8');
  // Its part stays loaded in this process, and workers that start later load it too.
  process.on('exit', () => fs.rmSync(root, { recursive: true, force: true }));

  it('makes an experiment that is complete, with its part loaded', async () => {
    assert.equal(await main(['new', folder]), 0);
    const [experiment] = await readExperiments(path.join(folder, 'experiment.json'), { onNote: () => {} });
    assert.equal(experiment.recipe.epochs, 4);
    assert.deepEqual(
      experiment.extensions?.map(({ file }) => file),
      [path.join(folder, 'parts.ts')],
    );
    const { score } = lookup('metrics', 'volumeDifferenceMl');
    const masks = { prediction: Uint8Array.of(1, 1, 0), reference: Uint8Array.of(1, 0, 0), spacingMm: [1, 10, 100] };
    assert.equal(score(masks as never), 1);
    assert.ok(fs.existsSync(JSON.parse(read('experiment.json')).$schema));
  });

  it('a notebook and a README with its name, and nothing left to fill in', () => {
    const { cells } = JSON.parse(read('study.ipynb'));
    assert.equal(cells[0].source[0], '# a "study" of $& mine\n');
    assert.match(read('README.md'), /^# a "study" of \$& mine\n/);
    for (const name of fs.readdirSync(folder)) assert.doesNotMatch(read(name), /\{\{/, name);
  });

  it('leaves a folder with something in it alone', async () => {
    fs.writeFileSync(path.join(folder, 'README.md'), 'mine');
    assert.equal(await main(['new', folder]), 2);
    assert.equal(read('README.md'), 'mine');
  });
});
