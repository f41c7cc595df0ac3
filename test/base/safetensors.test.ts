import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { VoxelbookError } from '../../src/base/errors.js';
import {
  bfloat16,
  float16,
  openSafetensors,
  readSafetensors,
  safetensorsChunks,
  writeSafetensors,
} from '../../src/base/safetensors.js';

const file = (header: string | object, body = 0, length?: bigint) => {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const head = Buffer.alloc(8);
  head.writeBigUInt64LE(length ?? BigInt(text.length));
  return Buffer.concat([head, text, Buffer.alloc(body)]);
};
const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({ dtype: 'F32', shape, data_offsets: [begin, end] });

describe('safetensors', () => {
  it('what is written is read back, dtype, shape and metadata', () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-'));
    const name = path.join(folder, 'a.safetensors');
    const tensors = {
      small: { shape: [3], data: new Uint8Array([1, 2, 3]) },
      w: { shape: [2, 2], data: new Float32Array([1, -2, 3.5, Number.NaN]) },
      n: { shape: [], data: new BigInt64Array([7n]) },
      empty: { shape: [0, 4], data: new Float32Array(0) },
    };
    writeSafetensors(name, tensors, { made: 'here' });
    const back = readSafetensors(name);
    assert.deepEqual(back.metadata.made, 'here');
    for (const [key, { shape, data }] of Object.entries(tensors)) {
      assert.deepEqual(back.tensors[key].shape, shape);
      assert.deepEqual(back.tensors[key].data, data);
    }
    fs.rmSync(folder, { recursive: true });
  });

  it('an array that is made in parts when its turn comes gives the same file, and no two are held at once', () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-'));
    const [now, later] = ['now', 'later'].map((name) => path.join(folder, name));
    const arrays = { a: Float32Array.of(1, 2), b: Int32Array.of(3), c: Float32Array.of(4) };
    writeSafetensors(now, Object.fromEntries(Object.entries(arrays).map(([k, data]) => [k, { shape: [data.length], data }])));
    const asked: string[] = [];
    const made = Object.entries(arrays).map(([name, data]) => {
      const read = () => {
        asked.push(name);
        return [data.subarray(0, 1), data.subarray(1)];
      };
      return [name, { shape: [data.length], dtype: data instanceof Float32Array ? 'F32' : 'I32', read }] as const;
    });
    writeSafetensors(later, Object.fromEntries(made));
    assert.deepEqual(fs.readFileSync(later), fs.readFileSync(now));
    assert.deepEqual(asked, ['a', 'b', 'c', 'a', 'b', 'c']);
    fs.rmSync(folder, { recursive: true });
  });

  it('an opened file gives the same arrays, each when it is asked for, and refuses one that was replaced or damaged', () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-'));
    const name = path.join(folder, 'x.safetensors');
    const arrays = { a: Float32Array.of(1, 2), b: Float64Array.of(3), c: Int16Array.of(), d: Uint8Array.of(4, 5, 6) };
    const write = () =>
      writeSafetensors(name, Object.fromEntries(Object.entries(arrays).map(([k, data]) => [k, { shape: [data.length], data }])), {
        said: 'x',
      });
    write();
    const opened = openSafetensors(name);
    assert.deepEqual(opened, readSafetensors(name));
    const { a, b } = opened.tensors;
    assert.equal(a.data, a.data, 'a value at a time would read the file each time');
    assert.notEqual(b.data, a.data);
    write();
    assert.throws(() => b.data, /was changed while it was read/);
    const bytes = fs.readFileSync(name);
    for (const at of [20, bytes.length - 1]) {
      const bad = Buffer.from(bytes);
      bad[at] ^= 1;
      fs.writeFileSync(name, bad);
      assert.throws(() => openSafetensors(name));
    }
    fs.rmSync(folder, { recursive: true });
  });

  it('half precision is widened exactly', () => {
    assert.deepEqual([0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00].map(float16), [1, -2, 65504, 2 ** -24, Number.POSITIVE_INFINITY]);
    assert.deepEqual([0x3f80, 0xc000].map(bfloat16), [1, -2]);
  });

  it('a writer refuses data that does not fill its shape', () => {
    assert.throws(
      () => safetensorsChunks({ w: { shape: [2], data: new Float32Array(3) } }),
      /w: 3 values; expected 2 for shape \[2\]/,
    );
  });

  const broken: [string, Buffer, string][] = [
    ['seven bytes', Buffer.alloc(7), 'truncated'],
    ['a header longer than the file', file('{}', 0, 1000n), 'truncated'],
    ['a header of 2^53 bytes', file('{}', 0, 2n ** 53n), 'header-too-large'],
    ['a header that is not UTF-8', Buffer.concat([file('', 0, 2n), Buffer.from([0xff, 0xfe])]), 'header-not-utf8'],
    ['a header that is not JSON', file('{"a":'), 'header-not-json'],
    ['a header that is an array', file('[]'), 'header-not-json'],
    ['deep nesting', file(`{"a":${'['.repeat(500)}${']'.repeat(500)}}`), 'header-too-deep'],
    [
      'a name that stands twice',
      file('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
      'duplicate-name',
    ],
    ['an unknown dtype', file({ a: { dtype: 'F7', shape: [], data_offsets: [0, 0] } }), 'dtype'],
    ['a dtype named like an object member', file({ a: { dtype: 'constructor', shape: [], data_offsets: [0, 0] } }), 'dtype'],
    ['a negative shape', file({ a: { dtype: 'F32', shape: [-1], data_offsets: [0, 4] } }, 4), 'shape'],
    ['a shape of 2^53', file({ a: { dtype: 'F32', shape: [2 ** 53], data_offsets: [0, 4] } }, 4), 'shape'],
    ['sizes that overflow', file({ a: { dtype: 'F32', shape: [2 ** 40, 2 ** 40], data_offsets: [0, 4] } }, 4), 'size'],
    ['offsets that run backwards', file({ a: { dtype: 'F32', shape: [1], data_offsets: [4, 0] } }, 4), 'offsets'],
    ['dtype × shape unlike the byte range', file({ a: f32(0, 8, [3]) }, 8), 'size'],
    ['a tensor outside the file', file({ a: f32(0, 8) }, 4), 'truncated'],
    ['overlap', file({ a: f32(0, 8), b: f32(4, 12) }, 12), 'overlap'],
    ['a hole between tensors', file({ a: f32(0, 4), b: f32(8, 12) }, 12), 'hole'],
    ['bytes after the last tensor', file({ a: f32(0, 4) }, 8), 'hole'],
    ['metadata that is no text', file({ __metadata__: { a: 1 } }), 'metadata'],
  ];
  for (const [what, bytes, code] of broken)
    it(`${what} is refused as ${code}`, () => {
      assert.throws(
        () => readSafetensors(bytes),
        (error: VoxelbookError) => error instanceof VoxelbookError && error.code === code,
      );
    });

  it('a checksum whose very name is damaged is no file without one', () => {
    const bytes = (name: string) => file({ __metadata__: { [name]: '00000000' }, a: f32(0, 4) }, 4);
    for (const name of ['crc32', 'csc32', 'Crc30'])
      assert.throws(
        () => readSafetensors(bytes(name)),
        (error: VoxelbookError) => error.code === 'checksum',
      );
    for (const name of ['model', 'crc3', 'epoch']) assert.equal(readSafetensors(bytes(name)).checked, false);
  });

  it('a tensor named __proto__ is an ordinary name', () => {
    const bytes = file('{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1);
    const { tensors } = readSafetensors(bytes);
    assert.deepEqual(Object.keys(tensors), ['__proto__']);
    assert.equal(({} as { dtype?: string }).dtype, undefined);
  });
});
