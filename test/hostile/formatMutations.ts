// Mutated NRRD, MetaImage and GIPL files, in a process of its own. `node --import tsx formatMutations.ts <count> <seed>` prints JSON.
// Every file must become a sound volume or a typed error.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { VoxelbookError } from '../../src/base/errors.js';
import { Random } from '../../src/base/random.js';
import { readGrid, readVolume } from '../../src/volume/index.js';

const [count, seed] = process.argv.slice(2).map(Number);
const random = new Random(seed);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-formats-'));
const given = fileURLToPath(new URL('../volume/formats/', import.meta.url));
for (const name of fs.readdirSync(given).filter((n) => /raw$/.test(n)))
  fs.copyFileSync(path.join(given, name), path.join(folder, name));
const seeds = fs
  .readdirSync(given)
  .filter((name) => /\.(nrrd|nhdr|mha|mhd|gipl)$/.test(name))
  .map((name) => ({ ending: path.extname(name), bytes: fs.readFileSync(path.join(given, name)) }));

const nasty = [
  '0',
  '-1',
  '9007199254740992',
  '4294967296',
  '2147483647',
  '65536',
  '1e400',
  'nan',
  '-inf',
  '1e-320',
  '',
  '0x10',
  '1,2',
  '()',
];
const words = [
  'LOCAL',
  'LIST',
  'gzip',
  'raw',
  'none',
  'vector',
  'complex',
  'time',
  'True',
  'MET_DOUBLE',
  'double',
  'block',
  '/etc/passwd',
  '../x',
  '\0',
];

/** A number or word of the header exchanged, a line taken out, doubled or emptied; or some bytes changed; sometimes cut or doubled. */
function mutate(bytes: Buffer, ending: string): Buffer {
  let out = Buffer.from(bytes);
  for (let i = random.int(1, 5); i > 0; i--) {
    const kind = ending === '.gipl' ? 3 : random.int(0, 4);
    if (kind === 3)
      out[random.int(0, Math.min(out.length, 512))] = random.chance(0.5)
        ? random.choice([0, 1, 0x7f, 0x80, 0xff])
        : random.int(0, 256);
    else {
      const lines = out.toString('latin1').split('\n');
      const at = random.int(0, Math.min(lines.length, 14));
      const parts = lines[at].split(/(?<=[ (,=:])|(?=[ ),])/);
      if (kind === 2) lines.splice(at, 1, ...random.choice([[], [lines[at], lines[at]], ['']]));
      else parts[random.int(0, parts.length)] = random.choice(kind === 0 ? nasty : words);
      if (kind !== 2) lines[at] = parts.join('');
      out = Buffer.from(lines.join('\n'), 'latin1');
    }
  }
  if (random.chance(0.1)) return out.subarray(0, random.int(0, out.length + 1));
  return random.chance(0.05) ? Buffer.concat([out, out]) : out;
}

let read = 0;
let refused = 0;
const bad: string[] = [];
for (let i = 0; i < count; i++) {
  const { ending, bytes } = seeds[i % seeds.length];
  const mutated = mutate(bytes, ending);
  const file = path.join(folder, `x${ending}`);
  fs.writeFileSync(file, mutated);
  try {
    const v = readVolume(file, { onWarning: () => {} });
    read++;
    const numbers = [...v.shape, ...v.spacingMm, ...v.originMm, ...v.direction];
    const sound =
      numbers.every(Number.isFinite) && v.spacingMm.every((s) => s > 0) && [...v.shape, v.channels].every((n) => n >= 1);
    if (!sound || v.data.length !== v.shape[0] * v.shape[1] * v.shape[2] * v.channels || !readGrid(file))
      bad.push(`unsound volume: ${ending} ${mutated.toString('base64')}`);
  } catch (error) {
    refused++;
    if (!(error instanceof VoxelbookError)) bad.push(`${error}: ${ending} ${mutated.toString('base64')}`);
  }
}
fs.rmSync(folder, { recursive: true });
const peakMiB = Math.round(process.resourceUsage().maxRSS / 1024);
console.log(JSON.stringify({ count, seeds: seeds.length, read, refused, peakMiB, bad: bad.slice(0, 5) }));
