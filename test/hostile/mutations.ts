// Odd and damaged image files of every format, the same for the same seed: what a reader must read as its peer does, or refuse.
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import zlib from 'node:zlib';
import { Random } from '../../src/base/random.js';
import { niftiFile, types } from '../volume/format/niftiFile.js';

export interface OddFile {
  ending: string;
  bytes: Buffer;
}

const volumes = fileURLToPath(new URL('../volume/formats/', import.meta.url));
const tiffs = fileURLToPath(new URL('../volume/tiffs/', import.meta.url));
const seedsIn = (folder: string, pattern: RegExp) =>
  fs
    .readdirSync(folder)
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => ({ ending: /\.[a-z]+$/.exec(name)![0], bytes: fs.readFileSync(folder + name) }));
const lazy = <T>(make: () => T) => {
  let made: T | undefined;
  return () => (made ??= make());
};

/** Files beside which headers name their voxels; copied to where the headers are read. */
export const besides = () =>
  fs
    .readdirSync(volumes)
    .filter((name) => /raw$/.test(name))
    .map((name) => volumes + name);

/** Some bytes changed, more often near the start; sometimes cut, doubled or longer. */
function bytesChanged(random: Random, bytes: Buffer, head: number): Buffer {
  const out = Buffer.from(bytes);
  for (let i = random.int(1, 5); i > 0; i--) {
    const at = random.int(0, random.chance(0.8) ? Math.min(out.length, head) : out.length);
    const special = [0, 1, 2, 3, 4, 8, 16, 0x7f, 0x80, 0xff];
    out[at] = random.chance(0.6) ? random.choice(special) : random.int(0, 256);
  }
  if (random.chance(0.08)) return out.subarray(0, random.int(0, out.length));
  return random.chance(0.05) ? Buffer.concat([out, Buffer.alloc(random.int(1, 9), 7)]) : out;
}

const nasty = [
  '0',
  '-1',
  '1',
  '2',
  '3',
  '0.5',
  '-0.5',
  '4 3 2 1',
  '9007199254740992',
  '65536',
  '1e400',
  '1e1',
  'nan',
  '-inf',
  '',
  '0x10',
  '1,2',
  '()',
];
const words = [
  'LOCAL',
  'Local',
  'LIST',
  'gzip',
  'raw',
  'none',
  'vector',
  'list',
  'complex',
  'time',
  'domain',
  'True',
  'False',
  'T',
  '1',
  'MET_DOUBLE',
  'MET_UCHAR',
  'double',
  'uchar',
  'block',
  'LPS',
  'RAS',
  'big',
  '/etc/passwd',
  '../x',
  '\0',
];
const lines: Record<string, string[]> = {
  '.mha': [
    'HeaderSize = 0',
    'HeaderSize = -1',
    'ElementSize = 2 2 2',
    'ElementSpacing = 2 2 2',
    'Position = 1 2 3',
    'Rotation = 0 1 0 1 0 0 0 0 1',
    'CompressedData = True',
    'CompressedDataSize = 20',
    'BinaryData = False',
    'ElementByteOrderMSB = True',
    'BinaryDataByteOrderMSB = True',
    'ElementNumberOfChannels = 2',
    'ElementToIntensityFunctionSlope = 2',
    'ElementMin = 0',
    'CenterOfRotation = 1 2 3',
    'AnatomicalOrientation = RAS',
    'Modality = MET_MOD_CT',
    'NDims = 2',
    'DimSize = 3 4 2',
    'Comment = a',
    'ID = 3',
    'Color = 1 0 0 1',
    'DistanceUnits = cm',
  ],
  '.nrrd': [
    'byte skip: 1',
    'line skip: 1',
    'byte skip: -1',
    'spacings: 2 2 2',
    'thicknesses: 1 1 1',
    'axis mins: 1 2 3',
    'axis maxs: 4 5 6',
    'centers: node node node',
    'centerings: cell cell cell',
    'kinds: domain domain domain',
    'kinds: vector domain domain',
    'labels: "a" "b" "c"',
    'units: "m" "m" "m"',
    'space units: "mm" "mm" "mm"',
    'space: RAS',
    'space: LPS',
    'space dimension: 3',
    'space origin: (1,2,3)',
    'space directions: (1,0,0) (0,2,0) (0,0,3)',
    'measurement frame: (1,0,0) (0,1,0) (0,0,1)',
    'old min: 0',
    'block size: 4',
    'content: x',
    'key:=value',
    '# remark',
    'min: 0',
    'endian: big',
    'sample units: x',
  ],
};

