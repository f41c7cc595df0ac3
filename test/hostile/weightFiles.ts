// Hostile weights, made by a seed: mutated safetensors and PyTorch files, random pickles, and by hand what an attack on them found.
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import zlib from 'node:zlib';
import type { Random } from '../../src/base/random.js';
import { safetensorsChunks } from '../../src/base/safetensors.js';
import { ZipFile } from '../../src/weights/zip.js';

export interface HostileFile {
  name: string;
  ending: '.safetensors' | '.pth';
  bytes: Buffer;
}

const checkpoints = fileURLToPath(new URL('../weights/checkpoints/', import.meta.url));

// ---- Building blocks -------------------------------------------------------------------------------------------------------

/** A zip of stored entries with right checksums, unless `crc` says otherwise. */
export function zip(entries: { name: string; data: Buffer; crc?: number }[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, data, crc = zlib.crc32(data) } of entries) {
    const head = Buffer.alloc(30);
    head.writeUInt32LE(0x04034b50, 0);
    head.writeUInt32LE(crc, 14);
    head.writeUInt32LE(data.length, 18);
    head.writeUInt32LE(data.length, 22);
    head.writeUInt16LE(name.length, 26);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    head.copy(entry, 6, 4, 28);
    entry.writeUInt32LE(offset, 42);
    parts.push(head, Buffer.from(name), data);
    directory.push(entry, Buffer.from(name));
    offset += 30 + name.length + data.length;
  }
  const size = directory.reduce((n, b) => n + b.length, 0);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  for (const at of [8, 10]) end.writeUInt16LE(entries.length, at);
  end.writeUInt32LE(size, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, ...directory, end]);
}

/** A PyTorch file around a pickle, with storages of eight float32 each. */
const torchFile = (pickle: Buffer, storages = 1): Buffer =>
  zip([
    { name: 'a/data.pkl', data: pickle },
    ...Array.from({ length: storages }, (_, i) => ({ name: `a/data/${i}`, data: Buffer.alloc(32, i + 1) })),
  ]);

/** A safetensors file with a header as it is written here, whatever it says. */
export function safetensors(header: string | Buffer, body = 0): Buffer {
  const text = Buffer.from(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, Buffer.alloc(body, 1)]);
}

const bin = (text: string) => Buffer.from(text, 'latin1');
/** Short text as BINUNICODE. */
const word = (text: string) => bin(`X${String.fromCharCode(text.length)}\0\0\0${text}`);
const u4 = (n: number) => {
  const b = Buffer.alloc(4);
  b.writeUInt32LE(n);
  return b;
};
const join = (...parts: (Buffer | string)[]) => Buffer.concat(parts.map((p) => (typeof p === 'string' ? bin(p) : p)));

/** A tensor of storage 0 (eight float32): offset, shape and stride as tuples of opcodes. */
const tensor = (shape: Buffer, stride: Buffer) =>
  join(
    'ctorch._utils\n_rebuild_tensor_v2\n((',
    word('storage'),
    'ctorch\nFloatStorage\n',
    word('0'),
    word('cpu'),
    'K\x08tQK\0',
    shape,
    stride,
    '\x89}tR',
  );
const numbers = (...list: number[]) => join('(', ...list.map((n) => join('J', u4(n))), 't');

// ---- By hand ---------------------------------------------------------------------------------------------------------------

const f32 = '"dtype":"F32","shape":[2],"data_offsets":[0,8]';

