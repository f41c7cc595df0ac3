// Modules of a person's own, named by an experiment: what they hold is known before they run, and they run everywhere alike.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import module from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { VoxelbookError } from './errors.js';
import { type Definition, type Kind, registering, sourceOf } from './registry.js';

/** A module and the checksum of its text and of every file of its own that it imports. */
export interface ExtensionFile {
  file: string;
  sha256: string;
}

const endings = ['.ts', '.mts', '.js', '.mjs'];

/**
 * A module as an experiment refers to it; nothing is run.
 * @throws VoxelbookError when it or a file that it imports is not there
 */
export function extensionFile(file: string): ExtensionFile {
  const hash = createHash('sha256');
  const root = path.resolve(file);
  for (const one of ownFiles(root))
    hash
      .update(`${path.relative(path.dirname(root), one)}\0`)
      .update(fs.readFileSync(one))
      .update('\0');
  return { file: root, sha256: hash.digest('hex') };
}

/** The module and, by relative imports, every file it is made of. */
export function ownFiles(file: string): string[] {
  const found = new Set<string>();
  const visit = (one: string, from: string) => {
    if (found.has(one)) return;
    if (!endings.includes(path.extname(one)) || !fs.existsSync(one)) throw notThere(one, from);
    found.add(one);
    const text = fs.readFileSync(one, 'utf8');
    for (const [, , name] of text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*(['"])(\.{1,2}\/[^'"\n]+)\1/g))
      visit(path.resolve(path.dirname(one), name), one);
  };
  visit(path.resolve(file), 'the experiment');
  return [...found].sort();
}

const notThere = (file: string, from: string) =>
  new VoxelbookError('this extension cannot be loaded', {
    code: 'extension-missing',
    path: file,
    given: fs.existsSync(file) ? `a file ending in ${path.extname(file) || 'nothing'}` : 'no such file',
    expected: `a module (${endings.join(', ')}) that ${from} names with its ending`,
    fix: 'Correct the path; it is relative to the file that names it.',
  });

/** What is said before a module runs. */
export const codeNote = ({ file, sha256 }: ExtensionFile): string =>
  `loads code: ${ownFiles(file).join(', ')} (${sha256.slice(0, 12)})`;

const loaded = new Map<string, ExtensionFile>();

/** What this process has loaded, for the workers it starts. */
export const loadedExtensions = (): ExtensionFile[] => [...loaded.values()];

/** Checksums of the modules that brought these definitions, for what is kept of their results; undefined where all are built in. */
export function codeOf(kind: Kind, names: readonly string[]): string[] | undefined {
  const files = new Set(names.flatMap((name) => sourceOf(kind, name) ?? []));
  return files.size > 0 ? [...files].map((file) => loaded.get(file)?.sha256 ?? file).sort() : undefined;
}

/**
 * Loads a module of one's own in this process, as an experiment that names it does everywhere it runs.
 * @throws VoxelbookError naming file, line and part
 */
export async function loadExtension(file: string): Promise<ExtensionFile> {
  const found = extensionFile(file);
  await loadExtensions([found]);
  return found;
}

/**
 * Loads modules, each once for what it holds.
 * @throws VoxelbookError when one is no longer what the experiment was made with, or fails: with file, line and part
 */
export async function loadExtensions(files: readonly ExtensionFile[]): Promise<void> {
  for (const { file, sha256 } of files) {
    if (loaded.get(file)?.sha256 === sha256) continue;
    const now = extensionFile(file);
    if (now.sha256 !== sha256)
      throw new VoxelbookError('an extension has changed since this experiment was made', {
        code: 'extension-changed',
        path: file,
        given: `checksum ${now.sha256.slice(0, 12)}`,
        expected: sha256.slice(0, 12),
        fix: 'Start the experiment again from its own file; it becomes a run of its own.',
      });
    await useHooks();
    // The library's own definitions come first, so that what registers from here on is the module's.
    await import(new URL(`../index${path.extname(import.meta.url)}`, import.meta.url).href);
    try {
      await registering(
        { file, guard: (kind, part) => guarded(file, kind, part) },
        () => import(`${pathToFileURL(file).href}?voxelbook=${sha256}`),
      );
    } catch (error) {
      throw failed(file, error as Error, 'cannot be loaded');
    }
    loaded.set(file, now);
  }
}

let hooked: Promise<void> | undefined;
const useHooks = () => (hooked ??= addHooks());

/** In this thread where Node can (from 22.15 on), so that they come before other loaders' hooks; else in a thread of their own. */
async function addHooks(): Promise<void> {
  const hooks = new URL(`./extensionHooks${path.extname(import.meta.url)}`, import.meta.url);
  const { registerHooks } = module as { registerHooks?: (hooks: { resolve: unknown; load: unknown }) => void };
  if (!registerHooks) module.register(hooks);
  else {
    const { resolve, load } = await import(hooks.href);
    registerHooks({ resolve, load });
  }
}

/** A definition whose errors say where in the module, and in which part, they arose. */
function guarded<D extends Definition>(file: string, kind: string, definition: D): D {
  const whole = `${kind}.${definition.name}`;
  const entries = Object.entries(definition).map(([key, value]) => {
    if (typeof value !== 'function') return [key, value];
    const call = function (this: unknown, ...args: unknown[]) {
      try {
        return value.apply(this, args);
      } catch (error) {
        throw failed(file, error as Error, 'failed', `${whole}.${key}`);
      }
    };
    return [key, call];
  });
  return Object.fromEntries(entries);
}

/** Errors that name their place already. */
const placed = new WeakSet<Error>();

/** @param part of the module that was being called */
function failed(file: string, error: Error, how: string, part = ''): Error {
  if (placed.has(error)) return error;
  const text = `${error.stack ?? ''}\n${error.message}`;
  const at = /(?:file:\/\/)?(\/[^\s()]+?)(?:\?voxelbook=[0-9a-f]+)?:(\d+)(?::\d+)?/g;
  const own = new Set(ownFiles(file));
  const [place] = [...text.matchAll(at)].filter(([, name]) => own.has(decodeURI(name)));
  const faults = error instanceof VoxelbookError ? error.faults : undefined;
  const where = [place ? `${decodeURI(place[1])}:${place[2]}` : file, part].filter(Boolean).join(', ');
  const told = new VoxelbookError(
    `the extension ${path.basename(file)} ${how}`,
    (
      faults ?? [
        {
          code: 'extension',
          path: '',
          given: error.message.split('\n')[0].replace(/^\/.*?:\d+: /, ''),
          expected: part ? 'a part that runs' : 'a module that runs',
          fix: 'Correct it there.',
        },
      ]
    ).map((fault) => ({ ...fault, path: fault.path ? `${where}, ${fault.path}` : where })),
  );
  placed.add(told);
  return Object.assign(told, { cause: error });
}
