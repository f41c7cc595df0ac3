// Damaged and forged NRRD, MetaImage and GIPL files: a typed error by field, in bounded time and memory.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import zlib from 'node:zlib';
import { VoxelbookError } from '../../../src/base/errors.js';
import { slack } from '../../../src/volume/format/gzip.js';
import { readGrid, readVolume } from '../../../src/volume/index.js';

const given = fileURLToPath(new URL('../formats/', import.meta.url));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-hostile-'));
after(() => fs.rmSync(folder, { recursive: true }));

const refused = (name: string, bytes: string | Buffer, message: RegExp) => {
  const file = path.join(folder, name);
  fs.writeFileSync(file, bytes);
  const before = process.memoryUsage().arrayBuffers;
  assert.throws(
    () => readVolume(file),
    (error) => {
      assert.ok(error instanceof VoxelbookError, String(error));
      assert.match(error.message, message);
      return true;
    },
  );
  assert.ok(process.memoryUsage().arrayBuffers - before <= 2 * slack + 2 ** 20, `${name}: memory`);
};

/** A NRRD file of int16, 4×3×2, with some fields exchanged (or taken out: undefined). */
function nrrd(change: Record<string, string | undefined> = {}, body: Buffer = Buffer.alloc(48)): Buffer {
  const fields = { type: 'int16', dimension: '3', sizes: '4 3 2', endian: 'little', encoding: 'raw', ...change };
  const lines = Object.entries(fields).flatMap(([key, value]) => (value === undefined ? [] : [`${key}: ${value}`]));
  return Buffer.concat([Buffer.from(`NRRD0005\n${lines.join('\n')}\n\n`), body]);
}

/** The same as MetaImage. */
function meta(change: Record<string, string | undefined> = {}, body: Buffer = Buffer.alloc(48)): Buffer {
  const fields = {
    NDims: '3',
    DimSize: '4 3 2',
    ElementType: 'MET_SHORT',
    ...(change.CompressedData ? { CompressedDataSize: String(body.length) } : {}),
    ...change,
    ElementDataFile: change.ElementDataFile ?? 'LOCAL',
  };
  const lines = Object.entries(fields).flatMap(([key, value]) => (value === undefined ? [] : [`${key} = ${value}`]));
  return Buffer.concat([Buffer.from(`${lines.join('\n')}\n`), body]);
}

