// What checking costs of reading: weights (safetensors) and a patch of a preprocessed case, from the disk and from memory.
//
//   npx tsx test/bench/checksum.ts [MiB=256] [rounds=7] [folder=a temporary one]
//
// From the disk needs root (the kernel is asked to forget what it has read); without, only from memory is measured. VOXELBOOK_NATIVE=0
// shows zlib's CRC-32 in place of ours.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { crc32Of } from '../../src/base/checksum.js';
import { Random } from '../../src/base/random.js';
import { readSafetensors, writeSafetensors } from '../../src/base/safetensors.js';
import type { CaseProperties } from '../../src/preprocess/preprocessCase.js';
import { StoredCase, saveCase } from '../../src/preprocess/store.js';

const [mebibytes, rounds] = [256, 7].map((fallback, i) => Number(process.argv[2 + i] ?? fallback));
const folder = fs.mkdtempSync(path.join(process.argv[4] ?? os.tmpdir(), 'checksum-'));
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
const weights = path.join(folder, 'weights.safetensors');
const each = (mebibytes * 2 ** 20) / 4 / 16;
const values = Float32Array.from({ length: each }, (_, i) => Math.sin(i));
writeSafetensors(weights, Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`t${i}`, { shape: [each], data: values }])));

function forget(): boolean {
  try {
    fs.writeFileSync('/proc/sys/vm/drop_caches', '1');
    return true;
  } catch {
    return false;
  }
}
/** The quickest of all rounds: what other programs take is not counted. */
function time(cold: boolean, work: () => unknown): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < rounds; i++) {
    if (cold) forget();
    const begin = performance.now();
    work();
    best = Math.min(best, performance.now() - begin);
    globalThis.gc?.();
  }
  return best;
}
/** The sums alone, of as many bytes, in pieces that lie in the cache as those that have just been read do. */
function sums(bytes: number, each: number): number {
  const piece = new Uint8Array(each);
  return time(false, () => {
    for (let at = 0; at < bytes; at += each) crc32Of(piece);
  });
}
const say = (what: string, all: number, checking: number) =>
  console.log(
    `${what}: read and checked in ${all.toFixed(1)} ms, of which the checking ${checking.toFixed(2)} ms, ${((100 * checking) / (all - checking)).toFixed(1)} % of reading`,
  );

// A case of smooth noise, as scans are: half of its bytes pack well, half not at all.
const side = 160;
const random = new Random(1);
const data = Float32Array.from({ length: side ** 3 }, (_, i) => Math.sin(i / 1000) + 0.1 * random.normal());
saveCase(folder, 'one', 'h', {
  data,
  seg: Int16Array.from(data, (v) => (v > 0.9 ? 1 : 0)),
  shape: [side, side, side],
  channels: 1,
  classLocations: new Map(),
  properties: {} as CaseProperties,
});
const stored = fs.statSync(path.join(folder, 'one.safetensors')).size;

const isRoot = forget();
for (const cold of isRoot ? [true, false] : [false]) {
  const from = cold ? 'from the disk' : 'from memory';
  say(
    `${mebibytes} MiB of weights ${from}`,
    time(cold, () => readSafetensors(weights)),
    sums(mebibytes * 2 ** 20, 2 ** 18),
  );
  // Two parts a chunk of 32,768 voxels: one of the image, one of the labels.
  const parts = 2 * Math.ceil(side / 32) ** 3;
  say(
    `a case of ${side}³ voxels, ${(stored / 2 ** 20).toFixed(1)} MiB stored, ${from}`,
    time(cold, () => new StoredCase(folder, 'one').box()),
    sums(stored, Math.round(stored / parts)),
  );
}
