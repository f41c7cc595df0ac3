// C4: one to three flipped bits, cuts and swaps of files: an error, or the very content.
import fs from 'node:fs';
import path from 'node:path';
import { Random } from '../../../src/base/random.js';
import { artefacts } from '../artefacts.js';
import { must, type Row } from '../row.js';

const flips: Row = {
  id: 'C4',
  what: 'one to three flipped bits, or a cut, in weights, checkpoints, preprocessed cases, labels of a stage, probabilities, scores, label files',
  inputs: (n) => 5 * n,
  begin({ seed, scratch }) {
    const list = artefacts().filter(({ files }) => files.length > 0);
    const good = list.map((artefact) => {
      const folder = path.join(scratch, artefact.name);
      fs.mkdirSync(folder);
      artefact.write(folder, 1);
      return {
        folder,
        content: artefact.read(folder),
        files: artefact.files.map((name) => fs.readFileSync(path.join(folder, name))),
      };
    });
    return (i) => {
      const random = new Random(`flip ${i} ${seed}`);
      const artefact = list[i % list.length];
      const { folder, content, files } = good[i % list.length];
      const which = random.int(0, files.length);
      const file = path.join(folder, artefact.files[which]);
      let bytes: Buffer = Buffer.from(files[which]);
      if (random.chance(0.05)) bytes = bytes.subarray(0, random.int(0, bytes.length));
      else for (let k = random.int(1, 4); k > 0; k--) bytes[random.int(0, bytes.length)] ^= 1 << random.int(0, 8);
      fs.writeFileSync(file, bytes);
      try {
        must(artefact.read(folder) === content, `${artefact.name}: read, and different`);
        return 'equal';
      } finally {
        fs.writeFileSync(file, files[which]);
      }
    };
  },
};

export const rows: Row[] = [flips];
