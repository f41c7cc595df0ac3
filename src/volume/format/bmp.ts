// BMP pictures in, as Pillow reads them: uncompressed, 8 bits with a palette, 24 or 32 bits. Enough for the microscopy pictures and label
// maps that come so; every other kind is refused by name.
import { VoxelbookError } from '../../base/errors.js';
import type { Volume } from '../volume.js';
import { readBytes } from './bytes.js';
import { pictureVolume } from './picture.js';

const fileHeader = 14;
/** Sizes of the headers that begin alike: Windows 3, its successors with masks, versions 4 and 5. */
const headers = [40, 52, 56, 64, 108, 124];
const compressions = ['none', 'RLE8', 'RLE4', 'bit fields', 'JPEG', 'PNG', 'alpha bit fields'];

/** Reads a BMP file: `[1, height, width]`, 3 channels, or 1 when the palette is the grey ramp; spacing `[999, 1, 1]` mm. */
export function readBmp(file: string): Volume<Uint8Array> {
  const bytes = readBytes(file);
  const refuse = (given: string, expected = 'an uncompressed BMP of 8, 24 or 32 bits', fix = 'Save it as PNG.'): never => {
    throw new VoxelbookError(`${file} cannot be read`, { code: 'bmp', path: file, given, expected, fix });
  };
  if (bytes.length < 54 || bytes.toString('latin1', 0, 2) !== 'BM')
    refuse('no BMP header', 'a BMP file', 'Check the file ending.');
  const offset = bytes.readUInt32LE(10);
  const header = bytes.readUInt32LE(14);
  if (!headers.includes(header)) refuse(`a header of ${header} bytes`, `a header of ${headers.join(', ')} bytes`);
  const width = bytes.readInt32LE(18);
  const signedHeight = bytes.readInt32LE(22);
  const bits = bytes.readUInt16LE(28);
  const compression = bytes.readUInt32LE(30);
  if (compression !== 0) refuse(`${compressions[compression] ?? 'another packing'}, ${bits} bits, compression ${compression}`);
  if (![8, 24, 32].includes(bits)) refuse(`${bits} bits`);
  const height = Math.abs(signedHeight);
  const row = Math.ceil((width * bits) / 32) * 4;
  const whole = 'pixels behind the header, none missing';
  if (!(width > 0 && height > 0 && offset + row * height <= bytes.length))
    refuse(
      `${width}×${signedHeight} pixels at byte ${offset} of ${bytes.length}`,
      whole,
      'The file is cut or damaged; fetch it again.',
    );
  const palette = fileHeader + header;
  const colours = bits === 8 ? bytes.readUInt32LE(46) || 256 : 0;
  if (colours > 256) refuse(`a palette of ${colours} colours`, 'at most 256');
  if (offset < palette + 4 * colours)
    refuse(`pixels at byte ${offset}, inside the header`, whole, 'The file is damaged; fetch it again.');
  const colour = (i: number) => bytes.readUIntLE(palette + 4 * i, 3);
  // Pillow takes 8 bits with black, or black and white, for single bits.
  if ((colours === 1 && colour(0) === 0) || (colours === 2 && colour(0) === 0 && colour(1) === 0xffffff))
    refuse(`8 bits with a palette of ${colours === 1 ? 'black' : 'black and white'} alone`);
  const channels = bits === 8 && colours > 2 && isGreyRamp(bytes, palette, colours) ? 1 : 3;
  const data = new Uint8Array(width * height * channels);
  for (let y = 0, at = 0; y < height; y++) {
    // Rows run from the bottom unless the height is negative; colours are stored blue, green, red.
    const start = offset + row * (signedHeight > 0 ? height - 1 - y : y);
    for (let x = 0; x < width; x++) {
      if (channels === 1) {
        data[at++] = bytes[start + x];
        continue;
      }
      const index = bytes[start + x];
      if (bits === 8 && index >= colours) refuse(`colour ${index} of a palette of ${colours}`, 'colours that the palette has');
      const from = bits === 8 ? palette + 4 * index : start + (x * bits) / 8;
      for (let c = 2; c >= 0; c--) data[at++] = bytes[from + c];
    }
  }
  return pictureVolume(data, height, width, channels);
}

/** Colour i is (i, i, i): the picture has one channel, its indices. */
function isGreyRamp(bytes: Buffer, palette: number, colours: number): boolean {
  for (let i = 0; i < colours; i++) for (let c = 0; c < 3; c++) if (bytes[palette + 4 * i + c] !== i) return false;
  return true;
}
