// Downloads from a server on this machine that cuts, changes, lies and attacks.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import tar from 'tar-stream';
import type { Progress } from '../../src/base/progress.js';
import { download } from '../../src/dataset/fetch/download.js';
import { unpack } from '../../src/dataset/fetch/unpack.js';
import { convert, type Descriptor, descriptor, fetch, fetchSource, open } from '../../src/dataset/index.js';
import { writeVolume } from '../../src/volume/index.js';
import { zipParts } from '../../src/weights/zipWriter.js';
import { shape, volumeOf } from './folder.js';

interface Served {
  body: Buffer;
  etag?: string | null;
  /** Bytes after which the connection is cut, one for each request. */
  cut?: number[];
  /** Statuses answered first, one for each request. */
  first?: number[];
  /** What it says of its length, when that is a lie. */
  length?: number;
  /** Headers come, bytes do not. */
  silent?: boolean;
}

const served = new Map<string, Served>();
let asked: { url: string; range?: string; ifRange?: string }[] = [];

/** A plain file server: Range with If-Range, a strong ETag. */
const server = http.createServer((request, response) => {
  const { range, 'if-range': ifRange } = request.headers;
  asked.push({ url: request.url!, ...(range && { range }), ...(ifRange && { ifRange: String(ifRange) }) });
  const file = served.get(request.url!);
  const status = file?.first?.shift();
  if (!file || status) return void response.writeHead(status ?? 404).end();
  const etag = file.etag === undefined ? `"${createHash('md5').update(file.body).digest('hex')}"` : file.etag;
  const from = range && (!ifRange || ifRange === etag) ? Number(/^bytes=(\d+)-$/.exec(range)![1]) : 0;
  const body = file.body.subarray(from);
  response.writeHead(from > 0 ? 206 : 200, {
    'content-length': file.length ?? body.length,
    ...(etag !== null && { etag }),
    ...(from > 0 && { 'content-range': `bytes ${from}-${file.body.length - 1}/${file.body.length}` }),
  });
  if (file.silent) return void response.flushHeaders();
  const cut = file.cut?.shift();
  if (cut === undefined) response.end(body);
  else response.write(body.subarray(0, cut), () => setTimeout(() => response.destroy(), 30));
});

const bytes = (n: number, seed = 1) => Buffer.from(Uint8Array.from({ length: n }, (_, i) => (i * 2654435761 * seed) >>> 13));
const md5 = (data: Buffer) => createHash('md5').update(data).digest('hex');

type TarEntry = { name: string; type?: string; linkname?: string; data?: Buffer; size?: number };
async function tarOf(...entries: TarEntry[]): Promise<Buffer> {
  const pack = tar.pack();
  const chunks: Buffer[] = [];
  const read = (async () => {
    for await (const chunk of pack) chunks.push(chunk as Buffer);
  })();
  for (const { data = Buffer.alloc(0), ...header } of entries) pack.entry({ mtime: new Date(0), ...(header as any) }, data);
  pack.finalize();
  await read;
  return Buffer.concat(chunks);
}
const zipOf = (...entries: { name: string; data: Buffer }[]) =>
  Buffer.concat([...zipParts(entries.map((e) => ({ ...e, deflate: true })))]);