/** A number or word of the header exchanged, a line taken out, doubled, moved, emptied or added. */
function linesChanged(random: Random, bytes: Buffer, ending: string): Buffer {
  let out = Buffer.from(bytes);
  for (let i = random.int(1, 4); i > 0; i--) {
    const text = out.toString('latin1').split('\n');
    const last = text.findIndex((line) => line.trim() === '' || /^ElementDataFile/.test(line));
    const at = random.int(0, Math.max(1, last < 0 ? Math.min(text.length, 14) : last + 1));
    const parts = text[at].split(/(?<=[ (,=:])|(?=[ ),])/);
    const kind = random.int(0, 7);
    if (kind === 0) text.splice(at, 1);
    else if (kind === 1) text.splice(at, 1, text[at], text[at]);
    else if (kind === 2) text.splice(at, 0, text.splice(random.int(0, Math.min(6, text.length)), 1)[0]);
    else if (kind === 3)
      text.splice(at, 0, random.choice(lines[ending === '.mhd' ? '.mha' : ending === '.nhdr' ? '.nrrd' : ending]));
    else {
      parts[random.int(0, parts.length)] = random.choice(kind === 4 ? words : nasty);
      text[at] = parts.join('');
    }
    out = Buffer.from(text.join('\n'), 'latin1');
  }
  if (random.chance(0.08)) return out.subarray(0, random.int(0, out.length + 1));
  return random.chance(0.05) ? Buffer.concat([out, out]) : out;
}

type Chunk = [type: string, body: Buffer];

/** The bytes of a PNG with these chunks; `damage` flips a bit of the checksum of the chunk with that index. */
export function pngOf(chunks: Chunk[], damage = -1): Buffer {
  const parts = chunks.map(([type, body], i) => {
    const out = Buffer.alloc(12 + body.length);
    out.writeUInt32BE(body.length, 0);
    out.write(type, 4, 'latin1');
    body.copy(out, 8);
    out.writeUInt32BE((zlib.crc32(out.subarray(4, 8 + body.length)) ^ (i === damage ? 4 : 0)) >>> 0, 8 + body.length);
    return out;
  });
  return Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]), ...parts]);
}

export interface PngKind {
  width: number;
  height: number;
  depth: number;
  colour: number;
  interlaced: boolean;
}

/** Header of a picture. */
export function ihdr({ width, height, depth, colour, interlaced }: PngKind): Chunk {
  const body = Buffer.alloc(13);
  body.writeUInt32BE(width, 0);
  body.writeUInt32BE(height, 4);
  body.set([depth, colour, 0, 0, interlaced ? 1 : 0], 8);
  return ['IHDR', body];
}

/** Rows of any bytes with any filters: every such picture is a picture. */
export function pngRows(random: Random, { width, height, depth, colour, interlaced }: PngKind): Buffer {
  const samples = [1, 0, 3, 1, 2, 0, 4][colour] || 1;
  const passes = interlaced
    ? [
        [0, 8, 0, 8],
        [4, 8, 0, 8],
        [0, 4, 4, 8],
        [2, 4, 0, 4],
        [0, 2, 2, 4],
        [1, 2, 0, 2],
        [0, 1, 1, 2],
      ]
    : [[0, 1, 0, 1]];
  const rows = passes.flatMap(([x, dx, y, dy]) => {
    const [w, h] = [Math.ceil((width - x) / dx), Math.ceil((height - y) / dy)];
    const length = Math.ceil((w * samples * depth) / 8);
    return w > 0
      ? Array.from({ length: Math.max(0, h) }, () =>
          Buffer.from([random.int(0, 5), ...Array.from({ length }, () => random.int(0, 256))]),
        )
      : [];
  });
  return Buffer.concat(rows);
}

