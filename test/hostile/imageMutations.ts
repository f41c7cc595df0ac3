// Odd and damaged images of every format but NIfTI, in a process of its own. `node --import tsx imageMutations.ts <count> <seed>` prints JSON.
// Every file must become a valid volume or a typed error.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { VoxelbookError } from '../../src/base/errors.js';
import { peakResidentBytes } from '../../src/base/memory.js';
import { readGrid, readVolume } from '../../src/volume/index.js';
import { besides, formats, oddFile } from './mutations.js';

const [count, seed] = process.argv.slice(2).map(Number);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-images-'));
for (const file of besides()) fs.copyFileSync(file, path.join(folder, path.basename(file)));
const list = formats.filter((format) => format !== 'nifti');
let [read, refused, slowest] = [0, 0, 0];
const bad: string[] = [];
for (let i = 0; i < count; i++) {
  const format = list[i % list.length];
  const { ending, bytes } = oddFile(format, Math.floor(i / list.length), seed);
  const file = path.join(folder, `x${ending}`);
  fs.writeFileSync(file, bytes);
  const start = process.cpuUsage(); // not wall time: other processes must not decide
  try {
    const v = readVolume(file, { onWarning: () => {} });
    read++;
    const numbers = [...v.shape, ...v.spacingMm, ...v.originMm, ...v.direction];
    const valid =
      numbers.every(Number.isFinite) && v.spacingMm.every((s) => s > 0) && [...v.shape, v.channels].every((n) => n >= 1);
    if (!valid || v.data.length !== v.shape[0] * v.shape[1] * v.shape[2] * v.channels)
      bad.push(`unsound volume: ${ending} ${bytes.toString('base64')}`);
    readGrid(file);
  } catch (error) {
    refused++;
    if (!(error instanceof VoxelbookError)) bad.push(`${error}: ${ending} ${bytes.toString('base64')}`);
  }
  const { user, system } = process.cpuUsage(start);
  slowest = Math.max(slowest, (user + system) / 1000);
}
fs.rmSync(folder, { recursive: true });
const peakMiB = Math.round(peakResidentBytes() / 2 ** 20);
console.log(JSON.stringify({ count, read, refused, slowestMs: Math.round(slowest), peakMiB, bad: bad.slice(0, 5) }));
