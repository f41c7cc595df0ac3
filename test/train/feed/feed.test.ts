import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { VoxelbookError } from '../../../src/base/errors.js';
import { loadExtension } from '../../../src/base/extensions.js';
import { Random } from '../../../src/base/random.js';
import { extend } from '../../../src/base/registry.js';
import { saveCase } from '../../../src/preprocess/index.js';
import { type Batch, casesBy, cutPatch, type Phase, type SampleSource, startFeed } from '../../../src/train/index.js';

const patch: [number, number, number] = [8, 8, 8];

/** Four preprocessed cases of different sizes, two of them smaller than the patch along an axis. */
function source(): SampleSource {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'feed-'));
  const shapes: [number, number, number][] = [
    [12, 14, 16],
    [20, 9, 11],
    [6, 16, 10],
    [10, 10, 7],
  ];
  for (const [i, shape] of shapes.entries()) {
    const random = new Random(i);
    const n = shape[0] * shape[1] * shape[2];
    const data = Float32Array.from({ length: 2 * n }, () => random.normal());
    const seg = Int16Array.from({ length: n }, (_, v) => (v % 97 === 0 ? 1 : v % 2 === 0 ? 0 : -1));
    const places = [...seg.keys()]
      .filter((v) => seg[v] === 1)
      .flatMap((v) => [Math.floor(v / shape[2] / shape[1]), Math.floor(v / shape[2]) % shape[1], v % shape[2]]);
    saveCase(folder, `case_${i}`, 'hash', {
      data,
      seg,
      shape,
      channels: 2,
      classLocations: new Map([['1', Int32Array.from(places)]]),
      properties: {} as never,
    });
  }
  return {
    folder,
    train: ['case_0', 'case_1', 'case_2'],
    validation: ['case_3'],
    seed: 9,
    batchSize: 3,
    patch,
    channels: 2,
    dimensions: 3,
    oversampleForeground: 0.33,
    augmentation: 'nnunetv2',
    augmentationSettings: { mirrorAxes: [0, 1, 2] },
    outputShapes: [patch, [4, 4, 4]],
    cacheBytes: 30_000,
  };
}

const turn = (phase: Phase, index: number): { phase: Phase; index: number } | undefined =>
  phase === 'train' && index < 5 ? { phase, index: index + 1 } : undefined;

async function batches(from: SampleSource, workers: number): Promise<Batch[]> {
  const feed = startFeed(from, { workers, turn });
  const found: Batch[] = [];
  for (let i = 0; i < 6; i++) found.push(await feed.next('train', i));
  found.push(await feed.next('validation', 0));
  await feed.close();
  return found;
}

