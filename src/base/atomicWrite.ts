// Files appear whole or not at all: written under a temporary name, every byte counted, synced, renamed, folder synced.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { threadId } from 'node:worker_threads';
import { crc32, sha256 } from './checksum.js';
import { failedOn, VoxelbookError } from './errors.js';

const here = sha256(os.hostname()).slice(0, 6);

let written = 0;
/**
 * A name for a file while it is being written: it says by which thread of which process on which machine, and no two are the same, so
 * that a sweep that judged one never removes the next.
 */
export const temporaryName = (file: string) => `${file}.${here}-${threadId}-${written++}.${process.pid}.tmp`;
const temporaryPattern = /(?:\.([0-9a-f]{6})-\d+-\d+)?\.(\d+)\.tmp$/;

/** Hours after which another machine's temporary file counts as left behind. */
const remoteHours = 1;

/**
 * Writes `chunks` to `file` atomically. A file that stood there before stays intact on any failure.
 * @throws VoxelbookError with the bytes needed and free when the disk is full, and for read-only or missing folders, failing disks and
 *   file servers
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
        // One call writes less than 2 GiB.
        const written = fs.writeSync(descriptor, part, offset, Math.min(part.byteLength - offset, 2 ** 30));
        if (written === 0) throw Object.assign(new Error('nothing more could be written'), { code: 'ENOSPC' });
        offset += written;
      }
    }
    fs.fsyncSync(descriptor);
    const size = fs.fstatSync(descriptor).size;
    if (size !== needed) throw Object.assign(new Error(`${size} of ${needed} bytes written`), { code: 'ENOSPC' });
    // Still open while it is renamed: whoever sweeps sees by that that it is not left behind.
    fs.renameSync(temporary, file);
    syncFolder(path.dirname(file));
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw failedOn(file, error, 'write', { needed, kept: 'the file that stood there before is unchanged' });
  } finally {
    if (descriptor !== undefined) closeQuietly(descriptor);
  }
}

/** Everything that can go wrong was already met by fsync. */
function closeQuietly(descriptor: number): void {
  try {
    fs.closeSync(descriptor);
  } catch {
    // The file is whole, or gone.
  }
}

/** `atomicWrite` of a value as indented JSON. */
export const atomicWriteJson = (file: string, value: unknown) => atomicWrite(file, `${JSON.stringify(value, null, 2)}\n`);

/**
 * As `atomicWriteJson`, with a checksum in it that `readSealedJson` asks for. That there is one stands in it too: else a flipped bit in
 * the word `checksum` would take it away.
 */
export function atomicWriteSealedJson(file: string, value: object): void {
  const { checksum: _old, sealed: _seal, ...rest } = value as { checksum?: unknown; sealed?: unknown };
  const content = { sealed: true, ...rest };
  atomicWriteJson(file, { ...content, checksum: crc32(JSON.stringify(content)) });
}

/**
 * Reads JSON written by `atomicWriteSealedJson`; a file without a checksum (of an earlier version, or by hand) is taken as it is.
 * @returns undefined when there is no such file
 * @throws VoxelbookError when it is damaged
 */
export function readSealedJson<T extends object>(file: string): T | undefined {
  let text: string;
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw failedOn(file, error, 'read');
  }
  const damaged = (given: string) =>
    new VoxelbookError(`${file} is damaged`, {
      code: 'checksum',
      path: file,
      given,
      expected: 'the content as it was written',
      fix: 'Delete it: it is made again.',
    });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw damaged((error as Error).message);
  }
  if (typeof value !== 'object' || value === null) throw damaged(`JSON of type ${typeof value}`);
  // `true` at the beginning is the seal's, whatever flipped bits have made of both names.
  const first = Object.values(value)[0];
  if (!('checksum' in value) && !('sealed' in value) && first !== true) return value as T;
  const { checksum, ...content } = value as { checksum?: unknown; sealed?: unknown };
  if (checksum !== crc32(JSON.stringify(content))) throw damaged('a checksum that does not fit the content');
  const { sealed: _, ...own } = content;
  return own as T;
}

/** Removes what dead processes left half-written in a folder (not below it); a living writer's files stay. */
export function sweepTemporaryFiles(folder: string): void {
  for (const name of fs.readdirSync(folder)) {
    const found = temporaryPattern.exec(name);
    const file = path.join(folder, name);
    if (found && !isBeingWritten(file, found[1] ?? here, Number(found[2]))) fs.rmSync(file, { force: true });
  }
}

function isBeingWritten(file: string, host: string, pid: number): boolean {
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  if (!stat) return false;
  if (host !== here) return Date.now() - stat.mtimeMs < remoteHours * 3_600_000;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  // The number may be another process's by now: a writer has the file open. Where that cannot be seen, a living number counts.
  try {
    const open = fs.readdirSync(`/proc/${pid}/fd`).map((fd) => fs.statSync(`/proc/${pid}/fd/${fd}`, { throwIfNoEntry: false }));
    return open.some((s) => s?.ino === stat.ino && s.dev === stat.dev);
  } catch {
    return true;
  }
}

function syncFolder(folder: string): void {
  const descriptor = fs.openSync(folder, 'r');
  try {
    fs.fsyncSync(descriptor);
  } finally {
    fs.closeSync(descriptor);
  }
}
