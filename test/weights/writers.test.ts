// What is written for PyTorch and NumPy is read back as it was; foreign arrays are bounded and refused by name.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { readTorch } from '../../src/weights/index.js';
import { readNpz, writeNpz } from '../../src/weights/npz.js';
import { readPickle } from '../../src/weights/pickle.js';
import { OrderedDict, PythonFloat, PythonTuple, pickle } from '../../src/weights/pickleWriter.js';
import { writeTorch } from '../../src/weights/torchWriter.js';
import { zipParts } from '../../src/weights/zipWriter.js';

describe('files for PyTorch and NumPy', () => {
  let folder: string;
  const at = (name: string) => path.join(folder, name);
  before(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'writers-'));
  });
  after(() => fs.rmSync(folder, { recursive: true, force: true }));

  it('a pickle holds every kind of plain data', () => {
    const value = {
      text: 'grün',
      list: [0, 255, 256, -1, 2 ** 40, 0.1, true, false, null],
      tuple: new PythonTuple([1, new PythonFloat(2)]),
    };
    const back = readPickle(pickle({ ...value, left: undefined }), 'here').value as Map<string, unknown>;
    assert.deepEqual([...back.keys()], ['text', 'list', 'tuple']);
    assert.deepEqual(back.get('list'), value.list);
    assert.deepEqual(back.get('tuple'), [1, 2]);
    assert.equal(back.get('text'), 'grün');
    // A whole float is a float in Python: opcode G.
    assert.ok(pickle(new PythonFloat(2)).includes(Buffer.from([0x47, 0x40, 0, 0, 0])));
    assert.throws(() => pickle(() => 0), /cannot be pickled/);
  });

  it('a checkpoint comes back, its storages aligned and shared', () => {
    const data = Float32Array.from({ length: 6 }, (_, i) => i / 3);
    const weights = new OrderedDict([
      ['a', { shape: [2, 3], data }],
      ['b', { shape: [3, 2], data }],
      ['n', { shape: [], data: BigInt64Array.of(7n) }],
    ]);
    writeTorch(at('c.pth'), { weights });
    const back = (readTorch(at('c.pth')) as Map<string, Map<string, { shape: number[]; data: unknown }>>).get('weights')!;
    assert.deepEqual([back.get('a')!.shape, back.get('b')!.shape, back.get('n')!.shape], [[2, 3], [3, 2], []]);
    assert.deepEqual(back.get('a')!.data, data);
    assert.deepEqual(back.get('n')!.data, BigInt64Array.of(7n));
    const bytes = fs.readFileSync(at('c.pth'));
    assert.equal(bytes.indexOf(Buffer.from(data.buffer)) % 64, 0);
    assert.equal(bytes.indexOf('archive/data/2'), -1);
  });

  it('an array comes back; another type, a wrong length and a cut file are refused', () => {
    const data = Float32Array.from({ length: 24 }, (_, i) => i / 7);
    writeNpz(at('p.npz'), { probabilities: { shape: [2, 3, 4], data } });
    assert.deepEqual(readNpz(at('p.npz'), 'probabilities'), { shape: [2, 3, 4], data });
    assert.throws(() => readNpz(at('p.npz'), 'softmax'), /no entry softmax.npy/);
    const array = (descr: string, shape: string, bytes: number) => {
      const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape}), }\n`;
      const head = Buffer.from(`\x93NUMPY\x01\x00${String.fromCharCode(header.length)}\x00${header}`, 'latin1');
      fs.writeFileSync(
        at('x.npz'),
        Buffer.concat([...zipParts([{ name: 'a.npy', data: Buffer.concat([head, Buffer.alloc(bytes)]) }])]),
      );
      return () => readNpz(at('x.npz'), 'a');
    };
    assert.deepEqual(array('<f2', '2, 2', 8)(), { shape: [2, 2], data: new Float32Array(4) });
    assert.throws(array('|O', '1,', 8), /type "\|O".*expected float16, float32 or float64/);
    assert.throws(array('<f4', '1000000, 1000000', 8), /8 bytes for shape \(1000000, 1000000\)/);
    fs.truncateSync(at('p.npz'), 100);
    assert.throws(() => readNpz(at('p.npz'), 'probabilities'), /not a readable checkpoint/);
  });
});
