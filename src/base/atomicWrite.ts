// Files appear whole or not at all: written under a temporary name, every byte counted, synced, renamed, folder synced.
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from './errors.js';

/** The name a file has while it is being written; leftovers of a killed process end with this pattern. */
export const temporaryName = (file: string) => `${file}.${process.pid}.tmp`;
const temporaryPattern = /\.\d+\.tmp$/;

/**
 * Writes `chunks` to `file` atomically. A file that stood there before stays intact on any failure.
 * @throws VoxelbookError with the bytes needed and free when the disk is full, and for read-only or missing folders.
 */
export function atomicWrite(file: string, chunks: string | Uint8Array | Iterable<Uint8Array>): void {
  const parts: Iterable<Uint8Array> =
    typeof chunks === 'string' ? [Buffer.from(chunks)] : chunks instanceof Uint8Array ? [chunks] : chunks;
  const temporary = temporaryName(file);
  let needed = 0;
  let descriptor: number | undefined;
  try {
    descriptor = fs.openSync(temporary, 'w');
    for (const part of parts) {
      needed += part.byteLength;
      for (let offset = 0; offset < part.byteLength; ) {
        const written = fs.writeSync(descriptor, part, offset, part.byteLength - offset);
        if (written === 0) throw Object.assign(new Error('nothing more could be written'), { code: 'ENOSPC' });
        offset += written;
      }
    }
    fs.fsyncSync(descriptor);
    const size = fs.fstatSync(descriptor).size;
    if (size !== needed) throw Object.assign(new Error(`${size} of ${needed} bytes written`), { code: 'ENOSPC' });
    fs.closeSync(descriptor);
    descriptor = undefined;
    fs.renameSync(temporary, file);
    syncFolder(path.dirname(file));
  } catch (error) {
    if (descriptor !== undefined) fs.closeSync(descriptor);
    fs.rmSync(temporary, { force: true });
    throw explain(error as NodeJS.ErrnoException, file, needed);
  }
}

/** `atomicWrite` of a value as indented JSON. */
export const atomicWriteJson = (file: string, value: unknown) => atomicWrite(file, `${JSON.stringify(value, null, 2)}\n`);

/** Removes what a killed process left half-written in a folder (not below it). */
export function sweepTemporaryFiles(folder: string): void {
  for (const name of fs.readdirSync(folder)) if (temporaryPattern.test(name)) fs.rmSync(path.join(folder, name), { force: true });
}

function syncFolder(folder: string): void {
  const descriptor = fs.openSync(folder, 'r');
  try {
    fs.fsyncSync(descriptor);
  } finally {
    fs.closeSync(descriptor);
  }
}

function explain(error: NodeJS.ErrnoException, file: string, needed: number): Error {
  const folder = path.dirname(file);
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') {
    const disk = fs.existsSync(folder) ? fs.statfsSync(folder) : undefined;
    const free = disk ? `${disk.bavail * disk.bsize} bytes free` : 'free space unknown';
    return new VoxelbookError(`could not write ${file}`, {
      code: 'disk-full',
      path: file,
      given: free,
      expected: `at least ${needed} bytes`,
      fix: 'Free some space or choose another folder; the file that stood there before is unchanged.',
    });
  }
  const expected = {
    EACCES: 'a writable folder',
    EROFS: 'a writable file system',
    ENOENT: 'an existing folder',
    EPERM: 'a writable folder',
  };
  if (error.code && error.code in expected)
    return new VoxelbookError(`could not write ${file}`, {
      code: 'cannot-write',
      path: file,
      given: `${error.code}: ${error.message}`,
      expected: expected[error.code as keyof typeof expected],
      fix: 'Check that the folder exists and may be written to; the file that stood there before is unchanged.',
    });
  return error;
}
