// What files hold, by SHA-256. A file is read again only when its size or times changed, so asking for a whole data set costs a look at
// its folder; a file that was touched and holds the same as before counts as the same.
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { atomicWriteJson } from '../base/atomicWrite.js';
import { fileSha256, sha256 } from '../base/checksum.js';
import { dataFolder } from '../base/paths.js';
import { storedJson, tableShape } from '../base/storedJson.js';

/** Size and times of a file as they were when it was read, and what it held. */
export interface KnownContent {
  size: number;
  mtimeMs: number;
  ctimeMs: number;
  sha256: string;
}

/** Files hashed by this process since it began: for tests and reports of what a start costs. */
export const hashed = { files: 0 };

/** Size and times of a file; undefined when it is not there. */
export function statOf(file: string): Omit<KnownContent, 'sha256'> | undefined {
  const found = fs.statSync(file, { throwIfNoEntry: false });
  return found && { size: found.size, mtimeMs: found.mtimeMs, ctimeMs: found.ctimeMs };
}

/** Reads a file and says what it holds. */
export function contentOf(file: string): KnownContent {
  const stat = statOf(file)!;
  hashed.files++;
  return { ...stat, sha256: fileSha256(file) };
}

const same = (a: KnownContent, b: Omit<KnownContent, 'sha256'>) =>
  a.size === b.size && a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs;

/** A name for what is remembered of a folder: readable, and its own for every folder. */
export const memoryFile = (kind: string, folder: string) => {
  const hash = sha256(path.resolve(folder)).slice(0, 12);
  return path.join(dataFolder(), 'checked', `${path.basename(folder)}-${hash}.${kind}.json`);
};

const contentShape = z.looseObject({ size: z.number(), mtimeMs: z.number(), ctimeMs: z.number(), sha256: z.string() });

/** Contents of the files of one data set, remembered from call to call and process to process. */
export class Contents {
  private readonly file: string;
  private readonly known: Record<string, KnownContent>;
  private changed = false;

  constructor(private readonly folder: string) {
    this.file = memoryFile('content', folder);
    this.known = storedJson(this.file, tableShape(contentShape)) ?? {};
  }

  private key = (file: string) => path.relative(this.folder, file);

  /** SHA-256 of a file; `missing` when it is not there. */
  sha256(file: string): string {
    const stat = statOf(file);
    if (!stat) return 'missing';
    const key = this.key(file);
    const known = Object.hasOwn(this.known, key) ? this.known[key] : undefined;
    if (known && same(known, stat)) return known.sha256;
    const content = contentOf(file);
    this.learn(file, content);
    return content.sha256;
  }

  /** Takes over what somebody else read. */
  learn(file: string, content: KnownContent): void {
    this.known[this.key(file)] = content;
    this.changed = true;
  }

  /** Keeps what was learnt. */
  save(): void {
    if (!this.changed) return;
    fs.mkdirSync(path.dirname(this.file), { recursive: true });
    atomicWriteJson(this.file, this.known);
    this.changed = false;
  }
}
