// Errors as data first, text second: what was given, what was expected, what to do next; all faults of one input at once.
import fs from 'node:fs';
import path from 'node:path';

/** One thing wrong with an input. `path` names the place (`patchSize[0]`, `imagesTr/case_0001_0000.nii.gz`). */
export interface Fault {
  code: string;
  path: string;
  given: string;
  expected: string;
  fix: string;
}

/** Text that a terminal shows as it stands: control characters other than a new line and a tab are written out. */
export const printable = (text: string): string =>
  text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, (c) =>
    c === '\n' || c === '\t' ? c : `\\u${c.codePointAt(0)!.toString(16).padStart(4, '0')}`,
  );

/** Faults a message shows, and characters of each: a file of thousands must not fill the screen with thousands of lines. */
const shownFaults = 40;
const shownCharacters = 2000;

/** The same in one line, the middle left out where it is very long. */
function oneLine(text: string): string {
  const half = shownCharacters / 2;
  const short = text.length <= shownCharacters ? text : `${text.slice(0, half)} … ${text.slice(-half)}`;
  return printable(short).replaceAll('\n', '\\n');
}

/** Thrown for every fault a person can put right. `faults` is the data, all of it; the message is made of it. */
export class VoxelbookError extends Error {
  readonly faults: readonly Fault[];

  constructor(what: string, faults: Fault | readonly Fault[]) {
    const given = Array.isArray(faults) ? (faults as readonly Fault[]) : [faults as Fault];
    // An empty text would leave a hole in the sentence.
    const list = given.map((f) => (/\S/.test(f.given) ? f : { ...f, given: 'nothing' }));
    const lines = list
      .slice(0, shownFaults)
      .map((f) => `  ${oneLine(`${f.path}: ${f.given}; expected ${f.expected}. ${f.fix}`)}`);
    if (list.length > shownFaults) lines.push(`  … and ${list.length - shownFaults} more faults`);
    super([printable(what), ...lines].join('\n'));
    this.name = 'VoxelbookError';
    this.faults = list;
  }

  /** The code of the first fault, for programs. */
  get code(): string {
    return this.faults[0]?.code ?? 'unknown';
  }
}

/** Collects faults while an input is checked, and throws them together. */
export class FaultList {
  readonly faults: Fault[] = [];

  add(code: string, path: string, given: string, expected: string, fix: string): void {
    this.faults.push({ code, path, given, expected, fix });
  }

  /** Throws when anything was added. */
  throwIfAny(what: string): void {
    if (this.faults.length > 0) throw new VoxelbookError(what, this.faults);
  }
}

/** What the system's own errors come to, by their code: our code, what was expected, what to do. */
const system: Record<string, [code: string, expected: string, fix: string]> = {
  ENOSPC: ['disk-full', 'free space', 'Free some space or choose another folder'],
  EDQUOT: ['quota', 'room within the quota of this user', 'Free some of your space, ask for more, or choose another folder'],
  EROFS: ['cannot-write', 'a writable file system', 'Choose a folder that may be written to'],
  EACCES: ['cannot-write', 'a writable folder', 'Check that the folder exists and may be written to'],
  EPERM: ['cannot-write', 'a writable folder', 'Check that the folder exists and may be written to'],
  ENOENT: ['cannot-write', 'an existing folder', 'Check that the folder exists and may be written to'],
  ENOTDIR: ['cannot-write', 'an existing folder', 'Check that the folder exists and may be written to'],
  ENAMETOOLONG: ['cannot-write', 'a name of at most 255 bytes', 'Choose a shorter name'],
  EMFILE: ['too-many-files', 'fewer open files', 'Raise the limit: ulimit -n'],
  EIO: ['disk-error', 'a disk that reads and writes', 'Look at the disk (dmesg, its health report) before going on'],
  ESTALE: ['stale-handle', 'a file server that still knows this file', 'Mount the share again, then start again'],
};

/**
 * An error of the file system as one that says what to do; any other error as it is.
 * @param file what was being read or written
 * @param kept what is safe, for the end of the advice
 * @param needed bytes that were to be written, where known
 */
export function failedOn(
  file: string,
  error: unknown,
  doing: 'write' | 'read' | 'claim',
  { kept = '', needed }: { kept?: string; needed?: number } = {},
): Error {
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (error instanceof VoxelbookError || !Object.hasOwn(system, code)) return error as Error;
  let [ours, expected, fix] = system[code];
  if (doing === 'read' && ours === 'cannot-write') [ours, expected] = ['cannot-read', 'a file that may be read'];
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  return new VoxelbookError(`could not ${doing} ${file}`, {
    code: ours,
    path: file,
    given: `${code}: ${full ? freeBytes(path.dirname(file)) : message}`,
    expected: full && needed !== undefined ? `at least ${needed} bytes${code === 'EDQUOT' ? ` and ${expected}` : ''}` : expected,
    fix: `${fix}${kept && `; ${kept}`}.`,
  });
}

function freeBytes(folder: string): string {
  try {
    const disk = fs.statfsSync(folder);
    return `${disk.bavail * disk.bsize} bytes free`;
  } catch {
    return 'free space unknown';
  }
}