describe('hostile NRRD, MetaImage and GIPL files', () => {
  for (const name of ['int16.nrrd', 'uint8.nrrd', 'mirrored.nrrd', 'int16.mha', 'uint8.mha', 'uint8.gipl', 'frames.gipl'])
    it(`${name} cut at any byte is refused`, () => {
      const bytes = fs.readFileSync(path.join(given, name));
      for (let n = 0; n < bytes.length; n++) refused(`cut-${name}`, bytes.subarray(0, n), /cannot be read/);
    });

  const huge = String(2 ** 53);
  const forged: [string, string, Buffer, RegExp][] = [
    ['sizes of 2^53', 'a.nrrd', nrrd({ sizes: `${huge} 3 2` }), /sizes: 9007199254740992 3 2; expected whole numbers/],
    [
      'sizes of 2^53',
      'a.mha',
      meta({ DimSize: `${huge} 3 2` }),
      /DimSize, ElementNumberOfChannels: 9007199254740992 3 2 1; expected whole/,
    ],
    ['sizes beyond any file', 'a.nrrd', nrrd({ sizes: '65536 65536 65536' }), /at most 1 TiB of voxels/],
    ['sizes beyond any file', 'a.mha', meta({ DimSize: '65536 65536 65536' }), /at most 1 TiB of voxels/],
    [
      'sizes beyond this file',
      'a.nrrd',
      nrrd({ sizes: '4000 3000 2000' }),
      /48 bytes of voxels; expected 48000000000 \(4000×3000×2000, 1 × int16\)/,
    ],
    ['sizes beyond this file', 'a.mha', meta({ DimSize: '4000 3000 2000' }), /48 bytes of voxels; expected 48000000000/],
    [
      'packed sizes beyond this file',
      'a.nrrd',
      nrrd({ sizes: '4000 3000 2000', encoding: 'gzip' }, zlib.gzipSync(Buffer.alloc(48))),
      /cannot expand to the 48000000000/,
    ],
    [
      'packed sizes beyond this file',
      'a.mha',
      meta({ DimSize: '4000 3000 2000', CompressedData: 'True' }, zlib.deflateSync(Buffer.alloc(48))),
      /cannot expand to the 48000000000/,
    ],
    ['negative sizes', 'a.nrrd', nrrd({ sizes: '4 -3 2' }), /sizes: 4 -3 2/],
    ['negative sizes', 'a.mha', meta({ DimSize: '4 -3 -2' }), /4 -3 -2 1/],
    ['channels of 2^53', 'a.mha', meta({ ElementNumberOfChannels: huge }), /4 3 2 9007199254740992/],
    ['fewer sizes than dimensions', 'a.nrrd', nrrd({ sizes: '4 6' }), /dimension: 3; expected 2, the number of sizes/],
    ['fewer sizes than dimensions', 'a.mha', meta({ DimSize: '4 6' }), /DimSize: 4 6; expected 3 sizes/],
    ['no type', 'a.nrrd', nrrd({ type: '' }), /type: nothing; expected one of/],
    ['a least position without end', 'a.nrrd', nrrd({ 'axis mins': '10 -inf 30' }), /axis mins: 10 -inf 30; expected numbers/],
    ['least positions that are words', 'a.nrrd', nrrd({ 'axis mins': 'list 2 3' }), /axis mins: list 2 3; expected numbers/],
    [
      'units with something between',
      'a.nrrd',
      nrrd({ space: 'LPS', 'space directions': '(1,0,0) (0,1,0) (0,0,1)', 'space units': '"mm"5"mm" "mm"' }),
      /space units: "mm"5"mm" "mm"; expected 3 entries in quotes/,
    ],
    [
      'an origin behind something',
      'a.nrrd',
      nrrd({ space: 'LPS', 'space directions': '(1,0,0) (0,1,0) (0,0,1)', 'space origin': '7(1,2,3)' }),
      /space origin: 7\(1,2,3\); expected 3 numbers in brackets/,
    ],
    ['a voxel size of 0', 'a.nrrd', nrrd({ spacings: '1 0 1' }), /spacing: 1 0 1; expected voxels between/],
    [
      'a voxel size of NaN',
      'a.nrrd',
      nrrd({ space: 'LPS', 'space directions': '(1,0,0) (0,nan,0) (0,0,1)' }),
      /space directions: .*nan.*expected vectors of 3 numbers/,
    ],
    ['a voxel size of NaN', 'a.mha', meta({ ElementSpacing: '1 nan 1' }), /ElementSpacing: 1 nan 1; expected 3 numbers/],
    ['an infinite origin', 'a.mha', meta({ Offset: '1 1e400 1' }), /Offset: 1 1e400 1; expected 3 numbers/],
    [
      'dependent axes',
      'a.nrrd',
      nrrd({ space: 'LPS', 'space directions': '(1,0,0) (2,0,0) (0,0,1)' }),
      /direction: .*independent axes/,
    ],
    ['dependent axes', 'a.mha', meta({ TransformMatrix: '0 0 0 0 0 0 0 0 0' }), /direction: .*independent axes/],
    [
      'a vector too short',
      'a.nrrd',
      nrrd({ space: 'LPS', 'space directions': '(1,0) (0,1,0) (0,0,1)' }),
      /expected vectors of 3 numbers/,
    ],
    [
      'fewer axes than the space has',
      'a.nrrd',
      nrrd({ dimension: '2', sizes: '4 6', space: 'LPS', 'space directions': '(1,0,0) (0,1,0)' }),
      /space: 3 dimensions; expected 2/,
    ],
    ['a space of unknown sides', 'a.nrrd', nrrd({ space: 'constructor' }), /space: constructor; expected one of/],
    [
      'a scalar spacing inside a space',
      'a.nrrd',
      nrrd({ space: 'LPS', spacings: '1 1 1' }),
      /spacings: 1 1 1; expected space directions/,
    ],
    [
      'channels in the middle',
      'a.nrrd',
      nrrd({ kinds: 'domain vector domain' }),
      /at most one axis of channels, the first or the last/,
    ],
    [
      'complex numbers',
      'a.nrrd',
      nrrd({ sizes: '2 3 4', kinds: 'complex domain domain' }),
      /complex numbers; expected real numbers/,
    ],
    ['no byte order', 'a.nrrd', nrrd({ endian: undefined }), /endian: missing; expected little or big/],
    ['a field given twice', 'a.nrrd', nrrd({ sizes: '4 3 2\nsizes: 40 30 20' }), /sizes: given twice/],
    ['encoding bzip2', 'a.nrrd', nrrd({ encoding: 'bzip2' }), /encoding: bzip2; expected raw or gzip/],
    ['encoding hex', 'a.nrrd', nrrd({ encoding: 'hex' }), /encoding: hex; expected raw or gzip/],
    ['numbers as text', 'a.mha', meta({ BinaryData: 'False' }), /BinaryData: False; expected True/],
    ['an unknown type', 'a.nrrd', nrrd({ type: 'block' }), /type: block; expected one of signed char/],
    ['an unknown type', 'a.mha', meta({ ElementType: 'toString' }), /ElementType: toString; expected one of MET_CHAR/],
    ['a header inside the voxels', 'a.mha', meta({ HeaderSize: '10' }), /HeaderSize: 10; expected at least/],
    ['skipping behind the end', 'a.nrrd', nrrd({ 'byte skip': huge }), /byte skip|0 bytes of voxels/],
    [
      'voxels that begin in the header',
      'a.nrrd',
      nrrd({ 'byte skip': '-1' }, Buffer.alloc(40)),
      /40 bytes of voxels; expected 48/,
    ],
    [
      'packed voxels of a size unsaid',
      'a.mha',
      meta({ CompressedData: 'True', CompressedDataSize: undefined }),
      /CompressedDataSize: missing/,
    ],
    [
      'a size before NDims',
      'a.mha',
      Buffer.from('DimSize = 4 3 2\nNDims = 3\nElementType = MET_SHORT\nElementDataFile = LOCAL\n'),
      /DimSize: before NDims/,
    ],
    ['a size given twice', 'a.mha', meta({ 'DimSize = 4 3 2\nDimSize': '4 3 2' }), /DimSize: given twice/],
    [
      'a line without a field',
      'a.mha',
      meta({ Offset: '0 0 0\nCompressedData True' }),
      /line: "CompressedData True"; expected a field, =/,
    ],
    ['a hexadecimal number', 'a.mha', meta({ Offset: '0x10 0 0' }), /Offset: 0x10 0 0; expected 3 numbers/],
    [
      'axes that are not of length 1',
      'a.mha',
      meta({ TransformMatrix: '2 0 0 0 1 0 0 0 1' }),
      /TransformMatrix: .*expected axes of length 1/,
    ],
    ['a field nobody knows', 'a.nrrd', nrrd({ spacinks: '1 1 1' }), /line: "spacinks: 1 1 1"; expected a remark/],
    [
      'a line without a field',
      'a.nrrd',
      nrrd({ encoding: 'raw\nspace origin (1,2,3)' }),
      /line: "space origin \(1,2,3\)"; expected a remark/,
    ],
    [
      'sizes before the dimension',
      'a.nrrd',
      Buffer.from('NRRD0005\ntype: int16\nsizes: 4 3 2\ndimension: 3\n\n'),
      /sizes: before dimension/,
    ],
    ['an origin before its space', 'a.nrrd', nrrd({ 'space origin': '(1,2,3)', space: 'LPS' }), /space origin: before a space/],
    ['two spaces', 'a.nrrd', nrrd({ space: 'LPS', 'space dimension': '3' }), /space dimension: beside another/],
    ['entries for two of three axes', 'a.nrrd', nrrd({ labels: '"x" "y"' }), /labels: "x" "y"; expected 3 entries in quotes/],
    ['another object', 'a.mha', meta({ ObjectType: 'Tube' }), /ObjectType: Tube; expected Image/],
    ['another file', 'a.nrrd', Buffer.from('\x89PNG\r\n\x1a\n'), /magic: "\S*PNG.*This is no NRRD file/],
    ['another file', 'a.mha', Buffer.from('\x89PNG\r\n\x1a\n'), /ElementDataFile: none in \d+ bytes/],
    ['another file', 'a.gipl', Buffer.alloc(300), /magic: 0x0; expected 0xefffe9b0/],
  ];
  for (const [what, name, bytes, message] of forged) it(`${name}: ${what}`, () => refused(name, bytes, message));

  it('GIPL: unknown types, voxels of no size and NaN are refused by field', () => {
    const good = fs.readFileSync(path.join(given, 'uint8.gipl'));
    const with_ = (change: (b: Buffer) => void) => {
      const bytes = Buffer.from(good);
      change(bytes);
      return bytes;
    };
    refused(
      'a.gipl',
      with_((b) => b.writeUInt16BE(192, 8)),
      /image type: 192; expected one of 7 int8/,
    );
    refused(
      'a.gipl',
      with_((b) => b.writeUInt16BE(0, 2)),
      /dimensions: 4 0 2 1; expected at least 2 sizes/,
    );
    refused(
      'a.gipl',
      with_((b) => b.writeFloatBE(0, 10)),
      /spacing: 0 /,
    );
    refused(
      'a.gipl',
      with_((b) => b.writeFloatBE(Number.NaN, 14)),
      /spacing: 0.5 NaN /,
    );
    refused(
      'a.gipl',
      with_((b) => b.writeDoubleBE(Number.POSITIVE_INFINITY, 204)),
      /origin: Infinity /,
    );
    refused(
      'a.gipl',
      with_((b) => b.fill(0xff, 0, 8)),
      /at most 1 TiB/,
    );
  });

  it('all faults of one header come at once', () => {
    for (const [name, bytes, count] of [
      ['all.nrrd', nrrd({ type: 'x', encoding: 'y', endian: 'z', sizes: '0 1 1' }), 4],
      ['all.mha', meta({ ElementType: 'x', DimSize: '0 1 1', BinaryData: 'F', HeaderSize: '-7' }), 4],
    ] as const) {
      fs.writeFileSync(path.join(folder, name), bytes);
      assert.throws(
        () => readVolume(path.join(folder, name)),
        (error) => error instanceof VoxelbookError && error.faults.length === count,
      );
    }
  });

  it('bombs stop at the declared size plus 64 MiB', () => {
    const zeros = Buffer.alloc(4 * slack);
    const gzip = zlib.gzipSync(zeros, { level: 1 });
    const message = /more than \d+ bytes when expanded; expected the 48 bytes its header declares/;
    refused('bomb.nrrd', nrrd({ encoding: 'gzip' }, gzip), message);
    refused('bomb.mha', meta({ CompressedData: 'True' }, zlib.deflateSync(zeros, { level: 1 })), message);
    refused('bomb.mha', meta({ CompressedData: 'True' }, gzip), message);
  });

  it('a wrong checksum is refused', () => {
    for (const [name, bytes] of [
      ['sum.nrrd', nrrd({ encoding: 'gzip' }, zlib.gzipSync(Buffer.alloc(48)))],
      ['sum.mha', meta({ CompressedData: 'True' }, zlib.deflateSync(Buffer.alloc(48)))],
    ] as const) {
      bytes[bytes.length - (name === 'sum.nrrd' ? 6 : 1)] ^= 1;
      refused(name, bytes, /compressed data with a fault/);
    }
  });

  it('a header names a file beside it and none elsewhere; pipes and folders are not read', () => {
    fs.writeFileSync(path.join(folder, 'secret.raw'), Buffer.alloc(48));
    fs.mkdirSync(path.join(folder, 'sub'), { recursive: true });
    const names = [
      '../secret.raw',
      '/etc/passwd',
      'sub/../secret.raw',
      path.join(folder, 'secret.raw'),
      '..',
      '.',
      'a\\b',
      'x\0.raw',
    ];
    for (const name of names) {
      refused('sub/a.nhdr', nrrd({ 'data file': name }), /expected the name of a file in the same folder/);
      refused('sub/a.mhd', meta({ ElementDataFile: name }), /expected the name of a file in the same folder/);
    }
    refused('a.nhdr', nrrd({ 'data file': 'absent.raw' }), /absent\.raw: ENOENT/);
    refused('a.nhdr', nrrd({ 'data file': 'sub' }), /sub: a folder, pipe or device/);
    refused('a.nhdr', nrrd({ 'data file': 'LIST' }), /data file: LIST; expected one file/);
    refused('a.mhd', meta({ ElementDataFile: 'x%03d.raw 1 9 1' }), /expected LOCAL or one file/);
    spawnSync('mkfifo', [path.join(folder, 'pipe')]);
    refused('a.mhd', meta({ ElementDataFile: 'pipe' }), /pipe: a folder, pipe or device/);
    fs.renameSync(path.join(folder, 'pipe'), path.join(folder, 'pipe.nrrd'));
    assert.throws(() => readGrid(path.join(folder, 'pipe.nrrd')), VoxelbookError);
  });

  it('a header without end is refused', () => {
    const lines = Buffer.from('a: b = c\n'.repeat(2 ** 20));
    refused('endless.nrrd', Buffer.concat([Buffer.from('NRRD0004\n'), lines]), /header: no end in 4194304 bytes/);
    refused('endless.mha', lines, /ElementDataFile: none in 4194304 bytes/);
    refused('endless.nrrd', Buffer.concat([Buffer.from('NRRD0004\ntype: '), Buffer.alloc(2 ** 23, 32)]), /header: no end/);
    refused('endless.mha', Buffer.alloc(2 ** 23, ' ElementDataFile'), /ElementDataFile: none/);
    const vectors = `space directions: ${'('.repeat(2 ** 21)}`;
    refused('deep.nrrd', nrrd({ space: `LPS\n${vectors}` }), /space directions: \(+…; expected 3 vectors, or none/);
  });

  it('a header is read without the voxels, and more of them than an array holds is said plainly', () => {
    const sizes = '8192 8192 4096';
    for (const [name, header] of [
      ['wide.nrrd', nrrd({ sizes }, Buffer.alloc(0))],
      ['wide.mha', meta({ DimSize: sizes }, Buffer.alloc(0))],
    ] as const) {
      const file = path.join(folder, name);
      fs.writeFileSync(file, header);
      fs.truncateSync(file, header.length + 2 ** 39);
      assert.deepEqual(readGrid(file)?.shape, [4096, 8192, 8192]);
      assert.throws(
        () => readVolume(file),
        (error) => error instanceof VoxelbookError && /549755813888 bytes; expected no more than Node v/.test(error.message),
      );
      fs.rmSync(file);
    }
  });
});
