// One file from its published address: goes on where it was cut, and gets its name only when every byte is there and its checksum is right.
//
// While it grows it is `<file>.part`, with `<file>.part.json` beside it: which version of the file the bytes are of. A server that has
// another version by now sends it whole (If-Range), and so does this begin anew.
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { atomicWriteJson } from '../../base/atomicWrite.js';
import { fileHash } from '../../base/checksum.js';
import { freeDiskBytes, refuseIfDiskTooSmall } from '../../base/disk.js';
import { failedOn, VoxelbookError } from '../../base/errors.js';
import type { WorkOptions } from '../../base/progress.js';
import { storedJson } from '../../base/storedJson.js';

export interface DownloadOptions extends WorkOptions {
  /** As its publisher says; null: none is published, and that of the first download is kept and compared. */
  md5?: string | null;
  /** How many times its own size it will need on the disk, itself included: 2 when it is unpacked beside. */
  growth?: number;
  /** Seconds without a byte after which a connection counts as cut. */
  stallSeconds?: number;
  /** Attempts without a new byte before it gives up, and seconds between the first two. */
  attempts?: number;
  waitSeconds?: number;
}

/** What the bytes of a `.part` are of. */
const partSchema = z.object({ url: z.string(), validator: z.string().nullable(), total: z.number().int().nullable() });
type Part = z.infer<typeof partSchema>;

/** Statuses after which asking again helps. */
const passing = new Set([408, 425, 429, 500, 502, 503, 504]);

/** What the server answered, or that it did not, in words; tried again where that helps. */
class Cut extends Error {
  constructor(
    message: string,
    readonly passes: boolean,
  ) {
    super(message);
  }
}

/**
 * Downloads a file. Progress is in bytes.
 * @throws VoxelbookError when the server does not give it, the disk is too small, or the checksum is another; what came so far is kept
 *   but for the last
 */
export async function download(url: string, file: string, options: DownloadOptions = {}): Promise<void> {
  const { md5 = null, signal, attempts = 5, waitSeconds = 1 } = options;
  if (fs.existsSync(file)) return;
  fs.mkdirSync(path.dirname(file), { recursive: true });
  let failed = 0;
  for (;;) {
    signal?.throwIfAborted();
    const before = sizeOf(`${file}.part`);
    try {
      await attempt(url, file, options);
      break;
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof Cut)) throw failedOn(file, error, 'write', { kept: 'what came so far is kept' });
      failed = sizeOf(`${file}.part`) > before ? 1 : failed + 1;
      if (!error.passes || failed >= attempts) throw notGiven(url, file, error);
      await pause(waitSeconds * 2 ** (failed - 1), signal);
    }
  }
  const part = `${file}.part`;
  checkSum(url, part, md5, file);
  fs.renameSync(part, file);
  fs.rmSync(`${part}.json`, { force: true });
}

const sizeOf = (file: string) => fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0;

const pause = (seconds: number, signal?: AbortSignal) =>
  new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(done, seconds * 1000);
    signal?.addEventListener('abort', done, { once: true });
  });

/** One connection: the rest of the file, or all of it. @throws Cut when it ended early */
async function attempt(url: string, file: string, options: DownloadOptions): Promise<void> {
  const part = `${file}.part`;
  const known = partOf(part, url);
  const have = known ? sizeOf(part) : 0;
  // Cut between the last byte and the name.
  if (known && have > 0 && known.total === have) return;
  const watch = stallWatch(options.stallSeconds ?? 60, options.signal);
  try {
    const headers: Record<string, string> = { 'accept-encoding': 'identity' };
    if (known && have > 0) Object.assign(headers, { range: `bytes=${have}-`, 'if-range': known.validator! });
    const response = await fetch(url, { headers, signal: watch.signal }).catch((error) => {
      throw new Cut(causeOf(error), true);
    });
    if (url.startsWith('https:') && !response.url.startsWith('https:'))
      throw new Cut(`it was led to ${new URL(response.url).origin}, which is not encrypted`, false);
    const other = response.status === 206 && validatorOf(response.headers) !== known?.validator;
    if (response.status === 416 || other) {
      fs.rmSync(part, { force: true });
      throw new Cut('the published file is another by now', true);
    }
    if (!response.ok || !response.body) throw new Cut(`${response.status} ${response.statusText}`, passing.has(response.status));
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '');
    const goesOn = response.status === 206;
    if (goesOn && Number(range?.[1]) !== have) throw new Cut('the server sent another part than was asked for', false);
    const length = Number(response.headers.get('content-length') ?? Number.NaN);
    const total =
      goesOn && range && range[2] !== '*' ? Number(range[2]) : Number.isFinite(length) ? (goesOn ? have : 0) + length : null;
    const start = goesOn ? have : 0;
    roomFor(file, total, start, options.growth ?? 1);
    if (!goesOn) atomicWriteJson(`${part}.json`, { url, validator: validatorOf(response.headers), total } satisfies Part);
    await append(response.body, part, { start, total, watch, onBytes: (n) => report(options, file, n, total) });
    const size = sizeOf(part);
    if (total !== null && size !== total) throw new Cut(`${size} of ${total} bytes came`, true);
  } catch (error) {
    options.signal?.throwIfAborted();
    throw watch.signal.aborted ? new Cut(`no byte came for ${options.stallSeconds ?? 60} s`, true) : error;
  } finally {
    watch.stop();
  }
}

