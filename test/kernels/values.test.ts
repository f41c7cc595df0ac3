// Whatever a cell shows, sends, prints or throws: it arrives, or the cell says why not; the kernel lives on.
import assert from 'node:assert/strict';
import { type Notebook, notebook, sleep } from './notebook.js';

describe('a value that is shown or thrown', function () {
  this.timeout(90_000);
  let n: Notebook;
  before(async () => {
    n = await notebook({ VOXELBOOK_OUTPUT_MB: '1' });
    await n.ok("import { display, displayBundle, openComm } from 'voxelbook/kernel'; let kept = 42;");
  });
  after(() => n.close());
  afterEach(async () => assert.equal(await n.text('kept'), '42'));

  const json = 'application/json';
  const shown = async (content: string) => {
    const { of } = await n.ok(`displayBundle({ '${json}': ${content} });`);
    return of('display_data')[0].data[json];
  };

  it('typed arrays arrive as lists of their numbers, wherever they stand', async () => {
    for (const kind of ['Float32Array', 'Float64Array', 'Int8Array', 'Uint8ClampedArray', 'Uint16Array'])
      assert.deepEqual(await shown(`{ data: [{ x: new ${kind}([1, 2, 3]) }] }`), { data: [{ x: [1, 2, 3] }] });
    assert.deepEqual(await shown('new Float32Array([1.5])'), [1.5]);
    assert.deepEqual(await shown("{ b: Buffer.from('ab') }"), { b: [97, 98] });
    assert.deepEqual(await shown('{ b: new BigInt64Array([1n, 2n ** 60n]) }'), { b: [1, '1152921504606846976'] });
  });

  it('big integers by their digits, maps as objects, sets as lists, functions left out, `toJSON` asked', async () => {
    assert.deepEqual(
      await shown(
        "{ n: 97531n, m: new Map([['a', 1n]]), s: new Set([1]), f() {}, u: new URL('http://e.org/a'), d: new Date(0) }",
      ),
      { n: 97531, m: { a: 1 }, s: [1], u: 'http://e.org/a', d: '1970-01-01T00:00:00.000Z' },
    );
  });

  it('what refers to itself, or throws when it is written, is the error of the call', async () => {
    await n.ok('const loop: any = {}; loop.loop = loop;');
    assert.match(
      (await n.fails(`displayBundle({ '${json}': loop });`)).evalue,
      /cannot be sent to the page as JSON: .*circular/i,
    );
    assert.match((await n.fails(`({ [Symbol.for('Jupyter.display')]: () => ({ '${json}': loop }) })`)).evalue, /circular/i);
    assert.match((await n.fails("openComm('w', { toJSON() { throw new Error('will not') } });")).evalue, /will not/);
    assert.match((await n.fails("displayBundle({ 'text/plain': 'x' }, loop);")).evalue, /circular/i);
  });

  it('under a text type stands text; what is none is refused', async () => {
    const { of } = await n.ok(
      "displayBundle({ 'text/html': 7.5 as any, 'text/plain': ['a', 'b'], 'image/svg+xml': new TextEncoder().encode('<svg/>') });",
    );
    assert.deepEqual(of('display_data')[0].data, { 'text/html': '7.5', 'text/plain': 'ab', 'image/svg+xml': '<svg/>' });
    assert.match((await n.fails("displayBundle({ 'text/html': {} as any });")).evalue, /'text\/html' takes text, not an object/);
    assert.match((await n.fails('displayBundle(5 as any);')).evalue, /a bundle is an object/);
  });

  it('a proxy that traps everything, also as the last value', async () => {
    await n.ok("const trap = () => { throw new Error('trap') };");
    assert.equal(
      (await n.text('new Proxy({}, { get: trap, has: trap, getPrototypeOf: trap, ownKeys: trap })')) !== undefined,
      true,
    );
    assert.equal(await n.text('const r = Proxy.revocable({}, {}); r.revoke(); r.proxy'), '<Revoked Proxy>');
  });

  for (const [what, code, name, message] of [
    [
      'errors that are an object',
      "throw Object.assign(new Error('odd'), { name: 'ValidationError', errors: { a: 1 } })",
      'ValidationError',
      'odd',
    ],
    [
      'errors that hold the error itself',
      "const self: any = new Error('odd'); self.errors = [self]; self.cause = self; throw self",
      'Error',
      'odd',
    ],
    ['a symbol for a name', "throw Object.assign(new Error('odd'), { name: Symbol('s') })", 'Symbol(s)', 'odd'],
    ['an object for a message', "throw Object.assign(new Error('odd'), { message: { a: 1 } })", 'Error', '[object Object]'],
    ['no stack', "throw Object.assign(new Error('odd'), { stack: undefined })", 'Error', 'odd'],
    ['nothing', 'throw undefined', 'Error', 'undefined'],
    ['a big integer', 'throw 5n', 'Error', '5n'],
    ['no prototype', 'throw Object.create(null)', 'Error', '[Object: null prototype] {}'],
  ])
    it(`thrown: ${what}`, async () => {
      const error = await n.fails(code);
      assert.deepEqual([error.ename, error.evalue], [name, message]);
    });

  it('thrown: getters that throw, proxies that trap', async () => {
    for (const name of ['stack', 'message', 'name', 'cause', 'errors'])
      await n.fails(`throw Object.defineProperty(new Error('m'), '${name}', { get() { throw new Error('trap') } })`);
    await n.fails("throw new Proxy({}, { get() { throw new Error('trap') }, getPrototypeOf() { throw new Error('trap') } })");
  });

  it('a thousand inner errors or a message of megabytes are cut', async () => {
    const many = await n.fails("throw new AggregateError(Array.from({ length: 1000 }, (_, i) => new Error('n' + i)), 'many')");
    assert.ok(many.traceback.includes('  and 980 more errors'));
    assert.ok((await n.fails("throw new Error('y'.repeat(3e6))")).evalue.length < 200_000);
  });

  it('late errors of odd shape are printed', async () => {
    const { stderr } = await n.ok(
      "setTimeout(() => { throw Object.assign(new Error('late one'), { errors: {} }) }, 5); Promise.reject(Symbol('late two')); setTimeout(() => { throw null }, 5); await new Promise((r) => setTimeout(r, 80));",
    );
    assert.match(stderr, /late one/);
    assert.match(stderr, /Uncaught value: Symbol\(late two\)/);
    assert.match(stderr, /Uncaught value: null/);
  });

  it('half a character becomes U+FFFD in every message, whole ones and backslashes stay', async () => {
    await n.ok("const half = '😀'.slice(0, 1);");
    const { stdout, stderr } = await n.ok("console.log('a' + half + '😀'); console.error('\\\\ud83d', half);");
    assert.deepEqual([stdout, stderr], ['a\ufffd😀\n', '\\ud83d \ufffd\n']);
    assert.deepEqual(await shown('{ [half]: [half] }'), { '\ufffd': ['\ufffd'] });
    assert.equal((await n.fails('throw new Error(half)')).evalue, '\ufffd');
  });

  it('bytes cut inside a character print as that character, each stream for itself', async () => {
    const { stdout, stderr } = await n.ok(
      "process.stderr.write(Buffer.from([0xf0, 0x9f])); process.stdout.write(new Uint8Array([0xe2, 0x82])); process.stdout.write(new Uint8Array([0xac])); process.stderr.write(Buffer.from([0x98, 0x80])); process.stdout.write('616263', 'hex');",
    );
    assert.deepEqual([stdout, stderr], ['€abc', '😀']);
  });

  it('output has an end, with a line that says how much is missing', async () => {
    const done = await n.ok("for (let i = 0; i < 30; i++) console.log('x'.repeat(1e5));");
    assert.ok(done.stdout.length <= 1e6);
    assert.match(done.stderr, /1\.0 MB are shown, 2\.0 MB were left out.*VOXELBOOK_OUTPUT_MB=4/);
    const big = await n.ok("displayBundle({ 'text/html': 'y'.repeat(2e6) });");
    assert.equal(big.of('display_data').length, 0);
    assert.match(big.stderr, /2\.0 MB were left out/);
    assert.equal((await n.ok("console.log('again')")).stdout, 'again\n');
  });

  it('display as the last call shows no handle beneath, and waits until all is shown', async () => {
    for (const call of ['display({ a: 1 })', 'await display({ a: 1 })', "displayBundle({ 'text/plain': 'a' })"]) {
      const { of, result } = await n.ok(call);
      assert.deepEqual([of('display_data').length, result], [1, undefined]);
    }
  });

  it('removed listeners of the process do not take the kernel along', async () => {
    await n.ok("process.removeAllListeners(); setTimeout(() => { throw new Error('late three') }, 10); 0");
    await sleep(200);
    assert.ok(n.kernel.heard.some((m) => String(m.content.text).includes('late three')));
  });
});
