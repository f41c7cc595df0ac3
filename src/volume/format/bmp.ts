// BMP pictures in: uncompressed, 8 bits with a palette, 24 or 32 bits. Enough for the microscopy pictures and label maps that come so.
import { VoxelbookError } from '../../base/errors.js';
import { identityDirection, type Volume } from '../volume.js';
import { readBytes } from './bytes.js';

/** Reads a BMP file: `[1, height, width]`, 3 channels, or 1 when the palette is the grey ramp; spacing `[999, 1, 1]` mm. */
export function readBmp(file: string): Volume<Uint8Array> {
  const bytes = readBytes(file);
  const refuse = (given: string): never => {
    throw new VoxelbookError(`${file} cannot be read`, {
      code: 'bmp',
      path: file,
      given,
      expected: 'an uncompressed BMP of 8, 24 or 32 bits',
      fix: 'Save it as PNG.',
    });
  };
  if (bytes.length < 54 || bytes.toString('latin1', 0, 2) !== 'BM') refuse('no BMP header');
  const offset = bytes.readUInt32LE(10);
  const width = bytes.readInt32LE(18);
  const signedHeight = bytes.readInt32LE(22);
  const bits = bytes.readUInt16LE(28);
  const height = Math.abs(signedHeight);
  if (![8, 24, 32].includes(bits) || bytes.readUInt32LE(30) !== 0) refuse(`${bits} bits, compression ${bytes.readUInt32LE(30)}`);
  const row = Math.ceil((width * bits) / 32) * 4;
  if (!(width > 0 && height > 0 && offset + row * height <= bytes.length))
    refuse(`${width}×${signedHeight} in ${bytes.length} bytes`);
  const palette = 14 + bytes.readUInt32LE(14);
  const grey = bits === 8 && isGreyRamp(bytes, palette, bytes.readUInt32LE(46) || 256);
  const channels = grey ? 1 : 3;
  const data = new Uint8Array(width * height * channels);
  for (let y = 0, at = 0; y < height; y++) {
    // Rows run from the bottom unless the height is negative; colours are stored blue, green, red.
    const start = offset + row * (signedHeight > 0 ? height - 1 - y : y);
    for (let x = 0; x < width; x++)
      if (grey) data[at++] = bytes[start + x];
      else
        for (let c = 2; c >= 0; c--)
          data[at++] = bits === 8 ? (bytes[palette + 4 * bytes[start + x] + c] ?? 0) : bytes[start + (x * bits) / 8 + c];
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

/** Colour i is (i, i, i): the picture has one channel, its indices. */
function isGreyRamp(bytes: Buffer, palette: number, colours: number): boolean {
  for (let i = 0; i < colours; i++) for (let c = 0; c < 3; c++) if (bytes[palette + 4 * i + c] !== i) return false;
  return true;
}
