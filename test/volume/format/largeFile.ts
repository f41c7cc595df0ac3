// Writes or reads a file of 3 GiB of voxels, in a process of its own: `largeFile.ts write|read FILE` prints JSON.

import { Crc32 } from '../../../src/base/checksum.js';
import { peakResidentBytes } from '../../../src/base/memory.js';
import { readVolume, type Volume, writeVolume } from '../../../src/volume/index.js';

const [what, file] = process.argv.slice(2);
const shape: Volume['shape'] = [1536, 1024, 1024];

/** Slices that differ, and repeat enough to be packed quickly. */
function voxels(): Int16Array {
  const data = new Int16Array(shape[0] * shape[1] * shape[2]);
  const plane = shape[1] * shape[2];
  for (let i = 0; i < plane; i++) data[i] = (i >> 5) % 2000;
  for (let z = 1; z < shape[0]; z++) {
    data.copyWithin(z * plane, 0, plane);
    data[z * plane] = z - 1000;
  }
  return data;
}

let volume: Volume;
if (what === 'write') {
  volume = {
    data: voxels(),
    shape,
    channels: 1,
    spacingMm: [2, 0.5, 0.25],
    originMm: [1, 2, 3],
    direction: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  };
  writeVolume(file, volume);
} else volume = readVolume(file, { onWarning: () => {} });
const sum = new Crc32();
sum.add(volume.data as Int16Array);
const peakMiB = Math.round(peakResidentBytes() / 2 ** 20);
console.log(JSON.stringify({ shape: volume.shape, spacingMm: volume.spacingMm, sum: sum.hex, peakMiB }));
