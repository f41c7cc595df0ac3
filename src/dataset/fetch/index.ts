// Public data sets that need no agreement: downloaded, unpacked, converted. Each step is skipped where it is done already.
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../../base/errors.js';
import { withLock } from '../../base/lock.js';
import { dataFolder } from '../../base/paths.js';
import type { Progress, WorkOptions } from '../../base/progress.js';
import { type ConvertOptions, convert } from '../convert/index.js';
import { type Descriptor, type DownloadFile, describedNames, descriptor } from '../descriptor.js';
import { download } from './download.js';
import { unpack } from './unpack.js';

/** Where a public set is downloaded and unpacked. */
export interface FetchOptions extends ConvertOptions {
  /** Where archives and unpacked folders lie; default `downloads` in the own data folder. */
  downloads?: string;
  /** Keep the archive after it was unpacked. */
  keep?: boolean;
  /** Another server with the same files, under the names they get here; checksums stay the published ones. */
  mirror?: string;
}

/** Names of the public sets that can be had without an agreement. */
export const fetchableNames = (): string[] => describedNames().filter((name) => descriptor(name).download);

/**
 * Downloads a public data set from its published address and converts it into the raw layout. Can be interrupted at any point and goes on
 * from there.
 * @returns the raw folder, for `dataset.open`
 * @throws VoxelbookError for sets behind an agreement (where to apply), and for what `download`, `unpack` and `convert` refuse
 */
export async function fetchDataset(name: string, options: FetchOptions = {}): Promise<string> {
  const about = descriptor(name);
  const source = await fetchSource(about, options);
  return convert(about.name, source, options);
}

/** Downloads and unpacks alone. @returns the published folder, for `convert` */
export async function fetchSource(
  about: Pick<Descriptor, 'name' | 'title' | 'apply' | 'download'>,
  options: FetchOptions = {},
): Promise<string> {
  if (!about.download)
    throw new VoxelbookError(`${about.name} cannot be fetched`, {
      code: 'agreement',
      path: about.name,
      given: `${about.title}, which is behind an agreement`,
      expected: `one of ${fetchableNames().join(', ')}`,
      fix: `Apply at ${about.apply}; then npx voxelbook convert ${about.name} <its folder>.`,
    });
  const root = path.resolve(options.downloads ?? path.join(dataFolder(), 'downloads'));
  const { folder, files } = about.download;
  fs.mkdirSync(root, { recursive: true });
  await withLock(path.join(root, `${about.name}.lock`), options, async () => {
    const all = files.flatMap(numbered);
    const begin = performance.now();
    for (const [i, file] of all.entries())
      await one(file, root, folder, { ...options, onProgress: within(options, { index: i, count: all.length, begin }) });
  });
  return path.join(root, folder);
}

/** A file for every case that an entry stands for. */
function numbered(file: DownloadFile): DownloadFile[] {
  const { cases, ...rest } = file;
  if (!cases) return [rest];
  return cases.flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, i) => {
      const fill = (text: string) => text.replaceAll('{case}', String(first + i).padStart(5, '0'));
      return { ...rest, url: fill(rest.url), to: fill(rest.to) };
    }),
  );
}

async function one(file: DownloadFile, root: string, folder: string, options: FetchOptions): Promise<void> {
  const to = path.join(root, file.to);
  const unpacked = path.join(root, folder);
  if (file.unpack && fs.existsSync(unpacked)) return;
  const url = options.mirror ? new URL(file.to, `${options.mirror.replace(/\/*$/, '')}/`).href : file.url;
  await download(url, to, { ...options, md5: file.md5, growth: file.unpack ? 2 : 1 });
  if (!file.unpack) return;
  await unpack(to, file.unpack, folder, unpacked, options);
  if (!options.keep) fs.rmSync(to, { force: true });
}

const megabytes = (bytes: number) => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);

/**
 * Bytes of one file as progress of the whole: how much of how much in words, the time left by the speed since it began; of several files
 * their count, and the time by the files before.
 */
function within(
  { onProgress }: WorkOptions,
  { index, count, begin }: { index: number; count: number; begin: number },
): WorkOptions['onProgress'] {
  if (!onProgress) return undefined;
  let began: { at: number; done: number; what: string } | undefined;
  let said = Number.NEGATIVE_INFINITY;
  return ({ what, done, total }: Progress) => {
    const now = performance.now();
    if (began?.what !== what) began = { at: now, done, what };
    else if (done < total && now - said < 200) return;
    said = now;
    const speed = (done - began.done) / (now - began.at);
    const etaSeconds = speed > 0 ? (total - done) / speed / 1000 : null;
    const text = `${what}, ${megabytes(done)} of ${megabytes(total)} MB`;
    if (count === 1)
      onProgress({ what: text, done: Math.round(done / 1e6), total: Math.max(1, Math.round(total / 1e6)), etaSeconds });
    else {
      const each = index > 0 ? (now - begin) / 1000 / index : null;
      const left = each === null ? null : each * (count - index);
      onProgress({ what: `${text}, file ${index + 1} of ${count}`, done: index, total: count, etaSeconds: left });
    }
  };
}
