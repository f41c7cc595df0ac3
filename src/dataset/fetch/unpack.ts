// Archives from outside, tar and zip: unpacked into a folder that gets its name when all is there.
//
// Only files and folders with names inside the archive are written. Links, devices, absolute names, `..`, two files of one name, more
// entries or bytes than the archive's own size lets expect: refused by name, and nothing is left.
import fs from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import zlib from 'node:zlib';
import tar from 'tar-stream';
import yauzl from 'yauzl';
import { temporaryName } from '../../base/atomicWrite.js';
import { refuseIfDiskTooSmall } from '../../base/disk.js';
import { failedOn, VoxelbookError } from '../../base/errors.js';
import type { WorkOptions } from '../../base/progress.js';

export interface UnpackOptions extends WorkOptions {
  /** Files and folders that an archive may hold. */
  mostEntries?: number;
  /** How often its own bytes an archive may hold, besides 64 MiB. Images in it are compressed already. */
  growth?: number;
}

interface Entry {
  name: string;
  /** `file`, `directory`, or what else the archive says it is. */
  type: string;
  size: number;
}

/** What is written so far, and whether an entry may be. */
class Target {
  private readonly seen = new Set<string>();
  private entries = 0;
  private bytes = 0;
  private readonly most: number;
  private readonly mostEntries: number;

  constructor(
    private readonly archive: string,
    readonly folder: string,
    { growth = 16, mostEntries = 500_000 }: UnpackOptions,
  ) {
    this.most = growth * fs.statSync(archive).size + (64 << 20);
    this.mostEntries = mostEntries;
  }

  /** Where an entry goes; undefined for folders, which are made, and for what macOS leaves. */
  place(entry: Entry): string | undefined {
    const name = entry.name.replace(/\/+$/, '');
    this.entries++;
    this.bytes += entry.size;
    if (this.entries > this.mostEntries)
      this.refuse('archive-size', name, `entry ${this.entries}`, `at most ${this.mostEntries} entries`);
    if (this.bytes > this.most)
      this.refuse(
        'archive-size',
        name,
        `${this.bytes} bytes unpacked so far`,
        `at most ${this.most} from an archive of this size`,
      );
    if (entry.type !== 'file' && entry.type !== 'directory')
      this.refuse('archive-entry', name, `a ${entry.type}`, 'files and folders alone');
    const parts = name.split('/').filter((part) => part !== '.');
    const bad = parts.some((part) => part === '' || part === '..' || Buffer.byteLength(part) > 255 || /[\p{Cc}\\]/u.test(part));
    if (parts.length === 0 || /^[A-Za-z]:/.test(name) || (bad && name !== '.') || Buffer.byteLength(name) > 2000)
      if (!(entry.type === 'directory' && parts.length === 0))
        this.refuse(
          'archive-name',
          JSON.stringify(entry.name),
          'a name that leaves the folder or is none',
          'names inside the archive',
        );
    if (parts.length === 0 || parts[0] === '__MACOSX' || parts.at(-1)!.startsWith('._')) return undefined;
    const file = path.join(this.folder, ...parts);
    if (entry.type === 'directory') {
      fs.mkdirSync(file, { recursive: true });
      return undefined;
    }
    if (this.seen.has(file)) this.refuse('archive-name', name, 'two files of this name', 'every name once');
    this.seen.add(file);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    return file;
  }

  refuse(code: string, where: string, given: string, expected: string): never {
    throw new VoxelbookError(`${path.basename(this.archive)} was not unpacked`, {
      code,
      path: `${this.archive} ${where}`,
      given,
      expected,
      fix: 'Do not use this archive: it is not as its publisher makes it.',
    });
  }
}

/**
 * Unpacks an archive. Progress is in bytes of the archive (zip: of its entries).
 * @param folder the folder inside the archive, or everything in it; appears when it is complete
 * @param to where that folder goes
 * @throws VoxelbookError for what is no such archive, cut short, or hostile
 */
export async function unpack(
  archive: string,
  kind: 'tar' | 'zip',
  folder: string,
  to: string,
  options: UnpackOptions = {},
): Promise<void> {
  const temporary = temporaryName(to);
  fs.mkdirSync(temporary, { recursive: true });
  try {
    const target = new Target(archive, temporary, options);
    if (kind === 'tar') await unpackTar(archive, target, options);
    else await unpackZip(archive, target, options);
    const inside = path.join(temporary, folder);
    if (!fs.existsSync(inside))
      target.refuse(
        'archive-layout',
        folder,
        `no such folder; ${fs.readdirSync(temporary).slice(0, 5).join(', ') || 'nothing'}`,
        folder,
      );
    fs.renameSync(inside, to);
  } catch (error) {
    throw failedOn(archive, error, 'write', { kept: 'the archive is kept' });
  } finally {
    fs.rmSync(temporary, { recursive: true, force: true });
  }
}