const depths: [colour: number, depths: number[]][] = [
  [0, [1, 2, 4, 8, 16]],
  [2, [8, 16]],
  [3, [1, 2, 4, 8]],
  [4, [8, 16]],
  [6, [8, 16]],
];
/** PngSuite's kinds: every colour type and depth, interlaced or not. */
export const pngKinds = depths.flatMap(([colour, list]) =>
  list.flatMap((depth) => [false, true].map((interlaced) => ({ colour, depth, interlaced }))),
);

function png(random: Random, index: number): OddFile {
  const kind = { ...pngKinds[index % pngKinds.length], width: random.int(1, 21), height: random.int(1, 18) };
  const bytes = (n: number) => Buffer.from(Array.from({ length: n }, () => random.int(0, 256)));
  let rows = pngRows(random, kind);
  const fault = index < 2 * pngKinds.length ? 0 : random.int(0, 16);
  if (fault === 1) rows = rows.subarray(0, random.int(0, rows.length));
  if (fault === 2) rows = Buffer.concat([rows, bytes(random.int(1, 40))]);
  if (fault === 3 && rows.length > 0) rows[0] = random.int(0, 256);
  const packed = zlib.deflateSync(rows);
  const cut = random.int(0, packed.length);
  const chunks: Chunk[] = [ihdr(kind)];
  const palette = kind.colour === 3 || (kind.colour === 2 && random.chance(0.3));
  if (random.chance(0.2))
    chunks.push(
      random.choice<Chunk>([
        ['gAMA', Buffer.from([0, 0, 177, 143])],
        ['sBIT', bytes(3)],
        ['tEXt', Buffer.from('Title\0x')],
        ['sRGB', Buffer.from([0])],
      ]),
    );
  if (palette) chunks.push(['PLTE', bytes(3 * (kind.colour === 3 ? 2 ** kind.depth : 5))]);
  if (random.chance(0.2) && kind.colour < 4)
    chunks.push(['tRNS', bytes(kind.colour === 3 ? random.int(1, 2 ** kind.depth + 1) : kind.colour === 0 ? 2 : 6)]);
  chunks.push(['IDAT', packed.subarray(0, cut)], ['IDAT', packed.subarray(cut)], ['IEND', Buffer.alloc(0)]);
  const any = () => random.int(0, chunks.length);
  if (fault === 4) chunks.splice(any(), 1);
  if (fault === 5) chunks.splice(any(), 0, chunks[any()]);
  if (fault === 6) chunks.splice(any(), 0, chunks.splice(any(), 1)[0]);
  if (fault === 7)
    chunks.splice(
      any(),
      0,
      random.choice<Chunk>([
        ['PLTE', bytes(random.int(0, 30))],
        ['abCD', bytes(5)],
        ['ABCD', bytes(5)],
        ['IEND', bytes(2)],
        ['tRNS', bytes(1)],
        ['acTL', bytes(8)],
        ['fcTL', bytes(26)],
        ['fdAT', bytes(20)],
        ['iCCP', Buffer.concat([Buffer.from('p\0\0'), zlib.deflateSync(Buffer.alloc(1000))])],
      ]),
    );
  if (fault === 8) chunks[0][1][random.int(0, 13)] = random.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 255]);
  if (fault === 9) chunks[0][1].writeUInt32BE(random.choice([0, 1, 2, 30, 2 ** 20, 2 ** 31 - 1, 2 ** 31]), random.choice([0, 4]));
  const file = pngOf(chunks, fault === 10 ? any() : -1);
  return { ending: '.png', bytes: fault > 13 ? bytesChanged(random, file, file.length) : file };
}

