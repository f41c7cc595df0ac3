import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { VoxelbookError } from '../../src/base/errors.js';
import { Random } from '../../src/base/random.js';
import { chunkFor } from '../../src/preprocess/chunks.js';
import { listCases, loadStageLabels, loadStored, StoredCase, saveCase, saveStageLabels } from '../../src/preprocess/index.js';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-store-'));
after(() => fs.rmSync(folder, { recursive: true }));

/** Smooth anatomy with noise, a mask of zeros around it, and a few bit patterns that a careless codec loses. */
function made(shape: [number, number, number], channels: number, seed = 'store') {
  const random = new Random(seed);
  const n = shape[0] * shape[1] * shape[2];
  const data = Float32Array.from({ length: n * channels }, (_, i) => (i % 7 < 3 ? 0 : Math.sin(i / 50) + 0.1 * random.normal()));
  data.set([Number.NEGATIVE_INFINITY, -0, 1e-45, 3.4e38].slice(0, data.length));
  const seg = Int16Array.from({ length: n }, (_, i) => (i % 11 === 0 ? -1 : i % 13 === 0 ? 300 : random.int(0, 3)));
  const classLocations = new Map([
    ['1', Int32Array.of(0, 0, 0, 0, 0, 1)],
    ['2', new Int32Array(0)],
  ]);
  return { data, seg, shape, channels, classLocations, properties: { spacing: [1, 2, 3] } as never };
}

const bits = (a: Float32Array) => new Uint32Array(a.buffer, a.byteOffset, a.length);

