// A NIfTI file that was dropped onto the page: its header alone, or whole.
import { VoxelbookError } from '../../base/errors.js';
import { sourceOf } from '../../volume/format/bytes.js';
import { longestHeader, type NiftiHeader, readNiftiHeader } from '../../volume/format/niftiHeader.js';
import { voxelBytes, voxelsOf } from '../../volume/format/niftiVoxels.js';
import type { Volume } from '../../volume/volume.js';

/** What a page is given: a file by its name. */
export type NamedBlob = Blob & { name: string };

/** @throws VoxelbookError for what is no NIfTI file, and for the header of a pair */
export async function headerOf(file: NamedBlob): Promise<NiftiHeader> {
  const header = readNiftiHeader(await bytesOf(file, longestHeader, false), file.name);
  if (header.single) return header;
  throw refused(file, 'the header of a .hdr/.img pair', 'header and voxels in one file', 'Convert it to .nii.gz.');
}

/** @throws VoxelbookError for a file that is damaged, cut short, or holds more than its header says */
export async function volumeOf(file: NamedBlob): Promise<Volume> {
  const header = await headerOf(file);
  return voxelsOf(sourceOf(await niftiBytes(file, header), file.name, true), header);
}

/** The whole file, expanded. @throws VoxelbookError as `volumeOf` */
export const niftiBytes = (file: NamedBlob, header: NiftiHeader): Promise<Uint8Array> =>
  bytesOf(file, header.offset + voxelBytes(header), true);

/**
 * The first bytes of a file, expanded where it is packed; fewer where it ends before.
 * @param whole read on to the end, so that a damaged file is noticed, but keep no more
 */
async function bytesOf(file: NamedBlob, length: number, whole: boolean): Promise<Uint8Array> {
  const start = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  const packed = start[0] === 0x1f && start[1] === 0x8b;
  if (!packed) return new Uint8Array(await file.slice(0, length).arrayBuffer());
  // Deflate codes 258 bytes in two bits at best.
  if (whole && length > 1032 * file.size)
    throw refused(file, `${file.size} packed bytes`, `${length} bytes as the header says`, 'Fetch the file again.');
  const out = new Uint8Array(length);
  let filled = 0;
  let beyond = 0;
  const reader = file.stream().pipeThrough(new DecompressionStream('gzip')).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const room = Math.min(value.length, length - filled);
      out.set(value.subarray(0, room), filled);
      filled += room;
      beyond += value.length - room;
      if ((!whole && filled === length) || beyond > slack) {
        await reader.cancel();
        break;
      }
    }
  } catch (error) {
    throw refused(file, `packed data with a fault (${(error as Error).message})`, 'a whole .nii.gz', 'Fetch the file again.');
  }
  if (beyond > slack)
    throw refused(file, `more than ${length + slack} bytes`, `${length} bytes as the header says`, 'Fetch the file again.');
  return out.subarray(0, filled);
}

/** Bytes a file may hold beyond what its header says. */
const slack = 64 * 2 ** 20;

const refused = (file: NamedBlob, given: string, expected: string, fix: string) =>
  new VoxelbookError(`${file.name} cannot be read`, { code: 'page-image', path: file.name, given, expected, fix });