/** Each must be refused. */
export function attacks(): HostileFile[] {
  const pth = (name: string, pickle: Buffer, storages?: number): HostileFile => ({
    name,
    ending: '.pth',
    bytes: torchFile(join('\x80\x02', pickle, '.'), storages),
  });
  const st = (name: string, header: string | Buffer, body = 8): HostileFile => ({
    name,
    ending: '.safetensors',
    bytes: safetensors(header, body),
  });
  const doubling = Array.from({ length: 40 }, (_, i) =>
    join(i === 0 ? word('ha') : `h${String.fromCharCode(i)}`, '2\x86q', bin(String.fromCharCode(i + 1)), '0'),
  );
  const laughs = join(...doubling, 'h\x28');
  const plain = fs.readFileSync(`${checkpoints}plain.pth`);
  const flipped = Buffer.from(plain);
  const weights = plain.indexOf(Buffer.from('data/0')) + 64;
  flipped[weights + ((64 - (weights % 64)) % 64)] ^= 0x10;
  const tar = Buffer.alloc(1536);
  tar.write('sys_info', 0);
  tar.write('ustar', 257);
  const many = (n: number, one: Buffer) => join('}(', ...Array.from({ length: n }, (_, i) => join(word(`t${i}`), one)), 'u');
  return [
    pth('a dict that is its own state_dict', join('}q\0', word('state_dict'), 'h\0s')),
    pth('a dict that holds itself in a list', join('}q\0', word('x'), ']h\0as')),
    pth('a list that holds itself', join(']q\0h\0a')),
    pth('a device of 2^40 words', join('ctorch\ndevice\n', laughs, '\x85R')),
    pth('a global of 2^40 words', join(laughs, word('x'), '\x93')),
    pth('an encoding of 2^40 words', join('c_codecs\nencode\n', laughs, '\x85R')),
    pth('a dtype of 2^40 words', join('cnumpy\ndtype\n', laughs, '\x85R')),
    pth('a storage named by a list', join('(', word('storage'), 'ctorch\nFloatStorage\n', laughs, word('cpu'), 'K\x08tQ')),
    pth('containers 100 deep', join(']'.repeat(100), 'a'.repeat(99))),
    pth('three thousand views of stride 0', many(3000, tensor(numbers(16384), numbers(0)))),
    pth('one view of stride 0 without end', join('}', word('w'), tensor(numbers(2 ** 20, 2 ** 10), numbers(0, 0)), 's')),
    pth('a shape of 100 axes', join('}', word('w'), tensor(numbers(...Array(100).fill(1)), numbers(...Array(100).fill(1))), 's')),
    pth('a NumPy array', join('cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\x01b\x87R')),
    pth('more values than a checkpoint has', Buffer.alloc(6_000_000, 'N')),
    { name: 'a bit flipped in a storage', ending: '.pth', bytes: flipped },
    {
      name: 'an entry with another checksum',
      ending: '.pth',
      bytes: zip([{ name: 'a/data.pkl', data: bin('\x80\x02}.'), crc: 1 }]),
    },
    { name: 'a tar archive', ending: '.pth', bytes: tar },
    st('a byte-order mark', join('\xef\xbb\xbf', `{"w":{${f32}}}`)),
    st('a blank before the brace', ` {"w":{${f32}}}`),
    st('a name twice', `{"w":{${f32}},"w":{${f32}}}`),
    st('a name twice, far from its colon', `{"w":{${f32}},"w"${' '.repeat(40)}:{${f32}}}`),
    st('a name twice, a line apart', `{"w":{${f32}},"w"\n\t:\n{${f32}}}`),
    st('a name twice, once escaped', `{"w":{${f32}},"\\u0077":{${f32}}}`),
    st('metadata twice', `{"__metadata__":{"a":"1"},"w":{${f32}},"__metadata__":{"a":"2"}}`),
    st('a key of metadata twice', `{"__metadata__":{"a":"1","a" :"2"},"w":{${f32}}}`),
    st('a shape twice', `{"w":{"dtype":"F32","shape":[2],"shape":[1],"data_offsets":[0,8]}}`),
    st('something after the object', `{"w":{${f32}}}{}`),
    st('a comment', `{"w":{${f32}}/* */}`),
    st('a number beyond 2^53', `{"w":{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,8]}}`),
    st('a shape with a fraction', `{"w":{"dtype":"F32","shape":[2.5],"data_offsets":[0,10]}}`, 10),
    st('a deep header', `{"w":${'['.repeat(5000)}${']'.repeat(5000)}}`),
    st('a lone surrogate’s bytes', join('{"', '\xed\xa0\x80', `":{${f32}}}`)),
  ];
}

// ---- By chance -------------------------------------------------------------------------------------------------------------

const withChecksum = (() => {
  const data = (n: number) => Float32Array.from({ length: n }, (_, i) => i / 3);
  const tensors = {
    'a.weight': { shape: [2, 3], data: data(6) },
    b: { shape: [], data: data(1) },
    n: { shape: [0, 4], data: data(0) },
  };
  return Buffer.concat(safetensorsChunks(tensors, { made: 'here' }));
})();
/** A file of ours, for comparing what is accepted with what was written. */
export const sealed = () => withChecksum;
const foreign = safetensors(
  '{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"BF16","shape":[3],"data_offsets":[16,22]},"c":{"dtype":"I64","shape":[1],"data_offsets":[22,30]}}',
  30,
);
const torchSeeds = ['plain.pth', 'nnunetv1.model', 'nnunetv2.pth', 'parallel.pt', 'half.pth', 'views.pth', 'parameter.pth'];
let pickles: { pickle: Buffer; rest: { name: string; data: Buffer }[] }[] | undefined;

/** The entries of our real checkpoints, so that a mutated pickle comes back with right checksums. */
function torchParts() {
  pickles ??= torchSeeds.map((seed) => {
    const file = new ZipFile(checkpoints + seed);
    const entries = [...file.entries.keys()].map((name) => ({ name, data: file.read(name, 1 << 20) }));
    file.close();
    const at = entries.findIndex(({ name }) => name.endsWith('data.pkl'));
    const [{ data: pickle }] = entries.slice(at, at + 1);
    return { pickle, rest: entries };
  });
  return pickles;
}

