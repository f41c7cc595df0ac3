// PNG pictures in and out (pngjs), after a strict look at every chunk: what libpng refuses or would have to guess is refused by name.
//
// Source: the PNG specification, third edition; the limit of a side is libpng's.
import zlib from 'node:zlib';
import { PNG } from 'pngjs';
import { atomicWrite } from '../../base/atomicWrite.js';
import { VoxelbookError } from '../../base/errors.js';
import type { Volume } from '../volume.js';
import { readBytes } from './bytes.js';
import { largestRatio, slack } from './gzip.js';
import { pictureVolume } from './picture.js';

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** Samples of a pixel, where they stand among red, green, blue and alpha, and the depths that may be, by colour type. */
const colourTypes: Record<number, { samples: number; kept: number[]; depths: number[] }> = {
  0: { samples: 1, kept: [0], depths: [1, 2, 4, 8, 16] },
  2: { samples: 3, kept: [0, 1, 2], depths: [8, 16] },
  3: { samples: 1, kept: [0, 1, 2], depths: [1, 2, 4, 8] },
  4: { samples: 2, kept: [0, 3], depths: [8, 16] },
  6: { samples: 4, kept: [0, 1, 2, 3], depths: [8, 16] },
};
const longestSide = 1_000_000;
/** pngjs takes four to eight bytes a pixel on the way. */
const mostPixels = 2 ** 27;

interface Header {
  width: number;
  height: number;
  depth: number;
  colour: number;
  interlaced: boolean;
}

/**
 * Reads a PNG as nnU-Net's NaturalImage2DIO does.
 * @returns shape `[1, height, width]`, 1, 2, 3 or 4 channels (a palette is expanded to colours, without its transparency), uint8 or uint16
 *   (one bit: 0 and 1); spacing `[999, 1, 1]` mm
 * @throws VoxelbookError for damaged files and for pictures whose data is not of the size they claim
 */
export function readPng(file: string): Volume<Uint8Array | Uint16Array> {
  return decodePng(readBytes(file), file);
}

/** Decodes PNG bytes. */
export function decodePng(bytes: Uint8Array, name = 'PNG'): Volume<Uint8Array | Uint16Array> {
  const { header, critical, packed } = chunksOf(bytes, name);
  const raw = inflate(packed, sizeOf(header), name);
  let decoded: Buffer | Uint16Array;
  try {
    // The chunks that make the picture alone: no transparency, gamma or colour profile changes a value. Stored, as it is unpacked already.
    const file = [Buffer.from(signature), ...critical, chunk('IDAT', zlib.deflateSync(raw, { level: 0 })), chunk('IEND')];
    decoded = PNG.sync.read(Buffer.concat(file), { skipRescale: true }).data as Buffer | Uint16Array;
  } catch (error) {
    throw damaged(name, (error as Error).message);
  }
  return pictureVolume(pick(decoded, header), header.height, header.width, colourTypes[header.colour].kept.length);
}

/** The samples that the picture has, out of red, green, blue and alpha; grey below 8 bits is stretched to 255, one bit stays 0 and 1. */
function pick(rgba: Buffer | Uint16Array, { width, height, depth, colour }: Header): Uint8Array | Uint16Array {
  const { kept } = colourTypes[colour];
  const stretch = colour === 0 && (depth === 2 || depth === 4) ? 255 / (2 ** depth - 1) : 1;
  const out = depth === 16 ? new Uint16Array(width * height * kept.length) : new Uint8Array(width * height * kept.length);
  for (let from = 0, at = 0; from < rgba.length; from += 4) for (const k of kept) out[at++] = rgba[from + k] * stretch;
  return out;
}

