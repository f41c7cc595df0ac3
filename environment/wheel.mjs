// A Python package's wheel without Python: found in the package index by its checksum, fetched, and unpacked in part.
import fs from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createInflateRaw } from 'node:zlib';

const simpleJson = 'application/vnd.pypi.simple.v1+json';

/**
 * Fetches the wheel of this SHA-256 from the index that pip would ask (`PIP_INDEX_URL`).
 * @throws Error where the index cannot be reached or has no such file
 */
export async function fetchWheel(name, sha256, folder) {
  const index = process.env.PIP_INDEX_URL?.replace(/\/$/, '');
  if (!index)
    throw new Error(`${name} cannot be fetched: there is no pip here, and PIP_INDEX_URL does not say which package index to ask`);
  const ask = async (url, headers) => {
    const answer = await fetch(url, { headers });
    if (!answer.ok) throw new Error(`${url} answered ${answer.status} ${answer.statusText}`);
    return answer;
  };
  const { files } = await (await ask(`${index}/${name}/`, { accept: simpleJson })).json();
  const found = files.find(({ hashes }) => hashes.sha256 === sha256);
  if (!found) throw new Error(`${index} has no file of ${name} with SHA-256 ${sha256}`);
  fs.mkdirSync(folder, { recursive: true });
  const { body } = await ask(new URL(found.url, `${index}/${name}/`));
  await pipeline(Readable.fromWeb(body), fs.createWriteStream(path.join(folder, path.basename(found.filename))));
}

/** Writes the files of a wheel (a ZIP archive) whose names `wanted` takes below `target`. */
export async function unpackWheel(file, target, wanted) {
  const handle = await fs.promises.open(file);
  try {
    for (const { name, at, size, method } of (await entriesOf(handle)).filter((e) => wanted(e.name))) {
      const out = path.resolve(target, name);
      if (!out.startsWith(path.resolve(target) + path.sep)) throw new Error(`${file} has a file outside of itself: ${name}`);
      fs.mkdirSync(path.dirname(out), { recursive: true });
      const header = await bytes(handle, at, 30);
      const start = at + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
      if (size === 0) {
        fs.writeFileSync(out, '');
        continue;
      }
      const packed = fs.createReadStream(file, { start, end: start + size - 1 });
      await pipeline(packed, ...(method === 8 ? [createInflateRaw()] : []), fs.createWriteStream(out));
    }
  } finally {
    await handle.close();
  }
}

async function bytes(handle, at, length) {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, at);
  if (bytesRead < length) throw new Error('this archive is cut off; fetch it again');
  return buffer;
}

/** The central directory at the end of the archive: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3.12 and 4.3.16. */
async function entriesOf(handle) {
  const { size } = await handle.stat();
  const tail = Math.min(size, 65_557);
  const end = await bytes(handle, size - tail, tail);
  const at = end.lastIndexOf(Buffer.from('PK\x05\x06'));
  if (at < 0) throw new Error('this is no ZIP archive; fetch it again');
  const directory = await bytes(handle, end.readUInt32LE(at + 16), end.readUInt32LE(at + 12));
  const entries = [];
  for (let i = 0; i < directory.length; ) {
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((o) => directory.readUInt16LE(i + o));
    const name = directory.toString('utf8', i + 46, i + 46 + nameLength);
    const [method, packed, start] = [
      directory.readUInt16LE(i + 10),
      directory.readUInt32LE(i + 20),
      directory.readUInt32LE(i + 42),
    ];
    if (method !== 0 && method !== 8) throw new Error(`${name} is packed in a way that is not read here (${method})`);
    if (!name.endsWith('/')) entries.push({ name, method, size: packed, at: start });
    i += 46 + nameLength + extraLength + commentLength;
  }
  return entries;
}
