// F4, F5: hostile weights by chance, in a process of its own with a memory limit. `node --import tsx weightMutations.ts --count N
// --seed S` prints JSON. Every file must become valid tensors or a typed error; nothing may run, nothing outlive its file.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { VoxelbookError } from '../../src/base/errors.js';
import { Random } from '../../src/base/random.js';
import { readWeights } from '../../src/weights/checkpoint.js';
import { hostileFile } from './weightFiles.js';

const { values } = parseArgs({
  options: { count: { type: 'string', default: '4000' }, seed: { type: 'string', default: '20260101' } },
});
const random = new Random(Number(values.seed));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-weights-'));
process.chdir(folder);
const prototype = JSON.stringify(Object.getOwnPropertyNames(Object.prototype));

const kinds: Record<string, { read: number; refused: number }> = {};
const bad: string[] = [];
const count = Number(values.count);
for (let i = 0; i < count; i++) {
  const { name, ending, bytes, equal } = hostileFile(random);
  const file = `x${ending}`;
  fs.writeFileSync(file, bytes);
  kinds[name] ??= { read: 0, refused: 0 };
  try {
    const { tensors } = readWeights(file);
    kinds[name].read++;
    let total = 0;
    for (const [key, { shape, data }] of Object.entries(tensors)) {
      if (data.length !== shape.reduce((a, b) => a * b, 1))
        bad.push(`${i} ${name}: ${key} of [${shape}] with ${data.length} values`);
      total += data.byteLength;
    }
    if (total > 32 * bytes.length + (32 << 20)) bad.push(`${i} ${name}: ${total} bytes of a file of ${bytes.length}`);
    if (equal) {
      fs.writeFileSync('equal.safetensors', equal);
      const same = JSON.stringify(readWeights('equal.safetensors').tensors);
      if (JSON.stringify(tensors) !== same) bad.push(`${i} ${name}: accepted and different`);
      fs.rmSync('equal.safetensors');
    }
  } catch (error) {
    if (error instanceof VoxelbookError && error.faults.length > 0) kinds[name].refused++;
    else bad.push(`${i} ${name}: ${(error as Error).stack?.slice(0, 300)}`);
  }
  fs.rmSync(file);
  if (fs.readdirSync('.').length > 0) bad.push(`${i} ${name}: wrote ${fs.readdirSync('.')}`);
}
if (JSON.stringify(Object.getOwnPropertyNames(Object.prototype)) !== prototype) bad.push('the prototype of Object was changed');
process.chdir(os.tmpdir());
fs.rmSync(folder, { recursive: true });
console.log(JSON.stringify({ count, kinds, bad: bad.slice(0, 20) }));
