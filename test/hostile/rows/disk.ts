// C3: disks that are full, read-only or gone while an artefact is written: the one that stood there stays, byte for byte.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Random } from '../../../src/base/random.js';
import { artefacts } from '../artefacts.js';
import { Lost, must, type Row } from '../row.js';

const faults = [
  'full',
  'full',
  'full',
  'full',
  'read-only',
  'gone',
  'a file in the way',
  'fine',
  'EDQUOT',
  'EIO',
  'ESTALE',
] as const;

/** What no file system here says by itself: the write after `fine` good ones, or the sync behind them, fails. @returns what ends it */
function failing(code: string, fine: number): () => void {
  const { writeSync, fsyncSync } = fs;
  const or = <F extends (...args: never[]) => unknown>(work: F) =>
    ((...args: Parameters<F>) => {
      if (fine-- <= 0) throw Object.assign(new Error(`${code}: said by the test`), { code });
      return work(...args);
    }) as F;
  fs.writeSync = or(writeSync as never);
  fs.fsyncSync = or(fsyncSync as never);
  return () => Object.assign(fs, { writeSync, fsyncSync });
}

const disk: Row = {
  id: 'C3',
  what: 'every artefact written on a 1 MiB tmpfs that is full after k bytes, read-only, or without its folder; EDQUOT, EIO, ESTALE at any write',
  inputs: (n) => n,
  begin({ seed, scratch }) {
    const mount = path.join(scratch, 'disk');
    fs.mkdirSync(mount);
    const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mount], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`a tmpfs cannot be mounted here: ${stderr}`);
    const list = artefacts();
    const filler = path.join(mount, 'filler');
    const remount = (how: string) => spawnSync('mount', ['-o', `remount,${how}`, mount]);
    return {
      one(i) {
        const random = new Random(`disk ${i} ${seed}`);
        const artefact = list[i % list.length];
        const fault = random.choice(faults);
        const folder = path.join(mount, 'work');
        fs.rmSync(folder, { recursive: true, force: true });
        fs.mkdirSync(folder);
        artefact.write(folder, 1);
        const before = bytesIn(folder);
        if (fault === 'full') {
          const free = fs.statfsSync(mount).bavail * fs.statfsSync(mount).bsize;
          fs.writeFileSync(filler, Buffer.alloc(Math.max(0, free - random.int(0, 9) * 4096)));
        }
        if (fault === 'read-only') remount('ro');
        if (fault === 'gone') fs.rmSync(folder, { recursive: true });
        const mend = fault.startsWith('E') ? failing(fault, random.int(0, 4)) : () => {};
        let wrote = false;
        try {
          artefact.write(folder, 2);
          wrote = true;
        } finally {
          mend();
          if (fault === 'read-only') remount('rw');
          fs.rmSync(filler, { force: true });
          if (!wrote && fault !== 'gone') {
            const after = bytesIn(folder);
            // Several files make one artefact: each is old or new, and the whole reads as either.
            for (const name of before.keys()) if (!after.has(name)) lose(`${artefact.name}: ${name} is gone (${fault})`);
            for (const name of after.keys()) if (/\.tmp$/.test(name)) lose(`${artefact.name}: ${name} was left behind`);
            const [content, one, two] = [artefact.read(folder), artefact.content(1), artefact.content(2)];
            if (content !== one && content !== two) lose(`${artefact.name}: neither the old nor the new (${fault})`);
          }
        }
        if (fault === 'gone') must(fs.existsSync(folder), `${artefact.name}: success without a folder`);
        must(artefact.read(folder) === artefact.content(2), `${artefact.name}: success, and not what was written (${fault})`);
        return 'equal';
      },
      end() {
        spawnSync('umount', [mount]);
      },
    };
  },
};

function lose(text: string): never {
  throw new Lost(text);
}

const bytesIn = (folder: string) =>
  new Map(
    (fs.readdirSync(folder, { recursive: true }) as string[])
      .filter((name) => fs.statSync(path.join(folder, name)).isFile())
      .map((name) => [name, fs.readFileSync(path.join(folder, name))]),
  );

export const rows: Row[] = [disk];
