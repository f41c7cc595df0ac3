// F4, F5: weights by chance: sound tensors or a typed error; nothing runs, nothing is written.
import fs from 'node:fs';
import { Random } from '../../../src/base/random.js';
import { readWeights } from '../../../src/weights/checkpoint.js';
import { Lost, must, type Row } from '../row.js';
import { attacks, hostileFile } from '../weightFiles.js';

const prototype = JSON.stringify(Object.getOwnPropertyNames(Object.prototype));

/** Reads `bytes` and looks at everything that came of it. */
function read(bytes: Buffer, ending: string): ReturnType<typeof readWeights>['tensors'] {
  const file = `x${ending}`;
  fs.writeFileSync(file, bytes);
  try {
    const { tensors } = readWeights(file);
    let total = 0;
    for (const [name, { shape, data }] of Object.entries(tensors)) {
      must(data.length === shape.reduce((a, b) => a * b, 1), () => `${name} of [${shape}] with ${data.length} values`);
      total += data.byteLength;
    }
    must(total <= 32 * bytes.length + (32 << 20), () => `${total} bytes of a file of ${bytes.length}`);
    return tensors;
  } finally {
    fs.rmSync(file, { force: true });
  }
}

/** What a file may not leave behind, read or refused. */
function mustBeClean(): void {
  const left = fs.readdirSync('.');
  if (left.length > 0) throw new Lost(`wrote ${left}`);
  must(JSON.stringify(Object.getOwnPropertyNames(Object.prototype)) === prototype, 'the prototype of Object was changed');
}

const chance: Row = {
  id: 'F4 F5',
  what: 'safetensors, .pth, zip and pickle by chance; one flipped bit of a file of ours; nothing runs, nothing is written',
  inputs: (n) => 20 * n,
  begin({ seed, scratch }) {
    process.chdir(scratch);
    return (i) => {
      mustBeClean();
      const { ending, bytes, equal } = hostileFile(new Random(`weights ${i} ${seed}`));
      const tensors = read(bytes, ending);
      if (!equal) return 'sound';
      must(JSON.stringify(tensors) === JSON.stringify(read(equal, ending)), 'accepted and different');
      return 'equal';
    };
  },
};

const byHand: Row = {
  id: 'F5',
  what: 'weights made by hand: exploits, bombs, overlaps, holes, duplicate names, deep headers, zip slip',
  inputs: () => attacks().length,
  begin({ scratch }) {
    process.chdir(scratch);
    const list = attacks();
    return (i) => {
      mustBeClean();
      read(list[i].bytes, list[i].ending);
      throw new Error(`accepted: ${list[i].name}`);
    };
  },
};

export const rows: Row[] = [chance, byHand];
