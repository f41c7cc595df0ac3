// TIFF pictures and stacks out: a page a slice, each one strip packed with deflate. Source: TIFF 6.0; spacing beside a stack as in nnU-Net's Tiff3DIO.
import zlib from 'node:zlib';
import { atomicWrite, atomicWriteJson } from '../../base/atomicWrite.js';
import { VoxelbookError } from '../../base/errors.js';
import { encodeNumbers, numberTypeOf } from '../dtype.js';
import { checkLength, type Volume } from '../volume.js';

/**
 * Writes a volume of any number type and up to four channels; of several slices the spacing goes into `<name>.json` beside it.
 * @throws VoxelbookError for more channels, and for more than 2 GiB
 */
export function writeTiff(file: string, volume: Volume): void {
  checkLength(volume);
  const { data, shape, channels, spacingMm } = volume;
  if (channels > 4 || data.byteLength > 2 ** 31)
    throw new VoxelbookError(`${file} cannot be written`, {
      code: 'tiff-volume',
      path: file,
      given: `${shape.join('×')} with ${channels} channels`,
      expected: 'at most four channels and 2 GiB',
      fix: 'Use .nii.gz, .nrrd or .mha.',
    });
  if (shape[0] > 1) atomicWriteJson(file.replace(/\.tiff?$/i, '.json'), { spacing: spacingMm });
  atomicWrite(file, tiffParts(volume));
}

/** The file piece by piece: a header, then every page's strip and directory, each directory naming the next. */
function tiffParts({ data, shape: [depth, height, width], channels }: Volume): Buffer[] {
  const bits = new Array(channels).fill(8 * data.BYTES_PER_ELEMENT);
  const format = { u: 1, i: 2, f: 3 }[numberTypeOf(data)[0]]!;
  const length = height * width * channels;
  const header: Buffer = Buffer.from([0x49, 0x49, 42, 0, 0, 0, 0, 0]);
  const parts = [header];
  let at = 8;
  let [link, place] = [header, 4];
  for (let page = 0; page < depth; page++) {
    const strip = zlib.deflateSync(encodeNumbers(data.subarray(page * length, (page + 1) * length)), { level: 6 });
    const entries: [tag: number, type: number, values: number[]][] = [
      [256, 4, [width]],
      [257, 4, [height]],
      [258, 3, bits],
      [259, 3, [8]],
      [262, 3, [channels > 2 ? 2 : 1]],
      [273, 4, [at]],
      [277, 3, [channels]],
      [278, 4, [height]],
      [279, 4, [strip.length]],
      ...(channels % 2 === 0 ? [[338, 3, [0]] as [number, number, number[]]] : []),
      [339, 3, new Array(channels).fill(format)],
    ];
    // Directories begin at even bytes.
    const start = at + strip.length + (strip.length % 2);
    const directory = directoryOf(entries, start);
    link.writeUInt32LE(start, place);
    [link, place] = [directory, 2 + 12 * entries.length];
    parts.push(strip, Buffer.alloc(strip.length % 2), directory);
    at = start + directory.length;
  }
  return parts;
}

/** A directory that begins at byte `start`; values that do not fit into an entry follow it. */
function directoryOf(entries: [tag: number, type: number, values: number[]][], start: number): Buffer {
  const size = 2 + 12 * entries.length + 4;
  const longer = entries.map(([, type, values]) => (type === 3 && values.length > 2 ? 2 * values.length : 0));
  const out = Buffer.alloc(size + longer.reduce((a, b) => a + b, 0));
  out.writeUInt16LE(entries.length, 0);
  let free = size;
  entries.forEach(([tag, type, values], i) => {
    const entry = 2 + 12 * i;
    out.writeUInt16LE(tag, entry);
    out.writeUInt16LE(type, entry + 2);
    out.writeUInt32LE(values.length, entry + 4);
    if (longer[i] > 0) out.writeUInt32LE(start + free, entry + 8);
    const to = longer[i] > 0 ? free : entry + 8;
    values.forEach((v, k) => {
      if (type === 3) out.writeUInt16LE(v, to + 2 * k);
      else out.writeUInt32LE(v, to + 4 * k);
    });
    free += longer[i];
  });
  return out;
}
