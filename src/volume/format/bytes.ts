// The bytes of a file, read by range, or why they cannot be had.
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../../base/errors.js';

/** A file, or bytes in memory. */
export interface ByteSource {
  name: string;
  /** Bytes in all. */
  size: number;
  /** What `read` gives is nobody else's. */
  owned: boolean;
  /** The bytes from `at` on, at most `length`; fewer where the file ends. */
  read(at: number, length: number): Uint8Array;
}

/** One system call moves at most this many bytes. */
const slice = 2 ** 30;

export const sourceOf = (bytes: Uint8Array, name: string, owned = false): ByteSource => ({
  name,
  size: bytes.length,
  owned,
  read: (at, length) => bytes.subarray(at, at + length),
});

/**
 * Gives a file to `use` and closes it.
 * @throws VoxelbookError for files that are missing, closed to us, or no files (a pipe would wait for ever)
 */
export function withFile<T>(file: string, use: (source: ByteSource) => T): T {
  const descriptor = explained(file, () => {
    if (!fs.statSync(file).isFile()) throw Object.assign(new Error(), { code: 'a folder, pipe or device' });
    return fs.openSync(file, 'r');
  });
  try {
    const { size } = explained(file, () => fs.fstatSync(descriptor));
    const read = (at: number, length: number) => {
      const bytes = allocate(Math.max(0, Math.min(length, size - at)), file);
      let done = 0;
      while (done < bytes.length) {
        const wanted = Math.min(bytes.length - done, slice);
        const found = explained(file, () => fs.readSync(descriptor, bytes, done, wanted, at + done));
        if (found === 0) break;
        done += found;
      }
      return done === bytes.length ? bytes : bytes.subarray(0, done);
    };
    return use({ name: file, size, owned: true, read });
  } finally {
    fs.closeSync(descriptor);
  }
}

/** The whole file. */
export const readBytes = (file: string): Buffer =>
  withFile(file, (source) => {
    const bytes = source.read(0, source.size);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  });

/** Zeros in memory of their own. @throws VoxelbookError for more than this Node holds in one array */
export function allocate(length: number, name: string): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch {
    throw tooLarge(name, `${length} bytes`);
  }
}

export const tooLarge = (name: string, given: string) =>
  new VoxelbookError(`${name} cannot be read`, {
    code: 'too-large',
    path: name,
    given,
    expected: `no more than Node ${process.version} holds in one array`,
    fix: 'Cut the image into parts, store it in a smaller number type, or use a newer Node.',
  });

function explained<T>(file: string, read: () => T): T {
  try {
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