const damaged = (archive: string, error: unknown) =>
  new VoxelbookError(`${path.basename(archive)} cannot be unpacked`, {
    code: 'archive',
    path: archive,
    given: (error as Error).message,
    expected: 'a whole archive',
    fix: 'Delete it and fetch it again.',
  });

async function unpackTar(archive: string, target: Target, { signal, onProgress }: UnpackOptions): Promise<void> {
  const total = fs.statSync(archive).size;
  const from = fs.createReadStream(archive, { highWaterMark: 1 << 20 });
  let done = 0;
  from.on('data', (chunk) => {
    done += chunk.length;
  });
  const extract = tar.extract();
  const reading = pipeline(from, extract, { signal }).catch((error) => {
    if (!extract.destroyed) extract.destroy(error as Error);
    throw error;
  });
  // Its failure is the loop's; nobody else hears of it.
  reading.catch(() => {});
  try {
    for await (const entry of extract) {
      const { name, type, size = 0 } = entry.header;
      onProgress?.({ what: `unpack ${path.basename(archive)}`, done: Math.min(done, total), total, etaSeconds: null });
      const file = target.place({ name, type: type === 'contiguous-file' ? 'file' : (type ?? 'file'), size });
      if (file) await write(entry as unknown as Readable, file, signal);
      else entry.resume();
    }
    await reading;
  } catch (error) {
    throw ours(error, signal) ? error : damaged(archive, error);
  } finally {
    extract.destroy();
    from.destroy();
  }
}

const ours = (error: unknown, signal?: AbortSignal) =>
  signal?.aborted || error instanceof VoxelbookError || /^E[A-Z]+$/.test((error as NodeJS.ErrnoException).code ?? '');

const write = (from: Readable, file: string, signal?: AbortSignal) =>
  pipeline(from, fs.createWriteStream(file, { flags: 'wx', mode: 0o644 }), { signal });

/** Unix puts the kind of a file into the upper half of its mode. */
const kinds = new Map([
  [0, 'file'],
  [0o100000, 'file'],
  [0o040000, 'directory'],
  [0o120000, 'symbolic link'],
]);

async function unpackZip(archive: string, target: Target, { signal, onProgress }: UnpackOptions): Promise<void> {
  try {
    const zip = await yauzl.openPromise(archive, { autoClose: false, validateEntrySizes: true, strictFileNames: true });
    try {
      // What the directory says first of all: a bomb is refused before a byte of it is written.
      const entries: yauzl.Entry[] = [];
      let total = 0;
      for await (const entry of zip.eachEntry()) {
        signal?.throwIfAborted();
        entries.push(entry);
        total += entry.uncompressedSize;
        if (entries.length > 1_000_000) target.refuse('archive-size', entry.fileName, 'a million entries', 'fewer');
      }
      const places = entries.map((entry) => ({ entry, file: target.place(entryOf(entry)) }));
      const what = `${path.basename(archive)}, unpacked`;
      refuseIfDiskTooSmall(target.folder, total, { what, elsewhere: 'choose a folder on a larger disk with --downloads' });
      let done = 0;
      for (const { entry, file } of places) {
        signal?.throwIfAborted();
        onProgress?.({ what: `unpack ${path.basename(archive)}`, done, total: Math.max(1, total), etaSeconds: null });
        done += entry.uncompressedSize;
        if (!file) continue;
        if (entry.isEncrypted()) target.refuse('archive-entry', entry.fileName, 'an encrypted entry', 'plain ones');
        const stream = await zip.openReadStreamPromise(entry);
        let crc = 0;
        stream.on('data', (chunk: Buffer) => {
          crc = zlib.crc32(chunk, crc);
        });
        await write(stream, file, signal);
        if (crc !== entry.crc32)
          throw new Error(`${entry.fileName}: CRC-32 ${crc.toString(16)}, not ${entry.crc32.toString(16)}`);
      }
    } finally {
      zip.close();
    }
  } catch (error) {
    throw ours(error, signal) ? error : damaged(archive, error);
  }
}

function entryOf({ fileName, uncompressedSize, externalFileAttributes, versionMadeBy }: yauzl.Entry): Entry {
  const mode = versionMadeBy >>> 8 === 3 ? (externalFileAttributes >>> 16) & 0o170000 : 0;
  const type = kinds.get(mode) ?? 'special file';
  return { name: fileName, type: fileName.endsWith('/') && type === 'file' ? 'directory' : type, size: uncompressedSize };
}