/** Walks the chunks: checksums, order, and that each stands where and as often as it may. */
function chunksOf(bytes: Uint8Array, name: string): { header: Header; critical: Uint8Array[]; packed: Uint8Array } {
  if (bytes.length < 8 || signature.some((b, i) => bytes[i] !== b))
    throw fault(name, 'png-signature', 'no PNG signature', 'a PNG file', 'Check the file ending.');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const critical: Uint8Array[] = [];
  const parts: Uint8Array[] = [];
  let header: Header | undefined;
  let entries = 0;
  let before = '';
  for (let at = 8; before !== 'IEND'; ) {
    const length = at + 12 <= bytes.length ? view.getUint32(at) : 0;
    const end = at + 12 + length;
    if (at + 12 > bytes.length || end > bytes.length)
      throw fault(name, 'png-cut', 'a picture cut short', 'a whole PNG file', again);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (!/^[a-zA-Z]{4}$/.test(type)) throw damaged(name, `a chunk named ${JSON.stringify(type)}`);
    if (zlib.crc32(bytes.subarray(at + 4, end - 4)) !== view.getUint32(end - 4))
      throw damaged(name, `a wrong checksum of ${type}`);
    const body = bytes.subarray(at + 8, end - 4);
    if ((type === 'IHDR') !== (before === ''))
      throw damaged(name, `${type} as ${before === '' ? 'the first chunk' : 'a later chunk'}`);
    if (type === 'IHDR') {
      header = headerOf(body, name);
      critical.push(bytes.subarray(at, end));
    } else if (type === 'PLTE') {
      checkPalette(body, header!, entries > 0 || parts.length > 0, name);
      entries = body.length / 3;
      // Beside colours it is a suggestion for old screens.
      if (header!.colour === 3) critical.push(bytes.subarray(at, end));
    } else if (type === 'IDAT') {
      if (parts.length > 0 && before !== 'IDAT') throw damaged(name, `${before} between the pixels`);
      parts.push(body);
    } else if (type === 'tRNS') {
      checkTransparency(body, header!, entries, parts.length > 0, name);
    } else if (/^(acTL|fcTL|fdAT)$/.test(type)) {
      throw fault(
        name,
        'png-animated',
        `an animated picture (${type})`,
        'one picture',
        'Save the frame that is meant as a picture.',
      );
    } else if (type === 'IEND') {
      if (length > 0) throw damaged(name, `${length} bytes in IEND`);
    } else if (type[0] <= 'Z') throw damaged(name, `the unknown critical chunk ${type}`);
    before = type;
    at = end;
  }
  if (header!.colour === 3 && entries === 0) throw damaged(name, 'a palette picture without PLTE');
  return { header: header!, critical, packed: Buffer.concat(parts) };
}

function headerOf(body: Uint8Array, name: string): Header {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  if (body.length !== 13) throw damaged(name, `a header of ${body.length} bytes`);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth, colour, compression, filter, interlace] = body.subarray(8);
  if (width === 0 || height === 0 || !colourTypes[colour]?.depths.includes(depth) || compression + filter > 0 || interlace > 1)
    throw fault(
      name,
      'png-header',
      `${width}×${height}, ${depth} bits, colour type ${colour}, methods ${compression} ${filter} ${interlace}`,
      'a valid picture header',
      again,
    );
  if (width * height > mostPixels || Math.max(width, height) > longestSide)
    throw fault(
      name,
      'png-too-large',
      `${width}×${height} pixels`,
      `at most ${mostPixels} pixels and ${longestSide} along a side`,
      'Cut the picture into tiles.',
    );
  return { width, height, depth, colour, interlaced: interlace === 1 };
}

function checkPalette(body: Uint8Array, { colour, depth }: Header, late: boolean, name: string): void {
  const entries = body.length / 3;
  if (late) throw damaged(name, 'a second or late PLTE');
  if (colour === 0 || colour === 4) throw damaged(name, 'PLTE in a grey picture');
  if (!Number.isInteger(entries) || entries < 1 || entries > (colour === 3 ? 2 ** depth : 256))
    throw damaged(name, `a palette of ${body.length} bytes for ${depth} bits`);
}

/** Transparency is left away, but must be valid as libpng and Pillow ask. */
function checkTransparency(body: Uint8Array, { colour }: Header, entries: number, late: boolean, name: string): void {
  const valid = { 0: body.length === 2, 2: body.length === 6, 3: body.length >= 1 && body.length <= entries }[colour] ?? false;
  if (late || !valid) throw damaged(name, `transparency of ${body.length} bytes for colour type ${colour}`);
}

