// TIFF pictures and stacks in (tiff), after our own look at what they claim.
import fs from 'node:fs';
import zlib from 'node:zlib';
import { decode, type TiffIfd } from 'tiff';
import { VoxelbookError } from '../base/errors.js';
import { slack } from './gzip.js';
import { identityDirection, type Volume, type VoxelArray } from './volume.js';

const deflate = [8, 32946];

/**
 * Reads a TIFF file: one page as a picture (nnU-Net's NaturalImage2DIO, spacing `[999, 1, 1]`), several as a stack (Tiff3DIO: spacing from
 * `<case>.json` {"spacing": [3]} beside the image, else 1 mm).
 * @throws VoxelbookError for damaged files, unlike pages, and data larger than declared
 */
export function readTiff(file: string): Volume {
  const volume = decodeTiff(fs.readFileSync(file), file);
  const side = file.replace(/(_\d{4})?\.tiff?$/, '.json');
  if (volume.shape[0] > 1 && side !== file && fs.existsSync(side)) {
    const { spacing } = JSON.parse(fs.readFileSync(side, 'utf8')) as { spacing?: unknown };
    if (!Array.isArray(spacing) || spacing.length !== 3 || !spacing.every((s) => Number.isFinite(s) && s > 0))
      throw fault(
        side,
        'tiff-spacing',
        JSON.stringify(spacing) ?? 'missing',
        'three numbers above 0 as "spacing"',
        'Mend the file.',
      );
    volume.spacingMm = spacing as Volume['spacingMm'];
  }
  return volume;
}

/** Decodes TIFF bytes. */
export function decodeTiff(bytes: Uint8Array, name = 'TIFF'): Volume {
  let pages: TiffIfd[];
  try {
    checkSizes(decode(bytes, { ignoreImageData: true }), bytes, name);
    pages = decode(bytes);
  } catch (error) {
    if (error instanceof VoxelbookError) throw error;
    throw fault(
      name,
      'tiff-damaged',
      `a damaged or unsupported picture (${(error as Error).message})`,
      'a TIFF file',
      'Save it as uncompressed TIFF or PNG.',
    );
  }
  const [{ width, height, data: first }] = pages;
  const channels = first.length / (width * height);
  if (
    !Number.isInteger(channels) ||
    pages.some((p) => p.width !== width || p.height !== height || p.data.length !== first.length)
  )
    throw fault(
      name,
      'tiff-pages',
      `${pages.length} pages that are not alike`,
      'pages of one size',
      'Export the stack again without preview pages.',
    );
  const all = new (first.constructor as new (n: number) => VoxelArray)(first.length * pages.length);
  pages.forEach((page, i) => {
    all.set(page.data as Uint8Array, i * first.length);
  });
  return {
    data: all,
    shape: [pages.length, height, width],
    channels,
    spacingMm: pages.length > 1 ? [1, 1, 1] : [999, 1, 1],
    originMm: [0, 0, 0],
    direction: [...identityDirection],
  };
}

/** Every strip must expand to no more than the pictures declare. */
function checkSizes(pages: TiffIfd[], bytes: Uint8Array, name: string): void {
  let declared = 0;
  for (const page of pages) {
    const depth = page.bitsPerSample;
    declared += Math.ceil((page.width * page.height * page.samplesPerPixel * depth) / 8);
    if (!(page.width > 0 && page.height > 0 && declared <= 2 ** 31))
      throw fault(
        name,
        'tiff-too-large',
        `${page.width}×${page.height} pixels, ${pages.length} pages`,
        'at most 2 GiB of pixels',
        'Cut the picture into tiles.',
      );
  }
  for (const page of pages.filter((p) => deflate.includes(p.compression))) {
    const [offsets, counts] = page.tiled ? [page.tileOffsets, page.tileByteCounts] : [page.stripOffsets, page.stripByteCounts];
    offsets.forEach((offset, i) => {
      try {
        zlib.inflateSync(bytes.subarray(offset, offset + counts[i]), { maxOutputLength: declared + slack });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ERR_BUFFER_TOO_LARGE') throw error;
        throw fault(
          name,
          'tiff-too-large',
          `more than ${declared + slack} bytes when expanded`,
          `${declared} bytes of pixels`,
          'Fetch the file again.',
        );
      }
    });
  }
}

const fault = (name: string, code: string, given: string, expected: string, fix: string) =>
  new VoxelbookError(`${name} cannot be read`, { code, path: name, given, expected, fix });
