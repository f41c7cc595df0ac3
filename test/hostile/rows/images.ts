// F1–F3: image files. What is accepted is what the peer reads.
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { Random } from '../../../src/base/random.js';
import { gzipped } from '../../../src/volume/format/gzip.js';
import { decodeNifti, readVolume, type Volume } from '../../../src/volume/index.js';
import { niftiFile } from '../../volume/format/niftiFile.js';
import orientations from '../../volume/orientations.json' with { type: 'json' };
import { besides, type Format, formats, oddFile } from '../mutations.js';
import { type Answer, ask, difference, golden } from '../peers.js';
import { type Context, must, type Outcome, type Row } from '../row.js';

/** Throws `Different` for a volume that contradicts itself. */
export function mustBeSound(v: Volume): void {
  const numbers = [...v.shape, ...v.spacingMm, ...v.originMm, ...v.direction];
  must(numbers.every(Number.isFinite) && v.spacingMm.every((s) => s > 0), () => `not finite: ${numbers}`);
  must([...v.shape, v.channels].every((n) => n >= 1) && v.data.length === v.shape.reduce((a, b) => a * b, v.channels), 'sizes');
}

const peerName: Record<Format, string> = {
  ...{ png: 'libpng by Pillow and imagecodecs', bmp: 'Pillow', tiff: 'tifffile', gipl: 'ITK' },
  ...{ nrrd: 'ITK', metaimage: 'ITK', nifti: 'nibabel' },
};

/** Files at a time on disk. */
const portion = 1000;

const format = (name: Format): Row => ({
  id: `F1 ${name}`,
  what: `${name} files, bytes and fields changed; peer ${peerName[name]}`,
  inputs: (n) => Math.ceil(1.6 * n),
  begin({ seed, python, scratch }: Context) {
    for (const file of besides()) fs.copyFileSync(file, path.join(scratch, path.basename(file)));
    const known = golden();
    const answers = new Map<string, Answer>(
      seed === known.seed && !python ? known.answers.map((answer) => [answer.file, answer]) : [],
    );
    const asked = new Set<string>(
      seed === known.seed && !python ? Array.from({ length: known.count }, (_, i) => `${name}-${i}`) : [],
    );
    const prepare = (i: number) => {
      if (!python || asked.has(`${name}-${i}`)) return;
      const folder = fs.mkdtempSync(path.join(scratch, 'peer-'));
      for (const file of besides()) fs.copyFileSync(file, path.join(folder, path.basename(file)));
      for (let k = i; k < i + portion; k++) {
        const { ending, bytes } = oddFile(name, k, seed);
        fs.writeFileSync(path.join(folder, `${name}-${k}${ending}`), bytes);
        asked.add(`${name}-${k}`);
      }
      for (const answer of ask(python, folder, portion)) answers.set(answer.file, answer);
      fs.rmSync(folder, { recursive: true });
    };
    return (i): Outcome => {
      prepare(i);
      const { ending, bytes } = oddFile(name, i, seed);
      const file = path.join(scratch, `x${ending}`);
      fs.writeFileSync(file, bytes);
      const volume = readVolume(file, { onWarning: () => {} });
      mustBeSound(volume);
      if (!asked.has(`${name}-${i}`)) return 'sound';
      const what = difference(volume, answers.get(`${name}-${i}${ending}`) ?? { file });
      must(what === '', what);
      return 'equal';
    };
  },
  seconds: 600, // a portion of the peer's answers is one input's time
});

const gzip: Row = {
  id: 'F2',
  what: 'gzip: cut, forged, flipped, bombs, members, tails',
  inputs: (n) => n,
  memoryMiB: 300,
  begin({ seed }) {
    const plain = niftiFile({
      dim: [3, 20, 15, 10, 1, 1, 1, 1],
      values: Array.from({ length: 3000 }, (_, i) => (i * 7919) % 1000),
    });
    const wanted = decodeNifti(plain).volume.data;
    const zeros = Buffer.alloc(2 ** 20);
    return (i) => {
      const random = new Random(`gzip ${i} ${seed}`);
      const level = random.int(0, 10);
      let bytes: Buffer = Buffer.from(zlib.gzipSync(plain, { level }));
      const kind = i % 8;
      if (kind === 0) bytes = bytes.subarray(0, random.int(0, bytes.length));
      if (kind === 1) bytes[bytes.length - random.int(1, 9)] ^= 1 << random.int(0, 8);
      if (kind === 2) bytes[random.int(0, bytes.length)] ^= 1 << random.int(0, 8);
      if (kind === 3) bytes.writeUInt32LE(random.int(0, 2 ** 32), bytes.length - 4);
      if (kind === 4) {
        const at = random.int(1, plain.length);
        bytes = Buffer.concat([plain.subarray(0, at), plain.subarray(at)].map((part) => zlib.gzipSync(part, { level })));
      }
      if (kind === 5) bytes = Buffer.concat([bytes, Buffer.alloc(random.int(1, 600))]);
      if (kind === 6)
        bytes = Buffer.concat([bytes, Buffer.from(Array.from({ length: random.int(1, 40) }, () => random.int(0, 256)))]);
      // Piece by piece: the row's own memory is not to hide the reader's.
      if (kind === 7) bytes = Buffer.concat([...gzipped([plain, ...Array<Buffer>(random.int(1, 200)).fill(zeros)])]);
      const { data } = decodeNifti(bytes, 'x.nii.gz').volume;
      // Bits of the gzip header (name of the system, time) change nothing.
      must(Buffer.compare(bytesOf(data), bytesOf(wanted)) === 0, 'other voxels');
      return 'equal';
    };
  },
};

const bytesOf = (data: ArrayBufferView) => Buffer.from(data.buffer, data.byteOffset, data.byteLength);

const orientation: Row = {
  id: 'F3',
  what: '48 orientations × {sform, qform, both, neither} × qfac ±1, quaternions off by up to 1e-7; peer nibabel',
  inputs: () => orientations.length,
  begin({ seed }) {
    const [zooms, offset] = [
      [0.75, 1.25, 3],
      [-11.5, 7.25, 30],
    ];
    return (i) => {
      const o = orientations[i];
      const random = new Random(`orientation ${i} ${seed}`);
      const { header } = decodeNifti(
        niftiFile({
          dim: [3, 4, 5, 6, 1, 1, 1, 1],
          datatype: 2,
          pixdim: [o.qfac, ...zooms, 1, 1, 1, 1],
          quatern: o.quatern.map((q) => q * (1 + 1e-7 * random.uniform(-1, 1))),
          qoffset: offset,
          qform: o.forms === 'qform' || o.forms === 'both' ? 1 : 0,
          sform: o.forms === 'sform' || o.forms === 'both' ? 2 : 0,
          srow: [0, 1, 2].flatMap((r) => [0, 1, 2, 3].map((c) => (c === 3 ? offset[r] : o.rotation[3 * r + c] * zooms[c]))),
        }),
      );
      // Near a half turn the cosine of the angle is the root of a small difference: a thousandth of the spacing.
      const far = Math.max(...o.affine.map((v, k) => Math.abs(v - header.affine[k])));
      must(far <= 3e-3, `affine off by ${far}`);
      return 'equal';
    };
  },
};

export const rows: Row[] = [...formats.map(format), gzip, orientation];