function bmp(random: Random, index: number): OddFile {
  const odd = index >= 60;
  const header = odd ? random.choice([12, 16, 40, 40, 40, 52, 56, 64, 108, 124]) : random.choice([40, 40, 108, 124]);
  const bits = random.choice(odd ? [1, 2, 4, 8, 8, 8, 16, 24, 32, 32] : [8, 8, 24, 32]);
  const [width, height] = [random.int(1, 9), random.int(1, 7)];
  const used = bits > 8 ? random.choice([0, 0, 4]) : random.choice([0, 2 ** bits, 2, 16, ...(odd ? [1, 3, 200, 257] : [])]);
  const colours = bits > 8 ? used : used || 2 ** bits;
  const grey = random.choice(['ramp', 'ends', 'colours', 'black and white']);
  const palette = Buffer.alloc(4 * colours);
  for (let i = 0; i < colours; i++) {
    const v =
      grey === 'ends' ? Math.round((255 * i) / Math.max(1, colours - 1)) : grey === 'black and white' ? 255 * (i % 2) : i & 255;
    palette.set(grey === 'colours' ? [random.int(0, 256), random.int(0, 256), random.int(0, 256)] : [v, v, v], 4 * i);
  }
  const row = Math.ceil((width * bits) / 32) * 4;
  const pixels = Buffer.from(
    Array.from({ length: row * height }, () => random.int(0, bits === 8 ? Math.min(256, odd ? 256 : colours) : 256)),
  );
  const head = Buffer.alloc(14 + Math.max(header, 40));
  head.write('BM');
  head.writeUInt32LE(14 + header + palette.length, 10);
  head.writeUInt32LE(header, 14);
  head.writeInt32LE(width, 18);
  head.writeInt32LE(random.chance(0.3) ? -height : height, 22);
  head.writeUInt16LE(1, 26);
  head.writeUInt16LE(bits, 28);
  head.writeUInt32LE(odd ? random.choice([0, 0, 0, 1, 2, 3, 4, 6]) : 0, 30);
  head.writeUInt32LE(used, 46);
  const masks = [0xff0000, 0xff00, 0xff, random.choice([0, 0xff000000])];
  for (const [i, mask] of masks.entries())
    if (58 + 4 * i <= Math.min(head.length, 14 + header)) head.writeUInt32LE(mask, 54 + 4 * i);
  const file = Buffer.concat([head.subarray(0, 14 + header), palette, pixels]);
  return { ending: '.bmp', bytes: odd && random.chance(0.6) ? bytesChanged(random, file, 60) : file };
}

const tiffSeeds = lazy(() => seedsIn(tiffs, /\.tif$/));
const oddTags = [
  254, 255, 256, 257, 258, 259, 262, 266, 270, 273, 274, 277, 278, 279, 284, 290, 317, 318, 320, 322, 323, 324, 325, 330, 338,
  339, 340, 347, 33445, 33628, 33629, 34361, 34412, 32997, 50838, 50839, 65420,
];
const descriptions = [
  'ImageJ=1.11a\nimages=3\nslices=3\n',
  'ImageJ=1.11a\nimages=1\n',
  'ImageJ=1.11a\nimages=3\nchannels=3\nhyperstack=true\n',
  '{"shape": [3, 9, 10]}',
  '{"shape": [1, 7, 11]}',
  '{"shape": [7, 11]}',
  '{"shape": [3, 3, 9, 10]}',
  '<?xml version="1.0"?><OME><Image><Pixels DimensionOrder="XYZCT" SizeX="11" SizeY="7" SizeZ="1" SizeC="1" SizeT="1" Type="uint8"/></Image></OME>',
  'a remark',
  'Aperio x',
];