/** The version that a `.part` is of, where the server can be asked to go on with just that one. */
function partOf(part: string, url: string): Part | undefined {
  const known = storedJson<Part>(`${part}.json`, partSchema);
  return known?.url === url && known.validator !== null ? known : undefined;
}

/** A strong ETag, else the date of the file: what If-Range takes. */
function validatorOf(headers: Headers): string | null {
  const tag = headers.get('etag');
  return tag?.startsWith('"') ? tag : headers.get('last-modified');
}

function stallWatch(seconds: number, signal?: AbortSignal) {
  const stalled = new AbortController();
  let timer = setTimeout(() => stalled.abort(), seconds * 1000);
  return {
    signal: signal ? AbortSignal.any([signal, stalled.signal]) : stalled.signal,
    heard() {
      clearTimeout(timer);
      timer = setTimeout(() => stalled.abort(), seconds * 1000);
    },
    stop: () => clearTimeout(timer),
  };
}

/** Never more than the server said, nor, where it said nothing, than half of what is free. */
async function append(
  body: ReadableStream<Uint8Array>,
  part: string,
  {
    start,
    total,
    watch,
    onBytes,
  }: { start: number; total: number | null; watch: { heard(): void }; onBytes: (n: number) => void },
): Promise<void> {
  const most = total ?? start + freeDiskBytes(path.dirname(part)) / 2;
  const descriptor = fs.openSync(part, start > 0 ? 'r+' : 'w');
  let at = start;
  try {
    fs.ftruncateSync(descriptor, start);
    onBytes(at);
    for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
      watch.heard();
      if (at + chunk.length > most) throw new Cut(`more than ${most} bytes came`, false);
      for (let done = 0; done < chunk.length; ) {
        const n = fs.writeSync(descriptor, chunk, done, chunk.length - done, at + done);
        if (n === 0) throw Object.assign(new Error('nothing more could be written'), { code: 'ENOSPC' });
        done += n;
      }
      at += chunk.length;
      onBytes(at);
    }
    fs.fsyncSync(descriptor);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw error instanceof Cut || (code && /^E(NOSPC|DQUOT|IO|ROFS|STALE)$/.test(code)) ? error : new Cut(causeOf(error), true);
  } finally {
    fs.closeSync(descriptor);
  }
}

function roomFor(file: string, total: number | null, have: number, growth: number): void {
  if (total === null) return;
  refuseIfDiskTooSmall(path.dirname(file), total * growth - have, {
    what: path.basename(file) + (growth > 1 ? ', packed and unpacked' : ''),
    elsewhere: 'choose a folder on a larger disk with --downloads',
  });
}

function report({ signal, onProgress }: DownloadOptions, file: string, done: number, total: number | null): void {
  signal?.throwIfAborted();
  onProgress?.({ what: `fetch ${path.basename(file)}`, done, total: total ?? done, etaSeconds: null });
}

/** undici hides the reason in `cause`. */
function causeOf(error: unknown): string {
  const { message, cause } = error as Error;
  const inner = cause as (Error & { code?: string }) | undefined;
  return inner ? inner.message || inner.code || message : message;
}

function notGiven(url: string, file: string, { message }: Cut): VoxelbookError {
  const kept = sizeOf(`${file}.part`);
  return new VoxelbookError(`${path.basename(file)} could not be fetched`, {
    code: 'download',
    path: url,
    given: message,
    expected: 'the file as published',
    fix:
      kept > 0
        ? `Start again: it goes on after the ${kept} bytes that came.`
        : 'Check the network and the address, then start again.',
  });
}

/** Compares with the published MD5 sum, or with what the first download had. */
function checkSum(url: string, part: string, md5: string | null, file: string): void {
  const refuse = (given: string, expected: string, fix: string) => {
    // Going on from wrong bytes would give them again.
    fs.rmSync(part, { force: true });
    fs.rmSync(`${part}.json`, { force: true });
    throw new VoxelbookError(`${path.basename(file)} is not the published file`, {
      code: 'checksum',
      path: url,
      given,
      expected,
      fix,
    });
  };
  if (md5 !== null) {
    const found = fileHash(part, 'md5');
    if (found !== md5)
      refuse(`MD5 ${found}`, `${md5}, as published`, 'Start again; if it comes so again, the published file is another by now.');
    return;
  }
  const record = `${file}.sha256.json`;
  const known = storedJson<{ sha256: string }>(record, z.object({ sha256: z.string() }));
  const found = fileHash(part, 'sha256');
  if (!known) atomicWriteJson(record, { url, sha256: found, bytes: sizeOf(part), since: new Date().toISOString() });
  else if (known.sha256 !== found)
    refuse(
      `SHA-256 ${found}`,
      `${known.sha256}, as when it was first fetched`,
      `Start again; if the new file is meant, delete ${record}.`,
    );
}
