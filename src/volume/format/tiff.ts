// TIFF pictures and stacks in. A file is read as its own directories say, each of them checked before anything is expanded.
//
// Source: TIFF 6.0 (Adobe, 1992); numbers are returned as stored, as tifffile returns them to nnU-Net: no palette, no inverted white.
import fs from 'node:fs';
import zlib from 'node:zlib';
import { VoxelbookError } from '../../base/errors.js';
import { bytesOf, channelsLast, decodeNumbers, type NumberType } from '../dtype.js';
import type { Volume, VoxelArray } from '../volume.js';
import { readBytes } from './bytes.js';
import { slack } from './gzip.js';
import { expandLzw, lzwRatio } from './lzw.js';
import { pictureVolume } from './picture.js';

/**
 * Reads a TIFF file: one page as a picture (nnU-Net's NaturalImage2DIO, spacing `[999, 1, 1]`), several as a stack (Tiff3DIO: spacing from
 * `<case>.json` {"spacing": [3]} beside the image, else 1 mm).
 * @throws VoxelbookError for damaged files, unlike pages, and data larger than declared
 */
export function readTiff(file: string): Volume {
  const volume = decodeTiff(readBytes(file), file);
  const side = file.replace(/(_\d{4})?\.tiff?$/, '.json');
  if (volume.shape[0] > 1 && side !== file && fs.existsSync(side)) volume.spacingMm = spacingIn(side);
  return volume;
}

function spacingIn(side: string): Volume['spacingMm'] {
  let spacing: unknown;
  try {
    spacing = (JSON.parse(readBytes(side).toString()) as { spacing?: unknown } | null)?.spacing;
  } catch (error) {
    throw fault(side, 'tiff-spacing', (error as Error).message, 'a JSON file', 'Correct the file.');
  }
  if (!Array.isArray(spacing) || spacing.length !== 3 || !spacing.every((s) => Number.isFinite(s) && s > 0))
    throw fault(
      side,
      'tiff-spacing',
      JSON.stringify(spacing) ?? 'missing',
      'three numbers above 0 as "spacing"',
      'Correct the file.',
    );
  return spacing as Volume['spacingMm'];
}

/** Decodes TIFF bytes: `[page, height, width, channel]`; one bit becomes uint8, 64-bit integers become float64. */
export function decodeTiff(bytes: Uint8Array, name = 'TIFF'): Volume {
  const pages = directories(bytes, name);
  const [first] = pages;
  // tifffile takes pages of another kind for another image.
  const kind = ({ offsets: _, counts: __, description: ___, ...rest }: Page) => JSON.stringify(rest);
  if (!pages.every((page) => kind(page) === kind(first)))
    throw fault(
      name,
      'tiff-pages',
      `${pages.length} pages that are not alike`,
      'pages of one size, type and compression',
      'Export the stack again without preview pages.',
    );
  const other = stackFault(first.description, pages.length, first) ?? (first.description && apart(pages));
  if (other)
    throw fault(
      name,
      'tiff-stack',
      other,
      `${pages.length} pages that are one picture or one stack`,
      'Export it again as a plain stack.',
    );
  const budget = { bytes: slack };
  const decoded = pages.map((page) => pixels(page, bytes, budget, name));
  const length = first.width * first.height * first.channels;
  let data = decoded[0];
  if (pages.length > 1) {
    data = new (data.constructor as new (n: number) => VoxelArray)(length * pages.length);
    for (const [i, page] of decoded.entries()) data.set(page as Uint8Array, i * length);
  }
  const picture = pictureVolume(data, first.height, first.width, first.channels);
  return pages.length === 1 ? picture : { ...picture, shape: [pages.length, first.height, first.width], spacingMm: [1, 1, 1] };
}

/** tifffile reads described, uncompressed pages from one place on, whatever they say themselves. */
function apart(pages: Page[]): string | undefined {
  if (pages.length === 1 || pages[0].compression !== 1 || !/^ImageJ=|"shape"|^shape=/.test(pages[0].description))
    return undefined;
  const chunks = pages.flatMap(({ offsets, counts }) => offsets.map((offset, i) => ({ offset, end: offset + counts[i] })));
  const gap = chunks.findIndex(({ offset }, i) => i > 0 && offset !== chunks[i - 1].end);
  return gap < 0 ? undefined : `a described stack whose pixels are not in one piece (byte ${chunks[gap].offset})`;
}