describe('train feed', () => {
  it('gives the same bits with any number of workers, in the order asked for', async () => {
    const from = source();
    const [none, one, three] = [await batches(from, 0), await batches(from, 1), await batches(from, 3)];
    assert.deepEqual(one, none);
    assert.deepEqual(three, none);
    assert.equal(none[0].image.length, 3 * 8 ** 3 * 2);
    assert.deepEqual(
      none[0].labels.map((l) => l.length),
      [3 * 8 ** 3, 3 * 4 ** 3],
    );
    assert.ok(none.every((b) => b.labels.every((l) => l.every((v) => v >= 0))));
    assert.deepEqual(none.at(-1)!.caseIds, ['case_3', 'case_3', 'case_3']);
    assert.notDeepEqual(none[0].image, none[1].image);
  });

  it('a batch that is given back is written over by later ones, which hold the same bits', async () => {
    const from = source();
    const wanted = await batches(from, 0);
    for (const workers of [0, 2]) {
      const feed = startFeed(from, { workers, turn });
      const memory = new Set<unknown>();
      for (const [i, { caseIds, image, labels }] of wanted.slice(0, 6).entries()) {
        const batch = await feed.next('train', i);
        assert.deepEqual([batch.caseIds, batch.image, batch.labels], [caseIds, image, labels], `${workers} workers, batch ${i}`);
        memory.add(batch.image.buffer);
        batch.release?.();
        batch.release?.(); // once more changes nothing
      }
      assert.ok(memory.size <= (workers === 0 ? 1 : 3), `${memory.size} batches of memory`);
      await feed.close();
    }
  });

  it('patches read from the disk, cut from whole cases, and read by plain code are the same, with and without masks', async () => {
    const native = process.env.VOXELBOOK_NATIVE;
    for (const useMaskForNorm of [
      [false, false],
      [true, false],
      [true, true],
    ]) {
      const from = { ...source(), augmentation: 'none' as const, augmentationSettings: { useMaskForNorm } };
      const whole = await batches({ ...from, cacheBytes: 1e9 }, 0);
      const read = await batches({ ...from, cacheBytes: 0 }, 0);
      process.env.VOXELBOOK_NATIVE = '0';
      const plain = await batches({ ...from, cacheBytes: 0 }, 0);
      if (native === undefined) delete process.env.VOXELBOOK_NATIVE;
      else process.env.VOXELBOOK_NATIVE = native;
      assert.deepEqual(read, whole);
      assert.deepEqual(plain, whole);
      const zeros = (c: number) => whole.flatMap(({ image }) => [...image]).filter((v, i) => i % 2 === c && v === 0).length;
      assert.equal(zeros(0) > zeros(1) + 1000, useMaskForNorm[0] && !useMaskForNorm[1]);
    }
  });

  it('every forced sample holds foreground', async () => {
    const from = { ...source(), augmentation: 'none' as const };
    const feed = startFeed(from, { workers: 0, turn });
    for (let i = 0; i < 20; i++) {
      const { labels } = await feed.next('train', i);
      assert.ok(labels[0].subarray(2 * 8 ** 3).includes(1), `batch ${i}`);
    }
    await feed.close();
  });

  it('nnU-Net’s sampler draws each case as often as the others, by the sample’s name alone', async () => {
    const from = source();
    const found = await batches(from, 0);
    const drawn = (phase: Phase, ids: string[], index: number) =>
      [0, 1, 2].map((position) => new Random(9).split(phase).split(index).split(position).split('case').choice(ids));
    assert.deepEqual(
      found.map(({ caseIds }) => caseIds),
      [...[0, 1, 2, 3, 4, 5].map((i) => drawn('train', from.train, i)), drawn('validation', from.validation, 0)],
    );
  });

  it('a sampler from outside weighs the cases, in workers as without, and leaves the place to nnU-Net', async function () {
    this.timeout(60_000);
    const from = { ...source(), sampler: { kind: 'byClass', weight: 8 } as never };
    const file = path.join(from.folder, 'byClass.ts');
    fs.writeFileSync(
      file,
      `import { extend, z } from 'voxelbook';
       const caseWeights = (cases, { weight }) => cases.map(({ shape, locations }) => (shape[0] < 10 ? 0 : locations.count('1') > 20 ? weight : 1));
       extend({ samplers: [{ name: 'byClass', settings: z.object({ weight: z.number() }), caseWeights }] });`,
    );
    await loadExtension(file);
    const [none, two] = [await batches(from, 0), await batches(from, 2)];
    assert.deepEqual(two, none);
    assert.ok(none.every(({ caseIds }) => !caseIds.includes('case_2')));
    assert.deepEqual(none.at(-1)!.caseIds, ['case_3', 'case_3', 'case_3'], 'validation patches are of every case alike');
    // Drawn, and counted: 28 voxels of class 1 in case_0, 21 in case_1, 10 in case_2.
    const cases = [
      { caseId: 'a', shape: [12], locations: { keys: () => ['1'], count: () => 28 } },
      { caseId: 'b', shape: [6], locations: { keys: () => ['1'], count: () => 28 } },
      { caseId: 'c', shape: [20], locations: { keys: () => ['1'], count: () => 0 } },
    ];
    const draw = casesBy(from.sampler, ['a', 'b', 'c'], (id) => cases.find(({ caseId }) => caseId === id)!);
    const ids = Array.from({ length: 4000 }, (_, i) => draw(new Random(i)));
    assert.ok(Math.abs(ids.filter((id) => id === 'a').length / 4000 - 8 / 9) < 0.02);
    assert.ok(!ids.includes('b'));
  });

  it('says what is wrong with weights, and with a sampler that chooses nothing', () => {
    const samplers = (list: object[]) => extend({ samplers: list } as never);
    const wrong = { few: [1], negative: [1, -1], none: [0, 0], text: ['1', '2'], infinite: [1, Infinity], nothing: undefined };
    samplers(Object.entries(wrong).map(([name, weights]) => ({ name, caseWeights: () => weights })));
    const of = (caseId: string) => ({ caseId, shape: [1, 1, 1], locations: { keys: () => [], count: () => 0 } });
    for (const kind of Object.keys(wrong))
      assert.throws(
        () => casesBy({ kind } as never, ['a', 'b'], of),
        new RegExp(`samplers\\.${kind}\\.caseWeights: .*; expected 2 numbers, one a training case`),
      );
    assert.throws(() => samplers([{ name: 'idle' }]), /samplers\.idle\.place: undefined; expected a function/);
    assert.throws(() => samplers([{ name: 'odd', caseWeights: 3 }]), /samplers\.odd\.caseWeights: number; expected a function/);
  });

  it('cuts a patch as the slow way does: zeros and -1 outside of the image', () => {
    const random = new Random('cut');
    const shape = [5, 6, 7];
    const data = Float32Array.from({ length: 5 * 6 * 7 * 2 }, () => random.normal());
    const seg = Int16Array.from({ length: 5 * 6 * 7 }, () => random.int(0, 4));
    for (let t = 0; t < 50; t++) {
      const place = [0, 1, 2].map(() => random.int(-9, 9));
      const cut = cutPatch({ data, seg, shape, channels: 2 }, place, [4, 5, 6]);
      let i = 0;
      for (let z = 0; z < 4; z++)
        for (let y = 0; y < 5; y++)
          for (let x = 0; x < 6; x++, i++) {
            const at = [place[0] + z, place[1] + y, place[2] + x];
            const inside = at.every((v, a) => v >= 0 && v < shape[a]);
            const v = (at[0] * 6 + at[1]) * 7 + at[2];
            assert.equal(cut.seg[i], inside ? seg[v] : -1);
            for (let c = 0; c < 2; c++) assert.equal(cut.image[2 * i + c], inside ? data[2 * v + c] : 0);
          }
    }
  });

  it('a case of other channels than the network takes is refused', async () => {
    const feed = startFeed({ ...source(), channels: 3, augmentation: 'none' }, { workers: 0, turn });
    await assert.rejects(
      feed.next('train', 0),
      /this sample does not fit the network.*2 channels of 8×8×8 voxels, 1024 values; expected 1536/s,
    );
    await feed.close();
  });

  it('a case that cannot be read reaches the caller with case and stage', async () => {
    const from = source();
    fs.truncateSync(path.join(from.folder, 'case_3.safetensors'), 100);
    const feed = startFeed(from, { workers: 2, turn });
    await assert.rejects(feed.next('validation', 0), (error: VoxelbookError) => {
      assert.match(error.message, /case case_3, stage load: failed: .*case_3\.safetensors is not a readable safetensors file/);
      return true;
    });
    await assert.rejects(feed.next('train', 0), /augmentation worker failed/);
    await feed.close();
  });

  for (const [how, words] of Object.entries({
    exits: /ended with exit code 0/,
    hangs: /gave no answer for 1 s/,
    throws: /the sky fell/,
    rejects: /a promise broke/,
    'asks for 100 GB': /allocation failed|Invalid typed array length/,
  }))
    it(`a worker that ${how} reaches the caller with case, stage and cause`, async function () {
      this.timeout(60_000);
      const feed = startFeed(
        { ...source(), folder: how },
        {
          workers: 2,
          ahead: 4,
          hangSeconds: how === 'hangs' ? 1 : 1000,
          turn,
          worker: new URL('../badWorker.js', import.meta.url),
        },
      );
      await assert.rejects(
        (async () => {
          for (let i = 0; i < 6; i++) await feed.next('train', i);
        })(),
        (error: VoxelbookError) => {
          assert.match(error.message, /case case_7, stage augment/);
          assert.match(error.message, words);
          return true;
        },
      );
      await feed.close();
    });
});
