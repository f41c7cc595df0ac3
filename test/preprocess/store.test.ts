import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { VoxelbookError } from '../../src/base/errors.js';
import { nativeFunctions } from '../../src/base/native/load.js';
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

  it('a chunk is about a quarter of the patch along each axis; slices are chunks of 2-D networks', () => {
    assert.deepEqual(chunkFor([128, 128, 128]), [32, 32, 32]);
    assert.deepEqual(chunkFor([20, 320, 256]), [4, 64, 64]);
    assert.deepEqual(chunkFor([512, 512]), [1, 128, 128]);
    assert.deepEqual(chunkFor([3, 1, 9]), [1, 1, 2]);
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

  it('compiled code places every chunk; what it cannot place it leaves to the plain code', () => {
    const place = nativeFunctions()?.placeChunk;
    if (!place) return console.log('      not compiled here');
    const planes = [Uint8Array.of(1, 2), Uint8Array.of(9), Uint8Array.of(3, 4), Uint8Array.of(0)];
    const parts = Uint32Array.from(planes.flatMap((p) => [p.length, p.length === 2 ? 0 : 1, zlib.crc32(p)]));
    const out = new Uint8Array(16);
    const status = new Int32Array(1);
    const call = (index: Uint32Array, size = [1, 1, 2]) =>
      place(Uint8Array.from(planes.flatMap((p) => [...p])), index, [1, 1, 2], [0, 0, 0], size, out, [1, 2, 2], 1, 4, status);
    call(parts);
    assert.deepEqual([status[0], ...new Uint32Array(out.buffer)], [-1, 0, 0x01090300, 0x02090400, 0]);
    for (const [at, value] of [
      [2, 0],
      [1, 3],
      [0, 1],
      [9, 7],
    ]) {
      const bad = parts.slice();
      bad[at] = value;
      call(bad);
      assert.ok(status[0] >= 0, `${at}`);
    }
    assert.throws(() => call(parts, [1, 1, 3]), /a box outside of the chunk/);
    // Node's zstd is found: without it every packed part would be left to the plain code.
    const { zstdCompressSync } = zlib as unknown as { zstdCompressSync?: (bytes: Uint8Array) => Uint8Array };
    if (zstdCompressSync) {
      const packed = zstdCompressSync(Uint8Array.from({ length: 64 }, (_, i) => i % 3));
      const index = Uint32Array.of(packed.length, 2, zlib.crc32(packed));
      const voxels = new Uint8Array(64);
      place(packed, index, [4, 4, 4], [0, 0, 0], [4, 4, 4], voxels, [0, 4, 16], 1, 1, status);
      assert.deepEqual([status[0], ...voxels.subarray(0, 4)], [-1, 0, 1, 2, 0]);
    }
    assert.throws(() => call(parts.subarray(3)), /placeChunk: an index of 9 numbers/);
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
      message: `preprocessed case old cannot be read\n  ${path.join(folder, 'old')}: format of an older version; expected old.json and old.safetensors of one run, as they were written, format 3. Run preprocess.run again; it makes only what is missing. (A damaged case: remove its two files first.)`,
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
    bytes[bytes.length - 5] ^= 16;
    fs.writeFileSync(file, bytes);
    assert.throws(() => loadStageLabels(folder, 'stage', shape), /is damaged/);
  });
});