function tiff(random: Random, index: number): OddFile {
  const { bytes } = tiffSeeds()[index % tiffSeeds().length];
  if (random.chance(0.25)) return { ending: '.tif', bytes: bytesChanged(random, bytes, 300) };
  let out = Buffer.from(bytes);
  const le = out[0] === 0x49;
  const [r16, r32] = [
    (at: number) => (le ? out.readUInt16LE(at) : out.readUInt16BE(at)),
    (at: number) => (le ? out.readUInt32LE(at) : out.readUInt32BE(at)),
  ];
  const w16 = (v: number, at: number) => (le ? out.writeUInt16LE(v, at) : out.writeUInt16BE(v, at));
  const w32 = (v: number, at: number) => (le ? out.writeUInt32LE(v >>> 0, at) : out.writeUInt32BE(v >>> 0, at));
  const pages: number[] = [];
  for (let at = r32(4); at !== 0 && pages.length < 4; at = r32(at + 2 + 12 * r16(at))) pages.push(at);
  for (let i = random.int(1, 3); i > 0; i--) {
    const directory = random.choice(pages);
    const count = r16(directory);
    const entry = directory + 2 + 12 * random.int(0, count);
    const kind = random.int(0, 6);
    if (kind === 0) w16(random.choice(oddTags), entry);
    else if (kind === 1) w16(random.choice([1, 2, 3, 4, 5, 6, 8, 9, 11, 12, 13, 16]), entry + 2);
    else if (kind === 2) w32(random.choice([0, 1, 2, 3, 4]), entry + 4);
    else if (kind === 3)
      (r16(entry + 2) === 3 ? w16 : w32)(
        random.choice([0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 16, 32, 64, 32773, 32946, 65535]),
        entry + 8,
      );
    else if (kind === 4) {
      // A field put where another was, text behind the end of the file.
      const text = Buffer.from(`${random.choice(descriptions)}\0`);
      w16(270, entry);
      w16(2, entry + 2);
      w32(text.length, entry + 4);
      w32(out.length, entry + 8);
      out = Buffer.concat([out, text]);
    } else w32(random.choice([0, directory, pages[0], 8]), directory + 2 + 12 * count);
  }
  return { ending: '.tif', bytes: out };
}

const textSeeds = lazy(() => seedsIn(volumes, /\.(nrrd|nhdr|mha|mhd)$/));
const ofEnding = (pattern: RegExp) => lazy(() => textSeeds().filter(({ ending }) => pattern.test(ending)));
const [nrrdSeeds, metaSeeds] = [ofEnding(/nrrd|nhdr/), ofEnding(/mha|mhd/)];
const text = (seeds: () => OddFile[]) => (random: Random, index: number) => {
  const { ending, bytes } = seeds()[index % seeds().length];
  return { ending, bytes: linesChanged(random, bytes, ending) };
};

const giplSeeds = lazy(() => seedsIn(volumes, /\.gipl$/));
const gipl = (random: Random, index: number) => ({
  ending: '.gipl',
  bytes: bytesChanged(random, giplSeeds()[index % giplSeeds().length].bytes, 256),
});

/** Every version, byte order and number type, packed or not, with extensions, in one file. */
const niftiSeeds = lazy(() =>
  [true, false].flatMap((littleEndian) =>
    ([1, 2] as const).flatMap((version) =>
      types.flatMap(({ code }) =>
        [undefined, Buffer.from([16, 0, 0, 0, 6, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])].map((extension) =>
          niftiFile({ littleEndian, version, datatype: code, extension, qform: 1, sform: 1, dim: [4, 5, 4, 3, 2, 1, 1, 1] }),
        ),
      ),
    ),
  ),
);

function nifti(random: Random, index: number): OddFile {
  const seed = niftiSeeds()[index % niftiSeeds().length];
  const bytes = bytesChanged(random, seed, 352);
  return random.chance(0.3) ? { ending: '.nii.gz', bytes: zlib.gzipSync(bytes) } : { ending: '.nii', bytes };
}

const generators = { png, bmp, tiff, nrrd: text(nrrdSeeds), metaimage: text(metaSeeds), gipl, nifti };
export type Format = keyof typeof generators;
export const formats = Object.keys(generators) as Format[];

/** File `index` of a format. */
export const oddFile = (format: Format, index: number, seed: number): OddFile =>
  generators[format](new Random(`${format} ${index} ${seed}`), index);
