// The bytes of a file, or why they cannot be had.
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../../base/errors.js';

/** @throws VoxelbookError for files that are missing, closed to us, above 2 GiB, or no files (a pipe would wait for ever) */
export function readBytes(file: string): Buffer {
  return explained(file, () => fs.readFileSync(file));
}

/** The first `length` bytes; fewer where the file has fewer. */
export function readStart(file: string, length: number): Buffer {
  return explained(file, () => {
    const descriptor = fs.openSync(file, 'r');
    try {
      const start = Buffer.alloc(Math.min(length, fs.fstatSync(descriptor).size));
      return start.subarray(0, fs.readSync(descriptor, start, 0, start.length, 0));
    } finally {
      fs.closeSync(descriptor);
    }
  });
}

function explained<T>(file: string, read: () => T): T {
  try {
    if (!fs.statSync(file).isFile()) throw Object.assign(new Error(), { code: 'a folder, pipe or device' });
    return read();
  } catch (error) {
    throw new VoxelbookError(`${file} cannot be read`, {
      code: 'file-unreadable',
      path: file,
      given: (error as NodeJS.ErrnoException).code ?? String(error),
      expected: 'a readable file',
      fix: 'Check that the file exists and may be read.',
    });
  }
}

/**
 * The file that a header names as the place of its voxels: one beside the header, nowhere else.
 * @throws VoxelbookError for names with a folder in them
 */
export function fileBeside(header: string, name: string): string {
  if (name !== '' && name !== '.' && name !== '..' && !/[/\\\0]/.test(name)) return path.join(path.dirname(header), name);
  throw new VoxelbookError(`${header} cannot be read`, {
    code: 'data-file-elsewhere',
    path: header,
    given: `voxels in ${JSON.stringify(name)}`,
    expected: 'the name of a file in the same folder',
    fix: 'Put the file beside its header and its bare name into the header, or store both in one file.',
  });
}