/** Bytes of the unpacked rows, each with its filter; an interlaced picture has seven smaller ones. */
function sizeOf({ width, height, depth, colour, interlaced }: Header): number {
  const bits = colourTypes[colour].samples * depth;
  const size = (w: number, h: number) => (w > 0 ? h * (Math.ceil((w * bits) / 8) + 1) : 0);
  if (!interlaced) return size(width, height);
  const passes = [
    [0, 8, 0, 8],
    [4, 8, 0, 8],
    [0, 4, 4, 8],
    [2, 4, 0, 4],
    [0, 2, 2, 4],
    [1, 2, 0, 2],
    [0, 1, 1, 2],
  ];
  return passes.reduce((sum, [x, dx, y, dy]) => sum + size(Math.ceil((width - x) / dx), Math.ceil((height - y) / dy)), 0);
}

/** Exactly the rows declared; more than that plus 64 MiB, or less, is refused. */
function inflate(packed: Uint8Array, declared: number, name: string): Uint8Array {
  const expected = `${declared} bytes of pixels`;
  if (declared > largestRatio * packed.length)
    throw fault(
      name,
      'png-cut',
      `${packed.length} bytes of packed pixels`,
      expected,
      'The picture is cut or damaged; fetch it again.',
    );
  let raw: Uint8Array;
  try {
    raw = zlib.inflateSync(packed, { maxOutputLength: declared + slack });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_BUFFER_TOO_LARGE') throw damaged(name, (error as Error).message);
    throw fault(name, 'png-too-large', `more than ${declared + slack} bytes when expanded`, expected, again);
  }
  if (raw.length < declared) throw fault(name, 'png-cut', `${raw.length} bytes when expanded`, expected, again);
  return raw.subarray(0, declared);
}

function chunk(type: string, body: Uint8Array = new Uint8Array(0)): Buffer {
  const out = Buffer.alloc(12 + body.length);
  out.writeUInt32BE(body.length, 0);
  out.write(type, 4, 'latin1');
  out.set(body, 8);
  out.writeUInt32BE(zlib.crc32(out.subarray(4, 8 + body.length)), 8 + body.length);
  return out;
}

const again = 'Fetch the file again.';
const damaged = (name: string, what: string) =>
  fault(name, 'png-damaged', `a damaged picture (${what})`, 'a whole PNG file', again);
const fault = (name: string, code: string, given: string, expected: string, fix: string) =>
  new VoxelbookError(`${name} cannot be read`, { code, path: name, given, expected, fix });

/** A picture: rows of pixels, channels last. */
export interface Picture {
  data: Uint8Array | Uint8ClampedArray | Uint16Array;
  width: number;
  height: number;
  channels: number;
}

/** Writes a picture of uint8 or uint16 with 1 to 4 channels. */
export function writePng(file: string, { data, width, height, channels }: Picture): void {
  const colorType = ([0, 4, 2, 6] as const)[channels - 1];
  const png = new PNG({ width, height });
  // pngjs reads 16-bit samples from the beginning of the memory they lie in.
  const own = data instanceof Uint16Array ? data.slice() : data;
  png.data = Buffer.from(own.buffer, own.byteOffset, own.byteLength);
  const bitDepth = data instanceof Uint16Array ? 16 : 8;
  const inputHasAlpha = channels % 2 === 0;
  const options = { bitDepth, colorType, inputColorType: colorType, inputHasAlpha, deflateLevel: 6, deflateStrategy: 0 } as const;
  atomicWrite(file, PNG.sync.write(png, options));
}

/** A volume of depth 1 as a picture. @throws VoxelbookError for volumes a PNG cannot hold. */
export function pictureOf(volume: Volume, name = 'this volume'): Picture {
  const { data, shape, channels } = volume;
  if (shape[0] !== 1 || channels > 4 || !(data instanceof Uint8Array || data instanceof Uint16Array))
    throw new VoxelbookError(`${name} cannot be written`, {
      code: 'png-volume',
      path: name,
      given: `${data.constructor.name} of shape ${shape.join('×')} with ${channels} channels`,
      expected: 'a Uint8Array or Uint16Array of depth 1 with 1 to 4 channels',
      fix: 'Write a slice of it, or use NIfTI.',
    });
  return { data, width: shape[2], height: shape[1], channels };
}
