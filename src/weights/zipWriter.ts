// Writing zip files as PyTorch and NumPy read them: stored or deflated entries, each with its CRC-32, data aligned on request.
import zlib from 'node:zlib';
import { VoxelbookError } from '../base/errors.js';

export interface ZipEntryToWrite {
  name: string;
  data: Uint8Array;
  deflate?: boolean;
}

/** Sizes and offsets that 32 bits hold; the longer form of zip is not written. */
const most = 0xffffffff;

/**
 * The bytes of a zip file, part after part.
 * @param align where the data of stored entries begin, bytes; PyTorch maps storages from there
 * @throws VoxelbookError for more than 4 GiB
 */
export function* zipParts(entries: Iterable<ZipEntryToWrite>, align = 1): Generator<Uint8Array> {
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, data, deflate = false } of entries) {
    const bytes = deflate ? zlib.deflateRawSync(data) : data;
    const title = Buffer.from(name);
    const extra = padding(offset + 30 + title.length, deflate ? 1 : align);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    // Bit 11: names in UTF-8.
    common.writeUInt16LE(0x800, 2);
    common.writeUInt16LE(deflate ? 8 : 0, 4);
    // 1 January 1980: the content alone decides the bytes.
    common.writeUInt16LE(0x21, 8);
    common.writeUInt32LE(zlib.crc32(data), 10);
    common.writeUInt32LE(sized(bytes.length, name), 14);
    common.writeUInt32LE(sized(data.length, name), 18);
    common.writeUInt16LE(title.length, 22);
    const local = Buffer.from(common);
    local.writeUInt16LE(extra.length, 24);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(sized(offset, name), 10);
    directory.push(Buffer.concat([Buffer.from([0x50, 0x4b, 1, 2, 20, 0]), common, place, title]));
    yield Buffer.concat([Buffer.from([0x50, 0x4b, 3, 4]), local, title, extra]);
    yield bytes;
    offset += 30 + title.length + extra.length + bytes.length;
  }
  const all = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(directory.length, 8);
  end.writeUInt16LE(directory.length, 10);
  end.writeUInt32LE(all.length, 12);
  end.writeUInt32LE(sized(offset, 'directory'), 16);
  yield all;
  yield end;
}

/** An extra field that moves what follows it to a multiple of `align`; empty where it lies there already. */
function padding(at: number, align: number): Buffer {
  if (at % align === 0) return Buffer.alloc(0);
  const length = (align - ((at + 4) % align)) % align;
  const field = Buffer.alloc(4 + length, 'Z');
  field.write('FB', 0, 'latin1');
  field.writeUInt16LE(length, 2);
  return field;
}

function sized(n: number, name: string): number {
  if (n <= most) return n;
  throw new VoxelbookError('this file would be too large', {
    code: 'too-large',
    path: name,
    given: `${n} bytes`,
    expected: 'less than 4 GiB',
    fix: 'Save the weights as safetensors instead (weights.save).',
  });
}
