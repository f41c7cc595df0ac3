// The licence list knows a package whose licence has to be looked at.
import assert from 'node:assert/strict';

const { doubtful, packagesOf, page } = await import(new URL('../../environment/licences.mjs', import.meta.url).href);

describe('npm run licences', () => {
  const component = (name: string, licenses: unknown, development = false) => ({
    ...{ name, version: '1.0.0', licenses },
    properties: development ? [{ name: 'cdx:npm:package:development', value: 'true' }] : [],
  });
  const packages = packagesOf({
    components: [
      component('free', [{ license: { id: 'MIT' } }]),
      component('either', [{ expression: '(MIT OR Apache-2.0)' }], true),
      component('copyleft', [{ license: { id: 'AGPL-3.0' } }]),
      component('bound', [{ license: { name: 'SEE LICENSE IN LICENSE.txt' } }]),
      component('silent', undefined),
    ],
  });

  it('names what says no licence, or one that does not go with ours', () => {
    assert.deepEqual(
      doubtful(packages).map(({ name }: { name: string }) => name),
      ['copyleft', 'bound', 'silent'],
    );
  });

  it('lists every package once, and counts by licence', () => {
    const text: string = page(packages);
    assert.match(text, /^\| MIT \| 1 \|$/m);
    assert.match(text, /^\| either \| 1\.0\.0 \| \(MIT OR Apache-2\.0\) \| development \|$/m);
    assert.match(text, /^\| silent \| 1\.0\.0 \| none said \| runs \|$/m);
  });
});