describe('fetching', () => {
  let root: string;
  let base: string;
  const at = (name: string) => path.join(root, name);
  const quick = { waitSeconds: 0.01 };

  before(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  beforeEach(() => {
    root = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-fetch-'));
    served.clear();
    asked = [];
  });
  afterEach(() => fs.rmSync(root, { recursive: true }));

  describe('one file', () => {
    const body = bytes(300_000);

    it('cut connections: goes on after the bytes that came, and the file is whole', async () => {
      served.set('/a', { body, cut: [100_000, 50_000] });
      const seen: number[] = [];
      await download(`${base}/a`, at('a'), { ...quick, md5: md5(body), onProgress: (p: Progress) => void seen.push(p.done) });
      assert.ok(fs.readFileSync(at('a')).equals(body));
      assert.deepEqual(
        asked.map((a) => a.range),
        [undefined, 'bytes=100000-', 'bytes=150000-'],
      );
      assert.ok(asked.slice(1).every((a) => a.ifRange === `"${md5(body)}"`));
      assert.equal(seen.at(-1), body.length);
      assert.deepEqual(fs.readdirSync(root), ['a']);
    });

    it('a later process goes on too', async () => {
      served.set('/a', { body, cut: [100_000], first: [] });
      await assert.rejects(
        download(`${base}/a`, at('a'), { ...quick, attempts: 1 }),
        /a could not be fetched.*expected the file as published\. Start again: it goes on after the 100000 bytes/s,
      );
      assert.ok(!fs.existsSync(at('a')));
      await download(`${base}/a`, at('a'), quick);
      assert.equal(asked.at(-1)!.range, 'bytes=100000-');
      assert.ok(fs.readFileSync(at('a')).equals(body));
    });

    it('a file that changed between two parts is fetched whole, never mixed', async () => {
      const other = bytes(280_000, 3);
      served.set('/a', { body, cut: [100_000] });
      await assert.rejects(download(`${base}/a`, at('a'), { ...quick, attempts: 1 }));
      served.set('/a', { body: other });
      await download(`${base}/a`, at('a'), quick);
      assert.ok(fs.readFileSync(at('a')).equals(other));
    });

    it('a server without a version of the file is asked for all of it again', async () => {
      served.set('/a', { body, etag: null, cut: [100_000] });
      await download(`${base}/a`, at('a'), quick);
      assert.deepEqual(
        asked.map((a) => a.range),
        [undefined, undefined],
      );
      assert.ok(fs.readFileSync(at('a')).equals(body));
    });

    it('a wrong checksum: the file never gets its name, and the next try begins anew', async () => {
      served.set('/a', { body });
      const wrong = md5(bytes(10));
      await assert.rejects(
        download(`${base}/a`, at('a'), { ...quick, md5: wrong }),
        new RegExp(`a is not the published file.*MD5 ${md5(body)}; expected ${wrong}, as published`, 's'),
      );
      assert.deepEqual(fs.readdirSync(root), []);
      await download(`${base}/a`, at('a'), { ...quick, md5: md5(body) });
    });

    it('without a published checksum, that of the first download is kept and compared', async () => {
      served.set('/a', { body });
      await download(`${base}/a`, at('a'), quick);
      fs.rmSync(at('a'));
      await download(`${base}/a`, at('a'), quick);
      fs.rmSync(at('a'));
      served.set('/a', { body: bytes(300_000, 5) });
      await assert.rejects(
        download(`${base}/a`, at('a'), quick),
        /SHA-256 [0-9a-f]{64}; expected [0-9a-f]{64}, as when it was first fetched.*delete .*a\.sha256\.json/s,
      );
      assert.ok(!fs.existsSync(at('a')));
    });

    it('404 is said at once, 503 is tried again', async () => {
      await assert.rejects(
        download(`${base}/none`, at('a'), quick),
        /127\.0\.0\.1:\d+\/none: 404 Not Found; expected the file as published/,
      );
      assert.equal(asked.length, 1);
      served.set('/a', { body, first: [503, 503] });
      await download(`${base}/a`, at('a'), quick);
      assert.equal(asked.length, 4);
    });

    it('a server that falls silent, and one that is not there, end in an error', async () => {
      served.set('/a', { body, silent: true });
      await assert.rejects(
        download(`${base}/a`, at('a'), { ...quick, stallSeconds: 0.05, attempts: 2 }),
        /no byte came for 0\.05 s; expected/,
      );
      await assert.rejects(
        download('http://127.0.0.1:1/a', at('b'), { ...quick, attempts: 2 }),
        /(ECONNREFUSED|bad port).*Check the network/s,
      );
    });

    it('what does not fit on the disk is refused before it is written', async () => {
      served.set('/a', { body, length: 1e15 });
      await assert.rejects(
        download(`${base}/a`, at('a'), { ...quick, growth: 2 }),
        /does not fit on the disk.*2000000\.00 GB to write \(a, packed and unpacked\).*--downloads/s,
      );
      assert.deepEqual(fs.readdirSync(root), []);
    });

    it('an abort keeps what came', async () => {
      served.set('/a', { body, cut: [100_000] });
      const stop = new AbortController();
      const onProgress = ({ done }: Progress) => done > 0 && stop.abort(new Error('enough'));
      await assert.rejects(download(`${base}/a`, at('a'), { ...quick, signal: stop.signal, onProgress }), /enough/);
      assert.ok(fs.statSync(at('a.part')).size > 0);
    });
  });

  describe('archives', () => {
    const good = { name: 'set/a.txt', data: Buffer.from('a') };
    const tried = async (data: Buffer, kind: 'tar' | 'zip', options = {}) => {
      fs.writeFileSync(at('x'), data);
      await unpack(at('x'), kind, 'set', at('set'), options);
    };
    /** Nothing of it is left, neither inside nor outside. */
    const refused = async (data: Buffer, kind: 'tar' | 'zip', pattern: RegExp, options = {}) => {
      await assert.rejects(tried(data, kind, options), pattern);
      assert.deepEqual(fs.readdirSync(root), ['x']);
      assert.ok(!fs.existsSync(path.join(root, '..', 'evil')));
    };

    it('a whole one: its folder, without what macOS leaves', async () => {
      const mac = { name: 'set/._a.txt', data: Buffer.from('mac') };
      await tried(
        await tarOf({ name: './set/', type: 'directory' }, good, mac, { name: 'set/b/c.txt', data: bytes(70_000) }),
        'tar',
      );
      assert.deepEqual(fs.readdirSync(at('set'), { recursive: true }).sort(), ['a.txt', 'b', 'b/c.txt']);
      fs.rmSync(at('set'), { recursive: true });
      await tried(zipOf(good, { name: '__MACOSX/set/a.txt', data: Buffer.from('mac') }), 'zip');
      assert.deepEqual(fs.readdirSync(at('set')), ['a.txt']);
    });

    for (const name of ['../evil', '/tmp/evil', 'set/../../evil', 'set/a\\..\\evil', 'set/a\u0007', 'set//a'])
      it(`a name that leaves: ${JSON.stringify(name)}`, async () => {
        await refused(
          await tarOf(good, { name, data: Buffer.from('x') }),
          'tar',
          /a name that leaves the folder or is none; expected names inside/,
        );
        await refused(
          zipOf(good, { name, data: Buffer.from('x') }),
          'zip',
          /names inside the archive|invalid relative path|absolute path|invalid characters/,
        );
      });

    it('links and devices', async () => {
      for (const [entry, word] of [
        [{ name: 'set/l', type: 'symlink', linkname: '/etc/passwd' }, 'symlink'],
        [{ name: 'set/l', type: 'link', linkname: 'set/a.txt' }, 'link'],
        [{ name: 'set/l', type: 'character-device' }, 'character-device'],
        [{ name: 'set/l', type: 'fifo' }, 'fifo'],
      ] as [TarEntry, string][])
        await refused(await tarOf(good, entry), 'tar', new RegExp(`set/l: a ${word}; expected files and folders alone`));
      const zip = zipOf({ name: 'set/l', data: Buffer.from('/etc/passwd') });
      const central = zip.indexOf(Buffer.from([0x50, 0x4b, 1, 2]));
      zip[central + 5] = 3;
      zip.writeUInt32LE((0o120777 << 16) >>> 0, central + 38);
      await refused(zip, 'zip', /set\/l: a symbolic link; expected files and folders alone/);
    });

    it('bombs: more bytes or entries than such an archive can hold', async () => {
      await refused(
        zipOf({ name: 'set/zeros', data: Buffer.alloc(80 << 20) }),
        'zip',
        /bytes unpacked so far; expected at most \d+ from an archive of this size/,
      );
      const many = Array.from({ length: 30 }, (_, i) => ({ name: `set/${i}`, data: Buffer.from('x') }));
      await refused(await tarOf(...many), 'tar', /entry 21; expected at most 20 entries/, { mostEntries: 20 });
      await refused(zipOf(...many), 'zip', /entry 21; expected at most 20 entries/, { mostEntries: 20 });
      const lying = zipOf({ name: 'set/a', data: bytes(1000) });
      lying.writeUInt32LE(10, lying.indexOf(Buffer.from([0x50, 0x4b, 1, 2])) + 24);
      await refused(lying, 'zip', /cannot be unpacked.*expected a whole archive/s);
    });

    it('two files of one name, another folder, a cut or damaged archive, none at all', async () => {
      await refused(await tarOf(good, good), 'tar', /two files of this name/);
      await refused(await tarOf({ name: 'other/a', data: Buffer.from('x') }), 'tar', /set: no such folder; other; expected set/);
      const whole = await tarOf(good, { name: 'set/b', data: bytes(70_000) });
      await refused(whole.subarray(0, 40_000), 'tar', /Unexpected end of data; expected a whole archive/);
      const zip = zipOf(good, { name: 'set/b', data: bytes(70_000) });
      await refused(zip.subarray(0, zip.length - 40), 'zip', /cannot be unpacked/);
      zip[zip.indexOf(Buffer.from([0x50, 0x4b, 1, 2])) + 16] ^= 1;
      await refused(zip, 'zip', /CRC-32 [0-9a-f]+, not [0-9a-f]+; expected a whole archive/);
      await refused(bytes(5000), 'tar', /cannot be unpacked/);
      await refused(bytes(5000), 'zip', /cannot be unpacked/);
    });
  });

  describe('a set', () => {
    const golden = fileURLToPath(new URL('./msd/Task04_Hippocampus', import.meta.url));

    it('MSD04_Hippocampus: from a tar with its published checksum to a raw folder; the second time nothing is asked', async () => {
      const files = fs.readdirSync(golden, { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
      const entries = files.map((e) => path.join(e.parentPath, e.name)).filter((f) => !f.includes('nnunet'));
      const archive = await tarOf(
        ...entries.map((f) => ({ name: path.join('Task04_Hippocampus', path.relative(golden, f)), data: fs.readFileSync(f) })),
      );
      served.set('/Task04_Hippocampus.tar', { body: archive, cut: [50_000] });
      const published = descriptor('MSD04_Hippocampus');
      const about: Descriptor = {
        ...published,
        download: { ...published.download!, files: [{ ...published.download!.files[0], md5: md5(archive) }] },
      };
      const told: string[] = [];
      const options = {
        root: at('raw'),
        downloads: at('downloads'),
        mirror: base,
        workers: 1,
        onProgress: (p: Progress) => void told.push(p.what),
      };
      const folder = await convert('MSD04_Hippocampus', await fetchSource(about, options), options);
      assert.equal(open(folder).cases.length, 6);
      assert.deepEqual(fs.readdirSync(at('downloads')), ['Task04_Hippocampus']);
      assert.ok(
        told.some((t) => /^fetch Task04_Hippocampus\.tar, 0\.\d of 0\.\d MB$/.test(t)) &&
          told.some((t) => t.startsWith('unpack ')),
        told.join('\n'),
      );
      asked = [];
      await fetchSource(about, options);
      assert.deepEqual(asked, []);
    });

    it('of another content than MONAI’s checksum says, it is refused', async () => {
      served.set('/Task04_Hippocampus.tar', {
        body: await tarOf({ name: 'Task04_Hippocampus/dataset.json', data: Buffer.from('{}') }),
      });
      await assert.rejects(
        fetch('MSD04_Hippocampus', { root: at('raw'), downloads: at('downloads'), mirror: base }),
        /Task04_Hippocampus\.tar is not the published file.*expected 9d24dba78a72977dbd1d2e110310f31b, as published/s,
      );
      assert.ok(!fs.existsSync(at('raw')));
    });

    it('TotalSegmentator: a zip without a published checksum', async () => {
      const n = shape.reduce((a, b) => a * b);
      const put = (name: string, data: Int16Array | Uint8Array) => {
        writeVolume(at(`${path.basename(name)}.nii.gz`), volumeOf(data));
        return { name: `Totalsegmentator_dataset/${name}.nii.gz`, data: fs.readFileSync(at(`${path.basename(name)}.nii.gz`)) };
      };
      const ct = put(
        's0000/ct',
        Int16Array.from({ length: n }, (_, i) => i),
      );
      const liver = put('s0000/segmentations/liver', new Uint8Array(n).fill(1, 0, 20));
      served.set('/Totalsegmentator_dataset.zip', { body: zipOf(ct, liver) });
      const folder = await fetch('TotalSegmentator', {
        root: at('raw'),
        downloads: at('d'),
        mirror: base,
        workers: 1,
        keep: true,
      });
      assert.equal(open(folder).cases.length, 1);
      assert.deepEqual(fs.readdirSync(at('d')).sort(), [
        'Totalsegmentator_dataset',
        'Totalsegmentator_dataset.zip',
        'Totalsegmentator_dataset.zip.sha256.json',
      ]);
    });

    it('of a set of many files each has its place; one that is missing is named, the others are kept', async () => {
      const about: Descriptor = {
        ...descriptor('KiTS23'),
        download: {
          ...descriptor('KiTS23').download!,
          files: descriptor('KiTS23').download!.files.map((f) => ({ ...f, cases: [[7, 8]] })),
        },
      };
      for (const i of ['00007', '00008']) served.set(`/kits23/dataset/case_${i}/imaging.nii.gz`, { body: bytes(100) });
      served.set('/kits23/dataset/case_00007/segmentation.nii.gz', { body: bytes(50) });
      await assert.rejects(fetchSource(about, { downloads: at('d'), mirror: base }), /case_00008\/segmentation\.nii\.gz: 404/);
      served.set('/kits23/dataset/case_00008/segmentation.nii.gz', { body: bytes(50) });
      asked = [];
      const source = await fetchSource(about, { downloads: at('d'), mirror: base });
      assert.equal(asked.length, 1);
      assert.equal(fs.readFileSync(path.join(source, 'dataset/case_00008/imaging.nii.gz')).length, 100);
    });

    it('a set behind an agreement says where to apply', () =>
      assert.rejects(
        fetch('BTCV', { root: at('raw') }),
        /BTCV cannot be fetched.*behind an agreement; expected one of KiTS23, MSD01_BrainTumour.*Apply at .*syn3193805.*convert BTCV/s,
      ));
  });
});