/** What an ImageDescription says of a stack that its pages do not; undefined where both agree, or it says nothing. */
function stackFault(description: string, pages: number, { width, height, channels, planar }: Page): string | undefined {
  const longer = (sizes: number[]) => sizes.filter((n) => n > 1);
  if (/^ImageJ=/.test(description)) {
    const said = (key: string) => Number(new RegExp(`^${key}=(\\d+)`, 'm').exec(description)?.[1] ?? 1);
    const axes = longer(['channels', 'slices', 'frames'].map(said));
    if (axes.length > 1 || said('images') !== pages || planar) return `an ImageJ hyperstack of ${said('images')} images`;
  }
  if (/<OME\b/.test(description)) {
    const all = (pattern: RegExp) => [...description.matchAll(pattern)];
    const axes = longer(all(/\bSize[ZCT]="(\d+)"/g).map(([, size]) => Number(size)));
    const images = all(/<Pixels\b/g).length;
    const product = axes.reduce((a, b) => a * b, 1);
    if (images !== 1 || axes.length > 1 || (product !== pages && product !== channels) || /\bFileName=/.test(description))
      return `an OME image of ${images} × ${axes.join('×') || 1} planes`;
  }
  if (/^\s*\{.*"shape"|^shape=/s.test(description)) {
    let shape: unknown;
    try {
      shape = (JSON.parse(description) as { shape?: unknown }).shape;
    } catch {
      return 'a shape that cannot be read';
    }
    const own = longer(planar ? [pages, channels, height, width] : [pages, height, width, channels]);
    if (!Array.isArray(shape) || `${longer(shape)}` !== `${own}` || shape.includes(0)) return `an array of shape ${shape}`;
  }
  return undefined;
}

/** A page: its pixels, and the strips or tiles (chunks) they are stored in. */
interface Page {
  width: number;
  height: number;
  channels: number;
  bits: number;
  type: NumberType;
  littleEndian: boolean;
  compression: number;
  /** Values are differences to their left neighbours. */
  differences: boolean;
  /** Channels follow each other as whole pictures. */
  planar: boolean;
  tiled: boolean;
  chunk: { width: number; height: number };
  offsets: number[];
  counts: number[];
  photometric: number;
  extraSamples: string;
  /** Text of the file's writer, which may say more than the pages do. */
  description: string;
}

/** Bytes one packed byte can stand for at most. */
const ratios: Record<number, number> = { 1: 1, 5: lzwRatio, 8: 1032, 32946: 1032, 32773: 64 };
const compressions = '1 (none), 5 (LZW), 8 or 32946 (deflate), 32773 (PackBits)';

const tags = {
  width: 256,
  height: 257,
  bits: 258,
  compression: 259,
  photometric: 262,
  fillOrder: 266,
  description: 270,
  stripOffsets: 273,
  channels: 277,
  rowsPerStrip: 278,
  stripCounts: 279,
  planar: 284,
  predictor: 317,
  tileWidth: 322,
  tileHeight: 323,
  tileOffsets: 324,
  tileCounts: 325,
  subDirectories: 330,
  extraSamples: 338,
  sampleFormat: 339,
};

const known = new Set(Object.values(tags));
/** Fields with more than one value; of the others there is one. */
const lists = new Set([
  tags.bits,
  tags.stripOffsets,
  tags.stripCounts,
  tags.tileOffsets,
  tags.tileCounts,
  tags.subDirectories,
  tags.extraSamples,
  tags.sampleFormat,
]);
/** Fields by which tifffile knows files whose pages are not what they say: other numbers, or an image that is put together. */
const special: Record<number, string> = {
  32997: 'ImageDepth',
  33445: 'Molecular Dynamics GEL',
  33628: 'MetaMorph STK',
  33629: 'MetaMorph STK',
  34361: 'FluoView',
  34412: 'Zeiss LSM',
  65420: 'Hamamatsu NDPI',
};

/** Every page of the file, checked: no chunk larger than the page, no byte of the file used twice, together at most 2 GiB of pixels. */
function directories(bytes: Uint8Array, name: string): Page[] {
  const damaged = (given: string, expected = 'a whole TIFF file') =>
    fault(name, 'tiff-damaged', given, expected, 'Fetch the file again.');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const order = bytes.length < 8 ? '' : String.fromCharCode(bytes[0], bytes[1]);
  const littleEndian = order === 'II';
  if (order !== 'II' && order !== 'MM') throw damaged('no TIFF header');
  const version = view.getUint16(2, littleEndian);
  if (version !== 42) throw damaged(version === 43 ? 'a BigTIFF file' : `version ${version}`, 'TIFF version 42');
  const pages: Page[] = [];
  const used = { entries: 0, values: 0, pixels: 0, packed: 0 };
  for (let at = view.getUint32(4, littleEndian); at !== 0; ) {
    const entries = at + 2 <= bytes.length ? view.getUint16(at, littleEndian) : 0;
    const end = at + 2 + 12 * entries;
    if (entries === 0 || end + 4 > bytes.length) throw damaged(`a directory at byte ${at} of ${bytes.length}`);
    // Entries that stand in no other directory: a chain that runs in a circle has more of them than the file can hold.
    used.entries += entries;
    if (12 * used.entries > bytes.length) throw damaged('directories that lie on each other');
    const fields = new Map<number, number[]>();
    for (let entry = at + 2; entry < end; entry += 12) {
      const tag = view.getUint16(entry, littleEndian);
      if (special[tag]) throw fault(name, 'tiff-unsupported', special[tag], 'plain TIFF', 'Export it again as plain TIFF.');
      if (!known.has(tag)) continue;
      const values = valuesOf(view, entry, littleEndian, used, damaged);
      if (fields.has(tag)) throw damaged(`field ${tag} twice`);
      if (values.length === 0 || (values.length > 1 && !lists.has(tag) && tag !== tags.description))
        throw damaged(`${values.length} values of field ${tag}`);
      fields.set(tag, values);
    }
    pages.push(pageOf(fields, littleEndian, used, bytes.length, name));
    at = view.getUint32(end, littleEndian);
  }
  if (pages.length === 0) throw damaged('no page');
  return pages;
}

/** Whole numbers of an entry: shorts or longs (of a text: its bytes), in the entry itself where they fit. */
function valuesOf(
  view: DataView,
  entry: number,
  littleEndian: boolean,
  used: { values: number },
  damaged: (given: string) => VoxelbookError,
): number[] {
  const tag = view.getUint16(entry, littleEndian);
  const type = view.getUint16(entry + 2, littleEndian);
  const count = view.getUint32(entry + 4, littleEndian);
  const sizes: Record<number, number> =
    tag === tags.description ? { 2: 1 } : tag === tags.subDirectories ? { 4: 4, 13: 4 } : { 3: 2, 4: 4 };
  const size = sizes[type];
  if (!size) throw damaged(`field ${tag} of type ${type}`);
  const at = size * count <= 4 ? entry + 8 : view.getUint32(entry + 8, littleEndian);
  used.values += size * count;
  if (at + size * count > view.byteLength || used.values > view.byteLength)
    throw damaged(`${count} values at byte ${at} of ${view.byteLength}`);
  const get = ({ 1: 'getUint8', 2: 'getUint16', 4: 'getUint32' } as const)[size as 1 | 2 | 4];
  return Array.from({ length: count }, (_, i) => view[get](at + size * i, littleEndian));
}

function pageOf(
  fields: Map<number, number[]>,
  littleEndian: boolean,
  used: { pixels: number; packed: number },
  fileBytes: number,
  name: string,
): Page {
  const refuse = (given: string, expected: string, fix = 'Save it as uncompressed TIFF or PNG.') => {
    throw fault(name, 'tiff-unsupported', given, expected, fix);
  };
  const one = (tag: keyof typeof tags, otherwise: number) => fields.get(tags[tag])?.[0] ?? otherwise;
  const [width, height, channels] = [one('width', 0), one('height', 0), one('channels', 1)];
  const bits = one('bits', 1);
  const format = one('sampleFormat', 1);
  const compression = one('compression', 1);
  const predictor = one('predictor', 1);
  const photometric = one('photometric', -1);
  const type = typeOf(bits, format);
  const same = (tag: number) => {
    const values = fields.get(tag);
    return !values || (values.every((v) => v === values[0]) && (values.length === 1 || values.length === channels));
  };
  if (!type || !same(tags.bits) || !same(tags.sampleFormat))
    refuse(
      `${fields.get(tags.bits)?.join(' ') ?? 1} bits, sample format ${format}`,
      '1, 8, 16, 32 or 64 bits, the same for each channel',
    );
  if (!(compression in ratios)) refuse(`compression ${compression}`, compressions);
  if (photometric > 4) refuse(`photometric interpretation ${photometric}`, 'grey, colours or a palette');
  if (one('fillOrder', 1) !== 1) refuse('bits from the lowest', 'bits from the highest');
  if (predictor !== 1 && !(predictor === 2 && bits >= 8 && bits <= 32 && format !== 3))
    refuse(`predictor ${predictor} for ${bits} bits`, 'none, or differences of 8 to 32-bit whole numbers');
  if (![1, 2].includes(one('planar', 1))) refuse(`planar configuration ${one('planar', 1)}`, '1 or 2');
  const planar = one('planar', 1) === 2 && channels > 1;
  const [strips, tiles] = [
    [tags.stripOffsets, tags.stripCounts],
    [tags.tileWidth, tags.tileHeight, tags.tileOffsets, tags.tileCounts],
  ].map((list) => list.some((tag) => fields.has(tag)));
  if (strips && tiles) refuse('strips and tiles in one page', 'one of them');
  const tiled = tiles;
  const chunk = tiled
    ? { width: one('tileWidth', 0), height: one('tileHeight', 0) }
    : { width, height: Math.min(one('rowsPerStrip', height), height) };
  if (bits === 1 && tiled && chunk.width % 8 !== 0) refuse(`tiles of ${chunk.width} bits`, 'whole bytes');
  const page: Page = {
    width,
    height,
    channels,
    bits,
    type: type!,
    littleEndian,
    compression,
    differences: predictor === 2,
    planar,
    tiled,
    chunk,
    offsets: fields.get(tiled ? tags.tileOffsets : tags.stripOffsets) ?? [],
    counts: fields.get(tiled ? tags.tileCounts : tags.stripCounts) ?? [],
    photometric,
    extraSamples: `${fields.get(tags.extraSamples) ?? ''}`,
    description: Buffer.from(fields.get(tags.description) ?? [])
      .toString('latin1')
      .replace(/\0+$/, ''),
  };
  checkSizes(page, used, fileBytes, name);
  return page;
}

/** Number type of a sample; one bit is read as a byte. Sample format 1: counts, 2: with sign, 3: floating point. */
function typeOf(bits: number, format: number): NumberType | undefined {
  if (bits === 1 && format === 1) return 'uint8';
  const type = `${['', 'uint', 'int', 'float'][format] ?? ''}${bits}`;
  return Object.hasOwn(bytesOf, type) ? (type as NumberType) : undefined;
}

/** Bytes of a row of one chunk. */
const rowBytes = ({ chunk, channels, planar, bits }: Page) => Math.ceil((chunk.width * (planar ? 1 : channels) * bits) / 8);

function checkSizes(page: Page, used: { pixels: number; packed: number }, fileBytes: number, name: string): void {
  const { width, height, channels, chunk, offsets, counts, compression } = page;
  const most = 2 ** 31;
  used.pixels += width * height * channels * bytesOf[page.type];
  if (!(width > 0 && height > 0 && channels > 0))
    throw fault(name, 'tiff-damaged', `${width}×${height} pixels, ${channels} channels`, 'at least one', 'Fetch the file again.');
  if (!(used.pixels <= most))
    throw fault(
      name,
      'tiff-too-large',
      `${width}×${height} pixels, ${channels} channels`,
      'at most 2 GiB of pixels',
      'Cut the picture into tiles.',
    );
  const chunks = Math.ceil(width / chunk.width) * Math.ceil(height / chunk.height) * (page.planar ? channels : 1);
  // A tile may reach beyond the page, within reason.
  const valid = chunk.width > 0 && chunk.height > 0 && rowBytes(page) * chunk.height <= used.pixels + slack;
  if (!valid || chunks !== offsets.length)
    throw fault(
      name,
      'tiff-damaged',
      `${offsets.length} strips or tiles of ${chunk.width}×${chunk.height}`,
      `${chunks} for ${width}×${height} pixels`,
      'Fetch the file again.',
    );
  // A single uncompressed strip of whole bytes needs no length.
  if (counts.length === 0 && chunks === 1 && compression === 1 && page.bits > 1) counts.push(chunkRows(page, 0) * rowBytes(page));
  if (counts.length !== chunks)
    throw fault(
      name,
      'tiff-damaged',
      `${counts.length} lengths`,
      `one for each of ${chunks} strips or tiles`,
      'Fetch the file again.',
    );
  for (let i = 0; i < chunks; i++) {
    used.packed += counts[i];
    const declared = chunkRows(page, i) * rowBytes(page);
    if (
      !(
        offsets[i] >= 8 &&
        offsets[i] + counts[i] <= fileBytes &&
        used.packed <= fileBytes &&
        declared <= counts[i] * ratios[compression]
      )
    )
      throw fault(
        name,
        'tiff-cut',
        `strip or tile ${i} of ${counts[i]} bytes at byte ${offsets[i]} of ${fileBytes}`,
        `${declared} bytes of pixels, none of them used twice`,
        'Fetch the file again.',
      );
  }
}

/** Rows a chunk stores: a tile is always whole, the last strip has what is left. */
function chunkRows({ width, height, chunk, tiled }: Page, index: number): number {
  const down = Math.ceil(height / chunk.height);
  const row = Math.floor(index / Math.ceil(width / chunk.width)) % down;
  return tiled ? chunk.height : Math.min(chunk.height, height - row * chunk.height);
}

/** The pixels of a page, channel last. */
function pixels(page: Page, bytes: Uint8Array, budget: { bytes: number }, name: string): VoxelArray {
  const { width, height, channels, chunk, planar } = page;
  const inner = planar ? 1 : channels;
  const perRow = chunk.width * inner;
  const across = Math.ceil(width / chunk.width);
  const down = Math.ceil(height / chunk.height);
  let out: VoxelArray | undefined;
  for (const [i, offset] of page.offsets.entries()) {
    const rows = chunkRows(page, i);
    const packed = bytes.subarray(offset, offset + page.counts[i]);
    const values = numbersOf(
      page,
      expandChunk(packed, rows * rowBytes(page), chunk.height * rowBytes(page), page.compression, budget, name),
      name,
    );
    out ??= new (values.constructor as new (n: number) => VoxelArray)(width * height * channels);
    const left = (i % across) * chunk.width;
    const top = (Math.floor(i / across) % down) * chunk.height;
    const plane = Math.floor(i / (across * down));
    const kept = Math.min(width - left, chunk.width) * inner;
    for (let y = 0; y < rows && top + y < height; y++)
      out.set(values.subarray(y * perRow, y * perRow + kept) as Uint8Array, ((plane * height + top + y) * width + left) * inner);
  }
  return planar ? channelsLast(out!, width * height, channels, 1) : out!;
}

/** Samples of one chunk, row by row. */
function numbersOf(page: Page, body: Uint8Array, name: string): VoxelArray {
  const perRow = page.chunk.width * (page.planar ? 1 : page.channels);
  if (page.bits === 1) {
    const out = new Uint8Array((body.length / rowBytes(page)) * perRow);
    for (let at = 0, row = 0; at < out.length; row += rowBytes(page))
      for (let x = 0; x < perRow; x++) out[at++] = (body[row + (x >> 3)] >> (7 - (x & 7))) & 1;
    return out;
  }
  const stored = decodeNumbers(body, page.type, page.littleEndian, name);
  if (!page.differences) return stored;
  const values = stored.slice();
  const step = page.planar ? 1 : page.channels;
  for (let row = 0; row < values.length; row += perRow)
    for (let i = row + step; i < row + perRow; i++) values[i] += values[i - step];
  return values;
}

/** `length` bytes out of a strip or tile that holds `whole` of them at most (a last strip may be filled up); LZW beyond them is not expanded. */
function expandChunk(
  packed: Uint8Array,
  length: number,
  whole: number,
  compression: number,
  budget: { bytes: number },
  name: string,
): Uint8Array {
  if (compression === 1) return packed.subarray(0, length);
  let out: Uint8Array;
  let written = length;
  if (compression === 5 || compression === 32773) {
    out = new Uint8Array(length);
    written = compression === 5 ? expandLzw(packed, out) : expandPackBits(packed, out);
  } else {
    try {
      out = zlib.inflateSync(packed, { maxOutputLength: length + budget.bytes });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_BUFFER_TOO_LARGE')
        throw fault(
          name,
          'tiff-damaged',
          `a damaged picture (${(error as Error).message})`,
          'a whole TIFF file',
          'Fetch the file again.',
        );
      throw fault(
        name,
        'tiff-too-large',
        `more than ${length + budget.bytes} bytes when expanded`,
        `${length} bytes of pixels`,
        'Fetch the file again.',
      );
    }
    written = out.length;
    budget.bytes -= Math.max(0, written - length);
  }
  if (written < length || written > whole)
    throw fault(name, 'tiff-damaged', `${written} bytes when expanded`, `${length} bytes of pixels`, 'Fetch the file again.');
  return out.subarray(0, length);
}

/**
 * Runs of literal bytes (n, then n+1 bytes) and of one byte repeated (-n, then the byte), until `out` is full, or more than that. A run
 * that goes on behind the last byte counts for nothing.
 */
function expandPackBits(packed: Uint8Array, out: Uint8Array): number {
  let written = 0;
  for (let at = 0; at < packed.length && written < out.length; ) {
    const n = packed[at++];
    if (n === 128) continue;
    if (at + (n < 128 ? n + 1 : 1) > packed.length) break;
    const run = n < 128 ? packed.subarray(at, at + n + 1) : new Uint8Array(257 - n).fill(packed[at]);
    at += n < 128 ? n + 1 : 1;
    out.set(run.subarray(0, out.length - written), written);
    written += run.length;
  }
  return written;
}

const fault = (name: string, code: string, given: string, expected: string, fix: string) =>
  new VoxelbookError(`${name} cannot be read`, { code, path: name, given, expected, fix });