function bytesChanged(random: Random, bytes: Buffer): Buffer {
  const out = Buffer.from(bytes);
  for (let i = random.int(1, 5); i > 0; i--)
    out[random.int(0, out.length)] = random.choice([0, 1, 0x28, 0x2e, 0x7f, 0x80, 0xff, random.int(0, 256)]);
  if (random.chance(0.08)) return out.subarray(0, random.int(0, out.length));
  return out;
}

/** A part of the text repeated, removed or swapped for something else. */
function textChanged(random: Random, text: string): string {
  const pieces = text.split(/(?<=[,:{}[\]])/);
  for (let i = random.int(1, 4); i > 0; i--) {
    const at = random.int(0, pieces.length);
    const what = random.int(0, 4);
    if (what === 0) pieces.splice(at, 1);
    else if (what === 1) pieces.splice(at, 0, pieces[random.int(0, pieces.length)]);
    else if (what === 2)
      pieces[at] = random.choice([
        '[]',
        '{}',
        '-1',
        '1e9',
        '9007199254740992',
        'null',
        '"F32"',
        '"__proto__":',
        '"a":',
        ' ',
        '\n',
        '0,',
      ]);
    else pieces[at] = pieces[at].replace(/\d+/, (n) => String(Number(n) + random.int(0, 3) - 1));
  }
  return pieces.join('');
}

const words = ['storage', 'cpu', '0', '1', 'state_dict', 'weight', 'f8', 'os', 'system', '__proto__'];
const globals = [
  'torch._utils\n_rebuild_tensor_v2',
  'torch._utils\n_rebuild_parameter',
  'collections\nOrderedDict',
  'torch\nFloatStorage',
  'torch\nHalfStorage',
  'torch\nSize',
  'torch\ndevice',
  'numpy\ndtype',
  'numpy.core.multiarray\nscalar',
  '_codecs\nencode',
  'os\nsystem',
];

/** A program of opcodes that mostly find what they need on the stack. */
function randomPickle(random: Random): Buffer {
  const parts: (Buffer | string)[] = ['\x80\x02}q\0'];
  let memo = 1;
  for (let i = random.int(3, 60); i > 0; i--) {
    const what = random.int(0, 16);
    if (what < 3) parts.push(word(random.choice(words)));
    else if (what < 5) parts.push(join('K', bin(String.fromCharCode(random.int(0, 12)))));
    else if (what === 5) parts.push(`c${random.choice(globals)}\n`);
    else if (what === 6) parts.push(random.choice([')', ']', '}', '(', 'N', '\x88']));
    else if (what === 7) parts.push(random.choice(['t', 'l', 'd', '\x85', '\x86', '\x87']));
    else if (what === 8) parts.push(random.choice(['s', 'a', 'u', 'e', 'b']));
    else if (what === 9) parts.push(join('q', bin(String.fromCharCode(memo++ % 256))));
    else if (what === 10) parts.push(join('h', bin(String.fromCharCode(random.int(0, memo) % 256))));
    else if (what === 11) parts.push(random.choice(['R', '\x93', 'Q', '\x81', '2', '0']));
    else if (what === 12)
      parts.push(tensor(numbers(random.int(0, 5), random.int(0, 5)), numbers(random.int(0, 4), random.int(0, 4))));
    else if (what === 13) parts.push(word(random.choice(words)), tensor(numbers(2, 2), numbers(random.int(0, 3), 1)), 's');
    else parts.push(word(`w${i}`), tensor(numbers(random.int(0, 9)), numbers(random.int(0, 2))), 's');
  }
  return join(...parts, random.chance(0.7) ? 'h\0.' : '.');
}

/** The next file by chance. `equal`: whatever is accepted of it must equal this file's content. */
export function hostileFile(random: Random): HostileFile & { equal?: Buffer } {
  const kind = random.int(0, 7);
  if (kind === 0)
    return { name: 'checked', ending: '.safetensors', bytes: bytesChanged(random, withChecksum), equal: withChecksum };
  if (kind === 1) return { name: 'foreign', ending: '.safetensors', bytes: bytesChanged(random, foreign) };
  if (kind === 2) {
    const length = Number(foreign.readBigUInt64LE(0));
    const text = textChanged(random, foreign.toString('utf8', 8, 8 + length));
    return { name: 'header', ending: '.safetensors', bytes: safetensors(text, 30) };
  }
  if (kind === 3) return { name: 'random pickle', ending: '.pth', bytes: torchFile(randomPickle(random), 2) };
  if (kind === 4)
    return { name: 'legacy', ending: '.pth', bytes: bytesChanged(random, fs.readFileSync(`${checkpoints}legacy.pth`)) };
  const { pickle, rest } = random.choice(torchParts());
  if (kind === 5) {
    const changed = bytesChanged(random, pickle);
    return { name: 'pickle', ending: '.pth', bytes: zip(rest.map((e) => (e.data === pickle ? { ...e, data: changed } : e))) };
  }
  return { name: 'zip', ending: '.pth', bytes: bytesChanged(random, zip(rest)) };
}