describe('the store of preprocessed cases', () => {
  const cases: [[number, number, number], number, number[]][] = [
    [[1, 1, 1], 1, [128, 128, 128]],
    [[37, 40, 65], 1, [64, 64, 64]],
    [[33, 7, 70], 4, [16, 64, 128]],
    [[5, 150, 131], 2, [512, 512]],
    [[3, 2, 64], 3, [40, 40, 40]],
  ];
  const native = process.env.VOXELBOOK_NATIVE;
  afterEach(() => {
    if (native === undefined) delete process.env.VOXELBOOK_NATIVE;
    else process.env.VOXELBOOK_NATIVE = native;
  });
  for (const [[shape, channels, patch], plain] of cases.flatMap((one) => [[one, false] as const, [one, true] as const]))
    it(`${shape.join('×')}, ${channels} channels, patches of ${patch.join('×')}${plain ? ', in plain code' : ''}: whole and by boxes, bit for bit`, () => {
      if (plain) process.env.VOXELBOOK_NATIVE = '0';
      const one = made(shape, channels);
      saveCase(folder, 'one', 'h', one, patch);
      const back = loadStored(folder, 'one');
      assert.deepEqual(bits(back.data), bits(one.data));
      assert.deepEqual(back.seg, one.seg);
      assert.deepEqual(back.classLocations, one.classLocations);
      assert.deepEqual(back.properties, one.properties);
      const stored = new StoredCase(folder, 'one');
      const random = new Random('boxes');
      for (let t = 0; t < 20; t++) {
        const start = shape.map((n) => random.int(0, n));
        const size = shape.map((n, i) => random.int(0, n - start[i] + 1));
        const { data, seg } = stored.box(start, size);
        let i = 0;
        for (let z = 0; z < size[0]; z++)
          for (let y = 0; y < size[1]; y++)
            for (let x = 0; x < size[2]; x++, i++) {
              const from = ((start[0] + z) * shape[1] + start[1] + y) * shape[2] + start[2] + x;
              assert.equal(seg[i], one.seg[from]);
              for (let c = 0; c < channels; c++)
                assert.ok(Object.is(data[i * channels + c], one.data[from * channels + c]), `${t} ${[z, y, x, c]}`);
            }
        assert.equal(i, seg.length);
      }
    });

  it('a chunk is about an eighth, a quarter and half of the patch; slices are chunks of 2-D networks', () => {
    assert.deepEqual(chunkFor([128, 128, 128]), [16, 32, 64]);
    assert.deepEqual(chunkFor([20, 320, 256]), [2, 64, 64]);
    assert.deepEqual(chunkFor([512, 512]), [1, 128, 128]);
    assert.deepEqual(chunkFor([3, 1, 9]), [1, 1, 4]);
  });

  it('a patch reads the chunks it covers and no others', () => {
    saveCase(folder, 'few', 'h', made([64, 64, 64], 1), [64, 64, 64]);
    const file = path.join(folder, 'few.safetensors');
    const stored = new StoredCase(folder, 'few');
    const whole = fs.readFileSync(file);
    // Everything behind the first chunk's bytes of the image is overwritten: a box inside the first chunk does not notice.
    const before = stored.box([0, 0, 0], [16, 16, 16]);
    const chunks = whole.length - 2000;
    fs.writeFileSync(file, Buffer.concat([whole.subarray(0, chunks), Buffer.alloc(2000, 1)]));
    assert.throws(() => stored.box(), /is damaged/);
    assert.deepEqual(stored.box([0, 0, 0], [16, 16, 16]).data, before.data);
  });

  it('what is asked outside of the case: the image is 0, labels are -1, and the given arrays take it', () => {
    const one = made([9, 7, 70], 3);
    saveCase(folder, 'outside', 'h', one, [32, 32, 128]);
    const stored = new StoredCase(folder, 'outside');
    const random = new Random('outside');
    for (let t = 0; t < 60; t++) {
      const size = [random.int(0, 9), random.int(0, 9), random.int(0, 99)];
      const start = [9, 7, 70].map((n, i) => random.int(-size[i] - 1, n + 2));
      const n = size[0] * size[1] * size[2];
      const into = {
        data: new Float32Array(new SharedArrayBuffer(12 * n)).fill(7),
        seg: new Int16Array(n).fill(7),
      };
      for (const plain of [false, true]) {
        if (plain) process.env.VOXELBOOK_NATIVE = '0';
        const { data, seg } = plain ? stored.box(start, size) : stored.box(start, size, into);
        if (plain) assert.deepEqual([[...bits(into.data)], into.seg], [[...bits(data)], seg]);
        else assert.equal(data, into.data);
        let i = 0;
        for (let zz = start[0]; zz < start[0] + size[0]; zz++)
          for (let y = start[1]; y < start[1] + size[1]; y++)
            for (let x = start[2]; x < start[2] + size[2]; x++, i++) {
              const inside = zz >= 0 && zz < 9 && y >= 0 && y < 7 && x >= 0 && x < 70;
              const from = (zz * 7 + y) * 70 + x;
              assert.equal(seg[i], inside ? one.seg[from] : -1);
              for (let c = 0; c < 3; c++) assert.ok(Object.is(data[3 * i + c], inside ? one.data[3 * from + c] : 0));
            }
        if (native === undefined) delete process.env.VOXELBOOK_NATIVE;
        else process.env.VOXELBOOK_NATIVE = native;
      }
    }
  });

  it('every flipped bit of either file is noticed', () => {
    const one = made([9, 8, 7], 2);
    const random = new Random('flips');
    for (const ending of ['safetensors', 'json']) {
      saveCase(folder, 'flip', 'h', one, [32, 32, 32]);
      const file = path.join(folder, `flip.${ending}`);
      const good = fs.readFileSync(file);
      for (let t = 0; t < 400; t++) {
        const bad = Buffer.from(good);
        const at = random.int(0, bad.length);
        bad[at] ^= 1 << random.int(0, 8);
        fs.writeFileSync(file, bad);
        try {
          const back = loadStored(folder, 'flip');
          // White space of JSON and padding of the header may differ without another value.
          assert.deepEqual([bits(back.data), back.seg, back.classLocations], [bits(one.data), one.seg, one.classLocations]);
          assert.deepEqual(back.properties, one.properties);
          assert.match(good.subarray(at, at + 1).toString(), /\s/, `${ending}, byte ${at} of ${good.length}`);
        } catch (error) {
          assert.ok(error instanceof VoxelbookError, `${ending} byte ${at}: ${error}`);
        }
      }
      fs.writeFileSync(file, good);
    }
  });

  it('a folder of an older format is refused by name', () => {
    saveCase(folder, 'old', 'h', made([4, 4, 4], 1));
    const file = path.join(folder, 'old.json');
    const { format: _, ...older } = JSON.parse(fs.readFileSync(file, 'utf8'));
    fs.writeFileSync(file, JSON.stringify(older));
    assert.ok(listCases(folder).includes('old'));
    assert.throws(() => loadStored(folder, 'old'), {
      message: `preprocessed case old cannot be read\n  ${path.join(folder, 'old')}: format of an older version; expected old.json and old.safetensors of one run, as they were written, format 4. Run preprocess.run again; it makes only what is missing. (A damaged case: remove its two files first.)`,
    });
  });

  it("labels of a cascade's first stage: whole, by boxes, and refused when damaged", () => {
    const shape = [40, 33, 35];
    for (const step of [1, 300]) {
      const values = Array.from({ length: 40 * 33 * 35 }, (_, i) => (i % 5) * step);
      const labels = step === 1 ? Uint8Array.from(values) : Uint16Array.from(values);
      saveStageLabels(folder, 'stage', labels, shape);
      assert.deepEqual(loadStageLabels(folder, 'stage', shape), labels);
      const box = loadStageLabels(folder, 'stage', shape, { start: [31, 2, 30], size: [2, 1, 5] });
      assert.deepEqual(
        [...box],
        [31, 32].flatMap((z) => [...labels.subarray((z * 33 + 2) * 35 + 30, (z * 33 + 2) * 35 + 35)]),
      );
    }
    const file = path.join(folder, 'stage.safetensors');
    const bytes = fs.readFileSync(file);
    // The same file, but for the number of its format.
    const older = Buffer.from(bytes.toString('latin1').replace('"format":"2"', '"format":"1"'), 'latin1');
    assert.notDeepEqual(older, bytes);
    fs.writeFileSync(file, older);
    assert.throws(() => loadStageLabels(folder, 'stage', shape), /labels of an older format; expected 40×33×35/);
    bytes[bytes.length - 5] ^= 16;
    fs.writeFileSync(file, bytes);
    assert.throws(() => loadStageLabels(folder, 'stage', shape), /is damaged/);
  });
});
