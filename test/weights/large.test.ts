// A legacy `.pth` above 2 GiB, with one storage that is by itself. Opt-in: VOXELBOOK_LONG_TESTS=1 (6 GB of memory; the file has holes).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { readWeights } from '../../src/weights/index.js';

const text = (s: string) => Buffer.concat([Buffer.from('X'), uint32(s.length), Buffer.from(s)]);
const int = (n: number) => Buffer.concat([Buffer.from('J'), uint32(n)]);
const global = (module: string, name: string) => Buffer.from(`c${module}\n${name}\n`);
function uint32(n: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(n);
  return bytes;
}
/** A pickle of protocol 2. */
const pickle = (...parts: (Buffer | string)[]) =>
  Buffer.concat([
    Buffer.from([0x80, 2]),
    ...parts.map((p) => (typeof p === 'string' ? Buffer.from(p, 'latin1') : p)),
    Buffer.from('.'),
  ]);
/** `torch._utils._rebuild_tensor_v2` of a whole float storage, `[rows, columns]`. */
const tensor = (key: string, [rows, columns]: readonly number[]) => [
  global('torch._utils', '_rebuild_tensor_v2'),
  ...['((', text('storage'), global('torch', 'FloatStorage'), text(key), text('cpu'), int(rows * columns), 'NtQ'],
  ...['K\0', int(rows), int(columns), '\x86', int(columns), 'K\x01', '\x86', '\x89'],
  ...[global('collections', 'OrderedDict'), ')RtR'],
];

(process.env.VOXELBOOK_LONG_TESTS ? describe : describe.skip)('a legacy checkpoint above 2 GiB', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-legacy-'));
  after(() => fs.rmSync(folder, { recursive: true }));

  it('is read, storages before and behind the boundary alike', function () {
    this.timeout(600_000);
    const shapes = { wide: [140_000, 4096], last: [2, 3] } as const;
    const file = path.join(folder, 'large.pth');
    const head = Buffer.concat([
      pickle('\x8a\x0a', Buffer.from('6cfc9c46f9206aa85019', 'hex')),
      pickle('M\xe9\x03'),
      pickle('}'),
      pickle('}', text('wide'), ...tensor('0', shapes.wide), 's', text('last'), ...tensor('1', shapes.last), 's'),
      pickle(']', text('0'), 'a', text('1'), 'a'),
    ]);
    const marks = [0, 1 << 29, 2 ** 29 + 12_345_678, 140_000 * 4096 - 1];
    const handle = fs.openSync(file, 'w');
    let at = 0;
    const write = (bytes: Uint8Array, where: number) => fs.writeSync(handle, bytes, 0, bytes.length, where);
    at += write(head, 0);
    for (const [i, [rows, columns]] of Object.values(shapes).entries()) {
      at += write(new Uint8Array(new BigUint64Array([BigInt(rows * columns)]).buffer), at);
      const places = i === 0 ? marks : [0, 1, 2, 3, 4, 5];
      for (const [m, place] of places.entries()) write(new Uint8Array(new Float32Array([m + 1.5]).buffer), at + 4 * place);
      at += 4 * rows * columns;
    }
    fs.closeSync(handle);
    assert.ok(fs.statSync(file).size > 2 ** 31);
    const { wide, last } = readWeights(file).tensors;
    assert.deepEqual([wide.shape, last.shape], [[...shapes.wide], [...shapes.last]]);
    assert.deepEqual(
      marks.map((place) => (wide.data as Float32Array)[place]),
      [1.5, 2.5, 3.5, 4.5],
    );
    assert.deepEqual([...last.data], [1.5, 2.5, 3.5, 4.5, 5.5, 6.5]);
    assert.equal((wide.data as Float32Array)[7], 0);
  });
});
