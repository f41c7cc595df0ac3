// F1: mutated NIfTI files, in a process of its own with a memory limit. `node --import tsx niftiMutations.ts <count> <seed>` prints JSON.
// Every file must become a valid volume or a typed error.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { VoxelbookError } from '../../src/base/errors.js';
import { Random } from '../../src/base/random.js';
import { decodeNifti, readVolume, type Volume } from '../../src/volume/index.js';
import { niftiFile, types } from '../volume/format/niftiFile.js';

const [count, seed] = process.argv.slice(2).map(Number);
const random = new Random(seed);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-mutations-'));

type Kind = 'gz' | 'raw' | 'pair' | 'ext';
const seeds: { bytes: Buffer; kind: Kind }[] = [];
for (const littleEndian of [true, false])
  for (const version of [1, 2] as const)
    for (const { code } of types)
      for (const kind of ['gz', 'raw', 'pair', 'ext'] as const) {
        const extension = kind === 'ext' ? Buffer.from([16, 0, 0, 0, 6, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]) : undefined;
        const fields = { littleEndian, version, datatype: code, extension, qform: 1, sform: 1, dim: [4, 5, 4, 3, 2, 1, 1, 1] };
        seeds.push({ bytes: niftiFile(kind === 'pair' ? { ...fields, magic: `ni${version}`, voxOffset: 0 } : fields), kind });
      }

/** A few bytes changed, most often in the header's fields; sometimes cut, doubled or moved. */
function mutate(bytes: Buffer): Buffer {
  const out = Buffer.from(bytes);
  const header = Math.min(out.length, 352);
  for (let i = random.int(1, 6); i > 0; i--) {
    const at = random.chance(0.9) ? random.int(0, header) : random.int(0, out.length);
    const special = [0, 1, 0x7f, 0x80, 0xff];
    out[at] = random.chance(0.5) ? random.choice(special) : random.int(0, 256);
    if (random.chance(0.2))
      out.writeInt32LE(random.choice([-1, 0, 2 ** 31 - 1, -(2 ** 31), 348, 540]), Math.min(at, out.length - 4));
  }
  if (random.chance(0.1)) return out.subarray(0, random.int(0, out.length));
  if (random.chance(0.05)) return Buffer.concat([out, out]);
  return out;
}

function isSound(v: Volume): boolean {
  const numbers = [...v.shape, ...v.spacingMm, ...v.originMm, ...v.direction];
  return (
    numbers.every(Number.isFinite) &&
    v.data.length === v.shape[0] * v.shape[1] * v.shape[2] * v.channels &&
    v.spacingMm.every((s) => s > 0)
  );
}

let read = 0;
let refused = 0;
const bad: string[] = [];
for (let i = 0; i < count; i++) {
  const { bytes, kind } = seeds[i % seeds.length];
  const mutated = mutate(bytes);
  try {
    let volume: Volume;
    if (kind === 'pair') {
      const file = path.join(folder, 'x.hdr');
      const split = Math.min(mutated.length, bytes.length > 1000 ? 544 : 352);
      fs.writeFileSync(file, mutated.subarray(0, split));
      fs.writeFileSync(path.join(folder, 'x.img'), mutated.subarray(split));
      volume = readVolume(file, { onWarning: () => {} });
    } else {
      const packed = kind === 'gz' ? zlib.gzipSync(mutated) : mutated;
      if (kind === 'gz' && random.chance(0.2)) packed[random.int(0, packed.length)] ^= 1 << random.int(0, 8);
      volume = decodeNifti(packed).volume;
    }
    read++;
    if (!isSound(volume)) bad.push(`unsound volume: ${mutated.toString('base64')}`);
  } catch (error) {
    refused++;
    if (!(error instanceof VoxelbookError)) bad.push(`${error}: ${mutated.toString('base64')}`);
  }
}
fs.rmSync(folder, { recursive: true });
console.log(JSON.stringify({ count, seeds: seeds.length, read, refused, bad: bad.slice(0, 5) }));
