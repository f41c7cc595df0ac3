// PNG pictures in and out (fast-png), after our own look at the sizes they claim.
import zlib from 'node:zlib';
import { decode, encode } from 'fast-png';
import { atomicWrite } from '../../base/atomicWrite.js';
import { VoxelbookError } from '../../base/errors.js';
import { identityDirection, type Volume } from '../volume.js';
import { readBytes } from './bytes.js';
import { slack } from './gzip.js';

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const channelsOf: Record<number, number> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/**
 * Reads a PNG as nnU-Net's NaturalImage2DIO does.
 * @returns shape `[1, height, width]`, 1, 2, 3 or 4 channels (a palette is expanded to colours, without its transparency), uint8 or uint16
 *   (one bit: 0 and 1); spacing `[999, 1, 1]` mm
 * @throws VoxelbookError for damaged files and for pictures whose data is larger than the size they claim
 */
export function readPng(file: string): Volume<Uint8Array | Uint16Array> {
  return decodePng(readBytes(file), file);
}

/** Decodes PNG bytes. */
export function decodePng(bytes: Uint8Array, name = 'PNG'): Volume<Uint8Array | Uint16Array> {
  checkSizes(bytes, name);
  let picture: ReturnType<typeof decode>;
  try {
    picture = decode(bytes);
  } catch (error) {
    throw fault(
      name,
      'png-damaged',
      `a damaged picture (${(error as Error).message})`,
      'a whole PNG file',
      'Fetch the file again.',
    );
  }
  const { width, height } = picture;
  let { channels } = picture;
  let data = (picture.depth === 16 ? Uint16Array.from(picture.data) : Uint8Array.from(picture.data)) as Uint8Array | Uint16Array;
  if (picture.depth < 8) data = unpackBits(data, width, height, picture.depth, data.length);
  if (picture.palette) {
    const colours = picture.palette;
    channels = 3;
    const out = new Uint8Array(width * height * channels);
    for (let i = 0; i < width * height; i++)
      for (let c = 0; c < channels; c++) out[i * channels + c] = colours[Math.min(data[i], colours.length - 1)][c];
    data = out;
  } else if (picture.depth < 8) {
    const full = picture.depth === 1 ? 1 : 255 / (2 ** picture.depth - 1);
    for (let i = 0; i < data.length; i++) data[i] *= full;
  }
  return {
    data,
    shape: [1, height, width],
    channels,
    spacingMm: [999, 1, 1],
    originMm: [0, 0, 0],
    direction: [...identityDirection],
  };
}

/** Samples of 1, 2 or 4 bits, rows padded to bytes; passes through data that already has one entry per pixel. */
function unpackBits(data: Uint8Array | Uint16Array, width: number, height: number, depth: number, length: number): Uint8Array {
  if (length === width * height) return Uint8Array.from(data);
  const out = new Uint8Array(width * height);
  const perByte = 8 / depth;
  const row = Math.ceil(width / perByte);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      out[y * width + x] = (data[y * row + Math.floor(x / perByte)] >> (8 - depth * ((x % perByte) + 1))) & (2 ** depth - 1);
  return out;
}

/** Walks the chunks: the picture must inflate to what its header declares and no more. */
function checkSizes(bytes: Uint8Array, name: string): void {
  if (bytes.length < 33 || signature.some((b, i) => bytes[i] !== b))
    throw fault(name, 'png-signature', 'no PNG signature', 'a PNG file', 'Check the file ending.');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const width = view.getUint32(16);
  const height = view.getUint32(20);
  const depth = bytes[24];
  const channels = channelsOf[bytes[25]];
  if (width === 0 || height === 0 || !channels || ![1, 2, 4, 8, 16].includes(depth))
    throw fault(
      name,
      'png-header',
      `${width}×${height}, ${depth} bits, colour type ${bytes[25]}`,
      'a valid picture header',
      'Fetch the file again.',
    );
  const declared = height * (Math.ceil((width * channels * depth) / 8) + 1);
  if (declared > 2 ** 31)
    throw fault(name, 'png-too-large', `${width}×${height} pixels`, 'at most 2 GiB of pixels', 'Cut the picture into tiles.');
  const parts: Uint8Array[] = [];
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    if (at + 12 + length > bytes.length)
      throw fault(name, 'png-cut', 'a picture cut short', 'a whole PNG file', 'Fetch the file again.');
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (type === 'IDAT') parts.push(bytes.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  try {
    zlib.inflateSync(Buffer.concat(parts), { maxOutputLength: declared + slack });
  } catch (error) {
    const large = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
    const given = large ? `more than ${declared + slack} bytes when expanded` : `a damaged picture (${(error as Error).message})`;
    throw fault(name, large ? 'png-too-large' : 'png-damaged', given, `${declared} bytes of pixels`, 'Fetch the file again.');
  }
}

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
  const depth = data instanceof Uint16Array ? 16 : 8;
  atomicWrite(file, encode({ width, height, data, depth, channels: channels as 1 | 2 | 3 | 4 }));
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
