// The part of zip that a PyTorch checkpoint uses: entries looked up in the central directory, stored or deflated, read by range.
//
// Nothing is ever written. Sizes are believed only as far as the file's own length allows: a deflated entry may not grow beyond
// what the directory declares, nor all that is read together beyond `limit`. Every entry's CRC-32 is checked.
import fs from 'node:fs';
import zlib from 'node:zlib';
import { crc32Of } from '../base/checksum.js';
import { VoxelbookError } from '../base/errors.js';

interface ZipEntry {
  name: string;
  method: number;
  crc: number;
  compressed: number;
  size: number;
  /** Where the local header lies. */
  offset: number;
}

/** An open zip file. `close` it. */
export class ZipFile {
  readonly entries = new Map<string, ZipEntry>();
  private readonly descriptor: number;
  private readonly length: number;
  /** Bytes that all entries read together may have. */
  readonly limit: number;
  private taken = 0;

  /** @param growth how often its own bytes an entry may hold: weights hardly deflate, probabilities of 0 and 1 do */
  constructor(
    private readonly file: string,
    private readonly growth = 16,
  ) {
    this.descriptor = fs.openSync(file, 'r');
    try {
      this.length = fs.fstatSync(this.descriptor).size;
      this.limit = growth * this.length + (16 << 20);
      this.readDirectory();
    } catch (error) {
      fs.closeSync(this.descriptor);
      throw error;
    }
  }

  close(): void {
    fs.closeSync(this.descriptor);
  }

  /** The bytes of an entry; `limit` bounds the size that is accepted. */
  read(name: string, limit: number): Buffer {
    const entry =
      this.entries.get(name) ?? this.refuse('missing-entry', `no entry ${name}`, 'the entry the checkpoint refers to');
    this.taken += entry.size;
    if (this.taken > this.limit || entry.size > this.growth * entry.compressed + (16 << 20))
      this.refuse(
        'too-large',
        `entry ${name} that grows from ${entry.compressed} to ${entry.size} bytes`,
        'weights, which do not compress so well',
      );
    if (entry.size > limit) this.refuse('too-large', `entry ${name} of ${entry.size} bytes`, `at most ${limit}`);
    const local = this.bytes(entry.offset, 30);
    if (local.readUInt32LE(0) !== 0x04034b50) this.refuse('zip', `no local header at ${entry.offset}`, 'a local header');
    const start = entry.offset + 30 + local.readUInt16LE(26) + local.readUInt16LE(28);
    const data = this.bytes(start, entry.compressed);
    if (entry.method === 0) {
      if (entry.size !== entry.compressed) this.refuse('zip', `stored entry ${name} of two sizes`, 'one size');
      return this.checked(entry, data);
    }
    if (entry.method !== 8)
      this.refuse('zip', `entry ${name} compressed by method ${entry.method}`, 'stored (0) or deflated (8)');
    try {
      const out = zlib.inflateRawSync(data, { maxOutputLength: Math.max(1, entry.size) });
      if (out.length === entry.size) return this.checked(entry, out);
      return this.refuse('zip', `entry ${name} inflates to ${out.length} bytes`, `${entry.size} as declared`);
    } catch (error) {
      if (error instanceof VoxelbookError) throw error;
      return this.refuse('zip', `entry ${name}: ${(error as Error).message}`, `${entry.size} bytes as declared`);
    }
  }

  private checked({ name, crc }: ZipEntry, data: Buffer): Buffer {
    const found = crc32Of(data);
    if (found !== crc)
      this.refuse('checksum', `entry ${name} with CRC-32 ${found.toString(16)}`, `${crc.toString(16)} as declared`);
    return data;
  }

