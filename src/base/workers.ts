// Worker threads that run the same from dist/ (JavaScript) and from the source tree (TypeScript through tsx).
import { fileURLToPath } from 'node:url';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import { loadedExtensions } from './extensions.js';

/** A worker running the module at `url` (give `new URL('./x.js', import.meta.url)`; the `.ts` twin is taken when the caller is one). */
export function startWorker(url: URL, options: WorkerOptions = {}): Worker {
  const extensions = loadedExtensions();
  const inSource = import.meta.url.endsWith('.ts');
  if (!inSource && extensions.length === 0) return new Worker(url, options);
  const twin = (name: string) => JSON.stringify(inSource ? name.replace(/\.js$/, '.ts') : name);
  // What this process has loaded of a person's own is loaded there too, before the work begins.
  const steps = [
    ...(inSource ? ["(await import('tsx/esm/api')).register()"] : []),
    ...(extensions.length > 0
      ? [
          `await (await import(${twin(new URL('./extensions.js', import.meta.url).href)})).loadExtensions(${JSON.stringify(extensions)})`,
        ]
      : []),
    `await import(${twin(url.href)})`,
  ];
  return new Worker(`(async () => { ${steps.join('; ')} })()`, { ...options, eval: true });
}

/** Arguments for `node` that run a module of this library in a child process, from dist/ or from the source tree alike. */
export function nodeArguments(url: URL): string[] {
  const file = fileURLToPath(url);
  if (!import.meta.url.endsWith('.ts')) return [file];
  return ['--import', 'tsx', file.replace(/\.js$/, '.ts')];
}
