// What ARCHITECTURE.md says of rooms and of adding a network is so.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { projectRoot } from '../../src/base/paths.js';
import { extend } from '../../src/base/registry.js';
import { build, type Definition, describe as describeModel } from '../../src/model/index.js';
import { tf } from '../../src/tensor/tf.js';

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

  it('its network, from a file outside the project, is built and described', async () => {
    const block = /```ts\n(interface ThinSpec[\s\S]*?)```/.exec(text)![1];
    const from = (names: string, file: string) =>
      `import { ${names} } from ${JSON.stringify(pathToFileURL(path.join(projectRoot, file)).href)};`;
    const imports = [
      from('define, type Ends', 'src/model/define.ts'),
      from('Declaration', 'src/model/network.ts'),
      from('conv', 'src/model/layers/layers.ts'),
      from('tf', 'src/tensor/tf.ts'),
    ];
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'architecture-'));
    try {
      const file = path.join(folder, 'thin.mts');
      fs.writeFileSync(file, [...imports, block].join('\n'));
      const { thin } = (await import(pathToFileURL(file).href)) as { thin: Definition };
      extend({ networks: [{ ...thin, name: 'thin-of-the-page' }] });
      const spec = { network: 'thin-of-the-page', width: 4, inputChannels: 1, classes: 3 } as never;
      const { params, forward } = build(spec);
      const [y] = forward({ params, training: false, updates: {} }, tf.ones([1, 4, 5, 6, 1]));
      assert.deepEqual(y.shape, [1, 4, 5, 6, 3]);
      assert.deepEqual(
        describeModel(spec, [4, 5, 6]).stages.map((stage) => stage.name),
        ['body', 'head'],
      );
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });
});
