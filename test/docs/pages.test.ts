// What npm run check says of the pages and the public names: nothing of ours, and every fault of what is made wrong here.
import assert from 'node:assert/strict';

const check = await import(new URL('../../environment/checkDocs.mjs', import.meta.url).href);

describe('the pages', function () {
  this.timeout(300_000);

  it('lead somewhere, compile, name commands that exist; every public name has a doc comment', () =>
    assert.deepEqual(check.faultsOfDocs(), []));

  it('all are looked at', () => {
    const pages: string[] = check.pages();
    for (const page of [
      'README.md',
      'ARCHITECTURE.md',
      'kernels/README.md',
      'environment/docs/own-parts.md',
      'environment/docs/container.md',
    ])
      assert.ok(pages.includes(page), page);
  });

  it('a link to nothing, or to a heading that is not there, is told with its line; code is no link', () => {
    const text =
      '# One two\n[a](LICENSE) [b](nothing.md)\n`[c](nothing)`\n[d](#one-two) [e](#three)\n```\n[f](nothing)\n```\n[g](https://x.y)';
    assert.deepEqual(check.brokenLinks('page.md', text), [
      'page.md:2: the link nothing.md leads nowhere',
      'page.md:4: the link #three leads nowhere',
    ]);
  });

  it('commands and JSON that are none', () => {
    assert.deepEqual(check.unknownCommands('page.md', 'npx voxelbook run x\nnpx voxelbook fly, npm run lab, npm run away'), [
      'page.md:2: there is no command npx voxelbook fly',
      'page.md:2: there is no script npm run away',
    ]);
    assert.match(check.badJson('page.md', 'x\n```json\n{ "a": }\n```\n').join(), /^page\.md:3: /);
  });

  it('code that does not compile is told at its line of the page; its modules may import each other', () => {
    const a = '```ts\n// a.ts\nexport const a = 1;\n```\n';
    const b = "```ts\nimport { tf } from 'voxelbook';\nimport { a } from './a.ts';\ntf.add(a, 'x'.nothing);\n```\n";
    const { faults } = check.compile(new Map([['page.md', `${a}${b}`]]));
    assert.deepEqual(faults, ["page.md:8: Property 'nothing' does not exist on type '\"x\"'."]);
  });
});
