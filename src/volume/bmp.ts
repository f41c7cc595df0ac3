// BMP pictures in: uncompressed, 8 bits with a palette, 24 or 32 bits. Enough for the microscopy pictures that come so.
import fs from 'node:fs';
import { VoxelbookError } from '../base/errors.js';
import { identityDirection, type Volume } from './volume.js';

/** Reads a BMP file: `[1, height, width]`, 3 channels, spacing `[999, 1, 1]` mm. */
export function readBmp(file: string): Volume<Uint8Array> {
  const bytes = fs.readFileSync(file);
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
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, at = 0; y < height; y++) {
    // Rows run from the bottom unless the height is negative; colours are stored blue, green, red.
    const start = offset + row * (signedHeight > 0 ? height - 1 - y : y);
    for (let x = 0; x < width; x++)
      for (let c = 2; c >= 0; c--)
        data[at++] = bits === 8 ? (bytes[palette + 4 * bytes[start + x] + c] ?? 0) : bytes[start + (x * bits) / 8 + c];
  }
  return {
    data,
    shape: [1, height, width],
    channels: 3,
    spacingMm: [999, 1, 1],
    originMm: [0, 0, 0],
    direction: [...identityDirection],
  };
}