  private readDirectory(): void {
    const tail = this.bytes(Math.max(0, this.length - 65557), Math.min(this.length, 65557));
    const end = tail.lastIndexOf(Buffer.from([0x50, 0x4b, 5, 6]));
    if (end < 0 || end + 22 > tail.length) this.refuse('zip', 'no end of central directory', 'a complete zip file');
    let count = tail.readUInt16LE(end + 10);
    let size = tail.readUInt32LE(end + 12);
    let offset = tail.readUInt32LE(end + 16);
    if (
      (count === 0xffff || offset === 0xffffffff || size === 0xffffffff) &&
      end >= 20 &&
      tail.readUInt32LE(end - 20) === 0x07064b50
    ) {
      const record = this.bytes(this.safe(tail.readBigUInt64LE(end - 12)), 56);
      if (record.readUInt32LE(0) !== 0x06064b50) this.refuse('zip', 'no zip64 record', 'a zip64 end of central directory');
      count = this.safe(record.readBigUInt64LE(32));
      size = this.safe(record.readBigUInt64LE(40));
      offset = this.safe(record.readBigUInt64LE(48));
    }
    if (count > 1_000_000 || size > 1 << 28)
      this.refuse('zip', `directory of ${count} entries and ${size} bytes`, 'at most a million entries');
    const directory = this.bytes(offset, size);
    let at = 0;
    for (let i = 0; i < count; i++) {
      if (at + 46 > directory.length || directory.readUInt32LE(at) !== 0x02014b50)
        this.refuse('zip', `broken directory entry ${i}`, `${count} entries`);
      const [nameLength, extraLength, commentLength] = [28, 30, 32].map((o) => directory.readUInt16LE(at + o));
      if (at + 46 + nameLength + extraLength + commentLength > directory.length)
        this.refuse('zip', `directory entry ${i} cut short`, 'a complete directory');
      const name = directory.toString('utf8', at + 46, at + 46 + nameLength);
      const entry: ZipEntry = {
        name,
        method: directory.readUInt16LE(at + 10),
        crc: directory.readUInt32LE(at + 16),
        compressed: directory.readUInt32LE(at + 20),
        size: directory.readUInt32LE(at + 24),
        offset: directory.readUInt32LE(at + 42),
      };
      this.widen(entry, directory.subarray(at + 46 + nameLength, at + 46 + nameLength + extraLength));
      if (this.entries.has(name)) this.refuse('zip', `entry ${name} stands twice`, 'every name once');
      if (name.startsWith('/') || name.split(/[\\/]/).includes('..'))
        this.refuse('zip-slip', `entry ${JSON.stringify(name)}`, 'names inside the archive');
      this.entries.set(name, entry);
      at += 46 + nameLength + extraLength + commentLength;
    }
  }

  /** Zip64: sizes that do not fit 32 bits stand in an extra field, in this order. */
  private widen(entry: ZipEntry, extra: Buffer): void {
    for (let at = 0; at + 4 <= extra.length; ) {
      const [id, length] = [extra.readUInt16LE(at), extra.readUInt16LE(at + 2)];
      if (id === 1) {
        let p = at + 4;
        for (const key of ['size', 'compressed', 'offset'] as const)
          if (entry[key] === 0xffffffff && p + 8 <= extra.length) {
            entry[key] = this.safe(extra.readBigUInt64LE(p));
            p += 8;
          }
      }
      at += 4 + length;
    }
  }

  private safe(n: bigint): number {
    return n <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(n) : this.refuse('zip', `a size of ${n}`, 'below 2^53');
  }

  private bytes(offset: number, length: number): Buffer {
    if (offset + length > this.length)
      this.refuse('truncated', `bytes ${offset} to ${offset + length} of ${this.length}`, 'a range inside the file');
    const out = Buffer.alloc(length);
    for (let done = 0; done < length; ) {
      const n = fs.readSync(this.descriptor, out, done, Math.min(length - done, 1 << 30), offset + done);
      if (n === 0) this.refuse('truncated', 'the file became shorter while it was read', 'a file at rest');
      done += n;
    }
    return out;
  }

  private refuse(code: string, given: string, expected: string): never {
    throw new VoxelbookError(`${this.file} is not a readable checkpoint`, {
      code,
      path: 'zip',
      given,
      expected,
      fix: 'Fetch the file again, or save it again with torch.save.',
    });
  }
}
