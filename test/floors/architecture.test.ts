// What ARCHITECTURE.md says of rooms is so; its how-tos are followed in test/run/howTos.test.ts.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { projectRoot } from '../../src/base/paths.js';

const text = fs.readFileSync(path.join(projectRoot, 'ARCHITECTURE.md'), 'utf8');

describe('ARCHITECTURE.md', () => {
  it('lists the rooms there are, in the order of the floors', async () => {
    const listed = [...text.matchAll(/^\| `(\w+)\/` \|/gm)].map(([, room]) => room);
    const folders = fs.readdirSync(path.join(projectRoot, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    assert.deepEqual([...listed].sort(), folders.map((entry) => entry.name).sort());
    const { default: config } = await import(pathToFileURL(path.join(projectRoot, '.dependency-cruiser.mjs')).href);
    const floors = config.forbidden.flatMap(
      ({ from }: { from: { path?: string } }) => /^\^src\/(\w+)\/$/.exec(from.path ?? '')?.[1] ?? [],
    );
    assert.deepEqual(listed, floors);
  });

  it('names files that are there', () => {
    const named = [...text.matchAll(/`((?:src|test|notebooks)\/[\w./-]+)`/g)].map(([, name]) => name);
    assert.ok(named.length > 10);
    assert.deepEqual(
      named.filter((name) => !fs.existsSync(path.join(projectRoot, name))),
      [],
    );
  });
});
