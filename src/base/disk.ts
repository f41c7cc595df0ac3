// Space on a disk before work starts: what will be written is forecast, and what does not fit is refused with the folder and the figure.
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from './errors.js';

/** Bytes an ordinary user may still write below a folder, which need not be there yet. */
export function freeDiskBytes(folder: string): number {
  let at = path.resolve(folder);
  while (!fs.existsSync(at) && path.dirname(at) !== at) at = path.dirname(at);
  const { bavail, bsize } = fs.statfsSync(at);
  return bavail * bsize;
}

const gb = (bytes: number) => (bytes < 1e7 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e9).toFixed(2)} GB`);

/**
 * Refuses work that would fill the disk.
 * @param needed bytes it will write
 * @param what what they are, for the message: `checkpoints`
 * @param elsewhere how another folder is chosen: `set VOXELBOOK_RUNS to a larger disk`
 */
export function refuseIfDiskTooSmall(
  folder: string,
  needed: number,
  { what, elsewhere, free = freeDiskBytes(folder) }: { what: string; elsewhere: string; free?: number },
): void {
  if (needed <= free) return;
  throw new VoxelbookError('this does not fit on the disk', {
    code: 'too-little-disk',
    path: folder,
    given: `about ${gb(needed)} to write (${what})`,
    expected: `at most the ${gb(free)} that are free`,
    fix: `Free some space, or ${elsewhere}.`,
  });
}
